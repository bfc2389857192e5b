/*
 * The GPUs that the stand-in shows.
 *
 * STUB_CUDA_GPUS=GPU-<uuid>@<domain>:<bus>:<device>,...  the machine's GPUs in the order of nvidia-smi; four without it
 * CUDA_VISIBLE_DEVICES                                   as CUDA reads it: numbers or (beginnings of) UUIDs
 * STUB_CUDA_MEMORY_MB                                    memory of each GPU, 1024 without it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "driver.h"

static struct gpu gpus[MAX_GPUS];
static int gpu_count;
static int shown[MAX_GPUS];
static int shown_count;

static int parse_uuid(const char *text, uint8_t uuid[16])
{
  int digits = 0;
  if (strncasecmp(text, "GPU-", 4) == 0) text += 4;
  memset(uuid, 0, 16);
  for (; digits < 32; text++) {
    if (*text == '-') continue;
    char digit[2] = {*text, 0}, *end;
    unsigned value = (unsigned)strtoul(digit, &end, 16);
    if (*end || !*text) break;
    uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | value);
    digits++;
  }
  return digits;
}

static void add_gpu(const char *text)
{
  struct gpu *gpu = &gpus[gpu_count];
  const char *at = strchr(text, '@');
  int valid = parse_uuid(text, gpu->uuid) == 32 && at &&
              sscanf(at + 1, "%x:%x:%x", &gpu->domain, &gpu->bus, &gpu->device) == 3;
  if (!valid) {
    fprintf(stderr, "stub driver: %s is no GPU-<uuid>@<domain>:<bus>:<device>\n", text);
    exit(2);
  }
  gpu->index = (unsigned)gpu_count++;
}

/* Calls `take` with each of the comma separated words of `list`, until it answers 0. */
static void each_word(const char *list, int (*take)(const char *word))
{
  char copy[4096], *rest = NULL;
  snprintf(copy, sizeof copy, "%s", list);
  for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
    if (!take(word)) return;
}

static int take_gpu(const char *word)
{
  if (gpu_count < MAX_GPUS) add_gpu(word);
  return gpu_count < MAX_GPUS;
}

static int index_of(const char *word)
{
  uint8_t uuid[16];
  char *end;
  if (strncasecmp(word, "GPU-", 4) != 0) {
    long index = strtol(word, &end, 10);
    return *end == 0 && index < gpu_count ? (int)index : -1;
  }
  int digits = parse_uuid(word, uuid);
  for (int i = 0; i < gpu_count; i++)
    if (digits >= 2 && memcmp(gpus[i].uuid, uuid, (size_t)digits / 2) == 0) return i;
  return -1;
}

/* As with the real driver, the first word that names no GPU ends the list. */
static int show(const char *word)
{
  int index = index_of(word);
  if (index < 0 || shown_count == MAX_GPUS) return 0;
  shown[shown_count++] = index;
  return 1;
}

__attribute__((constructor)) static void read_environment(void)
{
  const char *given = getenv("STUB_CUDA_GPUS");
  each_word(given ? given
                  : "GPU-00000000-1415-1617-1819-1a1b1c1d1e1f@0000:10:00.0,"
                    "GPU-00000001-1415-1617-1819-1a1b1c1d1e1f@0000:20:00.0,"
                    "GPU-00000002-1415-1617-1819-1a1b1c1d1e1f@0000:30:00.0,"
                    "GPU-00000003-1415-1617-1819-1a1b1c1d1e1f@0000:40:00.0",
            take_gpu);
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  if (visible) {
    each_word(visible, show);
    return;
  }
  for (int i = 0; i < gpu_count; i++) shown[shown_count++] = i;
}

const struct gpu *all_gpus(int *count)
{
  *count = gpu_count;
  return gpus;
}

int visible_count(void)
{
  return shown_count;
}

const struct gpu *visible_gpu(CUdevice device)
{
  return device >= 0 && device < shown_count ? &gpus[shown[device]] : NULL;
}

void format_uuid(const struct gpu *gpu, char *text, size_t size)
{
  const uint8_t *u = gpu->uuid;
  snprintf(text, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
           u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

size_t memory_size(void)
{
  const char *megabytes = getenv("STUB_CUDA_MEMORY_MB");
  return (size_t)(megabytes ? atol(megabytes) : 1024) << 20;
}

void log_call(const char *function)
{
  static int fd = -2;
  char line[128];
  if (fd == -2) fd = getenv("STUB_CUDA_LOG_FD") ? atoi(getenv("STUB_CUDA_LOG_FD")) : -1;
  if (fd < 0) return;
  int length = snprintf(line, sizeof line, "%s\n", function);
  if (write(fd, line, (size_t)length) != length) abort();
}
