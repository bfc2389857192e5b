/*
 * The C part of the library in one program, without its assembly and with a driver of a few lines, so that the compilers'
 * sanitizers can watch it: threads that ask for decisions while the control file changes under them.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "record.h"
#include "slots.h"
#include "watcher.h"

enum { THREADS = 4 };

/* What entry.S has in the library. */
char stub_code[1], resolver_code[RESOLVER_SIZE * SLOT_COUNT];
_Atomic(void *) real_functions[SLOT_COUNT];

static __thread int current;

static int answer_init(unsigned flags)
{
  return (int)flags;
}

static int answer_count(int *count)
{
  *count = 2;
  return 0;
}

static int answer_device(int *device)
{
  *device = current;
  return 0;
}

static int answer_uuid(void *uuid, int device)
{
  memset(uuid, device, 16);
  return 0;
}

static int answer_pci(char *text, int size, int device)
{
  snprintf(text, (size_t)size, "0000:%02x:00.0", device);
  return 0;
}

static int answer_capturing(void *stream, int *status)
{
  *status = stream != NULL;
  return 0;
}

static int answer_nvml_uuid(void *handle, char *text, unsigned size)
{
  snprintf(text, size, "GPU-%08x-0000-0000-0000-000000000000", *(int *)handle);
  return 0;
}

static int answer_nvml_pci(void *handle, void *info)
{
  (void)handle, (void)info;
  return 0;
}

static int answer_nvml_index(void *handle, unsigned *index)
{
  *index = (unsigned)*(int *)handle;
  return 0;
}

static int answer_context(void *context)
{
  return context == NULL;
}

static void bind_all(void)
{
  for (int slot = 0; slot < SLOT_COUNT; slot++) real_functions[slot] = resolver_code + RESOLVER_SIZE * slot;
  slot_bind(SLOT_cuInit, (void *)answer_init);
  slot_bind(SLOT_cuDeviceGetCount, (void *)answer_count);
  slot_bind(SLOT_cuCtxGetDevice, (void *)answer_device);
  slot_bind(SLOT_cuDeviceGetUuid_v2, (void *)answer_uuid);
  slot_bind(SLOT_cuDeviceGetUuid, (void *)answer_uuid);
  slot_bind(SLOT_cuDeviceGetPCIBusId, (void *)answer_pci);
  slot_bind(SLOT_cuStreamIsCapturing, (void *)answer_capturing);
  slot_bind(SLOT_nvmlDeviceGetUUID, (void *)answer_nvml_uuid);
  slot_bind(SLOT_nvmlDeviceGetPciInfo_v3, (void *)answer_nvml_pci);
  slot_bind(SLOT_nvmlDeviceGetIndex, (void *)answer_nvml_index);
  slot_bind(SLOT_cuCtxPushCurrent_v2, (void *)answer_context);
}

static int (*start_cuda)(unsigned);

static void *ask(void *argument)
{
  static const int slots[] = {SLOT_cuStreamSynchronize, SLOT_cuLaunchKernel, SLOT_cuMemAlloc_v2, SLOT_cuCtxSynchronize,
                              SLOT_cuMemcpyHtoD_v2,     SLOT_cuDeviceGet,    SLOT_nvmlDeviceGetTemperature};
  static char functions[64][16];
  static int handles[2] = {0, 1};
  uint64_t registers[8] = {0, 4096}, stack[8] = {0};
  enum { MOST = 100000000 };
  long answered = 0, wanted = *(long *)argument;
  start_cuda(0);
  for (long i = 0; i < MOST && answered < wanted; i++) {
    int slot = slots[i % 7];
    current = (int)(i & 1);
    registers[0] = slot == SLOT_nvmlDeviceGetTemperature ? (uintptr_t)&handles[i & 1] : 0;
    answered += decide_call(slot, registers, stack) != 0;
    if (i < 64 && slot_of_address(functions[i]) == NO_SLOT) slot_new(functions[i], "cuNewFunction");
  }
  *(long *)argument = answered;
  return NULL;
}

/* Pages that somebody wrote who does not know the format: none of them may be more than refused. */
static void read_damaged_files(const char *path)
{
  struct control_file file, read;
  if (control_read(path, &file) != CONTROL_VALID) return;
  srand(1);
  for (int i = 0; i < 2000; i++) {
    struct control_file damaged = file;
    char name[512];
    for (int k = 0; k < 8; k++) ((char *)&damaged)[rand() % (int)sizeof damaged] ^= (char)rand();
    if (i % 2) damaged.checksum = crc32_of((char *)&damaged + CONTROL_CHECKED_FROM, CONTROL_SIZE - CONTROL_CHECKED_FROM);
    snprintf(name, sizeof name, "%s.damaged", path);
    FILE *out = fopen(name, "wb");
    fwrite(&damaged, 1, i % 3 ? sizeof damaged : (size_t)(rand() % 5000) % sizeof damaged, out);
    fclose(out);
    if (control_read(name, &read) == CONTROL_VALID && i % 7 == 0) publish_rules(&read);
    remove(name);
  }
  publish_rules(NULL);
}

int main(int count, char **arguments)
{
  pthread_t threads[THREADS];
  long numbers[THREADS], answered = 0;
  if (count != 3) return 2;
  bind_all();
  start_cuda = (int (*)(unsigned))slot_entry(SLOT_cuInit);
  if (strcmp(arguments[1], "damaged") == 0) {
    read_damaged_files(arguments[2]);
    return 0;
  }
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = atol(arguments[2]);
    pthread_create(&threads[i], NULL, ask, &numbers[i]);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    answered += numbers[i];
  }
  printf("%ld calls were answered\n", answered);
  return 0;
}
