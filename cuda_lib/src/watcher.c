/*
 * The thread that looks at the control file ten times a second. It reads by path and never maps the file: a mapping
 * would not see the file replaced, and would kill the program if somebody truncated it.
 */
#include "watcher.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "libc_functions.h"
#include "record.h"
#include "rules.h"
#include "settings.h"

static _Atomic int watched_pid; /* whose thread it is: threads do not survive a fork */
static _Atomic int looking_pid; /* in which process somebody is looking now */

int is_watched(void)
{
  return atomic_load_explicit(&watched_pid, memory_order_relaxed) == getpid();
}

/* Half a file may be a writer at work: it changes nothing the first time, and disarms the second. */
static void look(void)
{
  static int was_torn;
  struct settings settings = read_settings();
  struct control_file file;
  enum control_state state = control_read(settings.control, &file);
  int is_torn_once = state == CONTROL_TORN && !was_torn;
  was_torn = state == CONTROL_TORN;
  if (is_torn_once) return;
  publish_rules(state == CONTROL_VALID ? &file : NULL);
}

/* One thread at a time; a process forked while its parent looked takes the turn over. */
static int take_turn(int pid)
{
  int holder = 0;
  if (atomic_compare_exchange_strong(&looking_pid, &holder, pid)) return 1;
  return holder != pid && atomic_compare_exchange_strong(&looking_pid, &holder, pid);
}

void look_at_control(void)
{
  enum { PATIENCE = 1000 };
  int error = errno, pid = getpid();
  if (is_disabled()) return;
  for (int i = 0; i < PATIENCE; i++) {
    if (take_turn(pid)) {
      look();
      atomic_store(&looking_pid, 0);
      break;
    }
    sched_yield(); /* somebody else is reading the file for us */
  }
  errno = error;
}

static void *watch(void *nothing)
{
  struct settings settings = read_settings();
  prctl(PR_SET_NAME, "scenario-cuda");
  for (;;) {
    sleep_ns((uint64_t)settings.poll_ms * 1000000u);
    look_at_control();
    flush_hits();
  }
  return nothing;
}

void start_watching(void)
{
  int error = errno, pid = getpid(), before = atomic_load(&watched_pid);
  if (is_disabled() || before == pid) return;
  if (atomic_compare_exchange_strong(&watched_pid, &before, pid) && start_thread(watch) != 0)
    atomic_store(&watched_pid, 0);
  errno = error;
}
