/* A program that loads the plugin with RTLD_DEEPBIND, so that the plugin prefers its own dependencies to anything preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments)
{
  void *plugin = count == 3 ? dlopen(arguments[1], RTLD_NOW | RTLD_DEEPBIND) : NULL;
  int (*run)(const char *) = plugin ? (int (*)(const char *))dlsym(plugin, "run_plugin") : NULL;
  return run ? run(arguments[2]) : (fprintf(stderr, "%s\n", dlerror()), 9);
}
