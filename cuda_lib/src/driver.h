/* The real driver: which library is it, and wrapping what it hands out. */
#ifndef SCENARIO_CUDA_DRIVER_H
#define SCENARIO_CUDA_DRIVER_H

#include "entry.h"

/* Whether `name` is spelled like a function of the driver or of NVML. */
int is_driver_name(const char *name);

/* Whether code at `address` belongs to the driver, NVML or one of NVIDIA's tools: these see the driver as it is. */
int is_driver_code(const void *address);

/* What the application gets for `address`, which was found under `name`: our entry, or `address` if it is not the driver's. */
void *wrap(void *address, const char *name);

/* The definition of `name` in the driver that is loaded; NULL if none is. */
void *find_in_loaded_driver(const char *name);

#endif
