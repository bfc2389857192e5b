/* The tables of slots. They only ever grow, and every step is one atomic exchange: no locks, nothing that a fork breaks. */
#include "slots.h"

#include <stdio.h>
#include <string.h>

#include "function_table.h" /* generated: function_names, function_table */
#include "wrappers.h"

_Static_assert(SLOT_COUNT < 4095, "a slot fits the twelve bits it has in the address map");

struct spare_function {
  char name[64];
  struct function_facts facts;
};

static struct spare_function spares[SPARE_COUNT];
static _Atomic int spares_taken;

/* Real address -> slot, open addressing. An entry holds both, address << 12 | slot + 1, so that it is set at once. */
enum { MAP_SIZE = 8192, SLOT_BITS = 12 };
static _Atomic uint64_t address_map[MAP_SIZE];

static uint64_t map_key(const void *address)
{
  return (uint64_t)(uintptr_t)address << SLOT_BITS;
}

static uint32_t map_start(const void *address)
{
  return (uint32_t)(((uintptr_t)address >> 4) * 2654435761u) % MAP_SIZE;
}

/* The slot that `address` has now, `slot` unless somebody was earlier. */
static int map_insert(const void *address, int slot)
{
  uint64_t entry = map_key(address) | (uint64_t)(slot + 1);
  for (uint32_t at = map_start(address);; at = (at + 1) % MAP_SIZE) {
    uint64_t here = 0;
    if (atomic_compare_exchange_strong(&address_map[at], &here, entry)) return slot;
    if (here >> SLOT_BITS == entry >> SLOT_BITS) return (int)(here & ((1 << SLOT_BITS) - 1)) - 1;
  }
}

int slot_of_address(const void *real)
{
  for (uint32_t at = map_start(real);; at = (at + 1) % MAP_SIZE) {
    uint64_t here = atomic_load_explicit(&address_map[at], memory_order_acquire);
    if (!here) return NO_SLOT;
    if (here >> SLOT_BITS == map_key(real) >> SLOT_BITS) return (int)(here & ((1 << SLOT_BITS) - 1)) - 1;
  }
}

static const char *table_name(int slot)
{
  return function_names + function_table[slot].name_offset;
}

int slot_of_name(const char *name)
{
  int low = 0, high = FUNCTION_COUNT - 1;
  while (low <= high) {
    int middle = (low + high) / 2;
    int order = strcmp(name, table_name(middle));
    if (order == 0) return middle;
    if (order < 0) high = middle - 1;
    else low = middle + 1;
  }
  return NO_SLOT;
}

const char *slot_name(int slot)
{
  return slot < FUNCTION_COUNT ? table_name(slot) : spares[slot - FUNCTION_COUNT].name;
}

const struct function_facts *slot_facts(int slot)
{
  return slot < FUNCTION_COUNT ? &function_table[slot] : &spares[slot - FUNCTION_COUNT].facts;
}

void *slot_entry(int slot)
{
  void *wrapper = wrapper_of(slot);
  return wrapper ? wrapper : stub_code + STUB_SIZE * (size_t)slot;
}

static int is_resolver(const void *code)
{
  return (size_t)((const char *)code - resolver_code) < RESOLVER_SIZE * (size_t)SLOT_COUNT;
}

int slot_is_bound(int slot)
{
  return !is_resolver(atomic_load_explicit(&real_functions[slot], memory_order_acquire));
}

void *slot_real(int slot)
{
  void *real = atomic_load_explicit(&real_functions[slot], memory_order_acquire);
  return is_resolver(real) ? resolve_function(slot) : real;
}

int slot_bind(int slot, void *real)
{
  int owner = map_insert(real, slot);
  atomic_store_explicit(&real_functions[slot], real, memory_order_release);
  return owner;
}

void slot_add_address(int slot, void *real)
{
  if (!slot_is_bound(slot)) slot_bind(slot, real);
  else map_insert(real, slot);
}

/* Of the function with the same name or its second version; without either nothing is known but that it is called. */
static struct function_facts facts_of_name(const char *name)
{
  char second[72];
  int slot = slot_of_name(name);
  snprintf(second, sizeof second, "%s_v2", name);
  if (slot == NO_SLOT) slot = slot_of_name(second);
  if (slot == NO_SLOT)
    return (struct function_facts){.class = CLASS_OTHER, .device = -1, .context = -1, .stream = -1, .bytes = -1};
  struct function_facts facts = function_table[slot];
  if (facts.device_varies) facts.device = -1;
  return facts;
}

int slot_new(void *real, const char *name)
{
  int index = atomic_fetch_add(&spares_taken, 1);
  if (index >= SPARE_COUNT) {
    atomic_store(&spares_taken, SPARE_COUNT);
    return NO_SLOT;
  }
  struct spare_function *spare = &spares[index];
  snprintf(spare->name, sizeof spare->name, "%s", name);
  spare->facts = facts_of_name(name);
  return slot_bind(FUNCTION_COUNT + index, real);
}
