/*
 * The hit record: what the faults did to one process, written by the process into the hits directory, one file per
 * process, so that a fault that nobody hit can not be mistaken for one that did something.
 *
 * Little endian, written with one pwrite at a process's first hits and later from the watcher thread. The name of the
 * file (<pid namespace>-<pid>-<start time>.hits) is unique on a node although pods have pid namespaces of their own.
 */
#ifndef SCENARIO_CUDA_HITS_H
#define SCENARIO_CUDA_HITS_H

#include <stddef.h>
#include <stdint.h>

#define HITS_MAGIC "SRCUDAHI"
#define HITS_VERSION 1
#define HITS_ENTRIES 40
#define HITS_SIZE 9752
#define HITS_CHECKED_FROM 16

struct hit_entry {
  char fault[104];        /* from the rule */
  uint32_t part;
  int32_t code;           /* what the last hit answered: a CUresult or nvmlReturn_t, 0 = the call passed, late */
  uint64_t calls;         /* calls that matched class and GPU */
  uint64_t hits;          /* of these, driver calls that were failed, delayed, blocked, ... */
  uint64_t nvml_hits;     /* the same for calls of NVML */
  uint64_t first_hit_ns;  /* CLOCK_BOOTTIME */
  uint64_t last_hit_ns;
  uint8_t gpu_uuid[16];   /* GPU of the first hit; zeros where the call names none */
  char function[64];      /* function of the first hit, as the driver spells it */
};

struct hit_record {
  char magic[8];
  uint32_t version;
  uint32_t checksum;      /* CRC-32 of the bytes from HITS_CHECKED_FROM on */
  uint64_t generation;    /* of the control file that the process last took over */
  int32_t pid;            /* as the process sees itself */
  int32_t parent_pid;
  int32_t root_pid;       /* oldest ancestor in its pid namespace: 1 in a pod, unless the process came by `exec` */
  uint32_t entry_count;
  uint64_t pid_namespace; /* inode of /proc/self/ns/pid */
  uint64_t start_ticks;   /* field 22 of /proc/PID/stat */
  uint64_t written_at_ns;
  char boot_id[40];
  char process[16];       /* /proc/PID/comm */
  char owner[256];        /* SCENARIO_RUNNER_CUDA_OWNER: namespace/pod/container */
  uint8_t reserved[96];
  struct hit_entry entries[HITS_ENTRIES];
};

_Static_assert(sizeof(struct hit_entry) == 232, "an entry is 232 bytes");
_Static_assert(offsetof(struct hit_record, entries) == 472, "entries begin at 472");
_Static_assert(sizeof(struct hit_record) == HITS_SIZE, "the record is its file");

#endif
