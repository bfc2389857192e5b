/* Errors that stay: per GPU and per process, until the process ends, also after the fault was disarmed. */
#ifndef SCENARIO_CUDA_STICKY_H
#define SCENARIO_CUDA_STICKY_H

#include "rules.h"

/* From now on calls about `device` (or, if the rule says so, all calls) answer `code`. */
void make_sticky(const struct active_rule *one, int device, int32_t code);

/* The next call about `device` that is no launch answers `code` and makes it sticky. */
void make_pending(const struct active_rule *one, int device, int32_t code);

/* ANSWER | code and whose rule it was, or 0. */
uint64_t sticky_answer(struct call *call, struct rule_state **state);

#endif
