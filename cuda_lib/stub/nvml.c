/* Stand-in for libnvidia-ml.so.1: enumeration, identity and a few readings, of all GPUs of the machine. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "driver.h"

typedef int nvmlReturn_t;
enum { NVML_SUCCESS = 0, NVML_ERROR_UNINITIALIZED = 1, NVML_ERROR_INVALID_ARGUMENT = 2, NVML_ERROR_NOT_FOUND = 6 };

struct pci_info {
  char legacy_bus_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};

static int started;

#define NEED_START()                               \
  do {                                             \
    CALLED();                                      \
    if (!started) return NVML_ERROR_UNINITIALIZED; \
  } while (0)

EXPORT nvmlReturn_t nvmlInit_v2(void)
{
  CALLED();
  started = 1;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
  (void)flags;
  return nvmlInit_v2();
}

EXPORT nvmlReturn_t nvmlShutdown(void)
{
  CALLED();
  started = 0;
  return NVML_SUCCESS;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t code)
{
  return code == 15 ? "GPU is lost" : code ? "stub NVML error" : "Success";
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *text, unsigned size)
{
  snprintf(text, size, "580.00");
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
  NEED_START();
  all_gpus((int *)count);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, const struct gpu **handle)
{
  int count;
  NEED_START();
  const struct gpu *gpus = all_gpus(&count);
  if (index >= (unsigned)count) return NVML_ERROR_INVALID_ARGUMENT;
  *handle = &gpus[index];
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *wanted, const struct gpu **handle)
{
  int count;
  char text[64];
  NEED_START();
  const struct gpu *gpus = all_gpus(&count);
  for (int i = 0; i < count; i++) {
    format_uuid(&gpus[i], text, sizeof text);
    if (strcasecmp(text, wanted) != 0) continue;
    *handle = &gpus[i];
    return NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(const struct gpu *handle, char *text, unsigned size)
{
  NEED_START();
  format_uuid(handle, text, size);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(const struct gpu *handle, struct pci_info *info)
{
  NEED_START();
  memset(info, 0, sizeof *info);
  info->domain = handle->domain;
  info->bus = handle->bus;
  info->device = handle->device;
  snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", info->domain, info->bus, info->device);
  snprintf(info->legacy_bus_id, sizeof info->legacy_bus_id, "%04X:%02X:%02X.0", info->domain & 0xffff,
           info->bus & 0xff, info->device & 0xff);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetIndex(const struct gpu *handle, unsigned *index)
{
  NEED_START();
  *index = handle->index;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetName(const struct gpu *handle, char *text, unsigned size)
{
  NEED_START();
  snprintf(text, size, "Stub GPU %u", handle->index);
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(const struct gpu *handle, unsigned long long memory[3])
{
  (void)handle;
  NEED_START();
  memory[0] = memory[1] = memory_size();
  memory[2] = 0;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(const struct gpu *handle, int sensor, unsigned *degrees)
{
  (void)handle, (void)sensor;
  NEED_START();
  *degrees = 40;
  return NVML_SUCCESS;
}

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkState(const struct gpu *handle, unsigned link, unsigned *is_active)
{
  (void)handle, (void)link;
  NEED_START();
  *is_active = 1;
  return NVML_SUCCESS;
}
