/* The few functions that are more than a stub. */
#ifndef SCENARIO_CUDA_WRAPPERS_H
#define SCENARIO_CUDA_WRAPPERS_H

/* The C function that stands in for the stub of `slot`, or NULL. */
void *wrapper_of(int slot);

#endif
