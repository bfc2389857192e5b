/* The rules that are armed in this process, and what is counted about each. */
#ifndef SCENARIO_CUDA_RULES_H
#define SCENARIO_CUDA_RULES_H

#include <stdatomic.h>

#include "control.h"
#include "devices.h"
#include "hits.h"

/* What outlives a rewriting of the control file: found again by (fault, part). */
struct rule_state {
  char fault[104];
  uint32_t part;
  _Atomic uint64_t expires_at_ns; /* renewed by the agent, so it is no part of the rule's immutable copy */
  _Atomic int is_for_this_process;
  _Atomic uint64_t calls, admitted; /* that matched; that were let through to `max_hits` */
  _Atomic uint64_t hits, nvml_hits, first_hit_ns, last_hit_ns;
  _Atomic int32_t code;
  _Atomic int has_first;  /* somebody is writing, or has written, the two below; complete once first_hit_ns is set */
  _Atomic int first_slot; /* function of the first hit */
  uint8_t first_uuid[16]; /* its GPU */
};

struct active_rule {
  struct control_rule rule;
  struct rule_state *state;
};

/* Immutable once published. A replaced copy is left behind, as a call may be hanging in it: one page per arming. */
struct active_rules {
  uint32_t count;
  uint32_t classes; /* of all rules together */
  struct active_rule rules[CONTROL_RULES];
};

extern struct rule_state rule_states[HITS_ENTRIES];

/* Never NULL. */
const struct active_rules *active_rules(void);

/* Takes over what the file says, `file` NULL for nothing; keeps counters of rules that stay. */
void publish_rules(const struct control_file *file);

/* Clears the armed word when every rule is past its expiry. */
void expire_rules(void);

int is_live(const struct active_rule *one);

/* The process has started CUDA: there are rules that spare those that started after them. A forked child inherits it. */
void note_cuda_start(void);
uint64_t control_generation(void);

#endif
