/* A library that finds the driver at run time, in each of the ways that real ones do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

/* The one of CUDA 11 has no last argument, and does not look at it. */
typedef int get_address(const char *, void **, int, uint64_t, int *);

static int cuda_version = 12090; /* from 13000 on cuCtxSynchronize has an argument */

static int by_name(void *driver, void *(*find)(void *, const char *))
{
  struct api api = {find(driver, "cuInit"),          find(driver, "cuDevicePrimaryCtxRetain"),
                    find(driver, "cuCtxSetCurrent"), find(driver, "cuMemAlloc_v2"),
                    find(driver, "cuMemcpyHtoD_v2"), find(driver, "cuLaunchKernel"),
                    find(driver, "cuStreamSynchronize"), find(driver, "cuCtxSynchronize")};
  return use(&api);
}

static void *find_plain(void *driver, const char *name)
{
  return dlsym(driver, name);
}

/* In a driver whose symbols have the version that the linker gives them by default. */
static void *find_versioned(void *driver, const char *name)
{
  return dlvsym(driver, name, "libcuda.so.1");
}

static void *asked(get_address *get, const char *name, uint64_t flags)
{
  void *found = NULL;
  int status;
  get(name, &found, cuda_version, flags, &status);
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
  if (strcmp(how, "dlvsym") == 0) return by_name(driver, find_versioned);
  if (strncmp(how, "cuda-11-", 8) == 0) cuda_version = 11080, how += 8;
  get_address *get = (get_address *)dlsym(driver, cuda_version < 12000 ? "cuGetProcAddress" : "cuGetProcAddress_v2");
  if (strcmp(how, "get-address") == 0) return by_get_address(get, LEGACY_STREAM);
  if (strcmp(how, "get-address-through-itself") != 0) return by_name(driver, find_plain);
  return by_get_address((get_address *)asked(get, "cuGetProcAddress", 0), PER_THREAD_STREAM);
}
