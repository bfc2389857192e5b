/* Asks the real driver and the real NVML who a GPU is, once per device. */
#include "identity.h"

#include <stdatomic.h>
#include <string.h>

#include "devices.h"
#include "slots.h"
#include "text.h"

/* Three words rather than a structure: threads that learn the same at the same time may store it over each other. */
enum { WORDS = 3 };
_Static_assert(sizeof(struct identity) == WORDS * sizeof(uint64_t), "an identity is three words");

struct known_gpu {
  _Atomic(void *) handle;
  _Atomic int is_known;
  _Atomic uint64_t words[WORDS];
};

static struct known_gpu cuda_gpus[MAX_DEVICES];
static struct known_gpu nvml_gpus[MAX_DEVICES];

static int recall(struct known_gpu *known, struct identity *out)
{
  if (!atomic_load_explicit(&known->is_known, memory_order_acquire)) return 0;
  for (int i = 0; i < WORDS; i++) {
    uint64_t word = atomic_load_explicit(&known->words[i], memory_order_relaxed);
    memcpy((char *)out + i * sizeof word, &word, sizeof word);
  }
  return 1;
}

static void remember(struct known_gpu *known, const struct identity *gpu)
{
  uint64_t words[WORDS];
  memcpy(words, gpu, sizeof words);
  for (int i = 0; i < WORDS; i++) atomic_store_explicit(&known->words[i], words[i], memory_order_relaxed);
  atomic_store_explicit(&known->is_known, 1, memory_order_release);
}

static void parse_pci(const char *text, struct identity *gpu)
{
  gpu->domain = (uint16_t)parse_number(text, 16, &text);
  gpu->bus = *text ? (uint16_t)parse_number(text + 1, 16, &text) : 0;
  gpu->device = *text ? (uint16_t)parse_number(text + 1, 16, &text) : 0;
}

static int ask_cuda(int ordinal, struct identity *gpu)
{
  int (*get_uuid)(void *, int) = slot_real(SLOT_cuDeviceGetUuid_v2);
  int (*get_old_uuid)(void *, int) = slot_real(SLOT_cuDeviceGetUuid);
  int (*get_pci)(char *, int, int) = slot_real(SLOT_cuDeviceGetPCIBusId);
  char pci[32] = "";
  gpu->index = (int16_t)ordinal;
  if (get_uuid(gpu->uuid, ordinal) != 0 && get_old_uuid(gpu->uuid, ordinal) != 0) return 0;
  if (get_pci(pci, sizeof pci, ordinal) != 0) return 0;
  parse_pci(pci, gpu);
  return 1;
}

int cuda_identity(int ordinal, struct identity *out)
{
  if (ordinal < 0 || ordinal >= MAX_DEVICES) return 0;
  if (recall(&cuda_gpus[ordinal], out)) return 1;
  memset(out, 0, sizeof *out);
  if (!ask_cuda(ordinal, out)) return 0;
  remember(&cuda_gpus[ordinal], out);
  return 1;
}

/* "GPU-0a1b2c3d-..." or "MIG-...": 32 digits after the first dash. */
static void parse_uuid(const char *text, uint8_t uuid[16])
{
  int count = 0;
  for (const char *at = strchr(text, '-'); at && *at && count < 32; at++) {
    int value = digit_value(*at);
    if (value < 0) continue;
    uuid[count / 2] = (uint8_t)(uuid[count / 2] << 4 | value);
    count++;
  }
}

/* nvmlPciInfo_t: an old address as text, domain, bus, device, two ids, the address as text. */
struct nvml_pci {
  char legacy[16];
  unsigned domain, bus, device, ids[2];
  char text[32];
};

static int ask_nvml(void *handle, struct identity *gpu)
{
  int (*get_uuid)(void *, char *, unsigned) = slot_real(SLOT_nvmlDeviceGetUUID);
  int (*get_pci)(void *, struct nvml_pci *) = slot_real(SLOT_nvmlDeviceGetPciInfo_v3);
  int (*get_index)(void *, unsigned *) = slot_real(SLOT_nvmlDeviceGetIndex);
  char uuid[96] = "";
  unsigned index = 0;
  struct nvml_pci pci;
  memset(&pci, 0, sizeof pci);
  if (get_uuid(handle, uuid, sizeof uuid) != 0) return 0;
  parse_uuid(uuid, gpu->uuid);
  if (get_pci(handle, &pci) != 0 || get_index(handle, &index) != 0) return 0;
  gpu->domain = (uint16_t)pci.domain;
  gpu->bus = (uint16_t)pci.bus;
  gpu->device = (uint16_t)pci.device;
  gpu->index = (int16_t)index;
  return 1;
}

/* The table entry of a handle, its first or its own; NULL when the table is full. */
static struct known_gpu *entry_of(void *handle)
{
  for (int i = 0; handle && i < MAX_DEVICES; i++) {
    void *owner = NULL;
    if (atomic_compare_exchange_strong(&nvml_gpus[i].handle, &owner, handle) || owner == handle) return &nvml_gpus[i];
  }
  return NULL;
}

int nvml_identity(void *handle, struct identity *out)
{
  struct known_gpu *known = entry_of(handle);
  if (!known) return 0;
  if (recall(known, out)) return 1;
  memset(out, 0, sizeof *out);
  if (!ask_nvml(handle, out)) return 0;
  remember(known, out);
  return 1;
}
