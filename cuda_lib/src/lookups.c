/* dlsym and dlvsym: what comes from the driver is replaced by our entries, everything else is the C library's business. */
#include <stddef.h>

#include "driver.h"
#include "elf_lookup.h"
#include "libc_functions.h"
#include "settings.h"
#include "slots.h"

/*
 * We export the driver's names, so a look-up in the global scope finds ours, also where there is no driver. A program
 * that asks like this whether CUDA is there gets the answer it would get without us: asked from our code, RTLD_NEXT
 * means "as if we were not here", and leaves the right error behind.
 */
static void *global_answer(const char *name)
{
  void *real = find_in_loaded_driver(name);
  if (!real) real = call_dlsym(RTLD_NEXT, name);
  return real ? wrap(real, name) : NULL;
}

static void *answer(void *found, const char *name)
{
  if (!found) return (void *)PASS_ON; /* asked again by the jump, so that the error is the caller's */
  return is_own_address(found) ? global_answer(name) : wrap(found, name);
}

static int is_ours_to_answer(void *handle, const char *name, const void *caller)
{
  return is_driver_name(name) && !is_disabled() && handle != RTLD_NEXT && !is_driver_code(caller);
}

void *dlsym_answer(void *handle, const char *name, const void *caller)
{
  if (!is_ours_to_answer(handle, name, caller)) {
    prepare_lookups();
    return (void *)PASS_ON;
  }
  return answer(call_dlsym(handle, name), name);
}

void *dlvsym_answer(void *handle, const char *name, const char *version, const void *caller)
{
  if (!is_ours_to_answer(handle, name, caller)) {
    prepare_lookups();
    return (void *)PASS_ON;
  }
  return answer(call_dlvsym(handle, name, version), name);
}
