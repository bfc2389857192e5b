/* Who a GPU is, whatever number a process gives it. */
#ifndef SCENARIO_CUDA_IDENTITY_H
#define SCENARIO_CUDA_IDENTITY_H

#include <stdint.h>

struct identity {
  uint8_t uuid[16];
  uint16_t domain, bus, device; /* PCI */
  int16_t index;                /* of NVML; the ordinal for a CUDA device */
};

/* Of a CUDA device, by its ordinal; 0 while the driver does not tell. */
int cuda_identity(int ordinal, struct identity *out);

/* Of an nvmlDevice_t; NVML numbers the GPUs of the machine and knows nothing of CUDA_VISIBLE_DEVICES. */
int nvml_identity(void *handle, struct identity *out);

#endif
