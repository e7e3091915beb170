/* What a library for a GPU offers besides the interface of all: runs on arrays in the device's memory, the stream that
 * they are given to, and memory for those who have no other means to get some. */
#include "cuda.h"

bool driver_find_memory(struct context *context, CUdeviceptr memory, enum place *place)
{
  unsigned type = 0;
  const CUresult result = driver_cuda.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory);
  if (result == CUDA_ERROR_INVALID_VALUE) {
    *place = PLACE_UNKNOWN;
    return true;
  }
  *place = type == CU_MEMORYTYPE_DEVICE ? PLACE_DEVICE : PLACE_HOST;
  return driver_succeeded(context, "cuPointerGetAttribute", result);
}

/* The device can use the memory of this port, which is not where it was. */
static bool check_memory(struct context *context, uint32_t index, CUdeviceptr memory)
{
  const char *const kind = index < driver_model.inputs ? "input" : "output", *const name = driver_ports[index].name;
  if (memory % PORT_ALIGNMENT != 0) {
    driver_report(context, "%s '%s' is not at a multiple of %d bytes", kind, name, PORT_ALIGNMENT);
    return false;
  }
  enum place place;
  int ordinal, reads_any;
  if (!driver_find_memory(context, memory, &place))
    return false;
  if (place == PLACE_HOST)   /* page-locked */
    return true;
  if (place == PLACE_UNKNOWN) {   /* memory of the host like any other, which few devices can use */
    if (!CALL(context, cuDeviceGetAttribute, &reads_any, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
              context->device->handle))
      return false;
    if (!reads_any)
      driver_report(context, "%s '%s' is not in memory of the device; run takes arrays of the host", kind, name);
    return reads_any != 0;
  }
  if (!CALL(context, cuPointerGetAttribute, &ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, memory))
    return false;
  if (ordinal != context->device->ordinal)
    driver_report(context, "%s '%s' is on device %d, the context on device %d", kind, name, ordinal,
                  context->device->ordinal);
  return ordinal == context->device->ordinal;
}

static bool use_memory(struct context *context, const void *const *inputs, void *const *outputs)
{
  for (uint32_t i = 0; i < driver_model.inputs + driver_model.outputs; i++) {
    const void *pointer = i < driver_model.inputs ? inputs[i] : outputs[i - driver_model.inputs];
    const CUdeviceptr memory = (CUdeviceptr)(uintptr_t)pointer;
    if (memory != context->ports[i] && !check_memory(context, i, memory))
      return false;
    driver_move_port(context, i, memory);
  }
  return true;
}

int driver_run_on_device(struct context *context, const void *const *inputs, void *const *outputs)
{
  if (context && (!inputs || !outputs))
    return driver_refuse(context, "the array of pointers is NULL");
  if (!driver_enter(context))
    return -1;
  return driver_leave(context, driver_check_ports(context, inputs, outputs) && use_memory(context, inputs, outputs) &&
                                   driver_launch(context));
}

/* ---- the stream, and memory of the device ---- */

void *driver_stream(struct context *context)
{
  if (!context)
    driver_refuse(NULL, "the context is NULL");
  return context ? context->stream : NULL;
}

static int join(struct context *context, void *stream)
{
  if (!driver_enter(context))
    return -1;
  return driver_leave(context, CALL(context, cuEventRecord, context->given, context->stream) &&
                                   CALL(context, cuStreamWaitEvent, stream, context->given, 0));
}

int driver_synchronize(struct context *context)
{
  return driver_enter(context) ? driver_leave(context, driver_wait(context)) : -1;
}

/* At any time, also while another thread uses the context: an array goes when nobody refers to it any more. */
static void release(struct context *context, void *memory)
{
  CUcontext popped;
  if (!context || !memory || driver_is_forked() ||
      driver_cuda.cuCtxPushCurrent(context->device->primary) != CUDA_SUCCESS)
    return;
  driver_cuda.cuMemFree((CUdeviceptr)(uintptr_t)memory);
  driver_cuda.cuCtxPopCurrent(&popped);
}

static void *allocate(struct context *context, uint64_t bytes)
{
  CUdeviceptr address = 0;
  if (!driver_enter(context))
    return NULL;
  const bool done = driver_allocate(context, &address, bytes > 0 ? bytes : 1, "an array");
  void *const memory = (void *)(uintptr_t)address;
  if (driver_leave(context, done) == 0)
    return memory;
  release(context, memory);
  return NULL;
}

static int read(struct context *context, void *host, const void *device, uint64_t bytes)
{
  if (context && (!host || !device))
    return driver_refuse(context, "the array is NULL");
  if (!driver_enter(context))
    return -1;
  const CUdeviceptr from = (CUdeviceptr)(uintptr_t)device;
  const bool given = bytes == 0 || CALL(context, cuMemcpyDtoHAsync, host, from, (size_t)bytes, context->stream);
  return driver_leave(context, driver_wait(context) && given);
}

const struct convc_device driver_on_device = {
    .size = sizeof(struct convc_device),
    .run = driver_run_on_device,
    .stream = driver_stream,
    .join = join,
    .synchronize = driver_synchronize,
    .allocate = allocate,
    .release = release,
    .read = read,
};
