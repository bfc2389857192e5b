/* The stubs and the three loader functions that are taken over, for the processor at hand. */
#include "entry.h"

#if defined(__x86_64__)
#include "entry_x86_64.inc"
#elif defined(__aarch64__)
#include "entry_aarch64.inc"
#else
#error "x86_64 and aarch64 only"
#endif

        .section .note.GNU-stack, "", %progbits
