/*
 * A preloaded library in which the main thread's time stands still but while it sleeps, and then jumps: what a call is
 * made to wait can be read to the microsecond, and 45 seconds cost nothing. Other threads have the real time.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CLOCKS = 16 };
static int64_t slept_ns, begun_ns[CLOCKS];

static int is_main_thread(void)
{
  return syscall(SYS_gettid) == getpid();
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  if (!is_main_thread() || clock < 0 || clock >= CLOCKS) return (int)syscall(SYS_clock_gettime, clock, now);
  if (!begun_ns[clock]) {
    syscall(SYS_clock_gettime, clock, now);
    begun_ns[clock] = now->tv_sec * 1000000000 + now->tv_nsec - slept_ns;
  }
  slept_ns++; /* or a loop that waits for the next nanosecond would never end */
  int64_t at = begun_ns[clock] + slept_ns;
  *now = (struct timespec){at / 1000000000, at % 1000000000};
  return 0;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
  if (!is_main_thread()) return (int)syscall(SYS_nanosleep, wanted, left);
  slept_ns += wanted->tv_sec * 1000000000 + wanted->tv_nsec;
  return 0;
}
