/*
 * Writes the hit record. The first hits of a process are written at once, since they may well be its last; later ones
 * from the watcher thread and at exit. With no directory to write to, one line on stderr per fault says that it was hit.
 */
#include "record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "settings.h"
#include "slots.h"
#include "text.h"
#include "watcher.h"

enum { WRITTEN_AT_ONCE = 16 };

static _Atomic int is_dirty;
static _Atomic int writer;   /* pid of the process in which a thread is writing; a forked child takes it over */

/*
 * Whose calls are counted, by pid, in a page that the kernel empties in a forked child: to ask costs no system call then.
 * Where the kernel can not do that, the pid is compared.
 */
typedef _Atomic int owner_word;
static _Atomic(owner_word *) owner;
static int is_emptied_by_fork;

/* Everything but the counters, filled at the first writing. */
static struct hit_record record;

/* The `number`th field of a line of /proc/PID/stat, counted from 1; from the third on, after the name in parentheses. */
static uint64_t field(const char *line, int number)
{
  const char *at = strrchr(line, ')'); /* the name itself may hold blanks and parentheses */
  for (int passed = 2; at && passed < number; passed++) {
    at = strchr(at, ' ');
    if (at) at++;
  }
  return at ? parse_number(at, 10, NULL) : 0;
}

static int read_stat(int pid, int *parent, uint64_t *start_ticks)
{
  enum { PARENT = 4, START_TIME = 22 };
  char path[32], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  read_line(path, line, sizeof line);
  *parent = (int)field(line, PARENT);
  *start_ticks = field(line, START_TIME);
  return line[0] != 0;
}

/* What a link of /proc says, "pid:[4026531836]" or "socket:[123]"; not stat, which is no symbol before glibc 2.33. */
static void read_link(const char *path, char *text, size_t size)
{
  ssize_t length = readlink(path, text, size - 1);
  text[length > 0 ? length : 0] = 0;
}

static uint64_t pid_namespace(void)
{
  char link[64];
  read_link("/proc/self/ns/pid", link, sizeof link);
  const char *number = strchr(link, '[');
  return number ? parse_number(number + 1, 10, NULL) : 0;
}

/* The ancestor whose parent lies outside the pid namespace: 1, or whatever `exec` put beside it. 0 if unknown. */
static int find_root(int pid)
{
  enum { DEEPEST = 64 };
  uint64_t ticks;
  int parent;
  for (int depth = 0; depth < DEEPEST; depth++) {
    if (!read_stat(pid, &parent, &ticks)) return 0;
    if (parent == 0) return pid;
    pid = parent;
  }
  return 0;
}

static void describe_process(int pid)
{
  struct settings settings = read_settings();
  memset(&record, 0, offsetof(struct hit_record, entries));
  memcpy(record.magic, HITS_MAGIC, sizeof record.magic);
  record.version = HITS_VERSION;
  record.pid = pid;
  read_stat(pid, &record.parent_pid, &record.start_ticks);
  record.root_pid = find_root(pid);
  record.pid_namespace = pid_namespace();
  read_boot_id(record.boot_id, sizeof record.boot_id);
  read_line("/proc/self/comm", record.process, sizeof record.process);
  memcpy(record.owner, settings.owner, sizeof record.owner);
}

static void fill_entry(struct hit_entry *entry, const struct rule_state *state)
{
  memset(entry, 0, sizeof *entry);
  memcpy(entry->fault, state->fault, sizeof entry->fault);
  entry->part = state->part;
  entry->calls = atomic_load(&state->calls);
  entry->hits = atomic_load(&state->hits);
  entry->nvml_hits = atomic_load(&state->nvml_hits);
  entry->first_hit_ns = atomic_load(&state->first_hit_ns);
  entry->last_hit_ns = atomic_load(&state->last_hit_ns);
  entry->code = atomic_load(&state->code);
  memcpy(entry->gpu_uuid, state->first_uuid, sizeof entry->gpu_uuid);
  snprintf(entry->function, sizeof entry->function, "%s", slot_name(atomic_load(&state->first_slot)));
}

static void fill_record(void)
{
  record.generation = control_generation();
  record.written_at_ns = now_ns();
  record.entry_count = 0;
  for (int i = 0; i < HITS_ENTRIES; i++)
    if (atomic_load(&rule_states[i].first_hit_ns)) fill_entry(&record.entries[record.entry_count++], &rule_states[i]);
  size_t used = offsetof(struct hit_record, entries) + record.entry_count * sizeof record.entries[0];
  memset((char *)&record + used, 0, sizeof record - used);
  record.checksum = crc32_of((const char *)&record + HITS_CHECKED_FROM, sizeof record - HITS_CHECKED_FROM);
}

