/* Reading the control file: all of it or nothing. */
#include "control.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Four bits a step: a table of 16 words is small enough to be obviously right and fast enough for ten pages a second. */
uint32_t crc32_of(const void *bytes, size_t length)
{
  static const uint32_t table[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  const uint8_t *at = bytes;
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < length; i++) {
    crc ^= at[i];
    crc = (crc >> 4) ^ table[crc & 15];
    crc = (crc >> 4) ^ table[crc & 15];
  }
  return ~crc;
}

static int is_text(const char *field, size_t size)
{
  return memchr(field, 0, size) != NULL;
}

static int is_valid_rule(const struct control_rule *rule)
{
  return is_text(rule->fault, sizeof rule->fault) && is_text(rule->process, sizeof rule->process) && rule->fault[0] &&
         rule->mode >= MODE_FAIL && rule->mode <= MODE_OOM && rule->gpu_match <= GPU_ORDINAL &&
         rule->expires_at_ns != 0;
}

static int is_valid(const struct control_file *file)
{
  if (memcmp(file->magic, CONTROL_MAGIC, sizeof file->magic) != 0 || file->version != CONTROL_VERSION) return 0;
  if (file->rule_count > CONTROL_RULES || !is_text(file->boot_id, sizeof file->boot_id)) return 0;
  const char *checked = (const char *)file + CONTROL_CHECKED_FROM;
  if (file->checksum != crc32_of(checked, CONTROL_SIZE - CONTROL_CHECKED_FROM)) return 0;
  for (uint32_t i = 0; i < file->rule_count; i++)
    if (!is_valid_rule(&file->rules[i])) return 0;
  return 1;
}

enum control_state control_read(const char *path, struct control_file *out)
{
  /* O_NONBLOCK: somebody may have put a pipe there. One byte more than a page: a longer file is none of ours. */
  union {
    struct control_file file;
    char bytes[CONTROL_SIZE + 1];
  } page;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return CONTROL_ABSENT;
  ssize_t length = pread(fd, page.bytes, sizeof page.bytes, 0);
  close(fd);
  if (length != CONTROL_SIZE || !is_valid(&page.file)) return CONTROL_TORN;
  *out = page.file;
  return CONTROL_VALID;
}
