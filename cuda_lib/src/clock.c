/* Reads clocks and the kernel's one-line files. */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void read_line(const char *path, char *text, size_t size)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  if (length > 0 && text[length - 1] == '\n') length--;
  text[length > 0 ? length : 0] = 0;
}

void read_boot_id(char *text, size_t size)
{
  read_line("/proc/sys/kernel/random/boot_id", text, size);
}

void sleep_ns(uint64_t duration)
{
  /* the kernel's timers are no good below this */
  enum { SPIN_BELOW_NS = 60000 };
  if (duration < SPIN_BELOW_NS) {
    for (uint64_t end = now_ns() + duration; now_ns() < end;) continue;
    return;
  }
  struct timespec left = {(time_t)(duration / 1000000000u), (long)(duration % 1000000000u)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}
