/*
 * Nanoseconds per call of a driver function that does nothing: through the PLT, through a pointer, and as the naive
 * design does it, which looks the function up and opens a file in every call. Each is the median of several loops, in
 * processor time: what else the machine does is not meant.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

extern int cuMemPoolTrimTo(void *, size_t), cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int);
extern int cuCtxSetCurrent(void *);

enum { LOOPS = 15 };

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *left, const void *right)
{
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

#define MEDIAN(times, call)                                                   \
  ({                                                                          \
    double took[LOOPS];                                                       \
    for (int loop = 0; loop < LOOPS; loop++) {                                \
      double begin = now();                                                   \
      for (long i = 0; i < (times); i++) {                                    \
        call;                                                                 \
        __asm__ volatile("" ::: "memory");                                    \
      }                                                                       \
      took[loop] = (now() - begin) / (double)(times);                         \
    }                                                                         \
    qsort(took, LOOPS, sizeof took[0], compare);                              \
    took[LOOPS / 2];                                                          \
  })

__attribute__((noinline)) static int naive(void *pool, size_t size)
{
  FILE *toggle = fopen("/nowhere/fault-enabled", "r");
  if (toggle) return fclose(toggle), 100;
  int (*next)(void *, size_t) = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "cuMemPoolTrimTo");
  return next(pool, size);
}

int main(int count, char **arguments)
{
  long times = count > 1 ? atol(arguments[1]) : 1000000;
  int (*volatile pointer)(void *, size_t);
  void *context;
  void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  pointer = (int (*)(void *, size_t))dlsym(driver, "cuMemPoolTrimTo");
  if (cuInit(0) != 0 || cuDevicePrimaryCtxRetain(&context, 0) != 0 || cuCtxSetCurrent(context) != 0) return 1;
  printf("%.3f %.3f %.1f\n", MEDIAN(times, cuMemPoolTrimTo(NULL, 0)), MEDIAN(times, pointer(NULL, 0)),
         MEDIAN(times / 1000, naive(NULL, 0)));
  return 0;
}
