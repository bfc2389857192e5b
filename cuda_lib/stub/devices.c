/* Start, devices and contexts of the stand-in driver. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static _Atomic int initialized;
static struct context primaries[MAX_GPUS];
static __thread struct context *stack[32];
static __thread int depth;

int is_initialized(void)
{
  return initialized;
}

struct context *primary_context(CUdevice device)
{
  primaries[device].device = device;
  return &primaries[device];
}

struct context *current_context(void)
{
  return depth ? stack[depth - 1] : NULL;
}

EXPORT CUresult cuInit(unsigned flags)
{
  (void)flags;
  CALLED();
  initialized = 1;
  return visible_count() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

EXPORT CUresult cuDriverGetVersion(int *version)
{
  const char *wanted = getenv("STUB_CUDA_VERSION");
  CALLED();
  *version = wanted ? atoi(wanted) : 13000;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int *count)
{
  NEED_INIT();
  *count = visible_count();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
  NEED_DEVICE(ordinal);
  *device = ordinal;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
  NEED_DEVICE(device);
  snprintf(name, (size_t)size, "Stub GPU %u", visible_gpu(device)->index);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid_v2(void *uuid, CUdevice device)
{
  NEED_DEVICE(device);
  memcpy(uuid, visible_gpu(device)->uuid, 16);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid(void *uuid, CUdevice device)
{
  NEED_DEVICE(device);
  memcpy(uuid, visible_gpu(device)->uuid, 16);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetPCIBusId(char *text, int size, CUdevice device)
{
  NEED_DEVICE(device);
  const struct gpu *gpu = visible_gpu(device);
  snprintf(text, (size_t)size, "%04x:%02x:%02x.0", gpu->domain, gpu->bus, gpu->device);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *size, CUdevice device)
{
  NEED_DEVICE(device);
  *size = memory_size();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
  NEED_DEVICE(device);
  *major = 9;
  *minor = 0;
  return CUDA_SUCCESS;
}

/* The few attributes that programs look at before they do anything: capability, PCI address, sizes. */
EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
  NEED_DEVICE(device);
  const struct gpu *gpu = visible_gpu(device);
  switch (attribute) {
    case 1: *value = 1024; break;             /* threads per block */
    case 10: *value = 32; break;              /* warp */
    case 16: *value = 132; break;             /* multiprocessors */
    case 33: *value = (int)gpu->bus; break;
    case 34: *value = (int)gpu->device; break;
    case 50: *value = (int)gpu->domain; break;
    case 41: *value = 1; break;               /* unified addressing */
    case 75: *value = 9; break;               /* compute capability */
    case 102: *value = 1; break;              /* virtual memory management */
    case 115: *value = 1; break;              /* memory pools */
    default: *value = 0;
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(struct context **context, CUdevice device)
{
  NEED_DEVICE(device);
  *context = primary_context(device);
  (*context)->references++;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
  NEED_DEVICE(device);
  if (primaries[device].references) primaries[device].references--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
  NEED_DEVICE(device);
  primaries[device].references = 0;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *is_active)
{
  NEED_DEVICE(device);
  if (flags) *flags = primaries[device].flags;
  *is_active = primaries[device].references > 0;
  return CUDA_SUCCESS;
}

static CUresult push(struct context *context)
{
  if (depth == 32) return CUDA_ERROR_INVALID_VALUE;
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxCreate_v2(struct context **context, unsigned flags, CUdevice device)
{
  NEED_DEVICE(device);
  struct context *made = calloc(1, sizeof *made);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  made->device = device;
  made->flags = flags;
  *context = made;
  return push(made);
}

EXPORT CUresult cuCtxCreate_v4(struct context **context, void *parameters, unsigned flags, CUdevice device)
{
  (void)parameters;
  return cuCtxCreate_v2(context, flags, device);
}

EXPORT CUresult cuCtxDestroy_v2(struct context *context)
{
  NEED_INIT();
  for (int i = depth - 1; i >= 0; i--)
    if (stack[i] == context) {
      memmove(&stack[i], &stack[i + 1], (size_t)(depth - i - 1) * sizeof stack[0]);
      depth--;
    }
  free(context);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(struct context *context)
{
  NEED_INIT();
  if (depth) depth--;
  return context ? push(context) : CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetCurrent(struct context **context)
{
  NEED_INIT();
  *context = current_context();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(struct context *context)
{
  NEED_INIT();
  return push(context);
}

EXPORT CUresult cuCtxPopCurrent_v2(struct context **context)
{
  NEED_CONTEXT();
  if (context) *context = current_context();
  depth--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
  NEED_CONTEXT();
  *device = current_context()->device;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice_v2(CUdevice *device, struct context *context)
{
  if (!context) return cuCtxGetDevice(device);
  NEED_INIT();
  *device = context->device;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize(void)
{
  NEED_CONTEXT();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize_v2(struct context *context)
{
  (void)context;
  NEED_INIT();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult code, const char **name)
{
  static __thread char text[32];
  CALLED();
  snprintf(text, sizeof text, "CUDA_ERROR_%d", code);
  *name = code ? text : "CUDA_SUCCESS";
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorString(CUresult code, const char **string)
{
  static __thread char text[32];
  CALLED();
  snprintf(text, sizeof text, "stub driver error %d", code);
  *string = code ? text : "no error";
  return CUDA_SUCCESS;
}
