/* Takes rules over from the control file. */
#include "rules.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "record.h"

struct rule_state rule_states[HITS_ENTRIES];
_Atomic uint32_t armed_word __attribute__((aligned(64)));

static const struct active_rules nothing;
static _Atomic(const struct active_rules *) active = &nothing;
static _Atomic uint64_t generation;
static _Atomic uint64_t started_at_ns; /* when cuInit first succeeded; 0 = not yet */

const struct active_rules *active_rules(void)
{
  return atomic_load_explicit(&active, memory_order_acquire);
}

uint64_t control_generation(void)
{
  return atomic_load_explicit(&generation, memory_order_relaxed);
}

int is_live(const struct active_rule *one)
{
  return now_ns() < atomic_load_explicit(&one->state->expires_at_ns, memory_order_relaxed);
}

static int is_active_state(const struct active_rules *rules, const struct rule_state *state)
{
  for (uint32_t i = 0; i < rules->count; i++)
    if (rules->rules[i].state == state) return 1;
  return 0;
}

/* The state for a rule: its own from before, a new one, or, after 40 faults in one process, the longest unused. */
static struct rule_state *state_for(const struct control_rule *rule, const struct active_rules *made)
{
  struct rule_state *oldest = NULL;
  for (int i = 0; i < HITS_ENTRIES; i++) {
    struct rule_state *state = &rule_states[i];
    if (state->part == rule->part && strcmp(state->fault, rule->fault) == 0) return state;
    if (!state->fault[0]) {
      oldest = state;
      break;
    }
    if (is_active_state(active_rules(), state) || is_active_state(made, state)) continue;
    if (!oldest || atomic_load(&state->last_hit_ns) < atomic_load(&oldest->last_hit_ns)) oldest = state;
  }
  memset(oldest, 0, sizeof *oldest);
  memcpy(oldest->fault, rule->fault, sizeof oldest->fault);
  oldest->part = rule->part;
  return oldest;
}

void note_cuda_start(void)
{
  uint64_t never = 0;
  atomic_compare_exchange_strong(&started_at_ns, &never, now_ns());
}

static int had_started(const struct control_rule *rule)
{
  uint64_t started = atomic_load(&started_at_ns);
  return !rule->started_before_ns || (started && started <= rule->started_before_ns);
}

static int has_name(const struct control_rule *rule)
{
  char process[17] = "";
  if (!rule->process[0]) return 1;
  read_line("/proc/self/comm", process, sizeof process);
  return strcmp(process, rule->process) == 0;
}

/* With each look at the file, as engines rename themselves. */
static void refresh(struct rule_state *state, const struct control_rule *rule)
{
  int is_ours = had_started(rule) && has_name(rule);
  atomic_store_explicit(&state->is_for_this_process, is_ours, memory_order_relaxed);
  atomic_store_explicit(&state->expires_at_ns, rule->expires_at_ns, memory_order_relaxed);
}

static int is_same_rule(const struct control_rule *one, const struct control_rule *other)
{
  struct control_rule copy = *one;
  copy.expires_at_ns = other->expires_at_ns;
  return memcmp(&copy, other, sizeof copy) == 0;
}

/* A renewal changes nothing but expiries. */
static int is_renewal(const struct active_rules *now, const struct control_file *file, uint32_t count)
{
  if (now->count != count) return 0;
  for (uint32_t i = 0; i < count; i++)
    if (!is_same_rule(&now->rules[i].rule, &file->rules[i])) return 0;
  for (uint32_t i = 0; i < count; i++) refresh(now->rules[i].state, &file->rules[i]);
  return 1;
}

/* Without memory for the new rules nothing is armed: the old ones are no longer what the file says. */
static const struct active_rules *rules_of(const struct control_file *file, uint32_t count)
{
  /* not malloc: the application may be in the middle of its own */
  struct active_rules *made =
      mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) return &nothing;
  for (uint32_t i = 0; i < count; i++) {
    made->rules[i].rule = file->rules[i];
    made->rules[i].state = state_for(&file->rules[i], made);
    made->classes |= file->rules[i].classes;
    made->count = i + 1;
    refresh(made->rules[i].state, &file->rules[i]);
  }
  return made;
}

static int is_of_this_boot(const struct control_file *file)
{
  static char boot_id[64];
  if (!boot_id[0]) read_boot_id(boot_id, sizeof boot_id);
  return boot_id[0] && strcmp(boot_id, file->boot_id) == 0;
}

void expire_rules(void)
{
  const struct active_rules *rules = active_rules();
  for (uint32_t i = 0; i < rules->count; i++)
    if (is_live(&rules->rules[i])) {
      atomic_fetch_or_explicit(&armed_word, ARMED_BY_RULES, memory_order_release);
      return;
    }
  atomic_fetch_and_explicit(&armed_word, ~(uint32_t)ARMED_BY_RULES, memory_order_release);
}

void publish_rules(const struct control_file *file)
{
  uint32_t count = file && is_of_this_boot(file) ? file->rule_count : 0;
  if (count == 0 || !prepare_counting()) atomic_store_explicit(&active, &nothing, memory_order_release);
  else if (!is_renewal(active_rules(), file, count))
    atomic_store_explicit(&active, rules_of(file, count), memory_order_release);
  atomic_store_explicit(&generation, file ? file->generation : 0, memory_order_relaxed);
  expire_rules();
}
