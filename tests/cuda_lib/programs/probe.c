/* Asks the loader questions about CUDA in the ways in which programs find out whether there is any. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void tell(const char *question, void *found)
{
  const char *error = dlerror();
  printf("%s: %s%s\n", question, found ? "found" : "not found", error ? ", with an error" : "");
}

int main(int count, char **arguments)
{
  (void)arguments;
  if (count > 1 && !dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL)) return 9;
  dlerror();
  tell("default cuInit", dlsym(RTLD_DEFAULT, "cuInit"));
  tell("default cuNoSuchThing", dlsym(RTLD_DEFAULT, "cuNoSuchThing"));
  tell("program cuInit", dlsym(dlopen(NULL, RTLD_NOW), "cuInit"));
  tell("default puts", dlsym(RTLD_DEFAULT, "puts"));
  tell("next puts", dlsym(RTLD_NEXT, "puts"));
  errno = 77;
  dlsym(RTLD_DEFAULT, "cuInit");
  printf("errno %d\n", errno);
  return 0;
}
