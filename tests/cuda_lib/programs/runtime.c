/* A program on NVIDIA's own runtime, loaded from a path or linked in; prints what it says about devices. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

#ifdef LINKED
extern int cudaRuntimeGetVersion(int *), cudaGetDeviceCount(int *), cudaMalloc(void **, size_t);
#define FIND(name) name
#else
#define FIND(name) ((int (*)())dlsym(runtime, #name))
#endif

int main(int count, char **arguments)
{
  void *runtime = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL, *memory = NULL;
  int version = 0, devices = -1;
  if (count > 1 && !runtime) return fprintf(stderr, "%s\n", dlerror()), 9;
  FIND(cudaRuntimeGetVersion)(&version);
  printf("runtime %d", version);
  printf(" count=%d", FIND(cudaGetDeviceCount)(&devices));
  printf(" malloc=%d\n", FIND(cudaMalloc)(&memory, (size_t)64));
  return 0;
}
