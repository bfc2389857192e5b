/* An NVML client as nvidia-smi is one: enumerates, then reads each GPU. */
#include <dlfcn.h>
#include <stdio.h>

#define CALL(name, ...) ((int (*)())dlsym(nvml, name))(__VA_ARGS__)

int main(void)
{
  void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  unsigned count = 0, value = 0;
  if (!nvml) return 9;
  printf("init=%d", CALL("nvmlInit_v2"));
  printf(" count=%d", CALL("nvmlDeviceGetCount_v2", &count));
  for (unsigned i = 0; i < count; i++) {
    void *gpu = NULL;
    char uuid[96] = "";
    printf(" | handle=%d", CALL("nvmlDeviceGetHandleByIndex_v2", i, &gpu));
    printf(" uuid=%d", CALL("nvmlDeviceGetUUID", gpu, uuid, 96u));
    printf(" temperature=%d", CALL("nvmlDeviceGetTemperature", gpu, 0, &value));
    printf(" link=%d", CALL("nvmlDeviceGetNvLinkState", gpu, 0u, &value));
  }
  printf("\n");
  return 0;
}
