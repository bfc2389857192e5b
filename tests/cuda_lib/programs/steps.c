/* A driver client that does what its arguments say, one step each, and prints what the driver answered. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long long address;

static void *driver;
static void *contexts[16];
static void *stream;
static address memory;

static void *find(const char *name)
{
  void *found = dlsym(driver, name);
  if (!found) {
    fprintf(stderr, "no %s\n", name);
    exit(9);
  }
  return found;
}

#define CALL(name, ...) ((int (*)())find(name))(__VA_ARGS__)

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int launch(void *on)
{
  return CALL("cuLaunchKernel", (void *)8, 1, 1, 1, 1, 1, 1, 0, on, NULL, NULL);
}

static int sync_stream(void)
{
  static int (*function)(void *);
  if (!function) function = find("cuStreamSynchronize");
  return function(NULL);
}

static int use_device(int device)
{
  int result = contexts[device] ? 0 : CALL("cuDevicePrimaryCtxRetain", &contexts[device], device);
  return result ? result : CALL("cuCtxSetCurrent", contexts[device]);
}

static int virtual_memory(int device)
{
  int properties[8] = {1, 1, 1, device};
  address handle = 0;
  return CALL("cuMemCreate", &handle, (size_t)2 << 20, properties, 0ull);
}

static int create_stream(void)
{
  return CALL("cuStreamCreate", &stream, 0);
}

static int begin_capture(void)
{
  return CALL("cuStreamBeginCapture_v2", stream, 0);
}

static int end_capture(void)
{
  void *graph = NULL;
  return CALL("cuStreamEndCapture", stream, &graph);
}

static int allocate(size_t size)
{
  return CALL("cuMemAlloc_v2", &memory, size);
}

static int copy(void)
{
  char byte = 1;
  static char target;
  return CALL("cuMemcpyHtoD_v2", memory ? memory : (address)(uintptr_t)&target, &byte, (size_t)1);
}

static int count_devices(void)
{
  int count = -1;
  int result = CALL("cuDeviceGetCount", &count);
  printf("(%d)", count);
  return result;
}

static int memory_info(void)
{
  size_t free_bytes = 0, total = 0;
  int result = CALL("cuMemGetInfo_v2", &free_bytes, &total);
  printf("(%zuM of %zuM)", free_bytes >> 20, total >> 20);
  return result;
}

static int simple(const char *name)
{
  if (!strcmp(name, "init")) return CALL("cuInit", 0);
  if (!strcmp(name, "count")) return count_devices();
  if (!strcmp(name, "alloc")) return allocate(4096);
  if (!strcmp(name, "big")) return allocate((size_t)64 << 20);
  if (!strcmp(name, "free")) return CALL("cuMemFree_v2", memory);
  if (!strcmp(name, "copy")) return copy();
  if (!strcmp(name, "launch")) return launch(NULL);
  if (!strcmp(name, "graph")) return CALL("cuGraphLaunch", (void *)64, NULL);
  if (!strcmp(name, "sync")) return CALL("cuCtxSynchronize");
  if (!strcmp(name, "query")) return CALL("cuEventQuery", NULL);
  if (!strcmp(name, "context")) return use_device(0);
  if (!strcmp(name, "peer")) return CALL("cuIpcGetMemHandle", NULL, memory);
  if (!strcmp(name, "meminfo")) return memory_info();
  if (!strcmp(name, "stream")) return create_stream();
  if (!strcmp(name, "launch-on-stream")) return launch(stream);
  if (!strcmp(name, "sync-stream")) return CALL("cuStreamSynchronize", stream);
  if (!strcmp(name, "capture")) return begin_capture();
  if (!strcmp(name, "end-capture")) return end_capture();
  if (!strcmp(name, "null-meminfo")) return CALL("cuMemGetInfo_v2", NULL, NULL);
  fprintf(stderr, "no step %s\n", name);
  exit(2);
}

static void *call_often(void *argument)
{
  long failed = 0, device = ((long *)argument)[0], times = ((long *)argument)[1];
  use_device((int)device);
  for (long i = 0; i < times; i++) failed += sync_stream() != 0;
  ((long *)argument)[0] = failed;
  return NULL;
}

/* Four threads, two on GPU 0 and two on GPU 1. */
static void run_threads(long times)
{
  pthread_t threads[4];
  long arguments[4][2], failed = 0;
  for (int i = 0; i < 4; i++) {
    arguments[i][0] = i % 2;
    arguments[i][1] = times;
    pthread_create(&threads[i], NULL, call_often, arguments[i]);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    failed += arguments[i][0];
  }
  printf("%ld of %ld", failed, 4 * times);
}

static void call_in_child(const char *name, long times)
{
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    for (long i = 0; i < times; i++) printf(i ? ",%d" : "%d", simple(name));
    exit(0);
  }
  waitpid(child, NULL, 0);
}

/* The child goes on with the next steps, the parent waits for its end. */
static void go_on_in_child(void)
{
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) return;
  int status;
  waitpid(child, &status, 0);
  _exit(status ? 9 : 0);
}

/* Calls until the answer is `wanted`, for at most 20 seconds; when it came, as CLOCK_MONOTONIC. */
static void wait_for(const char *name, int wanted)
{
  double begin = now();
  int answer;
  while ((answer = simple(name)) != wanted && now() - begin < 20) usleep(100);
  printf("%d@%.6f", answer, now());
}

/* Stands still until a line comes on stdin, telling first that it does. */
static void wait_for_line(void)
{
  char line[16];
  printf("\n");
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) exit(3);
}

static long repeat(const char *name, long times)
{
  long failed = 0;
  for (long i = 0; i < times; i++) failed += simple(name) != 0;
  return failed;
}

/* The answer, and after how many milliseconds it came. */
static void print_time(const char *name)
{
  double begin = now();
  int answer = simple(name);
  printf("%d@%.3f", answer, (now() - begin) * 1e3);
}

/* name[:number] */
static void step(const char *text)
{
  char name[64];
  long number = 0;
  snprintf(name, sizeof name, "%s", text);
  char *colon = strchr(name, ':');
  if (colon) {
    number = atol(colon + 1);
    *colon = 0;
  }
  if (!strcmp(name, "pause")) {
    wait_for_line();
    return;
  }
  if (!strcmp(name, "fork")) {
    go_on_in_child();
    return;
  }
  printf("%s=", text);
  if (!strcmp(name, "dev")) printf("%d", use_device((int)number));
  else if (!strcmp(name, "threads")) run_threads(number);
  else if (!strcmp(name, "child")) call_in_child("launch", colon ? number : 1);
  else if (!strcmp(name, "until")) wait_for("sync", (int)number);
  else if (!strcmp(name, "syncs")) printf("%ld", repeat("sync", number));
  else if (!strcmp(name, "name")) printf("%d", prctl(PR_SET_NAME, "engine"));
  else if (!strcmp(name, "vmm")) printf("%d", virtual_memory((int)number));
  else if (!strcmp(name, "time")) print_time(colon + 1);
  else if (!strcmp(name, "die")) abort();
  else printf("%d", simple(name));
  printf(" ");
  fflush(stdout);
}

int main(int count, char **arguments)
{
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) return fprintf(stderr, "%s\n", dlerror()), 8;
  for (int i = 1; i < count; i++) step(arguments[i]);
  printf("\n");
  return 0;
}
