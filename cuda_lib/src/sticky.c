/* Remembers sticky and pending errors, one word each, so that they are set and read at once. */
#include "sticky.h"

#include "clock.h"

/* A word: the code, above it 1 + the number of the state that caused it, above that the scope. 0 = healthy. */
typedef _Atomic uint64_t error_word;
static error_word sticky[MAX_DEVICES], sticky_process, pending[MAX_DEVICES];
static _Atomic uint64_t surfaces_at_ns[MAX_DEVICES]; /* from when on launches see a pending error too; 0 = never */

static uint64_t word_of(const struct active_rule *one, int32_t code)
{
  uint64_t number = (uint64_t)(one->state - rule_states) + 1;
  return (uint32_t)code | number << 32 | (uint64_t)one->rule.scope << 48;
}

static uint64_t answer_of(uint64_t word, struct rule_state **state)
{
  *state = &rule_states[(word >> 32 & 0xffff) - 1];
  return ANSWER | (uint32_t)word;
}

static int is_valid(int device)
{
  return device >= 0 && device < MAX_DEVICES;
}

static void set(int device, uint64_t word)
{
  uint64_t healthy = 0;
  error_word *target = word >> 48 == SCOPE_PROCESS || !is_valid(device) ? &sticky_process : &sticky[device];
  atomic_compare_exchange_strong(target, &healthy, word); /* the first error stays */
  atomic_fetch_or_explicit(&armed_word, ARMED_BY_STICKY, memory_order_release);
}

void make_sticky(const struct active_rule *one, int device, int32_t code)
{
  set(device, word_of(one, code));
}

void make_pending(const struct active_rule *one, int device, int32_t code)
{
  uint64_t healthy = 0;
  if (!is_valid(device)) return;
  if (!atomic_compare_exchange_strong(&pending[device], &healthy, word_of(one, code))) return;
  if (one->rule.delay_ns) atomic_store(&surfaces_at_ns[device], now_ns() + one->rule.delay_ns);
  atomic_fetch_or_explicit(&armed_word, ARMED_BY_STICKY, memory_order_release);
}

/* Kinds of calls that work on a broken GPU as well: they ask about it rather than use it. */
static int is_exempt(int class)
{
  return class == CLASS_INIT || class == CLASS_QUERY || class == CLASS_NVML || class == CLASS_NVLINK;
}

static int is_surfacing(const struct call *call, int device)
{
  uint64_t from = atomic_load(&surfaces_at_ns[device]);
  return call->facts->class != CLASS_LAUNCH || (from && now_ns() >= from);
}

uint64_t sticky_answer(struct call *call, struct rule_state **state)
{
  uint64_t word = atomic_load_explicit(&sticky_process, memory_order_acquire);
  if (is_exempt(call->facts->class)) return 0;
  if (word) return answer_of(word, state);
  int device = device_of(call);
  if (!is_valid(device)) return 0;
  word = atomic_load_explicit(&sticky[device], memory_order_acquire);
  if (word) return answer_of(word, state);
  word = atomic_load_explicit(&pending[device], memory_order_acquire);
  if (!word || !is_surfacing(call, device)) return 0;
  set(device, word);
  return answer_of(word, state);
}
