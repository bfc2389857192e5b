/* A library whose constructor starts CUDA: constructors of libraries that a program is linked with run before ours. */
#include <stdio.h>

extern int cuInit(unsigned);

__attribute__((constructor)) static void start(void)
{
  printf("constructor: cuInit=%d\n", cuInit(0));
  fflush(stdout);
}

int answer(void)
{
  return 42;
}
