/* A program that is started with more rights than its caller has (the test gives it the set-group-ID bit). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

int main(void)
{
  printf("secure=%lu preload=%s\n", getauxval(AT_SECURE), getenv("LD_PRELOAD") ? "kept" : "dropped");
  return 0;
}
