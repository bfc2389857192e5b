/* A slot per driver function: its stub, its facts, its real address. Slots after FUNCTION_COUNT are spare ones. */
#ifndef SCENARIO_CUDA_SLOTS_H
#define SCENARIO_CUDA_SLOTS_H

#include "entry.h"

enum { NO_SLOT = -1 };

int slot_of_name(const char *name);
int slot_of_address(const void *real);

const char *slot_name(int slot);
const struct function_facts *slot_facts(int slot);

/* What applications are to call: the stub, or the wrapper in C where there is one. */
void *slot_entry(int slot);

/* The real function; looked for in the driver if nobody has yet. */
void *slot_real(int slot);
int slot_is_bound(int slot);

/* Makes `real` the function behind `slot`; the first who binds an address decides its slot, which is answered. */
int slot_bind(int slot, void *real);

/* Makes `real` another address of the function of `slot`. */
void slot_add_address(int slot, void *real);

/* A spare slot for a function of the driver that is known under `name`; NO_SLOT if none is left. */
int slot_new(void *real, const char *name);

#endif
