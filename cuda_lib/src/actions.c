/* Carries out the modes. */
#include "actions.h"

#include "clock.h"
#include "record.h"
#include "sticky.h"

static uint64_t answer(int32_t code)
{
  return code ? ANSWER | (uint32_t)code : 0;
}

static int is_still_armed(const struct rule_state *state)
{
  const struct active_rules *rules = active_rules();
  for (uint32_t i = 0; i < rules->count; i++)
    if (rules->rules[i].state == state) return is_live(&rules->rules[i]);
  return 0;
}

/* Whether the rule was armed all the time; returns as soon as it is not. */
static int wait_while_armed(const struct active_rule *one, uint64_t duration)
{
  enum { LOOK_EVERY_NS = 5000000 };
  uint64_t now = now_ns(), end = duration < UINT64_MAX - now ? now + duration : UINT64_MAX;
  for (; now < end; now = now_ns()) {
    if (!is_still_armed(one->state)) return 0;
    sleep_ns(end - now < LOOK_EVERY_NS ? end - now : LOOK_EVERY_NS);
  }
  return 1;
}

/* Until disarmed or expired, then the call goes on; or as long as the rule says, then it fails, and the GPU with it. */
static uint64_t hang(const struct active_rule *one, struct call *call, int32_t code)
{
  int is_over = wait_while_armed(one, one->rule.delay_ns ? one->rule.delay_ns : UINT64_MAX);
  if (!is_over || !code) return 0;
  if (!is_nvml(call)) make_sticky(one, device_of(call), code);
  return answer(code);
}

/* As long as the rule says, then it fails if it has a code; disarmed or expired before, it goes on at once. */
static uint64_t delay(const struct active_rule *one, int32_t code)
{
  return wait_while_armed(one, one->rule.delay_ns) ? answer(code) : 0;
}

/* The launch goes on; it is the next call that sees the error, as on a GPU that works while the program goes on. */
static uint64_t start_async(const struct active_rule *one, struct call *call)
{
  make_pending(one, device_of(call), one->rule.code);
  record_hit(one->state, call, 0);
  return 0;
}

uint64_t carry_out(const struct active_rule *one, struct call *call)
{
  int32_t code = is_nvml(call) ? one->rule.nvml_code : one->rule.code;
  int mode = one->rule.mode;
  if (!code && mode != MODE_DELAY && mode != MODE_HANG) return 0; /* the rule means the other library's calls */
  if (mode == MODE_ASYNC && call->facts->class == CLASS_LAUNCH && device_of(call) >= 0) return start_async(one, call);
  record_hit(one->state, call, code);
  if (mode == MODE_DELAY) return delay(one, code);
  if (mode == MODE_HANG) return hang(one, call, code);
  if ((mode == MODE_STICKY || mode == MODE_ASYNC) && !is_nvml(call) && call->facts->class != CLASS_INIT)
    make_sticky(one, device_of(call), code);
  return answer(code);
}
