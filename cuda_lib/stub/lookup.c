/*
 * cuGetProcAddress of the stand-in driver.
 *
 * Which function a name means depends on the CUDA version asked for and on the kind of default stream, as with the real
 * driver. STUB_CUDA_ALIAS=1 makes it answer addresses that are not exported, which a real driver may do as well.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "stub_tables.h" /* generated: stub_functions[], stub_versions[] */

enum { FLAG_PER_THREAD_STREAM = 2 };
enum { FOUND = 0, SYMBOL_NOT_FOUND = 1, VERSION_NOT_SUFFICIENT = 2 };

static const char *newest(const char *name, int version, int per_thread)
{
  const char *best = NULL;
  int best_since = -1;
  for (size_t i = 0; i < STUB_VERSION_COUNT; i++) {
    const struct stub_version *row = &stub_versions[i];
    if (row->per_thread != per_thread || row->since > version || row->since <= best_since) continue;
    if (strcmp(row->asked, name) != 0) continue;
    best = row->function;
    best_since = row->since;
  }
  return best;
}

static int is_known(const char *name)
{
  for (size_t i = 0; i < STUB_VERSION_COUNT; i++)
    if (strcmp(stub_versions[i].asked, name) == 0) return 1;
  return 0;
}

static const char *address_of(const char *function)
{
  int alias = getenv("STUB_CUDA_ALIAS") != NULL;
  for (size_t i = 0; i < STUB_FUNCTION_COUNT; i++)
    if (strcmp(stub_functions[i].name, function) == 0)
      return alias ? stub_functions[i].alias : stub_functions[i].exported;
  return NULL;
}

static CUresult find(const char *name, void **address, int version, uint64_t flags, int *status)
{
  const char *function = flags & FLAG_PER_THREAD_STREAM ? newest(name, version, 1) : NULL;
  if (!function) function = newest(name, version, 0);
  *address = function ? (void *)address_of(function) : NULL;
  if (status) *status = *address ? FOUND : is_known(name) ? VERSION_NOT_SUFFICIENT : SYMBOL_NOT_FOUND;
  return *address ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

EXPORT CUresult cuGetProcAddress(const char *name, void **address, int version, uint64_t flags)
{
  CALLED();
  return find(name, address, version, flags, NULL);
}

EXPORT CUresult cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t flags, int *status)
{
  CALLED();
  return find(name, address, version, flags, status);
}

/* The undocumented tables by which NVIDIA's runtime checks that it talks to NVIDIA's driver: we have none. */
EXPORT CUresult cuGetExportTable(const void **table, const void *uuid)
{
  (void)uuid;
  CALLED();
  *table = NULL;
  return CUDA_ERROR_NOT_FOUND;
}
