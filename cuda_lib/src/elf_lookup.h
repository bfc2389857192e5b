/* Symbols of loaded objects, without asking the loader: we stand in for dlsym, and a failed dlsym leaves an error behind. */
#ifndef SCENARIO_CUDA_ELF_LOOKUP_H
#define SCENARIO_CUDA_ELF_LOOKUP_H

/* Where the file name of `path` begins. */
const char *file_name(const char *path);

/* Whether `address` lies in this library itself. */
int is_own_address(const void *address);

/* A symbol defined by the object whose ELF header is loaded at `base`; NULL if it has none of that name. */
void *symbol_of_object(const void *base, const char *name);

/* The first loaded object in link order whose file name begins with `prefix` and that defines `name`. */
void *symbol_of_library(const char *prefix, const char *name);

/* Whether an object is loaded whose file name begins with `prefix`. */
int is_library_loaded(const char *prefix);

/* The first definition of `name` in an object that comes after this library in link order. */
void *symbol_after_us(const char *name);

#endif
