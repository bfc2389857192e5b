/* An NVML client as nvidia-smi is one: enumerates, then reads each GPU. */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

#define CALL(name, ...) ((int (*)())dlsym(nvml, name))(__VA_ARGS__)

static long seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

/* The answer, and after how many seconds it came if one had to wait for it. */
static void tell(const char *question, long begin, int answer)
{
  enum { LONG = 10 };
  printf(" %s=%d", question, answer);
  if (seconds() - begin >= LONG) printf("@%ld", seconds() - begin);
}

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
    long begin = seconds();
    tell("temperature", begin, CALL("nvmlDeviceGetTemperature", gpu, 0, &value));
    begin = seconds();
    tell("link", begin, CALL("nvmlDeviceGetNvLinkState", gpu, 0u, &value));
  }
  printf("\n");
  return 0;
}
