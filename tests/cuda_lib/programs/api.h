/* The part of the driver API that the test clients use, as pointers that each client finds in its own way. */
#ifndef TEST_API_H
#define TEST_API_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef unsigned long long address;

struct api {
  int (*init)(unsigned);
  int (*retain)(void **, int);
  int (*set_current)(void *);
  int (*alloc)(address *, size_t);
  int (*copy)(address, const void *, size_t);
  int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
  int (*stream_sync)(void *);
  int (*sync)(void);
};

/* What every CUDA program does; prints each answer. */
static inline int use(const struct api *api)
{
  void *context = NULL;
  address memory = 0;
  int init = api->init(0);
  int retain = api->retain(&context, 0);
  api->set_current(context);
  int alloc = api->alloc(&memory, 4096);
  int copy = memory ? api->copy(memory, "x", 1) : api->copy((address)(uintptr_t)&memory, "x", 1);
  int launch = api->launch((void *)8, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
  int stream_sync = api->stream_sync(NULL);
  printf("init=%d retain=%d alloc=%d copy=%d launch=%d stream_sync=%d sync=%d\n", init, retain, alloc, copy, launch,
         stream_sync, api->sync());
  return 0;
}

#endif
