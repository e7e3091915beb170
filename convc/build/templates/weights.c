/* The weights as the kernels read them, shared by all contexts until the library is unloaded.
 *
 * They are used where the file is mapped, unless there are kernels to transform for Winograd's convolution, or enough of
 * them to be worth a copy in huge pages: each run reads every weight once, mostly from memory, and the pages of a file
 * may be small and too many for the processor to keep track of (the TLB). The file's own pages are given back.
 */
#include "driver.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, WORTH_A_COPY = 2 * HUGE_PAGE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *memory;      /* NULL: not made */
static size_t reserved;   /* bytes mapped at `mapping` */
static void *mapping;

/* Whether the system gives huge pages to memory that asks for them. */
static bool has_huge_pages(void)
{
  char text[64] = "";
  const int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return false;
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 && !strstr(text, "[never]");
}

/* Gives back the file's pages that lie inside these bytes of the weights. */
static void forget(size_t offset, size_t bytes)
{
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t first = ((uintptr_t)driver_weights + offset + page - 1) & ~(page - 1);
  const uintptr_t end = ((uintptr_t)driver_weights + offset + bytes) & ~(page - 1);
  if (first < end)
    madvise((void *)first, end - first, MADV_DONTNEED);
}

static void copy_plain(char *target)
{
  const size_t bytes = (size_t)driver_model.plain_bytes;
  for (size_t done = 0; done < bytes; done += HUGE_PAGE) {
    const size_t count = bytes - done < HUGE_PAGE ? bytes - done : HUGE_PAGE;
    memcpy(target + done, driver_weights + done, count);
    forget(done, count);
  }
}

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

/* False: out of memory. */
static bool make_memory(void)
{
  const size_t bytes = (size_t)driver_model.memory_bytes;
  reserved = bytes + HUGE_PAGE;
  mapping = mmap(NULL, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return false;
  char *target = (char *)(((uintptr_t)mapping + HUGE_PAGE - 1) & ~((uintptr_t)HUGE_PAGE - 1));
  madvise(target, bytes, MADV_HUGEPAGE);   /* advice: a refusal costs nothing */
  copy_plain(target);
  for (uint32_t i = 0; i < driver_model.expansions; i++) {
    const struct expansion *e = &driver_expansions[i];
    transform((const float *)(driver_weights + e->source), (float *)(target + e->target), (size_t)e->count);
    forget((size_t)e->source, 9 * sizeof(float) * (size_t)e->count);
  }
  mprotect(target, bytes, PROT_READ);
  memory = target;
  return true;
}

const char *driver_weights_address(void)
{
  const bool must = driver_model.expansions > 0;
  pthread_mutex_lock(&lock);
  if (!memory && (must || (driver_model.plain_bytes >= WORTH_A_COPY && has_huge_pages())))
    make_memory();
  const char *address = memory ? memory : must ? NULL : driver_weights;
  pthread_mutex_unlock(&lock);
  return address;
}

__attribute__((destructor)) static void release(void)
{
  if (memory)
    munmap(mapping, reserved);
}
