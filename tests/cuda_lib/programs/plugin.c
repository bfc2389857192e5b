/* A library that finds the driver at run time, in each of the ways that real ones do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

typedef int get_address(const char *, void **, int, uint64_t, int *);

static int by_name(void *driver)
{
  struct api api = {(void *)dlsym(driver, "cuInit"),          (void *)dlsym(driver, "cuDevicePrimaryCtxRetain"),
                    (void *)dlsym(driver, "cuCtxSetCurrent"), (void *)dlsym(driver, "cuMemAlloc_v2"),
                    (void *)dlsym(driver, "cuMemcpyHtoD_v2"), (void *)dlsym(driver, "cuLaunchKernel"),
                    (void *)dlsym(driver, "cuStreamSynchronize"), (void *)dlsym(driver, "cuCtxSynchronize")};
  return use(&api);
}

static void *asked(get_address *get, const char *name, uint64_t flags)
{
  void *found = NULL;
  int status;
  get(name, &found, 12090, flags, &status); /* from 13000 on cuCtxSynchronize has an argument */
  return found;
}

static int by_get_address(get_address *get, uint64_t flags)
{
  struct api api = {asked(get, "cuInit", flags),          asked(get, "cuDevicePrimaryCtxRetain", flags),
                    asked(get, "cuCtxSetCurrent", flags), asked(get, "cuMemAlloc", flags),
                    asked(get, "cuMemcpyHtoD", flags),    asked(get, "cuLaunchKernel", flags),
                    asked(get, "cuStreamSynchronize", flags), asked(get, "cuCtxSynchronize", flags)};
  return use(&api);
}

__attribute__((visibility("default"))) int run_plugin(const char *how)
{
  enum { LEGACY_STREAM = 1, PER_THREAD_STREAM = 2 };
  void *driver;
  if (strcmp(how, "dlmopen") == 0) driver = dlmopen(LM_ID_NEWLM, "libcuda.so.1", RTLD_NOW);
  else if (strcmp(how, "absolute-path") == 0) driver = dlopen(getenv("ABSOLUTE_DRIVER"), RTLD_NOW);
  else driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) return fprintf(stderr, "%s\n", dlerror()), 9;
  get_address *get = (get_address *)dlsym(driver, "cuGetProcAddress_v2");
  if (strcmp(how, "get-address") == 0) return by_get_address(get, LEGACY_STREAM);
  if (strcmp(how, "get-address-through-itself") != 0) return by_name(driver);
  return by_get_address((get_address *)asked(get, "cuGetProcAddress", 0), PER_THREAD_STREAM);
}
