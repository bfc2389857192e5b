/* Streams, events, kernels, graphs and modules of the stand-in driver: everything is done by the time a call returns. */
#include <stdlib.h>

#include "driver.h"

/* Handles up to this one mean the default streams, not an object. */
#define LAST_SPECIAL_STREAM 2

static int is_object(const struct stream *stream)
{
  return (uintptr_t)stream > LAST_SPECIAL_STREAM;
}

struct context *context_of(const struct stream *stream)
{
  return is_object(stream) ? stream->context : current_context();
}

static CUresult make(void **handle)
{
  *handle = calloc(1, 64);
  return *handle ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT CUresult cuStreamCreate(struct stream **stream, unsigned flags)
{
  (void)flags;
  NEED_CONTEXT();
  *stream = calloc(1, sizeof **stream);
  if (!*stream) return CUDA_ERROR_OUT_OF_MEMORY;
  (*stream)->context = current_context();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCreateWithPriority(struct stream **stream, unsigned flags, int priority)
{
  (void)priority;
  return cuStreamCreate(stream, flags);
}

EXPORT CUresult cuStreamDestroy_v2(struct stream *stream)
{
  NEED_INIT();
  free(stream);
  return CUDA_SUCCESS;
}

/* The functions that exist for the legacy default stream and, with a suffix, for the thread's own. */
#define STREAM_FUNCTIONS(suffix)                                                                             \
  EXPORT CUresult cuStreamSynchronize##suffix(struct stream *stream)                                         \
  {                                                                                                          \
    (void)stream;                                                                                            \
    NEED_CONTEXT();                                                                                          \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuStreamQuery##suffix(struct stream *stream)                                               \
  {                                                                                                          \
    (void)stream;                                                                                            \
    NEED_CONTEXT();                                                                                          \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuStreamWaitEvent##suffix(struct stream *stream, void *event, unsigned flags)              \
  {                                                                                                          \
    (void)stream, (void)event, (void)flags;                                                                  \
    NEED_CONTEXT();                                                                                          \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuStreamGetCtx##suffix(struct stream *stream, struct context **context)                    \
  {                                                                                                          \
    NEED_CONTEXT();                                                                                          \
    *context = context_of(stream);                                                                           \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuStreamIsCapturing##suffix(struct stream *stream, int *status)                            \
  {                                                                                                          \
    NEED_CONTEXT();                                                                                          \
    *status = is_object(stream) && stream->is_capturing;                                                     \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuStreamBeginCapture_v2##suffix(struct stream *stream, int mode)                           \
  {                                                                                                          \
    (void)mode;                                                                                              \
    NEED_CONTEXT();                                                                                          \
    if (!is_object(stream)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;                                    \
    stream->is_capturing = 1;                                                                                \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuStreamEndCapture##suffix(struct stream *stream, void **graph)                            \
  {                                                                                                          \
    NEED_CONTEXT();                                                                                          \
    if (!is_object(stream) || !stream->is_capturing) return CUDA_ERROR_INVALID_HANDLE;                       \
    stream->is_capturing = 0;                                                                                \
    return make(graph);                                                                                      \
  }                                                                                                          \
  EXPORT CUresult cuLaunchKernel##suffix(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,  \
                                         unsigned block_x, unsigned block_y, unsigned block_z,               \
                                         unsigned shared, struct stream *stream, void **parameters,          \
                                         void **extra)                                                       \
  {                                                                                                          \
    (void)grid_x, (void)grid_y, (void)grid_z, (void)block_x, (void)block_y, (void)block_z, (void)shared;     \
    (void)stream, (void)parameters, (void)extra;                                                             \
    NEED_CONTEXT();                                                                                          \
    return function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;                                              \
  }                                                                                                          \
  EXPORT CUresult cuGraphLaunch##suffix(void *executable, struct stream *stream)                             \
  {                                                                                                          \
    (void)executable, (void)stream;                                                                          \
    NEED_CONTEXT();                                                                                          \
    return CUDA_SUCCESS;                                                                                     \
  }                                                                                                          \
  EXPORT CUresult cuEventRecord##suffix(void *event, struct stream *stream)                                  \
  {                                                                                                          \
    (void)event, (void)stream;                                                                               \
    NEED_CONTEXT();                                                                                          \
    return CUDA_SUCCESS;                                                                                     \
  }
STREAM_FUNCTIONS()
STREAM_FUNCTIONS(_ptsz)

EXPORT CUresult cuEventCreate(void **event, unsigned flags)
{
  (void)flags;
  NEED_CONTEXT();
  return make(event);
}

EXPORT CUresult cuEventDestroy_v2(void *event)
{
  NEED_INIT();
  free(event);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventQuery(void *event)
{
  (void)event;
  NEED_INIT();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventSynchronize(void *event)
{
  (void)event;
  NEED_INIT();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, void *from, void *to)
{
  (void)from, (void)to;
  NEED_INIT();
  *milliseconds = 0;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags)
{
  (void)graph, (void)flags;
  NEED_CONTEXT();
  return make(executable);
}

EXPORT CUresult cuModuleLoadData(void **module, const void *image)
{
  (void)image;
  NEED_CONTEXT();
  return make(module);
}

EXPORT CUresult cuModuleGetFunction(void **function, void *module, const char *name)
{
  (void)module, (void)name;
  NEED_CONTEXT();
  return make(function);
}
