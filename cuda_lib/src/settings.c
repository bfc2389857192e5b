/* Reads the environment. */
#include "settings.h"

#include <elf.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "text.h"

/* A value that does not fit is as good as none: half a path names another file. */
static void copy_text(char *to, size_t size, const char *name)
{
  const char *value = getenv(name);
  size_t length = value ? strlen(value) : 0;
  if (length && length < size) memcpy(to, value, length + 1);
}

static int is_set_to(const char *name, const char *wanted)
{
  const char *value = getenv(name);
  return value && strcmp(value, wanted) == 0;
}

static int poll_interval(void)
{
  enum { USUAL = 100, SHORTEST = 5, LONGEST = 10000 };
  const char *value = getenv("SCENARIO_RUNNER_CUDA_POLL_MS");
  uint64_t wanted = value && *value ? parse_number(value, 10, NULL) : USUAL;
  return wanted < SHORTEST ? SHORTEST : wanted > LONGEST ? LONGEST : (int)wanted;
}

static struct settings from_environment(void)
{
  struct settings made = {
      .keeps_deepbind = is_set_to("SCENARIO_RUNNER_CUDA_DEEPBIND", "keep"),
      .poll_ms = poll_interval(),
  };
  copy_text(made.control, sizeof made.control, "SCENARIO_RUNNER_CUDA_CONTROL");
  copy_text(made.hits, sizeof made.hits, "SCENARIO_RUNNER_CUDA_HITS");
  copy_text(made.owner, sizeof made.owner, "SCENARIO_RUNNER_CUDA_OWNER");
  /* A program with more rights than its caller must not open files that its caller names. */
  int has_more_rights = getauxval(AT_SECURE) != 0;
  made.is_disabled = !made.control[0] || is_set_to("SCENARIO_RUNNER_CUDA_DISABLE", "1") || has_more_rights;
  return made;
}

/*
 * Once, as other threads may change the environment later. Without a lock, which a fork could leave locked for ever:
 * whoever comes while the first is still writing reads for itself.
 */
struct settings read_settings(void)
{
  enum { UNREAD, WRITING, READY };
  static _Atomic int state = UNREAD;
  static struct settings kept;
  int expected = UNREAD;
  if (atomic_load_explicit(&state, memory_order_acquire) == READY) return kept;
  struct settings made = from_environment();
  if (atomic_compare_exchange_strong(&state, &expected, WRITING)) {
    kept = made;
    atomic_store_explicit(&state, READY, memory_order_release);
  }
  return made;
}

int is_disabled(void)
{
  static _Atomic int known; /* 0 = not yet, 1 = no, 2 = yes */
  int answer = atomic_load_explicit(&known, memory_order_relaxed);
  if (!answer) {
    answer = read_settings().is_disabled ? 2 : 1;
    atomic_store_explicit(&known, answer, memory_order_relaxed);
  }
  return answer == 2;
}
