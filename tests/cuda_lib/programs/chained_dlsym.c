/* Another library that takes dlsym over, as those do that limit a container's GPU memory; counts what it is asked for. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __aarch64__
#define VERSION "GLIBC_2.17"
#else
#define VERSION "GLIBC_2.2.5"
#endif

static int asked;

void *dlsym(void *handle, const char *name)
{
  static void *(*next)(void *, const char *);
  if (!next) next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", VERSION);
  if (strcmp(name, "cuMemAlloc_v2") == 0) asked++;
  return next(handle, name);
}

__attribute__((destructor)) static void tell(void)
{
  if (asked) printf("the other dlsym was asked\n");
}
