/* Telling the outside world about hits. */
#ifndef SCENARIO_CUDA_RECORD_H
#define SCENARIO_CUDA_RECORD_H

#include "rules.h"

/* Room for knowing whose the counters are, before the first rule is armed; 0 if there is none. */
int prepare_counting(void);

/* Counts are a process's own: a forked child begins with none, at the first call that it counts. */
void begin_own_count(void);

/* Counts a hit of a rule; `code` is what the application gets, 0 for a call that only comes late. */
void record_hit(struct rule_state *state, struct call *call, int32_t code);

/* Writes what has been counted since the last writing, if anything. */
void flush_hits(void);

#endif
