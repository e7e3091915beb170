/* Scratch memory of the kernels. Each thread keeps what it has freed: in the steady state a run allocates nothing. */
#include "driver.h"

#include <stdlib.h>

struct block {
  _Alignas(ALIGNMENT) struct block *next;   /* the header fills ALIGNMENT bytes; the payload follows it */
  uint64_t bytes;
  bool used;
};

_Static_assert(sizeof(struct block) == ALIGNMENT, "the payload must be aligned");

static void *payload(struct block *block)
{
  return block + 1;
}

static struct block **smallest_that_fits(struct workspace *workspace, uint64_t bytes)
{
  struct block **best = NULL;
  for (struct block **link = &workspace->blocks; *link; link = &(*link)->next)
    if (!(*link)->used && (*link)->bytes >= bytes && (!best || (*link)->bytes < (*best)->bytes))
      best = link;
  return best;
}

/* Gives one free block back, so that a larger one takes its place instead of adding to it. */
static void drop_one_free(struct workspace *workspace)
{
  for (struct block **link = &workspace->blocks; *link; link = &(*link)->next)
    if (!(*link)->used) {
      struct block *block = *link;
      *link = block->next;
      free(block);
      return;
    }
}

static void *allocate(int device_type, int device_id, uint64_t bytes, int dtype_code_hint, int dtype_bits_hint)
{
  (void)device_type, (void)device_id, (void)dtype_code_hint, (void)dtype_bits_hint;
  struct workspace *workspace = driver_lane.workspace;
  struct block **fitting = smallest_that_fits(workspace, bytes);
  if (fitting) {
    (*fitting)->used = true;
    return payload(*fitting);
  }
  drop_one_free(workspace);
  const uint64_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  struct block *block = rounded < bytes ? NULL : aligned_alloc(ALIGNMENT, sizeof(struct block) + rounded);
  if (!block) {
    driver_report(driver_lane.context, "out of memory: %llu bytes of scratch", (unsigned long long)bytes);
    return NULL;
  }
  block->bytes = rounded;
  block->used = true;
  block->next = workspace->blocks;
  workspace->blocks = block;
  return payload(block);
}

static int release(int device_type, int device_id, void *memory)
{
  (void)device_type, (void)device_id;
  ((struct block *)memory - 1)->used = false;
  return 0;
}

void driver_workspace_reset(struct workspace *workspace)
{
  for (struct block *block = workspace->blocks; block; block = block->next)
    block->used = false;
}

void driver_workspace_release(struct workspace *workspace)
{
  while (workspace->blocks) {
    struct block *next = workspace->blocks->next;
    free(workspace->blocks);
    workspace->blocks = next;
  }
}

/* The hooks by which TVM's kernels ask for scratch memory. */
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = release;
