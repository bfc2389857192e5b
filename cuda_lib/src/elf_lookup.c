/* Reads the dynamic symbol tables of loaded objects. */
#include "elf_lookup.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

struct symbol_tables {
  uintptr_t base;
  const ElfW(Sym) *symbols;
  const char *strings;
  const uint32_t *gnu_hash, *hash;
  const ElfW(Versym) *versions;
};

const char *file_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

int is_own_address(const void *address)
{
  return (const char *)address >= __ehdr_start && (const char *)address < _end;
}

/* glibc relocates these pointers in place, musl leaves them relative to the object. */
static const void *pointer_in(uintptr_t base, ElfW(Addr) value)
{
  return (const void *)(value < base ? base + value : value);
}

static int read_tables(uintptr_t base, const ElfW(Dyn) *dynamic, struct symbol_tables *out)
{
  *out = (struct symbol_tables){.base = base};
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    const void *at = pointer_in(base, dynamic->d_un.d_ptr);
    switch (dynamic->d_tag) {
      case DT_SYMTAB: out->symbols = at; break;
      case DT_STRTAB: out->strings = at; break;
      case DT_GNU_HASH: out->gnu_hash = at; break;
      case DT_HASH: out->hash = at; break;
      case DT_VERSYM: out->versions = at; break;
      default: break;
    }
  }
  return out->symbols && out->strings;
}

/* The address of symbol number `index` if it defines `name`. */
static void *defined(const struct symbol_tables *tables, uint32_t index, const char *name)
{
  const ElfW(Sym) *symbol = &tables->symbols[index];
  if (symbol->st_shndx == SHN_UNDEF || strcmp(tables->strings + symbol->st_name, name) != 0) return NULL;
  return (void *)(tables->base + symbol->st_value);
}

static int is_old_version(const struct symbol_tables *tables, uint32_t index)
{
  enum { HIDDEN = 0x8000 };
  return tables->versions && (tables->versions[index] & HIDDEN);
}

static void *find_gnu(const struct symbol_tables *tables, const char *name)
{
  const uint32_t *head = tables->gnu_hash;
  uint32_t bucket_count = head[0], first = head[1], bloom_words = head[2];
  const uint32_t *buckets = head + 4 + bloom_words * (sizeof(ElfW(Addr)) / 4);
  const uint32_t *chain = buckets + bucket_count;
  uint32_t hash = 5381;
  for (const unsigned char *at = (const unsigned char *)name; *at; at++) hash = hash * 33 + *at;
  uint32_t index = bucket_count ? buckets[hash % bucket_count] : 0;
  void *old = NULL;
  if (index < first) return NULL;
  for (;; index++) {
    uint32_t here = chain[index - first];
    void *address = (here | 1) == (hash | 1) ? defined(tables, index, name) : NULL;
    if (address && !is_old_version(tables, index)) return address;
    if (address) old = address;
    if (here & 1) return old; /* the lowest bit marks the end of a chain */
  }
}

static void *find_plain(const struct symbol_tables *tables, const char *name)
{
  uint32_t count = tables->hash[1];
  for (uint32_t index = 1; index < count; index++) {
    void *address = defined(tables, index, name);
    if (address && !is_old_version(tables, index)) return address;
  }
  return NULL;
}

static void *find(uintptr_t base, const ElfW(Dyn) *dynamic, const char *name)
{
  struct symbol_tables tables;
  if (!dynamic || !read_tables(base, dynamic, &tables)) return NULL;
  if (tables.gnu_hash) return find_gnu(&tables, name);
  return tables.hash ? find_plain(&tables, name) : NULL;
}

static const ElfW(Dyn) *dynamic_section(uintptr_t base, const ElfW(Phdr) *headers, int count)
{
  for (int i = 0; i < count; i++)
    if (headers[i].p_type == PT_DYNAMIC) return (const void *)(base + headers[i].p_vaddr);
  return NULL;
}

void *symbol_of_object(const void *base, const char *name)
{
  const ElfW(Ehdr) *header = base;
  const ElfW(Phdr) *headers = (const void *)((const char *)base + header->e_phoff);
  return find((uintptr_t)base, dynamic_section((uintptr_t)base, headers, header->e_phnum), name);
}

struct search {
  const char *prefix; /* NULL: any object after us */
  const char *name;   /* NULL: the object itself is enough */
  void *found;
  int is_past_us;
};

static int visit(struct dl_phdr_info *object, size_t size, void *argument)
{
  struct search *search = argument;
  const ElfW(Dyn) *dynamic = dynamic_section(object->dlpi_addr, object->dlpi_phdr, object->dlpi_phnum);
  (void)size;
  if (is_own_address(dynamic)) {
    search->is_past_us = 1;
    return 0;
  }
  if (search->prefix) {
    const char *file = file_name(object->dlpi_name ? object->dlpi_name : "");
    if (strncmp(file, search->prefix, strlen(search->prefix)) != 0) return 0;
  } else if (!search->is_past_us) {
    return 0;
  }
  search->found = search->name ? find(object->dlpi_addr, dynamic, search->name) : (void *)dynamic;
  return search->found != NULL;
}

static void *search_objects(const char *prefix, const char *name)
{
  struct search search = {.prefix = prefix, .name = name};
  dl_iterate_phdr(visit, &search);
  return search.found;
}

void *symbol_of_library(const char *prefix, const char *name)
{
  return search_objects(prefix, name);
}

int is_library_loaded(const char *prefix)
{
  return search_objects(prefix, NULL) != NULL;
}

void *symbol_after_us(const char *name)
{
  return search_objects(NULL, name);
}
