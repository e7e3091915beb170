/* Weights that are made when the library is first used: kernels transformed for Winograd's convolution. They are four
 * times the size of what the file holds. All contexts share them; they live until the library is unloaded. */
#include "driver.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *memory;   /* NULL: not made */

/* G g G' for every kernel g: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", F(4x4, 3x3). */
static void transform(const float *restrict source, float *restrict target, size_t count)
{
  static const double g[6][3] = {{1.0 / 4, 0, 0},
                                 {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                 {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                 {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                 {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                 {0, 0, 1}};
  enum { BLOCK = 256 };   /* kernels at a time: what they touch stays in the nearest cache */
  for (size_t first = 0; first < count; first += BLOCK) {
    const size_t size = count - first < BLOCK ? count - first : BLOCK;
    for (int i = 0; i < 6; i++) {
      double rows[3][BLOCK];
      for (int s = 0; s < 3; s++)
        for (size_t k = 0; k < size; k++)
          rows[s][k] = g[i][0] * source[(size_t)s * count + first + k] +
                       g[i][1] * source[(size_t)(3 + s) * count + first + k] +
                       g[i][2] * source[(size_t)(6 + s) * count + first + k];
      for (int j = 0; j < 6; j++)
        for (size_t k = 0; k < size; k++)
          target[(size_t)(6 * i + j) * count + first + k] =
              (float)(g[j][0] * rows[0][k] + g[j][1] * rows[1][k] + g[j][2] * rows[2][k]);
    }
  }
}

static char *make(void)
{
  const size_t bytes = (size_t)driver_model.expanded_bytes;
  char *target = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (target == MAP_FAILED)
    return NULL;
  madvise(target, bytes, MADV_HUGEPAGE);   /* advice: a refusal costs nothing */
  for (uint32_t i = 0; i < driver_model.expansions; i++) {
    const struct expansion *e = &driver_expansions[i];
    transform((const float *)(driver_weights + e->source), (float *)(target + e->target), (size_t)e->count);
  }
  mprotect(target, bytes, PROT_READ);
  return target;
}

bool driver_expand_weights(const char **address)
{
  if (driver_model.expansions == 0)
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
    munmap(memory, (size_t)driver_model.expanded_bytes);
}
