/* Functions after whose real answer something has to be done: starting, and handing out other functions. */
#include "wrappers.h"

#include <stddef.h>
#include <string.h>

#include "decide.h"
#include "driver.h"
#include "rules.h"
#include "slots.h"
#include "watcher.h"

#define EXPORT __attribute__((visibility("default")))

static uint64_t decide_about(int slot, const uint64_t *arguments, int device)
{
  struct call call = {slot, slot_facts(slot), arguments, arguments, device};
  return decide(&call);
}

/* "The only GPU is gone" is a code of cuInit; with others left it starts as ever. */
static int only_device(void)
{
  int (*count_devices)(int *) = slot_real(SLOT_cuDeviceGetCount);
  int count = 0;
  return count_devices(&count) == 0 && count == 1 ? 0 : NO_DEVICE;
}

EXPORT int cuInit(unsigned flags)
{
  int (*real)(unsigned) = slot_real(SLOT_cuInit);
  uint64_t arguments[8] = {flags};
  look_at_control();
  uint64_t answer = decide_about(SLOT_cuInit, arguments, NO_DEVICE);
  if (answer) return (int)answer;
  int result = real(flags);
  if (result != 0) return result;
  note_cuda_start();
  start_watching();
  int device = is_class_armed(CLASS_INIT) ? only_device() : NO_DEVICE;
  if (device != NO_DEVICE) answer = decide_about(SLOT_cuInit, arguments, device);
  return answer ? (int)answer : result;
}

/*
 * The driver decides what a name, a version and flags mean, and we wrap the address it answers. Two functions must be
 * recognised by name, in case the driver answers with another address than the one it exports: those with a wrapper.
 */
static int slot_with_wrapper(const char *name, int version)
{
  enum { SINCE_SECOND_VERSION = 12000, SINCE_64_BIT = 3020 };
  if (strcmp(name, "cuInit") == 0) return SLOT_cuInit;
  if (strcmp(name, "cuGetProcAddress") == 0)
    return version >= SINCE_SECOND_VERSION ? SLOT_cuGetProcAddress_v2 : SLOT_cuGetProcAddress;
  if (strcmp(name, "cuMemGetInfo") == 0 && version >= SINCE_64_BIT) return SLOT_cuMemGetInfo_v2;
  return NO_SLOT;
}

static void replace(const char *name, void **address, int version, const void *caller)
{
  if (!name || !address || !*address || is_driver_code(caller)) return;
  int slot = slot_with_wrapper(name, version);
  if (slot == NO_SLOT) {
    *address = wrap(*address, name);
    return;
  }
  slot_add_address(slot, *address);
  *address = slot_entry(slot);
}

EXPORT int cuGetProcAddress(const char *name, void **address, int version, uint64_t flags)
{
  int (*real)(const char *, void **, int, uint64_t) = slot_real(SLOT_cuGetProcAddress);
  int result = real(name, address, version, flags);
  if (result == 0) replace(name, address, version, __builtin_return_address(0));
  return result;
}

EXPORT int cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t flags, int *status)
{
  int (*real)(const char *, void **, int, uint64_t, int *) = slot_real(SLOT_cuGetProcAddress_v2);
  int result = real(name, address, version, flags, status);
  if (result == 0) replace(name, address, version, __builtin_return_address(0));
  return result;
}

EXPORT int cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
  int (*real)(size_t *, size_t *) = slot_real(SLOT_cuMemGetInfo_v2);
  uint64_t arguments[8] = {(uintptr_t)free_bytes, (uintptr_t)total};
  struct call call = {SLOT_cuMemGetInfo_v2, slot_facts(SLOT_cuMemGetInfo_v2), arguments, arguments, DEVICE_UNKNOWN};
  uint64_t answer = decide(&call);
  if (answer) return (int)answer;
  int result = real(free_bytes, total);
  if (result != 0 || !free_bytes) return result;
  size_t limit = free_bytes_limit(&call);
  if (*free_bytes > limit) *free_bytes = limit;
  return result;
}

/* Programs that only use NVML never call cuInit. */
static int start_nvml(int result)
{
  if (result == 0) start_watching();
  return result;
}

EXPORT int nvmlInit(void)
{
  int (*real)(void) = slot_real(SLOT_nvmlInit);
  look_at_control();
  return start_nvml(real());
}

EXPORT int nvmlInit_v2(void)
{
  int (*real)(void) = slot_real(SLOT_nvmlInit_v2);
  look_at_control();
  return start_nvml(real());
}

EXPORT int nvmlInitWithFlags(unsigned flags)
{
  int (*real)(unsigned) = slot_real(SLOT_nvmlInitWithFlags);
  look_at_control();
  return start_nvml(real(flags));
}

void *wrapper_of(int slot)
{
  switch (slot) {
    case SLOT_cuInit: return cuInit;
    case SLOT_cuGetProcAddress: return cuGetProcAddress;
    case SLOT_cuGetProcAddress_v2: return cuGetProcAddress_v2;
    case SLOT_cuMemGetInfo_v2: return cuMemGetInfo_v2;
    case SLOT_nvmlInit: return nvmlInit;
    case SLOT_nvmlInit_v2: return nvmlInit_v2;
    case SLOT_nvmlInitWithFlags: return nvmlInitWithFlags;
    default: return NULL;
  }
}
