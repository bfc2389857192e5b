/* Goes through the rules for one call. */
#include "decide.h"

#include <errno.h>
#include <stddef.h>

#include "actions.h"
#include "clock.h"
#include "record.h"
#include "slots.h"
#include "sticky.h"

/* Set while this thread is in here: what the driver does inside a call of ours is not the application's doing. */
static __thread int is_inside;
static __thread uint64_t random_state;

static uint64_t next_random(void)
{
  if (!random_state) random_state = now_ns() ^ (uint64_t)(uintptr_t)&random_state;
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static int is_large_enough(const struct control_rule *rule, const struct call *call)
{
  if (!rule->min_bytes) return 1;
  return call->facts->bytes >= 0 && call_argument(call, call->facts->bytes) >= rule->min_bytes;
}

/* A capture only writes calls down; a fault of the GPU can not happen in it, and an error would spoil the graph. */
static int runs_now(const struct call *call)
{
  int class = call->facts->class;
  return (class != CLASS_LAUNCH && class != CLASS_COPY && class != CLASS_STREAM) || !is_capturing(call);
}

static int matches(const struct active_rule *one, struct call *call)
{
  const struct control_rule *rule = &one->rule;
  if (!(rule->classes >> call->facts->class & 1)) return 0;
  if (!atomic_load_explicit(&one->state->is_for_this_process, memory_order_relaxed)) return 0;
  return is_meant(rule, call) && is_large_enough(rule, call) && runs_now(call) && is_live(one);
}

/* Of the calls that match, those whose turn it is. Counted here, so that each count is exact among threads. */
static int is_due(const struct active_rule *one)
{
  const struct control_rule *rule = &one->rule;
  begin_own_count();
  uint64_t nth = atomic_fetch_add_explicit(&one->state->calls, 1, memory_order_relaxed) + 1;
  if (nth <= rule->after_calls) return 0;
  if (rule->not_before_ns && now_ns() < rule->not_before_ns) return 0;
  if (rule->probability_ppm < 1000000 && next_random() % 1000000 >= rule->probability_ppm) return 0;
  return !rule->max_hits || atomic_fetch_add(&one->state->admitted, 1) < rule->max_hits;
}

static uint64_t answer_of_rules(struct call *call)
{
  const struct active_rules *rules = active_rules();
  for (uint32_t i = 0; i < rules->count; i++) {
    const struct active_rule *one = &rules->rules[i];
    if (!matches(one, call) || !is_due(one)) continue;
    uint64_t answer = carry_out(one, call);
    if (answer) return answer;
  }
  return 0;
}

static uint64_t answer_of_sticky(struct call *call)
{
  struct rule_state *state;
  uint64_t answer = sticky_answer(call, &state);
  if (answer) record_hit(state, call, (int32_t)answer);
  return answer;
}

static uint32_t armed(void)
{
  return atomic_load_explicit(&armed_word, memory_order_acquire);
}

int is_class_armed(int class)
{
  return armed() & ARMED_BY_RULES && active_rules()->classes >> class & 1;
}

static int concerns_anybody(int class)
{
  if (class == CLASS_META || class == CLASS_NVML_META) return 0;
  return armed() & ARMED_BY_STICKY || is_class_armed(class);
}

uint64_t decide(struct call *call)
{
  if (!concerns_anybody(call->facts->class) || is_inside) return 0;
  int error = errno;
  is_inside = 1;
  uint64_t answer = armed() & ARMED_BY_STICKY ? answer_of_sticky(call) : 0;
  if (!answer) answer = answer_of_rules(call);
  is_inside = 0;
  errno = error;
  return answer;
}

uint64_t decide_call(int slot, const uint64_t *registers, const uint64_t *stack)
{
  struct call call = {slot, slot_facts(slot), registers, stack, DEVICE_UNKNOWN};
  return decide(&call);
}

size_t free_bytes_limit(struct call *call)
{
  const struct active_rules *rules = active_rules();
  size_t limit = SIZE_MAX;
  if (is_inside) return limit;
  is_inside = 1;
  for (uint32_t i = 0; i < rules->count; i++) {
    const struct active_rule *one = &rules->rules[i];
    if (one->rule.mode != MODE_OOM || !one->rule.free_bytes || one->rule.free_bytes >= limit) continue;
    if (atomic_load(&one->state->is_for_this_process) && is_meant(&one->rule, call) && is_live(one))
      limit = one->rule.free_bytes;
  }
  is_inside = 0;
  return limit;
}
