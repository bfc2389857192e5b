/* Time, and the identity of the boot that it counts from. */
#ifndef SCENARIO_CUDA_CLOCK_H
#define SCENARIO_CUDA_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds since boot, suspended time included: what the agent's expiries are counted in. */
uint64_t now_ns(void);

/* Copies the boot id into `text`; empty if it can not be read. */
void read_boot_id(char *text, size_t size);

/* The content of a small file without its last newline; empty if it can not be read. */
void read_line(const char *path, char *text, size_t size);

void sleep_ns(uint64_t duration);

#endif
