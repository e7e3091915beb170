/* The launches of a run. They are made into one CUDA graph, each after the one before, which is given to the stream as
 * a whole: that costs the host and the device less than launches one by one. Arguments are part of a graph; where the
 * caller's arrays are elsewhere than in the run before, the launches that use them are set anew. */
#include "cuda.h"

static CUDA_KERNEL_NODE_PARAMS launch_parameters(const struct context *context, const struct launch *launch)
{
  return (CUDA_KERNEL_NODE_PARAMS){
      .func = context->device->kernels[launch->kernel],
      .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
      .block = {launch->block[0], launch->block[1], launch->block[2]},
      .shared_bytes = launch->shared,
      .parameters = &context->parameters[launch->first],
  };
}

/* ---- ports ---- */

static bool is_port(const struct tensor *tensor)
{
  return tensor->storage == STORAGE_INPUT || tensor->storage == STORAGE_OUTPUT;
}

static uint32_t port_of(const struct tensor *tensor)
{
  return (uint32_t)tensor->position + (tensor->storage == STORAGE_OUTPUT ? driver_model.inputs : 0);
}

void driver_move_port(struct context *context, uint32_t index, CUdeviceptr memory)
{
  if (context->ports[index] == memory)
    return;
  context->ports[index] = memory;
  context->moved[index] = true;
  for (uint32_t i = 0; i < driver_model.tensors; i++)
    if (is_port(&driver_tensors[i]) && port_of(&driver_tensors[i]) == index)
      context->addresses[i] = memory;
}

static bool uses_moved_port(const struct context *context, const struct launch *launch)
{
  for (uint32_t i = 0; i < launch->count; i++) {
    const struct tensor *tensor = &driver_tensors[driver_arguments[launch->first + i]];
    if (is_port(tensor) && context->moved[port_of(tensor)])
      return true;
  }
  return false;
}

static void settle_ports(struct context *context)
{
  for (uint32_t i = 0; i < driver_model.inputs + driver_model.outputs; i++)
    context->moved[i] = false;
}

static bool any_moved(const struct context *context)
{
  for (uint32_t i = 0; i < driver_model.inputs + driver_model.outputs; i++)
    if (context->moved[i])
      return true;
  return false;
}

/* ---- the graph ---- */

void driver_destroy_graph(struct context *context)
{
  if (context->executable)
    driver_cuda.cuGraphExecDestroy(context->executable);
  if (context->graph)
    driver_cuda.cuGraphDestroy(context->graph);
  context->executable = NULL;
  context->graph = NULL;
}

/* The first result that is not success, and the name of its function. */
static CUresult make_graph(struct context *context, const char **function)
{
  *function = "cuGraphCreate";
  CUresult result = driver_cuda.cuGraphCreate(&context->graph, 0);
  if (result != CUDA_SUCCESS) {
    context->graph = NULL;
    return result;
  }
  *function = "cuGraphAddKernelNode";
  for (uint32_t i = 0; i < driver_model.launches; i++) {
    const CUDA_KERNEL_NODE_PARAMS parameters = launch_parameters(context, &driver_launches[i]);
    const CUgraphNode *before = i > 0 ? &context->nodes[i - 1] : NULL;
    context->messages.layers = driver_launches[i].layers;
    result = driver_cuda.cuGraphAddKernelNode(&context->nodes[i], context->graph, before, before ? 1 : 0, &parameters);
    if (result != CUDA_SUCCESS)
      return result;
  }
  context->messages.layers = NULL;
  *function = "cuGraphInstantiate";
  result = driver_cuda.cuGraphInstantiate(&context->executable, context->graph, 0);
  if (result != CUDA_SUCCESS)
    context->executable = NULL;
  return result;
}

/* Makes the graph, or notes that there are none here. False, and a message: it cannot be made. */
static bool prepare_graph(struct context *context)
{
  const char *function;
  const CUresult result = driver_cuda.has_graphs ? make_graph(context, &function) : CUDA_ERROR_NOT_SUPPORTED;
  if (result == CUDA_SUCCESS) {
    settle_ports(context);
    return true;
  }
  context->one_by_one = result == CUDA_ERROR_NOT_SUPPORTED;
  if (!context->one_by_one)
    driver_report(context, "%s", driver_error(function, result).text);
  context->messages.layers = NULL;
  driver_destroy_graph(context);
  return context->one_by_one;
}

/* A port stays marked as moved until all launches know where it is. */
static bool update_graph(struct context *context)
{
  if (!any_moved(context))
    return true;
  for (uint32_t i = 0; i < driver_model.launches; i++) {
    if (!uses_moved_port(context, &driver_launches[i]))
      continue;
    const CUDA_KERNEL_NODE_PARAMS parameters = launch_parameters(context, &driver_launches[i]);
    context->messages.layers = driver_launches[i].layers;
    if (!CALL(context, cuGraphExecKernelNodeSetParams, context->executable, context->nodes[i], &parameters))
      return false;
  }
  context->messages.layers = NULL;
  settle_ports(context);
  return true;
}

/* ---- launching ---- */

bool driver_launch_one(struct context *context, uint32_t index)
{
  const struct launch *launch = &driver_launches[index];
  context->messages.layers = launch->layers;
  return CALL(context, cuLaunchKernel, context->device->kernels[launch->kernel], launch->grid[0], launch->grid[1],
              launch->grid[2], launch->block[0], launch->block[1], launch->block[2], launch->shared, context->stream,
              &context->parameters[launch->first], NULL);
}

static bool launch_one_by_one(struct context *context)
{
  for (uint32_t i = 0; i < driver_model.launches; i++)
    if (!driver_launch_one(context, i))
      return false;
  context->messages.layers = NULL;
  return true;
}

bool driver_launch(struct context *context)
{
  if (!context->executable && !context->one_by_one && !prepare_graph(context))
    return false;
  if (context->one_by_one)
    return launch_one_by_one(context);
  return update_graph(context) && CALL(context, cuGraphLaunch, context->executable, context->stream);
}
