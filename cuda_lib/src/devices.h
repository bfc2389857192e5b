/* Which GPU a call is about, and whether it is the one that a rule means. */
#ifndef SCENARIO_CUDA_DEVICES_H
#define SCENARIO_CUDA_DEVICES_H

#include "control.h"
#include "entry.h"

enum { NO_DEVICE = -1, DEVICE_UNKNOWN = -2, MAX_DEVICES = 64 };

/* A call on its way to the driver. */
struct call {
  int slot;
  const struct function_facts *facts;
  const uint64_t *registers; /* integer arguments as the processor's calling convention passes them */
  const uint64_t *stack;
  int device;                /* DEVICE_UNKNOWN until somebody asks */
};

uint64_t call_argument(const struct call *call, int position);

/* Whether `call` is one of NVML's rather than of the driver's. */
int is_nvml(const struct call *call);

/* The ordinal of the GPU that `call` is about, as this process numbers them, or NO_DEVICE. */
int device_of(struct call *call);

/* Whether `call` is about the GPU of `rule`. */
int is_meant(const struct control_rule *rule, struct call *call);

/* The UUID of the GPU that `call` is about, zeros if there is none. */
void uuid_of(struct call *call, uint8_t uuid[16]);

/* Whether the call's stream records into a graph instead of running. */
int is_capturing(const struct call *call);

#endif
