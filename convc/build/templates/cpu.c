/* What this machine offers: CPU features and cores. */
#include "driver.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- features ---- */

#if defined(__x86_64__)
#include <cpuid.h>

/* State that the operating system must save for a feature to be usable: bits of XCR0. */
enum { SAVES_NOTHING = 0, SAVES_YMM = 0x6, SAVES_ZMM = 0xe6, SAVES_TILES = 0x60000 };
enum { EAX, EBX, ECX, EDX };

/* Intel SDM, volume 2, CPUID: leaf, sub-leaf, register and bit of each feature under its name in /proc/cpuinfo. */
static const struct feature {
  const char *name;
  unsigned leaf, subleaf, reg, bit, state;
} known_features[] = {
    {"sse4_2", 1, 0, ECX, 20, SAVES_NOTHING},      {"popcnt", 1, 0, ECX, 23, SAVES_NOTHING},
    {"movbe", 1, 0, ECX, 22, SAVES_NOTHING},       {"fma", 1, 0, ECX, 12, SAVES_YMM},
    {"avx", 1, 0, ECX, 28, SAVES_YMM},             {"f16c", 1, 0, ECX, 29, SAVES_YMM},
    {"bmi1", 7, 0, EBX, 3, SAVES_NOTHING},         {"avx2", 7, 0, EBX, 5, SAVES_YMM},
    {"bmi2", 7, 0, EBX, 8, SAVES_NOTHING},         {"avx512f", 7, 0, EBX, 16, SAVES_ZMM},
    {"avx512dq", 7, 0, EBX, 17, SAVES_ZMM},        {"avx512cd", 7, 0, EBX, 28, SAVES_ZMM},
    {"avx512bw", 7, 0, EBX, 30, SAVES_ZMM},        {"avx512vl", 7, 0, EBX, 31, SAVES_ZMM},
    {"avx512_vnni", 7, 0, ECX, 11, SAVES_ZMM},     {"amx_bf16", 7, 0, EDX, 22, SAVES_TILES},
    {"avx512_fp16", 7, 0, EDX, 23, SAVES_ZMM},     {"amx_tile", 7, 0, EDX, 24, SAVES_TILES},
    {"amx_int8", 7, 0, EDX, 25, SAVES_TILES},      {"avx_vnni", 7, 1, EAX, 4, SAVES_YMM},
    {"avx512_bf16", 7, 1, EAX, 5, SAVES_ZMM},
};

static uint64_t saved_state(void)
{
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))   /* OSXSAVE: xgetbv exists */
    return 0;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (uint64_t)d << 32 | a;
}

static bool has_feature(const char *name)
{
  for (size_t i = 0; i < sizeof known_features / sizeof *known_features; i++) {
    const struct feature *feature = &known_features[i];
    if (strcmp(feature->name, name) != 0)
      continue;
    unsigned registers[4];
    return __get_cpuid_count(feature->leaf, feature->subleaf, &registers[EAX], &registers[EBX], &registers[ECX],
                             &registers[EDX]) &&
           (registers[feature->reg] >> feature->bit & 1) && (saved_state() & feature->state) == feature->state;
  }
  return false;
}
#else
static bool has_feature(const char *name)
{
  (void)name;
  return false;
}
#endif

const char *driver_missing_feature(const char *const *features)
{
  for (; *features; features++)
    if (!has_feature(*features))
      return *features;
  return NULL;
}

/* ---- cores ---- */

static int cores_of_affinity(void)
{
  for (int most = 1024; most <= 1 << 20; most *= 2) {
    cpu_set_t *set = CPU_ALLOC((size_t)most);
    if (!set)
      return 1;
    const size_t bytes = CPU_ALLOC_SIZE((size_t)most);
    const int failed = sched_getaffinity(0, bytes, set);
    const int count = failed ? 0 : CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    if (!failed)
      return count > 0 ? count : 1;
    if (errno != EINVAL)   /* EINVAL: the kernel's set is larger */
      return 1;
  }
  return 1;
}

/* The first line of a small file; false where it cannot be read. */
static bool read_line(const char *path, char *line, int bytes)
{
  FILE *file = fopen(path, "re");
  const bool found = file && fgets(line, bytes, file);
  if (file)
    fclose(file);
  return found;
}

static int cores_of_quota(long long quota, long long period)
{
  if (quota <= 0 || period <= 0)
    return MAX_THREADS;
  const long long cores = (quota + period - 1) / period;
  return cores < MAX_THREADS ? (int)cores : MAX_THREADS;
}

/* The quota of one group. Version 2 has one file "quota period", "max" for no quota; version 1 has two, -1 for none. */
static int cores_of_group(const char *group, bool version_2)
{
  char path[512], text[64];
  long long quota, period;
  if (version_2) {
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    if (!read_line(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2)
      return MAX_THREADS;
    return cores_of_quota(quota, period);
  }
  snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", group);
  if (!read_line(path, text, sizeof text) || sscanf(text, "%lld", &quota) != 1)
    return MAX_THREADS;
  snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
  if (!read_line(path, text, sizeof text) || sscanf(text, "%lld", &period) != 1)
    return MAX_THREADS;
  return cores_of_quota(quota, period);
}

/* The least quota of a group and those above it, the root too: in a container that is the container's own group. */
static int cores_of_groups_above(char *group, bool version_2)
{
  int cores = MAX_THREADS;
  for (;;) {
    const int here = cores_of_group(group, version_2);
    cores = here < cores ? here : cores;
    char *slash = strrchr(group, '/');
    if (!slash)
      return cores;
    *slash = '\0';
  }
}

static int cores_of_cgroups(void)
{
  int cores = MAX_THREADS;
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (!file)
    return cores;
  char line[384];   /* "id:controllers:/path" */
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
      continue;
    *group++ = '\0';
    controllers++;
    const bool version_2 = *controllers == '\0';
    const bool of_cpu = strncmp(controllers, "cpu,", 4) == 0 || strcmp(controllers, "cpu") == 0;
    if (!version_2 && !of_cpu)
      continue;
    const int here = cores_of_groups_above(group, version_2);
    cores = here < cores ? here : cores;
  }
  fclose(file);
  return cores;
}

int driver_usable_cores(void)
{
  const int affinity = cores_of_affinity();
  const int quota = cores_of_cgroups();
  return affinity < quota ? affinity : quota;
}
