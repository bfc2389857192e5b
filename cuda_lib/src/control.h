/*
 * The control file: which faults are armed on a node. Its writer is the agent (cuda_control.py is the twin of this
 * header, a test holds the two together), its readers are all processes that carry the library.
 *
 * One page, little endian, replaced as a whole (temporary file + rename), never written in place. Times are
 * nanoseconds of CLOCK_BOOTTIME and mean something only under the boot id that stands beside them: a file that
 * survived a reboot, or whose writer died, arms nothing after its rules' expiry.
 */
#ifndef SCENARIO_CUDA_CONTROL_H
#define SCENARIO_CUDA_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#define CONTROL_MAGIC "SRCUDACT"
#define CONTROL_VERSION 2
#define CONTROL_RULES 16
#define CONTROL_SIZE 4096
/* The checksum covers everything that follows it. */
#define CONTROL_CHECKED_FROM 16

/* Kinds of driver calls; a rule names them as a set of bits (1 << kind). */
enum call_class {
  CLASS_META,    /* never fails: error texts, look-ups, versions, the context stack, capture queries */
  CLASS_INIT,    /* cuInit */
  CLASS_QUERY,   /* cuDeviceGet... */
  CLASS_CONTEXT, /* making a context */
  CLASS_ALLOC,
  CLASS_FREE,
  CLASS_COPY,
  CLASS_LAUNCH, /* kernels and graphs */
  CLASS_SYNC,   /* waiting for the GPU, or asking whether it is done */
  CLASS_STREAM,
  CLASS_MODULE,
  CLASS_PEER, /* memory shared with other GPUs or processes */
  CLASS_OTHER,
  CLASS_NVML,
  CLASS_NVML_META, /* never fails: enumeration and error texts of NVML */
  CLASS_NVLINK,    /* NVML's questions about links */
  CLASS_COUNT
};

enum fault_mode {
  MODE_FAIL = 1,   /* each matching call answers the code */
  MODE_STICKY = 2, /* from the first hit on, every call of that GPU in that process answers the code, for ever */
  MODE_ASYNC = 3,  /* a launch succeeds; the next call that is no launch answers the code, sticky from there on */
  MODE_DELAY = 4,  /* the call takes `delay_ns` longer, no longer than the rule is armed, then answers the code */
  MODE_HANG = 5,   /* the call blocks until disarmed, or for `delay_ns` and then answers the code, sticky */
  MODE_OOM = 6     /* allocations answer the code; cuMemGetInfo tells at most `free_bytes` */
};

enum gpu_match { GPU_ANY = 0, GPU_UUID = 1, GPU_PCI = 2, GPU_ORDINAL = 3 };

/* How far a sticky error reaches. */
enum sticky_scope { SCOPE_DEVICE = 0, SCOPE_PROCESS = 1 };

struct control_rule {
  char fault[104];           /* name of the fault; hits are told by it. NUL-terminated like every text here */
  char process[16];          /* only processes of this name (as in /proc/PID/comm); empty = all */
  uint8_t gpu_uuid[16];      /* for GPU_UUID */
  uint32_t pci_domain;       /* for GPU_PCI */
  uint16_t pci_bus;
  uint16_t pci_device;
  int32_t gpu_ordinal;       /* for GPU_ORDINAL: as the process numbers its GPUs */
  uint32_t part;             /* one fault may have several rules; (fault, part) is the identity of a rule */
  uint32_t classes;          /* bits of enum call_class */
  uint16_t mode;             /* enum fault_mode */
  uint8_t gpu_match;         /* enum gpu_match */
  uint8_t scope;             /* enum sticky_scope */
  int32_t code;              /* CUresult; 0 = the call passes (delay, hang) */
  int32_t nvml_code;         /* nvmlReturn_t for calls of the NVML classes */
  uint32_t probability_ppm;  /* 1..1000000 */
  uint32_t reserved;
  uint64_t expires_at_ns;    /* the rule is dead from here on; never 0 */
  uint64_t not_before_ns;    /* 0 = at once */
  uint64_t after_calls;      /* this many matching calls pass first, counted per process */
  uint64_t max_hits;         /* per process; 0 = no limit */
  uint64_t min_bytes;        /* only allocations whose size argument is at least this; 0 = all */
  uint64_t delay_ns;         /* delay, longest hang, or how long an asynchronous error may stay unseen by launches */
  uint64_t free_bytes;       /* MODE_OOM */
  uint64_t started_before_ns;/* only processes whose cuInit had succeeded by then; 0 = all */
};

struct control_file {
  char magic[8];
  uint32_t version;
  uint32_t checksum;      /* CRC-32 (the one of zlib) of the bytes from CONTROL_CHECKED_FROM on */
  uint64_t generation;    /* grows with each writing */
  uint32_t rule_count;
  uint32_t reserved;
  char boot_id[40];       /* /proc/sys/kernel/random/boot_id of the writer */
  uint64_t written_at_ns;
  uint8_t reserved_2[176];
  struct control_rule rules[CONTROL_RULES];
};

_Static_assert(sizeof(struct control_rule) == 240, "a rule is 240 bytes");
_Static_assert(offsetof(struct control_file, rules) == 256, "rules begin at 256");
_Static_assert(sizeof(struct control_file) == CONTROL_SIZE, "the control file is one page");

enum control_state {
  CONTROL_VALID,
  CONTROL_ABSENT, /* no such file: nothing is armed */
  CONTROL_TORN    /* wrong size, magic, version, checksum or contents: may be half written, look again */
};

/* Reads and checks the file at `path`; `out` is written only if the answer is CONTROL_VALID. */
enum control_state control_read(const char *path, struct control_file *out);

/* CRC-32 as zlib counts it. */
uint32_t crc32_of(const void *bytes, size_t length);

#endif
