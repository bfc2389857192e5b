/* A program that is linked with constructor.c. */
#include <stdio.h>

extern int answer(void), cuInit(unsigned);

int main(void)
{
  printf("main: cuInit=%d (%d)\n", cuInit(0), answer());
  return 0;
}
