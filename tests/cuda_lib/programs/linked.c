/* A program linked with the driver: its calls go through its own PLT. */
#include "api.h"

extern int cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int), cuCtxSetCurrent(void *);
extern int cuMemAlloc_v2(address *, size_t), cuMemcpyHtoD_v2(address, const void *, size_t);
extern int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                          void **);
extern int cuStreamSynchronize(void *), cuCtxSynchronize(void);

int main(void)
{
  struct api api = {cuInit,         cuDevicePrimaryCtxRetain, cuCtxSetCurrent,     cuMemAlloc_v2,
                    cuMemcpyHtoD_v2, cuLaunchKernel,           cuStreamSynchronize, cuCtxSynchronize};
  return use(&api);
}
