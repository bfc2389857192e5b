/* Numbers in text. Not strtol and its kin: a new C library's headers turn them into names that an older one lacks. */
#ifndef SCENARIO_CUDA_TEXT_H
#define SCENARIO_CUDA_TEXT_H

#include <stdint.h>

/* The number at the beginning of `text` in base 10 or 16; `end`, if not NULL, gets the first character after it. */
uint64_t parse_number(const char *text, unsigned base, const char **end);

/* The value of a hexadecimal digit, -1 for any other character. */
int digit_value(char digit);

#endif
