/* Prints a control file as the library reads it, or writes a hit record with known values: the C half of a twin test. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "hits.h"

static void print_rule(const struct control_rule *rule)
{
  printf("%s|%u|%s|%u|%u|%u|%u|", rule->fault, rule->part, rule->process, rule->mode, rule->classes, rule->gpu_match,
         rule->scope);
  for (int i = 0; i < 16; i++) printf("%02x", rule->gpu_uuid[i]);
  printf("|%u:%u:%u|%d|%d|%d|%u", rule->pci_domain, rule->pci_bus, rule->pci_device, rule->gpu_ordinal, rule->code,
         rule->nvml_code, rule->probability_ppm);
  printf("|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "\n",
         rule->expires_at_ns, rule->not_before_ns, rule->after_calls, rule->max_hits, rule->min_bytes, rule->delay_ns,
         rule->free_bytes, rule->started_before_ns);
}

static int dump_control(const char *path)
{
  static const char *const states[] = {"valid", "absent", "torn"};
  struct control_file file;
  enum control_state state = control_read(path, &file);
  puts(states[state]);
  if (state != CONTROL_VALID) return 0;
  printf("%" PRIu64 "|%s|%" PRIu64 "\n", file.generation, file.boot_id, file.written_at_ns);
  for (uint32_t i = 0; i < file.rule_count; i++) print_rule(&file.rules[i]);
  return 0;
}

static int write_record(const char *path)
{
  static struct hit_record record = {
      .magic = HITS_MAGIC, .version = HITS_VERSION, .generation = 9, .pid = 7, .parent_pid = 1, .root_pid = 1,
      .entry_count = 1, .pid_namespace = 4026531836, .start_ticks = 123456, .written_at_ns = 5000000001,
      .boot_id = "some-boot", .process = "engine", .owner = "dynamo/vllm-0/main",
      .entries = {{.fault = "f-1", .part = 2, .code = 719, .calls = 30, .hits = 3, .nvml_hits = 4,
                   .first_hit_ns = 4000000001, .last_hit_ns = 4000000002, .gpu_uuid = {1, 2, 3},
                   .function = "cuLaunchKernel"}}};
  memcpy(record.magic, HITS_MAGIC, sizeof record.magic);
  record.checksum = crc32_of((const char *)&record + HITS_CHECKED_FROM, sizeof record - HITS_CHECKED_FROM);
  FILE *file = fopen(path, "wb");
  return file == NULL || fwrite(&record, sizeof record, 1, file) != 1 || fclose(file) != 0;
}

int main(int count, char **arguments)
{
  if (count == 3 && strcmp(arguments[1], "control") == 0) return dump_control(arguments[2]);
  if (count == 3 && strcmp(arguments[1], "hits") == 0) return write_record(arguments[2]);
  return 2;
}
