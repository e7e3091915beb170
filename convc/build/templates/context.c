/* A context: what one caller needs to run the model. Buffers, the argument tables of the kernels, threads. */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { HUGE_PAGE = 2 << 20, TENSOR_INDEX = 7, DEVICE_CPU = 1 };

struct context {
  char *arena;
  const char *expanded;    /* the weights that were made at load */
  void **staging;          /* per port: aligned memory for a caller's pointer that is not; NULL until needed */
  void **bound;            /* per port: where the kernels find it in this run */
  DLTensor *tensors;       /* driver_tensors with their addresses */
  Argument *arguments;     /* driver_arguments as pointers to `tensors` */
  struct workspace *workspaces;   /* one per thread */
  struct pool *pool;
  int threads;
  atomic_flag busy;        /* a run is in progress */
  struct messages messages;
};

struct messages *driver_messages(struct context *context)
{
  return &context->messages;
}

/* The hook by which TVM's kernels say why they refuse their arguments. */
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count)
{
  char text[400];
  size_t length = 0;
  text[0] = '\0';
  for (int32_t i = 0; i < count && length < sizeof text; i++) {
    const int added = snprintf(text + length, sizeof text - length, "%s", parts[i]);
    length += added > 0 ? (size_t)added : 0;
  }
  driver_report(driver_lane.context, "%s: %s", kind, text);
}

/* ---- create and destroy ---- */

static uint32_t port_count(void)
{
  return driver_model.inputs + driver_model.outputs;
}

/* The arena: aligned to huge pages where it is large enough to profit from them. Its content is undefined. */
static void *allocate_arena(uint64_t bytes)
{
  if (bytes > SIZE_MAX - HUGE_PAGE)
    return NULL;
  const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
  void *memory = NULL;
  if (posix_memalign(&memory, alignment, bytes > 0 ? (size_t)bytes : 1) != 0)
    return NULL;
  if (alignment == HUGE_PAGE)
    madvise(memory, (size_t)bytes, MADV_HUGEPAGE);   /* advice: a refusal costs nothing */
  return memory;
}

static bool allocate_tables(struct context *context)
{
  context->arena = allocate_arena(driver_model.arena_bytes);
  context->staging = calloc(port_count(), sizeof *context->staging);
  context->bound = calloc(port_count(), sizeof *context->bound);
  context->tensors = calloc(driver_model.tensors, sizeof *context->tensors);
  context->arguments = calloc(driver_model.arguments, sizeof *context->arguments);
  context->workspaces = calloc((size_t)context->threads, sizeof *context->workspaces);
  return context->arena && context->staging && context->bound && context->tensors && context->arguments &&
         context->workspaces;
}

static void *fixed_address(const struct context *context, const struct tensor *tensor)
{
  switch (tensor->storage) {
  case STORAGE_ARENA:
    return context->arena + tensor->position;
  case STORAGE_WEIGHTS:
    return (char *)driver_weights + tensor->position;   /* kernels only read their inputs */
  case STORAGE_EXPANDED:
    return (char *)context->expanded + tensor->position;
  default:
    return NULL;   /* bound by each run */
  }
}

static void fill_tables(struct context *context)
{
  for (uint32_t i = 0; i < driver_model.tensors; i++) {
    const struct tensor *tensor = &driver_tensors[i];
    context->tensors[i] = (DLTensor){
        .data = fixed_address(context, tensor),
        .device_type = DEVICE_CPU,
        .rank = tensor->rank,
        .dtype = tensor->dtype,
        .shape = tensor->shape,
    };
  }
  for (uint32_t i = 0; i < driver_model.arguments; i++) {
    context->arguments[i].type_index = TENSOR_INDEX;
    context->arguments[i].value.pointer = &context->tensors[driver_arguments[i]];
  }
}

static struct context *give_up(struct context *context)
{
  const uint64_t bytes = driver_model.arena_bytes + driver_expanded.bytes;
  driver_refuse(NULL, "out of memory: the model needs %llu bytes", (unsigned long long)bytes);
  driver_close(context);
  return NULL;
}

struct context *driver_open(int threads)
{
  const char *missing = driver_missing_feature(driver_features);
  if (missing) {
    driver_refuse(NULL, "this CPU lacks '%s', which the model was compiled for", missing);
    return NULL;
  }
  if (threads < 0 || threads > MAX_THREADS) {
    driver_refuse(NULL, "threads: expected 0 to %d, got %d", MAX_THREADS, threads);
    return NULL;
  }
  struct context *context = calloc(1, sizeof *context);
  if (!context) {
    driver_refuse(NULL, "out of memory");
    return NULL;
  }
  atomic_flag_clear(&context->busy);
  driver_forget(context);
  context->threads = threads > 0 ? threads : driver_usable_cores();
  if (!allocate_tables(context))
    return give_up(context);
  int error;
  context->pool = driver_pool_start(context->threads, context, context->workspaces, &error);
  if (!context->pool) {
    driver_refuse(NULL, "cannot start %d threads (error %d)", context->threads, error);
    driver_close(context);
    return NULL;
  }
  driver_lane = (struct lane){context, context->pool, context->workspaces, false};
  const bool made = driver_expand_weights(&context->expanded);
  driver_lane = (struct lane){0};
  if (!made)
    return give_up(context);
  fill_tables(context);
  return context;
}

