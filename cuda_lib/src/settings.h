/* What the environment tells the library, read once per process. */
#ifndef SCENARIO_CUDA_SETTINGS_H
#define SCENARIO_CUDA_SETTINGS_H

/* Texts are copies, empty where not set: programs that change their title overwrite the environment they were given. */
struct settings {
  int is_disabled;    /* SCENARIO_RUNNER_CUDA_DISABLE=1, a set-user-ID program, or no control file named */
  int keeps_deepbind; /* SCENARIO_RUNNER_CUDA_DEEPBIND=keep: leave RTLD_DEEPBIND alone */
  int poll_ms;        /* SCENARIO_RUNNER_CUDA_POLL_MS, 100 without it */
  char control[256];  /* SCENARIO_RUNNER_CUDA_CONTROL: path of the control file */
  char hits[256];     /* SCENARIO_RUNNER_CUDA_HITS: directory for the hit records */
  char owner[256];    /* SCENARIO_RUNNER_CUDA_OWNER: namespace/pod/container */
};

struct settings read_settings(void);

/* read_settings().is_disabled, for those who ask often. */
int is_disabled(void);

#endif
