/* The driver of a model for CPUs: what its parts share, besides interface.h.
 *
 * model.c     generated: the model's tables, its named C functions and `convc_module_v1`
 * context.c   create, run, destroy: buffers and alignment
 * pool.c      threads, and TVM's hook for parallel loops
 * workspace.c scratch memory of the kernels, and TVM's hooks for it
 * weights.c   the weights in memory
 * cpu.c       which CPU features and how many cores there are
 *
 * All that the model writes hangs on one `struct context`; code, tables and weights are read-only.
 */
#ifndef CONVC_DRIVER_H
#define CONVC_DRIVER_H

#include "interface.h"

enum { ALIGNMENT = 64 };   /* what kernels assume of every buffer, in bytes */
enum { MAX_THREADS = 1024 };

/* ---- TVM's calling convention: dlpack.h and tvm/ffi/c_api.h ---- */

typedef struct {
  uint8_t code;   /* 0 signed integer, 2 floating point */
  uint8_t bits;
  uint16_t lanes;
} DLDataType;

typedef struct {
  void *data;
  int32_t device_type;   /* 1 CPU */
  int32_t device_id;
  int32_t rank;
  DLDataType dtype;
  const int64_t *shape;
  const int64_t *strides;   /* NULL: dense, row-major */
  uint64_t byte_offset;
} DLTensor;

typedef struct {
  int32_t type_index;   /* 7: a DLTensor */
  uint32_t zero;
  union {
    int64_t integer;
    double real;
    void *pointer;
  } value;
} Argument;

typedef int Kernel(void *self, const Argument *arguments, int32_t count, Argument *result);

typedef struct {
  void *sync_handle;
  int32_t num_task;
} ParallelEnvironment;

typedef int ParallelTask(int task, ParallelEnvironment *environment, void *closure);

/* ---- the model, as tables; generated ---- */

struct tensor {
  enum storage storage;
  int32_t rank;
  uint64_t position;   /* index of the port, or byte offset in the others */
  const int64_t *shape;
  DLDataType dtype;
};

struct launch {
  Kernel *kernel;
  const char *layers;
  uint32_t first;   /* its arguments are driver_arguments[first .. first + count) */
  int32_t count;
};

/* Weights that are made at load. */
struct expanded {
  uint64_t bytes;
  uint32_t expansions;
};

/* A matrix of `rows` x `columns` at `first` in driver_coefficients. */
struct matrix {
  uint32_t first, rows, columns;
};

/* Planes of `count` floats from planes of `count` floats: plane (i, j) at `target` in what is made at load is the sum over
 * (r, s) of down[i][r] * across[j][s] * plane (r, s) at `source` in the file's weights. */
struct expansion {
  uint64_t source, target, count;
  struct matrix down, across;
};

extern const struct tensor driver_tensors[];
extern const struct launch driver_launches[];
extern const char *const driver_features[];      /* CPU features that the kernels need; ends with NULL */
extern const struct expanded driver_expanded;
extern const struct expansion driver_expansions[];
extern const double driver_coefficients[];

/* ---- the thread that is executing, and on whose behalf ---- */

struct lane {
  struct context *context;       /* NULL outside a run */
  struct pool *pool;
  struct workspace *workspace;
  bool in_task;                  /* inside a parallel loop: another one runs serially */
};

extern _Thread_local struct lane driver_lane;

/* ---- pool.c ---- */

/* Starts threads - 1 workers; worker i uses workspaces[i], the caller of a run workspaces[0].
 * Returns NULL and sets *error (an errno) where a thread cannot be started. */
struct pool *driver_pool_start(int threads, struct context *context, struct workspace *workspaces, int *error);
/* Brackets a run: between the two the workers wait busily for the next parallel loop. The first also starts the
 * workers again in the child of a fork. */
void driver_pool_heat(struct pool *pool);
void driver_pool_cool(struct pool *pool);
void driver_pool_stop(struct pool *pool);
/* The hook by which TVM's kernels run a parallel loop: `task` for 0 … count - 1; 0 means one per thread. */
extern int (*__TVMBackendParallelLaunch)(ParallelTask *, void *closure, int count);

/* ---- workspace.c ---- */

struct workspace {
  struct block *blocks;
};

void driver_workspace_reset(struct workspace *workspace);   /* all blocks are free again: after a kernel failed */
void driver_workspace_release(struct workspace *workspace);

/* ---- weights.c ---- */

/* Makes the weights that are made at load, once, on the threads of driver_lane, and says where they are. Any thread.
 * False: out of memory. */
bool driver_expand_weights(const char **address);

/* ---- cpu.c ---- */

/* The first of `features` (names of /proc/cpuinfo) that this CPU or its operating system lacks; NULL: none. */
const char *driver_missing_feature(const char *const *features);
/* Cores that this process may use: its affinity, cut to the quota of its control group. At least 1. */
int driver_usable_cores(void);

#endif
