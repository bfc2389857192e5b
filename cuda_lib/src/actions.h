/* What a rule does to a call that it hits. */
#ifndef SCENARIO_CUDA_ACTIONS_H
#define SCENARIO_CUDA_ACTIONS_H

#include "rules.h"

/* ANSWER | code if the application is to get the code instead of the driver's answer, 0 if the call goes on. */
uint64_t carry_out(const struct active_rule *one, struct call *call);

#endif
