/* Memory of the stand-in driver: the host's, counted per GPU. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

struct block {
  struct block *next;
  CUdeviceptr address;
  size_t size;
  CUdevice device;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static size_t used[MAX_GPUS];

CUresult allocate(CUdeviceptr *address, size_t size, CUdevice device)
{
  void *bytes = NULL;
  struct block *block = malloc(sizeof *block);
  if (!size || !block) return CUDA_ERROR_INVALID_VALUE;
  pthread_mutex_lock(&lock);
  int fits = used[device] + size <= memory_size() && posix_memalign(&bytes, 4096, size) == 0;
  if (fits) {
    *block = (struct block){blocks, (CUdeviceptr)(uintptr_t)bytes, size, device};
    blocks = block;
    used[device] += size;
    *address = block->address;
  }
  pthread_mutex_unlock(&lock);
  if (!fits) free(block);
  return fits ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult release(CUdeviceptr address)
{
  if (!address) return CUDA_SUCCESS;
  pthread_mutex_lock(&lock);
  struct block **link = &blocks;
  while (*link && (*link)->address != address) link = &(*link)->next;
  struct block *block = *link;
  if (block) {
    *link = block->next;
    used[block->device] -= block->size;
  }
  pthread_mutex_unlock(&lock);
  if (!block) return CUDA_ERROR_INVALID_VALUE;
  free((void *)(uintptr_t)address);
  free(block);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size)
{
  NEED_CONTEXT();
  return allocate(address, size, current_context()->device);
}

EXPORT CUresult cuMemAllocManaged(CUdeviceptr *address, size_t size, unsigned flags)
{
  (void)flags;
  NEED_CONTEXT();
  return allocate(address, size, current_context()->device);
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr address)
{
  NEED_CONTEXT();
  return release(address);
}

EXPORT CUresult cuMemHostAlloc(void **bytes, size_t size, unsigned flags)
{
  (void)flags;
  NEED_CONTEXT();
  return posix_memalign(bytes, 4096, size) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

EXPORT CUresult cuMemAllocHost_v2(void **bytes, size_t size)
{
  return cuMemHostAlloc(bytes, size, 0);
}

EXPORT CUresult cuMemFreeHost(void *bytes)
{
  NEED_CONTEXT();
  free(bytes);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
  NEED_CONTEXT();
  pthread_mutex_lock(&lock);
  if (free_bytes) *free_bytes = memory_size() - used[current_context()->device];
  pthread_mutex_unlock(&lock);
  if (total) *total = memory_size();
  return CUDA_SUCCESS;
}

/* The location of a cuMemCreate stands in the allocation's properties: type, handle types, location type, location. */
struct allocation_properties {
  int type, handle_types, location_type, location;
};

EXPORT CUresult cuMemCreate(CUdeviceptr *handle, size_t size, const struct allocation_properties *properties,
                            unsigned long long flags)
{
  (void)flags;
  NEED_DEVICE(properties->location);
  return allocate(handle, size, properties->location);
}

EXPORT CUresult cuMemRelease(CUdeviceptr handle)
{
  NEED_INIT();
  return release(handle);
}

EXPORT CUresult cuMemPoolTrimTo(void *pool, size_t size)
{
  (void)pool, (void)size;
  return CUDA_SUCCESS; /* does nothing at all: the benchmark's empty call */
}

static CUresult copy(CUdeviceptr to, CUdeviceptr from, size_t size)
{
  memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, size);
  return CUDA_SUCCESS;
}

/* Each copy exists for the legacy stream and, with a suffix, for the thread's own. */
#define COPIES(suffix)                                                                                    \
  EXPORT CUresult cuMemcpyHtoD_v2##suffix(CUdeviceptr to, const void *from, size_t size)                  \
  {                                                                                                       \
    NEED_CONTEXT();                                                                                       \
    return copy(to, (CUdeviceptr)(uintptr_t)from, size);                                                  \
  }                                                                                                       \
  EXPORT CUresult cuMemcpyDtoH_v2##suffix(void *to, CUdeviceptr from, size_t size)                        \
  {                                                                                                       \
    NEED_CONTEXT();                                                                                       \
    return copy((CUdeviceptr)(uintptr_t)to, from, size);                                                  \
  }                                                                                                       \
  EXPORT CUresult cuMemcpyDtoD_v2##suffix(CUdeviceptr to, CUdeviceptr from, size_t size)                  \
  {                                                                                                       \
    NEED_CONTEXT();                                                                                       \
    return copy(to, from, size);                                                                          \
  }                                                                                                       \
  EXPORT CUresult cuMemsetD8_v2##suffix(CUdeviceptr to, unsigned char value, size_t size)                 \
  {                                                                                                       \
    NEED_CONTEXT();                                                                                       \
    memset((void *)(uintptr_t)to, value, size);                                                           \
    return CUDA_SUCCESS;                                                                                  \
  }
COPIES()
COPIES(_ptds)

#define STREAM_MEMORY(suffix)                                                                             \
  EXPORT CUresult cuMemcpyHtoDAsync_v2##suffix(CUdeviceptr to, const void *from, size_t size, void *stream) \
  {                                                                                                       \
    (void)stream;                                                                                         \
    NEED_CONTEXT();                                                                                       \
    return copy(to, (CUdeviceptr)(uintptr_t)from, size);                                                  \
  }                                                                                                       \
  EXPORT CUresult cuMemcpyDtoHAsync_v2##suffix(void *to, CUdeviceptr from, size_t size, void *stream)     \
  {                                                                                                       \
    (void)stream;                                                                                         \
    NEED_CONTEXT();                                                                                       \
    return copy((CUdeviceptr)(uintptr_t)to, from, size);                                                  \
  }                                                                                                       \
  EXPORT CUresult cuMemAllocAsync##suffix(CUdeviceptr *address, size_t size, void *stream)                \
  {                                                                                                       \
    (void)stream;                                                                                         \
    NEED_CONTEXT();                                                                                       \
    return allocate(address, size, current_context()->device);                                            \
  }                                                                                                       \
  EXPORT CUresult cuMemFreeAsync##suffix(CUdeviceptr address, void *stream)                               \
  {                                                                                                       \
    (void)stream;                                                                                         \
    NEED_CONTEXT();                                                                                       \
    return release(address);                                                                              \
  }
STREAM_MEMORY()
STREAM_MEMORY(_ptsz)