void driver_close(struct context *context)
{
  if (!context)
    return;
  driver_pool_stop(context->pool);
  for (int i = 0; context->workspaces && i < context->threads; i++)
    driver_workspace_release(&context->workspaces[i]);
  for (uint32_t i = 0; context->staging && i < port_count(); i++)
    free(context->staging[i]);
  free(context->workspaces);
  free(context->arguments);
  free(context->tensors);
  free(context->bound);
  free(context->staging);
  free(context->arena);
  free(context);
}

/* ---- run ---- */

static bool is_aligned(const void *pointer)
{
  return (uintptr_t)pointer % ALIGNMENT == 0;
}

/* Gives the port an aligned address: the caller's, or staging memory. */
static bool bind_port(struct context *context, uint32_t index, const void *pointer)
{
  const struct port *port = &driver_ports[index];
  const bool is_input = index < driver_model.inputs;
  if (is_aligned(pointer)) {
    context->bound[index] = (void *)pointer;
    return true;
  }
  if (!context->staging[index] && posix_memalign(&context->staging[index], ALIGNMENT, (size_t)port->bytes) != 0) {
    context->staging[index] = NULL;
    driver_report(context, "out of memory: %llu bytes to align '%s'", (unsigned long long)port->bytes, port->name);
    return false;
  }
  context->bound[index] = context->staging[index];
  if (is_input)
    memcpy(context->staging[index], pointer, (size_t)port->bytes);
  return true;
}

static bool bind_ports(struct context *context, const void *const *inputs, void *const *outputs)
{
  if (!driver_check_ports(context, inputs, outputs))
    return false;
  for (uint32_t i = 0; i < port_count(); i++)
    if (!bind_port(context, i, i < driver_model.inputs ? inputs[i] : outputs[i - driver_model.inputs]))
      return false;
  for (uint32_t i = 0; i < driver_model.tensors; i++) {
    const struct tensor *tensor = &driver_tensors[i];
    if (tensor->storage == STORAGE_INPUT)
      context->tensors[i].data = context->bound[tensor->position];
    else if (tensor->storage == STORAGE_OUTPUT)
      context->tensors[i].data = context->bound[driver_model.inputs + tensor->position];
  }
  return true;
}

static double now(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool run_launches(struct context *context, double *seconds)
{
  for (uint32_t i = 0; i < driver_model.launches; i++) {
    const struct launch *launch = &driver_launches[i];
    context->messages.layers = launch->layers;
    const double start = seconds ? now() : 0;
    Argument result = {0};
    if (launch->kernel(NULL, &context->arguments[launch->first], launch->count, &result) != 0) {
      driver_report(context, "the kernel failed");
      for (int lane = 0; lane < context->threads; lane++)
        driver_workspace_reset(&context->workspaces[lane]);
      return false;
    }
    if (seconds)
      seconds[i] = now() - start;
  }
  return true;
}

static void copy_staged_outputs(struct context *context, void *const *outputs)
{
  for (uint32_t i = 0; i < driver_model.outputs; i++) {
    const uint32_t index = driver_model.inputs + i;
    if (context->bound[index] != outputs[i])
      memcpy(outputs[i], context->bound[index], (size_t)driver_ports[index].bytes);
  }
}

/* Runs the model; `seconds`, if not NULL, receives the time of each launch. 0, or -1 and a message. */
int driver_execute(struct context *context, const void *const *inputs, void *const *outputs, double *seconds)
{
  if (!context || !inputs || !outputs)
    return driver_refuse(context, "the %s is NULL", !context ? "context" : "array of pointers");
  if (atomic_flag_test_and_set(&context->busy))
    return driver_refuse(context, "the context is in use by another thread; create one per thread");
  driver_forget(context);

  bool done = bind_ports(context, inputs, outputs);
  if (done) {
    driver_pool_heat(context->pool);
    driver_lane = (struct lane){context, context->pool, context->workspaces, false};
    done = run_launches(context, seconds);
    driver_lane = (struct lane){0};
    driver_pool_cool(context->pool);
  }
  context->messages.layers = NULL;
  if (done)
    copy_staged_outputs(context, outputs);
  atomic_flag_clear(&context->busy);
  return done ? 0 : -1;
}
