/* A context: what one caller needs to run the model. A stream, memory of the device, the arguments of the launches. */
#include "cuda.h"

#include <stdlib.h>

struct messages *driver_messages(struct context *context)
{
  return &context->messages;
}

/* ---- calls ---- */

static const char forked[] =
    "CUDA does not work in the child of a fork; start the process anew ('spawn' in Python), or use CUDA in it alone";

bool driver_enter(struct context *context)
{
  if (!context)
    driver_refuse(NULL, "the context is NULL");
  else if (driver_is_forked())
    driver_refuse(context, forked);
  else if (atomic_flag_test_and_set(&context->busy))
    driver_refuse(context, "the context is in use by another thread; create one per thread");
  else {
    driver_forget(context);
    if (CALL(context, cuCtxPushCurrent, context->device->primary))
      return true;
    atomic_flag_clear(&context->busy);
  }
  return false;
}

int driver_leave(struct context *context, bool done)
{
  CUcontext popped;
  context->messages.layers = NULL;
  done = CALL(context, cuCtxPopCurrent, &popped) && done;
  atomic_flag_clear(&context->busy);
  return done ? 0 : -1;
}

/* ---- create and destroy ---- */

static bool allocate_tables(struct context *context)
{
  const uint32_t ports = driver_model.inputs + driver_model.outputs;
  context->ports = calloc(ports, sizeof *context->ports);
  context->moved = calloc(ports, sizeof *context->moved);
  context->addresses = calloc(driver_model.tensors, sizeof *context->addresses);
  context->parameters = calloc(driver_model.arguments, sizeof *context->parameters);
  context->nodes = calloc(driver_model.launches, sizeof(CUgraphNode));
  if (context->ports && context->moved && context->addresses && context->parameters && context->nodes)
    return true;
  driver_report(context, "out of memory");
  return false;
}

static void fill_tables(struct context *context)
{
  for (uint32_t i = 0; i < driver_model.tensors; i++) {
    const struct tensor *tensor = &driver_tensors[i];
    if (tensor->storage == STORAGE_ARENA)
      context->addresses[i] = context->arena + tensor->position;
    else if (tensor->storage == STORAGE_WEIGHTS)
      context->addresses[i] = context->device->weights + tensor->position;
  }
  for (uint32_t i = 0; i < driver_model.arguments; i++)
    context->parameters[i] = &context->addresses[driver_arguments[i]];
}

static bool make_own(struct context *context)
{
  CUcontext popped;
  if (!CALL(context, cuCtxPushCurrent, context->device->primary))
    return false;
  const bool done = CALL(context, cuStreamCreate, &context->stream, CU_STREAM_NON_BLOCKING) &&
                    CALL(context, cuEventCreate, &context->given, CU_EVENT_DISABLE_TIMING) &&
                    driver_allocate(context, &context->arena, driver_model.arena_bytes, "activations");
  return CALL(context, cuCtxPopCurrent, &popped) && done;
}

struct context *driver_open(int device)
{
  if (driver_is_forked()) {
    driver_refuse(NULL, forked);
    return NULL;
  }
  struct context *context = calloc(1, sizeof *context);
  if (!context) {
    driver_refuse(NULL, "out of memory");
    return NULL;
  }
  atomic_flag_clear(&context->busy);
  driver_forget(context);
  if (allocate_tables(context) && driver_take_device(context, device) && make_own(context)) {
    fill_tables(context);
    return context;
  }
  driver_refuse(NULL, "%s", context->messages.text);
  driver_close(context);
  return NULL;
}

static void release_own(struct context *context)
{
  CUcontext popped;
  if (driver_cuda.cuCtxPushCurrent(context->device->primary) != CUDA_SUCCESS)
    return;
  if (context->stream)
    driver_cuda.cuStreamSynchronize(context->stream);
  driver_destroy_graph(context);
  driver_release_staging(context);
  if (context->arena)
    driver_cuda.cuMemFree(context->arena);
  if (context->given)
    driver_cuda.cuEventDestroy(context->given);
  if (context->stream)
    driver_cuda.cuStreamDestroy(context->stream);
  driver_cuda.cuCtxPopCurrent(&popped);
}

void driver_close(struct context *context)
{
  if (!context)
    return;
  if (context->device && !driver_is_forked()) {   /* in the child of a fork, all that is the parent's */
    release_own(context);
    driver_give_device_back(context->device);
  }
  free(context->nodes);
  free(context->parameters);
  free(context->addresses);
  free(context->moved);
  free(context->ports);
  free(context);
}

/* ---- run ---- */

bool driver_wait(struct context *context)
{
  const CUresult result = driver_cuda.cuStreamSynchronize(context->stream);
  if (result != CUDA_SUCCESS)
    driver_report(context, "the kernels failed: %s", driver_error("cuStreamSynchronize", result).text);
  return result == CUDA_SUCCESS;
}

/* Runs the model on the host's memory; `seconds`, if not NULL, receives the time of each launch. */
int driver_execute(struct context *context, const void *const *inputs, void *const *outputs, double *seconds)
{
  if (context && (!inputs || !outputs))
    return driver_refuse(context, "the array of pointers is NULL");
  if (!driver_enter(context))
    return -1;
  if (!driver_check_ports(context, inputs, outputs) || !driver_check_host(context, inputs, outputs))
    return driver_leave(context, false);
  const bool done = driver_copy_inputs(context, inputs) &&
                    (seconds ? driver_profile(context, seconds) : driver_launch(context)) &&
                    driver_copy_outputs(context, outputs);
  if (!done)
    driver_cuda.cuStreamSynchronize(context->stream);   /* the next run may fill the staging memory again */
  return driver_leave(context, done);
}
