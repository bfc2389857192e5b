/* Finds the GPU of a call by asking the real driver, never by guessing from what the application said earlier. */
#include "devices.h"

#include <stddef.h>
#include <string.h>

#include "identity.h"
#include "slots.h"

#ifdef __aarch64__
enum { REGISTERS = 8 };
#else
enum { REGISTERS = 6 };
#endif

/* Handles up to this one mean a default stream, not an object. */
enum { NULL_STREAM = 0, PER_THREAD_STREAM = 2 };

uint64_t call_argument(const struct call *call, int position)
{
  return position < REGISTERS ? call->registers[position] : call->stack[position - REGISTERS];
}

static int current_device(void)
{
  int (*get)(int *) = slot_real(SLOT_cuCtxGetDevice);
  int device = NO_DEVICE;
  return get(&device) == 0 ? device : NO_DEVICE;
}

/* By making it current for a moment: cuCtxGetDevice_v2 does not exist before CUDA 13. */
static int device_of_context(void *context)
{
  int (*push)(void *) = slot_real(SLOT_cuCtxPushCurrent_v2);
  int (*pop)(void **) = slot_real(SLOT_cuCtxPopCurrent_v2);
  void *popped;
  if (!context) return current_device();
  if (push(context) != 0) return NO_DEVICE;
  int device = current_device();
  pop(&popped);
  return device;
}

static int device_of_stream(void *stream)
{
  int (*get)(void *, void **) = slot_real(SLOT_cuStreamGetCtx);
  void *context = NULL;
  if ((uintptr_t)stream <= PER_THREAD_STREAM || get(stream, &context) != 0) return current_device();
  return device_of_context(context);
}

/* cuMemCreate names its GPU in a structure: type, handle types, type of the location, location. */
static int device_of_allocation(const int *properties)
{
  enum { LOCATION_IS_DEVICE = 1 };
  return properties && properties[2] == LOCATION_IS_DEVICE ? properties[3] : NO_DEVICE;
}

static int find_device(const struct call *call)
{
  const struct function_facts *facts = call->facts;
  if (call->slot == SLOT_cuMemCreate) return device_of_allocation((const int *)call_argument(call, 2));
  if (facts->device >= 0) return (int)call_argument(call, facts->device);
  if (facts->stream >= 0) return device_of_stream((void *)call_argument(call, facts->stream));
  if (facts->context >= 0) return device_of_context((void *)call_argument(call, facts->context));
  return facts->class == CLASS_INIT ? NO_DEVICE : current_device();
}

int device_of(struct call *call)
{
  if (call->device == DEVICE_UNKNOWN) call->device = find_device(call);
  return call->device;
}

int is_nvml(const struct call *call)
{
  return call->facts->class == CLASS_NVML || call->facts->class == CLASS_NVLINK;
}

static int identity_of(struct call *call, struct identity *gpu)
{
  if (!is_nvml(call)) return cuda_identity(device_of(call), gpu);
  return call->facts->device >= 0 && nvml_identity((void *)call_argument(call, call->facts->device), gpu);
}

/* cuInit is about no GPU: rules for a certain one are asked again once the GPUs are known, see wrappers.c. */
static int is_meant_by_init(const struct control_rule *rule, const struct call *call)
{
  return (rule->gpu_match == GPU_ANY) == (call->device < 0);
}

int is_meant(const struct control_rule *rule, struct call *call)
{
  if (call->facts->class == CLASS_INIT && !is_meant_by_init(rule, call)) return 0;
  if (rule->gpu_match == GPU_ANY) return 1;
  if (rule->gpu_match == GPU_ORDINAL && !is_nvml(call)) return device_of(call) == rule->gpu_ordinal;
  struct identity gpu;
  if (!identity_of(call, &gpu)) return 0;
  switch (rule->gpu_match) {
    case GPU_UUID: return memcmp(gpu.uuid, rule->gpu_uuid, sizeof gpu.uuid) == 0;
    case GPU_PCI: return gpu.domain == rule->pci_domain && gpu.bus == rule->pci_bus && gpu.device == rule->pci_device;
    default: return gpu.index == rule->gpu_ordinal;
  }
}

void uuid_of(struct call *call, uint8_t uuid[16])
{
  struct identity gpu = {0};
  if (!identity_of(call, &gpu)) memset(gpu.uuid, 0, sizeof gpu.uuid);
  memcpy(uuid, gpu.uuid, sizeof gpu.uuid);
}

int is_capturing(const struct call *call)
{
  int (*ask)(void *, int *) = slot_real(SLOT_cuStreamIsCapturing);
  int status = 0;
  if (call->facts->stream < 0) return 0;
  uint64_t stream = call_argument(call, call->facts->stream);
  if (stream == NULL_STREAM && call->facts->is_per_thread) stream = PER_THREAD_STREAM;
  /* an error means the null stream of a context in which another stream captures */
  return ask((void *)stream, &status) != 0 || status != 0;
}
