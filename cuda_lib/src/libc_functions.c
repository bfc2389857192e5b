/* Finds the C library's functions in the objects that are loaded. */
#include "libc_functions.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "elf_lookup.h"
#include "entry.h"
#include "settings.h"

/* What the assembly jumps to where the C library has no such function: "not found", as its caller can handle that. */
static void *find_nothing(void)
{
  return NULL;
}

void *next_dlsym = (void *)find_nothing;
void *next_dlvsym = (void *)find_nothing;
void *next_dlopen = (void *)find_nothing;

/*
 * Looked up in link order after ourselves, so that another library that took dlsym over keeps doing so. glibc before
 * 2.34 keeps these in libdl, which may be loaded later: an answer is remembered, "not found" is not. Threads that do
 * this at once store the same.
 */
static void *find_next(void **kept, const char *name)
{
  void *known = __atomic_load_n(kept, __ATOMIC_ACQUIRE);
  if (known != (void *)find_nothing) return known;
  void *found = symbol_after_us(name);
  if (!found) return known;
  __atomic_store_n(kept, found, __ATOMIC_RELEASE);
  return found;
}

void *call_dlsym(void *handle, const char *name)
{
  void *(*function)(void *, const char *) = find_next(&next_dlsym, "dlsym");
  return function(handle, name);
}

void *call_dlvsym(void *handle, const char *name, const char *version)
{
  void *(*function)(void *, const char *, const char *) = find_next(&next_dlvsym, "dlvsym");
  return function(handle, name, version);
}

void *call_dlopen(const char *file, int flags)
{
  void *(*function)(const char *, int) = find_next(&next_dlopen, "dlopen");
  return function(file, flags);
}

void prepare_lookups(void)
{
  find_next(&next_dlsym, "dlsym");
  find_next(&next_dlvsym, "dlvsym");
}

int dlopen_flags(int flags)
{
  find_next(&next_dlopen, "dlopen");
  struct settings settings = read_settings();
  return settings.is_disabled || settings.keeps_deepbind ? flags : flags & ~RTLD_DEEPBIND;
}

int call_dladdr(const void *address, Dl_info *info)
{
  static void *kept = (void *)find_nothing;
  int (*function)(const void *, Dl_info *) = find_next(&kept, "dladdr");
  return function != (void *)find_nothing && function(address, info) && info->dli_fname;
}

static int create_thread(pthread_t *thread, void *(*run)(void *), size_t stack)
{
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = symbol_after_us("pthread_create");
  int (*init)(pthread_attr_t *) = symbol_after_us("pthread_attr_init");
  int (*set_size)(pthread_attr_t *, size_t) = symbol_after_us("pthread_attr_setstacksize");
  pthread_attr_t attributes;
  if (!create || !init || !set_size) return ENOSYS;
  init(&attributes);
  if (stack && set_size(&attributes, stack) != 0) return EINVAL;
  return create(thread, stack ? &attributes : NULL, run, NULL);
}

int start_thread(void *(*run)(void *))
{
  enum { SMALL_STACK = 256 << 10 };
  int (*detach)(pthread_t) = symbol_after_us("pthread_detach");
  sigset_t all, before;
  pthread_t thread;
  if (!detach) return ENOSYS;
  /* sigprocmask leaves out the signals that the C library needs among its threads; the new thread inherits the mask */
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  int error = create_thread(&thread, run, SMALL_STACK);
  /* programs with large thread-local variables need more than a small stack only to begin */
  if (error) error = create_thread(&thread, run, 0);
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (!error) detach(thread);
  return error;
}
