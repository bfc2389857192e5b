/* The functions of the C library that live in different files in different versions of it, found at run time. */
#ifndef SCENARIO_CUDA_LIBC_FUNCTIONS_H
#define SCENARIO_CUDA_LIBC_FUNCTIONS_H

#include <dlfcn.h>
#include <pthread.h>

/* The next dlsym after ours, be it libc's or that of another preloaded library; and so on. Never NULL. */
void *call_dlsym(void *handle, const char *name);
void *call_dlvsym(void *handle, const char *name, const char *version);
void *call_dlopen(const char *file, int flags);

/* Before the assembly jumps to next_dlsym or next_dlvsym. */
void prepare_lookups(void);

/* Which object `address` lies in; 0 if in none or if the C library can not tell. */
int call_dladdr(const void *address, Dl_info *info);

/* Starts a detached thread with a small stack and every signal blocked; 0 or an errno. */
int start_thread(void *(*run)(void *));

#endif
