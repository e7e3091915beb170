/* Weights that are made when the library is first used: kernels transformed for Winograd's convolution, a multiple of what
 * the file holds. All contexts share them; they live until the library is unloaded. */
#include "driver.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *memory;   /* NULL: not made */

enum { MOST_TAPS = 16, BLOCK = 256 };   /* BLOCK floats of a plane at a time stay in the nearest cache */

/* Floats first to first + size of all planes of one expansion. */
static void transform(const struct expansion *e, const float *restrict source, float *restrict target, uint64_t first,
                      uint64_t size)
{
  const double *down = driver_coefficients + e->down.first;
  const uint32_t taps = e->across.columns;
  double rows[MOST_TAPS][BLOCK], sum[BLOCK];
  for (uint32_t i = 0; i < e->down.rows; i++, down += e->down.columns) {
    for (uint32_t s = 0; s < taps; s++) {
      memset(rows[s], 0, sizeof rows[s]);
      for (uint32_t r = 0; r < e->down.columns; r++)
        for (uint64_t x = 0; down[r] != 0 && x < size; x++)
          rows[s][x] += down[r] * source[(uint64_t)(r * taps + s) * e->count + first + x];
    }
    const double *across = driver_coefficients + e->across.first;
    for (uint32_t j = 0; j < e->across.rows; j++, across += taps) {
      memset(sum, 0, sizeof sum);
      for (uint32_t s = 0; s < taps; s++)
        for (uint64_t x = 0; across[s] != 0 && x < size; x++)
          sum[x] += across[s] * rows[s][x];
      for (uint64_t x = 0; x < size; x++)
        target[(uint64_t)(i * e->across.rows + j) * e->count + first + x] = (float)sum[x];
    }
  }
}

/* One of `environment->num_task` shares of all expansions: every num_task-th block. */
static int transform_share(int share, ParallelEnvironment *environment, void *made)
{
  const uint64_t stride = (uint64_t)environment->num_task * BLOCK;
  for (uint32_t i = 0; i < driver_expanded.expansions; i++) {
    const struct expansion *e = &driver_expansions[i];
    const float *const source = (const float *)(driver_weights + e->source);
    float *const target = (float *)((char *)made + e->target);
    for (uint64_t first = (uint64_t)share * BLOCK; first < e->count; first += stride)
      transform(e, source, target, first, e->count - first < BLOCK ? e->count - first : BLOCK);
  }
  return 0;
}

/* Gives back the pages of the file that were read: the kernels read what was made. */
static void release_sources(void)
{
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (uint32_t i = 0; i < driver_expanded.expansions; i++) {
    const struct expansion *e = &driver_expansions[i];
    const uintptr_t begin = (uintptr_t)(driver_weights + e->source);
    const uintptr_t end = begin + (uintptr_t)e->count * e->down.columns * e->across.columns * sizeof(float);
    const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
    if (first < last)
      madvise((void *)first, last - first, MADV_DONTNEED);   /* they are read-only: a later read finds them in the file */
  }
}

static char *make(void)
{
  const size_t bytes = (size_t)driver_expanded.bytes;
  char *target = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (target == MAP_FAILED)
    return NULL;
  madvise(target, bytes, MADV_HUGEPAGE);   /* advice: a refusal costs nothing */
  __TVMBackendParallelLaunch(transform_share, target, 0);
  mprotect(target, bytes, PROT_READ);
  release_sources();
  return target;
}

bool driver_expand_weights(const char **address)
{
  if (driver_expanded.expansions == 0)
    return true;
  pthread_mutex_lock(&lock);
  if (!memory)
    memory = make();
  *address = memory;
  pthread_mutex_unlock(&lock);
  return *address != NULL;
}

__attribute__((destructor)) static void release(void)
{
  if (memory)
    munmap(memory, (size_t)driver_expanded.bytes);
}
