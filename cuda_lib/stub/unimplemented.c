/* What the functions answer that the stand-ins have by name only. */
#include <string.h>

#include "driver.h"

int stub_unimplemented(const char *function)
{
  enum { NVML_ERROR_NOT_SUPPORTED = 3 };
  log_call(function);
  return strncmp(function, "nvml", 4) == 0 ? NVML_ERROR_NOT_SUPPORTED : CUDA_ERROR_NOT_SUPPORTED;
}
