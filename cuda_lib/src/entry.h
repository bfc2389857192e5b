/* Where assembly and C meet: sizes that both must know, and what each exports to the other. */
#ifndef SCENARIO_CUDA_ENTRY_H
#define SCENARIO_CUDA_ENTRY_H

#ifdef __aarch64__
#define STUB_SIZE 64
#else
#define STUB_SIZE 32
#endif
#define RESOLVER_SIZE 16

/* What dlsym_answer and dlvsym_answer say when the next dlsym shall be asked instead. */
#define PASS_ON 1

#ifndef __ASSEMBLER__
#include <stdatomic.h>
#include <stdint.h>

#include "control.h"
#include "functions.h"

struct function_facts {
  uint32_t name_offset;
  uint8_t class;                         /* enum call_class */
  int8_t device, context, stream, bytes; /* which integer argument it is, -1 = none */
  uint8_t is_per_thread;                 /* its default stream is the thread's own */
  uint8_t device_varies;                 /* other versions of it have the device elsewhere */
};

/* Bits of armed_word. While it is 0 a stub is one comparison and one jump. */
enum { ARMED_BY_RULES = 1, ARMED_BY_STICKY = 2 };
extern _Atomic uint32_t armed_word;

/* In the assembly file: the stubs, the first-call resolvers, and where each stub jumps. */
extern char stub_code[], resolver_code[];
extern _Atomic(void *) real_functions[SLOT_COUNT];

/* Called by the assembly file. */
uint64_t decide_call(int slot, const uint64_t *registers, const uint64_t *stack);
void *resolve_function(int slot);
void *dlsym_answer(void *handle, const char *name, const void *caller);
void *dlvsym_answer(void *handle, const char *name, const char *version, const void *caller);
int dlopen_flags(int flags);
extern void *next_dlsym, *next_dlvsym, *next_dlopen;

/* Set in the answer of decide_call: the low 32 bits are what the application gets. */
#define ANSWER (UINT64_C(1) << 32)
#endif

#endif
