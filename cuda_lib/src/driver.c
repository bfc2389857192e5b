/* Finds the functions of the real driver and wraps them by address. */
#include "driver.h"

#include <stddef.h>
#include <string.h>

#include "elf_lookup.h"
#include "libc_functions.h"
#include "slots.h"

/* Whose functions are wrapped. libvgpu.so is a library that limits GPU memory by handing out functions of its own. */
static const char *const wrapped_libraries[] = {"libcuda.so", "libnvidia-ml.so", "libvgpu.so"};

/* Who gets the driver as it is: itself (on WSL2 it looks its own functions up), and what measures or debugs it. */
static const char *const exempt_callers[] = {"libcuda.so",   "libnvidia-ml.so", "libcudadebugger.so",
                                             "libcupti.so",  "libnvperf_",      "libnvidia-",
                                             "libcuinj64.so"};

static int begins_with_any(const char *file, const char *const *prefixes, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (strncmp(file, prefixes[i], strlen(prefixes[i])) == 0) return 1;
  return 0;
}

static int lies_in(const void *address, const char *const *prefixes, size_t count, const void **base)
{
  Dl_info info;
  if (is_own_address(address) || !call_dladdr(address, &info)) return 0;
  *base = info.dli_fbase;
  return begins_with_any(file_name(info.dli_fname), prefixes, count);
}

#define LIES_IN(address, list, base) lies_in(address, list, sizeof list / sizeof list[0], base)

int is_driver_name(const char *name)
{
  if (!name) return 0;
  if (name[0] == 'c' && name[1] == 'u') return name[2] >= 'A' && name[2] <= 'Z';
  return strncmp(name, "nvml", 4) == 0;
}

int is_driver_code(const void *address)
{
  const void *base;
  return LIES_IN(address, exempt_callers, &base);
}

/*
 * Learn the addresses of everything the driver exports, once, so that what cuGetProcAddress answers is recognised for
 * the function it is. Straight from its symbol table: a dlsym that fails would leave an error for the application.
 */
static void adopt(const void *base)
{
  static _Atomic int is_done;
  int expected = 0;
  if (!symbol_of_object(base, "cuInit") || !atomic_compare_exchange_strong(&is_done, &expected, 1)) return;
  for (int slot = 0; slot < FUNCTION_COUNT; slot++) {
    void *real = slot_is_bound(slot) ? NULL : symbol_of_object(base, slot_name(slot));
    if (real) slot_bind(slot, real);
  }
}

void *wrap(void *address, const char *name)
{
  const void *base;
  int slot = slot_of_address(address);
  if (slot != NO_SLOT) return slot_entry(slot);
  if (!LIES_IN(address, wrapped_libraries, &base)) return address;
  adopt(base);
  slot = slot_of_address(address);
  if (slot == NO_SLOT) {
    slot = slot_of_name(name);
    slot = slot != NO_SLOT && !slot_is_bound(slot) ? slot_bind(slot, address) : slot_new(address, name);
  }
  return slot == NO_SLOT ? address : slot_entry(slot);
}

static int is_nvml(const char *name)
{
  return name[0] == 'n';
}

/* A library that limits memory stands in front of the driver for us as it does for the application. */
void *find_in_loaded_driver(const char *name)
{
  void *limited = symbol_of_library("libvgpu.so", name);
  return limited ? limited : symbol_of_library(is_nvml(name) ? "libnvidia-ml.so" : "libcuda.so", name);
}

/* What a function says that the driver does not have, or whose driver is not there at all. */
static int answer_missing_function(void)
{
  enum { CUDA_ERROR_NOT_FOUND = 500 };
  return CUDA_ERROR_NOT_FOUND;
}
static int answer_missing_driver(void)
{
  enum { CUDA_ERROR_NO_DEVICE = 100 };
  return CUDA_ERROR_NO_DEVICE;
}
static int answer_missing_nvml_function(void)
{
  enum { NVML_ERROR_FUNCTION_NOT_FOUND = 13 };
  return NVML_ERROR_FUNCTION_NOT_FOUND;
}
static int answer_missing_nvml(void)
{
  enum { NVML_ERROR_LIBRARY_NOT_FOUND = 12 };
  return NVML_ERROR_LIBRARY_NOT_FOUND;
}

void *resolve_function(int slot)
{
  const char *name = slot_name(slot);
  const char *library = is_nvml(name) ? "libnvidia-ml.so" : "libcuda.so";
  void *real = find_in_loaded_driver(name);
  if (!real && !is_library_loaded(library)) {
    call_dlopen(is_nvml(name) ? "libnvidia-ml.so.1" : "libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    real = find_in_loaded_driver(name);
  }
  if (real) {
    slot_bind(slot, real);
    return real;
  }
  /* not remembered: the driver may be loaded later */
  if (is_library_loaded(library)) return is_nvml(name) ? answer_missing_nvml_function : answer_missing_function;
  return is_nvml(name) ? answer_missing_nvml : answer_missing_driver;
}
