/* Parses numbers. */
#include "text.h"

#include <stddef.h>

int digit_value(char digit)
{
  char lower = (char)(digit | 0x20);
  if (digit >= '0' && digit <= '9') return digit - '0';
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

uint64_t parse_number(const char *text, unsigned base, const char **end)
{
  uint64_t value = 0;
  for (int digit; (digit = digit_value(*text)) >= 0 && (unsigned)digit < base; text++)
    value = value * base + (unsigned)digit;
  if (end) *end = text;
  return value;
}
