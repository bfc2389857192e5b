/* Looking at the control file: at the start of CUDA, and from then on from a thread. */
#ifndef SCENARIO_CUDA_WATCHER_H
#define SCENARIO_CUDA_WATCHER_H

/* Reads the control file now and takes it over. */
void look_at_control(void);

/* Starts the thread of this process, if it has none. */
void start_watching(void);

/* Whether this process (not the one it was forked from) has a thread that looks after it. */
int is_watched(void);

#endif