/* The file is opened anew each time: applications close descriptors that they do not know. */
static int write_file(const char *directory)
{
  char path[512];
  snprintf(path, sizeof path, "%s/%llu-%d-%llu.hits", directory, (unsigned long long)record.pid_namespace, record.pid,
           (unsigned long long)record.start_ticks);
  int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return 0;
  ssize_t written = pwrite(fd, &record, sizeof record, 0);
  close(fd);
  return written == (ssize_t)sizeof record;
}

/* One line, in one write. Not into a socket: something else has become descriptor 2. */
static void tell_stderr(void)
{
  char target[64];
  read_link("/proc/self/fd/2", target, sizeof target);
  if (strncmp(target, "socket:", 7) == 0) return;
  for (uint32_t i = 0; i < record.entry_count; i++) {
    static uint64_t told[HITS_ENTRIES];
    const struct hit_entry *entry = &record.entries[i];
    char line[320];
    if (told[i] == entry->first_hit_ns) continue;
    told[i] = entry->first_hit_ns;
    int length = snprintf(line, sizeof line, "scenario-runner: injected CUDA fault %s hit process %d in %s, code %d\n",
                          entry->fault, record.pid, entry->function, entry->code);
    if (write(STDERR_FILENO, line, (size_t)length) < 0) return;
  }
}

static void write_record(void)
{
  struct settings settings = read_settings();
  if (record.pid != getpid()) describe_process(getpid());
  fill_record();
  if (!settings.hits[0] || !write_file(settings.hits)) tell_stderr();
}

/* An emulator (qemu 7.2) says yes to any advice and follows none. */
static int is_wiped_on_fork(void *page, size_t size)
{
  enum { NO_SUCH_ADVICE = -1 };
  return madvise(page, size, NO_SUCH_ADVICE) != 0 && madvise(page, size, MADV_WIPEONFORK) == 0;
}

int prepare_counting(void)
{
  if (atomic_load(&owner)) return 1;
  owner_word *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 0;
  is_emptied_by_fork = is_wiped_on_fork(page, sizeof *page);
  atomic_store(page, getpid());
  atomic_store(&owner, page);
  return 1;
}

static int is_own(int pid)
{
  return pid && (is_emptied_by_fork || pid == getpid());
}

void begin_own_count(void)
{
  owner_word *word = atomic_load_explicit(&owner, memory_order_acquire);
  int before = atomic_load_explicit(word, memory_order_relaxed);
  if (is_own(before) || !atomic_compare_exchange_strong(word, &before, getpid())) return;
  atomic_store(&is_dirty, 0);
  for (int i = 0; i < HITS_ENTRIES; i++) {
    atomic_store(&rule_states[i].calls, 0);
    atomic_store(&rule_states[i].admitted, 0);
    atomic_store(&rule_states[i].hits, 0);
    atomic_store(&rule_states[i].nvml_hits, 0);
    atomic_store(&rule_states[i].first_hit_ns, 0);
    atomic_store(&rule_states[i].has_first, 0);
  }
}

/*
 * One thread writes, others leave their news to it: it looks again before it goes. What its parent has counted is not
 * for a forked child to tell.
 */
void flush_hits(void)
{
  int pid = getpid();
  owner_word *word = atomic_load(&owner);
  if (!word || !is_own(atomic_load(word))) return;
  while (atomic_exchange(&is_dirty, 0)) {
    int holder = 0;
    if (!atomic_compare_exchange_strong(&writer, &holder, pid) &&
        (holder == pid || !atomic_compare_exchange_strong(&writer, &holder, pid))) {
      atomic_store(&is_dirty, 1);
      return;
    }
    write_record();
    atomic_store(&writer, 0);
  }
}

static void remember_first(struct rule_state *state, struct call *call, uint64_t now)
{
  if (atomic_exchange(&state->has_first, 1)) return;
  uuid_of(call, state->first_uuid);
  atomic_store(&state->first_slot, call->slot);
  atomic_store(&state->first_hit_ns, now);
}

void record_hit(struct rule_state *state, struct call *call, int32_t code)
{
  uint64_t now = now_ns();
  begin_own_count();
  atomic_store(&state->code, code);
  if (!atomic_load(&state->first_hit_ns)) remember_first(state, call, now);
  atomic_store(&state->last_hit_ns, now);
  uint64_t count = atomic_fetch_add(is_nvml(call) ? &state->nvml_hits : &state->hits, 1);
  atomic_store(&is_dirty, 1);
  if (count < WRITTEN_AT_ONCE || !is_watched()) flush_hits();
}

/*
 * Once more, for the calls that matched since the last hit. The watcher may be at writing, and dies with the process:
 * it gets a moment to come to its end.
 */
__attribute__((destructor)) static void flush_at_exit(void)
{
  int pid = getpid();
  if (record.pid == pid) atomic_store(&is_dirty, 1);
  flush_hits();
  for (int looks = 0; looks < 100 && (atomic_load(&is_dirty) || atomic_load(&writer) == pid); looks++) {
    sleep_ns(1000000);
    flush_hits();
  }
}
