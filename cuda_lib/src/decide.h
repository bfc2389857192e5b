/* The decision about one call while something is armed. */
#ifndef SCENARIO_CUDA_DECIDE_H
#define SCENARIO_CUDA_DECIDE_H

#include "devices.h"

/* ANSWER | code, or 0 to let the call go on. `device` may be DEVICE_UNKNOWN. */
uint64_t decide(struct call *call);

/* Whether some rule is about calls of this class; a library with nothing to do asks the driver nothing. */
int is_class_armed(int class);

/* How many bytes cuMemGetInfo may call free for this call; SIZE_MAX where no rule says so. */
size_t free_bytes_limit(struct call *call);

#endif
