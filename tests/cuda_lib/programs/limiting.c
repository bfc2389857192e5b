/* A library that limits GPU memory: hands its own allocation out in place of the driver's, and tells who came through it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef __aarch64__
#define VERSION "GLIBC_2.17"
#else
#define VERSION "GLIBC_2.2.5"
#endif

static int limited;

static void *next_dlsym(void *handle, const char *name)
{
  static void *(*next)(void *, const char *);
  if (!next) next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", VERSION);
  return next(handle, name);
}

int cuMemAlloc_v2(unsigned long long *address, size_t size)
{
  int (*real)(unsigned long long *, size_t) = next_dlsym(dlopen("libcuda.so.1", RTLD_LAZY), "cuMemAlloc_v2");
  limited++;
  return real(address, size);
}

void *dlsym(void *handle, const char *name)
{
  return strcmp(name, "cuMemAlloc_v2") == 0 ? (void *)cuMemAlloc_v2 : next_dlsym(handle, name);
}

__attribute__((destructor)) static void tell(void)
{
  printf("limited=%d\n", limited);
}
