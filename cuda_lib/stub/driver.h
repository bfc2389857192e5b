/* What the parts of the stand-in driver share. Types are our own; only the calling convention has to agree with CUDA. */
#ifndef STUB_DRIVER_H
#define STUB_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_GPUS 16

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_SUPPORTED = 801,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
};

struct gpu {
  unsigned index; /* as nvidia-smi counts */
  uint8_t uuid[16];
  unsigned domain, bus, device;
};

struct context {
  CUdevice device;
  unsigned flags;
  int references; /* of a primary context */
};

struct stream {
  struct context *context;
  int is_capturing;
};

/* The machine's GPUs, from STUB_CUDA_GPUS; `count` of them. */
const struct gpu *all_gpus(int *count);
/* GPU number `device` of those that CUDA_VISIBLE_DEVICES shows; NULL if there is none. */
const struct gpu *visible_gpu(CUdevice device);
int visible_count(void);
void format_uuid(const struct gpu *gpu, char *text, size_t size);
size_t memory_size(void);

int is_initialized(void);
struct context *primary_context(CUdevice device);
struct context *current_context(void);
struct context *context_of(const struct stream *stream);

CUresult allocate(CUdeviceptr *address, size_t size, CUdevice device);
CUresult release(CUdeviceptr address);

/* Writes the name of a called function to the file descriptor STUB_CUDA_LOG_FD, where that is set. */
void log_call(const char *function);

/* Every function of the driver begins like this, as the real ones do. */
#define CALLED() log_call(__func__)
#define NEED_INIT()                                        \
  do {                                                     \
    CALLED();                                              \
    if (!is_initialized()) return CUDA_ERROR_NOT_INITIALIZED; \
  } while (0)
#define NEED_CONTEXT()                                       \
  do {                                                       \
    NEED_INIT();                                             \
    if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT; \
  } while (0)
#define NEED_DEVICE(device)                                   \
  do {                                                        \
    NEED_INIT();                                              \
    if (!visible_gpu(device)) return CUDA_ERROR_INVALID_DEVICE; \
  } while (0)

#endif
