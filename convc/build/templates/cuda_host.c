/* Runs on arrays in the host's memory. They are copied by way of page-locked memory, from and to which the device
 * copies by itself, to ports in the device's memory that belong to the context: the graph of such runs never changes. */
#include "cuda.h"

#include <string.h>

enum { PORT_STEP = 256, PIECE = 1 << 20 };   /* of PIECE bytes the device copies one while the host fills the next */

static uint64_t size_of(const struct port *port)
{
  return (port->bytes + PORT_STEP - 1) / PORT_STEP * PORT_STEP;
}

static bool check_port(struct context *context, uint32_t index, const void *pointer)
{
  const CUdeviceptr memory = (CUdeviceptr)(uintptr_t)pointer;
  enum place place;
  int managed;
  if (!driver_find_memory(context, memory, &place))
    return false;
  if (place != PLACE_DEVICE)
    return true;
  if (!CALL(context, cuPointerGetAttribute, &managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, memory))
    return false;
  if (!managed)
    driver_report(context, "%s '%s' is in memory of the device; run_on_device takes such arrays",
                  index < driver_model.inputs ? "input" : "output", driver_ports[index].name);
  return managed != 0;
}

bool driver_check_host(struct context *context, const void *const *inputs, void *const *outputs)
{
  for (uint32_t i = 0; i < driver_model.inputs + driver_model.outputs; i++)
    if (!check_port(context, i, i < driver_model.inputs ? inputs[i] : outputs[i - driver_model.inputs]))
      return false;
  return true;
}

static bool prepare(struct context *context)
{
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < driver_model.inputs + driver_model.outputs; i++)
    bytes += size_of(&driver_ports[i]);
  if (!context->host_ports && !driver_allocate(context, &context->host_ports, bytes, "inputs and outputs"))
    return false;
  if (context->staging)
    return true;
  void *memory = NULL;
  const CUresult result = driver_cuda.cuMemHostAlloc(&memory, (size_t)bytes, 0);
  if (result != CUDA_SUCCESS) {
    driver_report(context, "out of memory: %llu bytes, page-locked, for inputs and outputs: %s",
                  (unsigned long long)bytes, driver_error("cuMemHostAlloc", result).text);
    return false;
  }
  context->staging = memory;
  return true;
}

static bool copy_input(struct context *context, const char *from, uint64_t offset, uint64_t bytes)
{
  for (uint64_t done = 0; done < bytes; done += PIECE) {
    const size_t size = (size_t)(bytes - done < PIECE ? bytes - done : PIECE);
    char *const staged = context->staging + offset + done;
    memcpy(staged, from + done, size);
    if (!CALL(context, cuMemcpyHtoDAsync, context->host_ports + offset + done, staged, size, context->stream))
      return false;
  }
  return true;
}

bool driver_copy_inputs(struct context *context, const void *const *inputs)
{
  if (!prepare(context))
    return false;
  uint64_t offset = 0;
  for (uint32_t i = 0; i < driver_model.inputs + driver_model.outputs; i++) {
    if (i < driver_model.inputs && !copy_input(context, inputs[i], offset, driver_ports[i].bytes))
      return false;
    driver_move_port(context, i, context->host_ports + offset);
    offset += size_of(&driver_ports[i]);
  }
  return true;
}

bool driver_copy_outputs(struct context *context, void *const *outputs)
{
  const struct port *ports = driver_ports + driver_model.inputs;
  uint64_t first = 0;
  for (uint32_t i = 0; i < driver_model.inputs; i++)
    first += size_of(&driver_ports[i]);
  uint64_t offset = first;
  for (uint32_t i = 0; i < driver_model.outputs; offset += size_of(&ports[i++]))
    if (!CALL(context, cuMemcpyDtoHAsync, context->staging + offset, context->host_ports + offset,
              (size_t)ports[i].bytes, context->stream))
      return false;
  if (!driver_wait(context))
    return false;
  offset = first;
  for (uint32_t i = 0; i < driver_model.outputs; offset += size_of(&ports[i++]))
    memcpy(outputs[i], context->staging + offset, (size_t)ports[i].bytes);
  return true;
}

void driver_release_staging(struct context *context)
{
  if (context->staging)
    driver_cuda.cuMemFreeHost(context->staging);
  if (context->host_ports)
    driver_cuda.cuMemFree(context->host_ports);
}
