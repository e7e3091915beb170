/* What the contexts of a device share: CUDA's primary context, which torch and the CUDA runtime use too, the kernels
 * and the weights. Made by the first context of a device, given back by the last. */
#include "cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 32 << 20 };   /* bytes of weights that are copied at a time */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct device *devices;

/* ---- is it one that the kernels run on? ---- */

/* Machine code runs on devices of its major version and the same or a later minor one, PTX on all later devices. */
static bool runs_on(int major, int minor)
{
  const int newest = (int)driver_architectures[driver_code.architectures - 1];
  for (uint32_t i = 0; i < driver_code.architectures; i++) {
    const int compiled = (int)driver_architectures[i];
    if (compiled / 10 == major && compiled % 10 <= minor)
      return true;
  }
  return 10 * major + minor >= newest;
}

static bool check_capability(struct context *context, const struct device *device)
{
  int major, minor;
  char name[96];
  if (!CALL(context, cuDeviceGetAttribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device->handle) ||
      !CALL(context, cuDeviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device->handle) ||
      !CALL(context, cuDeviceGetName, name, sizeof name, device->handle))
    return false;
  if (runs_on(major, minor))
    return true;
  char compiled[128] = "";
  for (uint32_t i = 0, used = 0; i < driver_code.architectures && used < sizeof compiled; i++)
    used += (uint32_t)snprintf(compiled + used, sizeof compiled - used, "%s%u.%u", i ? ", " : "",
                               driver_architectures[i] / 10, driver_architectures[i] % 10);
  driver_report(context,
                "device %d, %s, is of compute capability %d.%d; the model was compiled for %s and what is newer: "
                "compile it with --target cuda:sm_%d%d",
                device->ordinal, name, major, minor, compiled, major, minor);
  return false;
}

static bool find_device(struct context *context, struct device *device)
{
  int count;
  if (!CALL(context, cuDeviceGetCount, &count))
    return false;
  if (device->ordinal < 0 || device->ordinal >= count) {
    driver_report(context, "device: expected 0 to %d, got %d", count - 1, device->ordinal);
    return false;
  }
  return CALL(context, cuDeviceGet, &device->handle, device->ordinal) && check_capability(context, device);
}

/* ---- kernels and weights; the primary context is current ---- */

static bool load_kernels(struct context *context, struct device *device)
{
  if (!CALL(context, cuModuleLoadData, &device->module, driver_fatbin))
    return false;
  for (uint32_t i = 0; i < driver_code.kernels; i++) {
    const struct kernel *kernel = &driver_kernels[i];
    CUresult result = driver_cuda.cuModuleGetFunction(&device->kernels[i], device->module, kernel->name);
    if (result != CUDA_SUCCESS) {
      driver_report(context, "kernel '%s' is missing: %s", kernel->name,
                    driver_error("cuModuleGetFunction", result).text);
      return false;
    }
    result = kernel->shared == 0 ? CUDA_SUCCESS
                                 : driver_cuda.cuFuncSetAttribute(device->kernels[i],
                                                                  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                                  (int)kernel->shared);
    if (result != CUDA_SUCCESS) {
      driver_report(context, "kernel '%s' needs %u bytes of shared memory, which device %d does not have: %s",
                    kernel->name, kernel->shared, device->ordinal, driver_error("cuFuncSetAttribute", result).text);
      return false;
    }
  }
  return true;
}

/* Gives back the pages of the file between two addresses that were read. */
static void release_pages(const char *begin, const char *end)
{
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t first = ((uintptr_t)begin + page - 1) / page * page, last = (uintptr_t)end / page * page;
  if (first < last)
    madvise((void *)first, last - first, MADV_DONTNEED);   /* they are read-only: a later read finds them in the file */
}

static bool copy_weights(struct context *context, CUdeviceptr weights, CUstream stream)
{
  for (uint64_t done = 0; done < driver_code.weights_bytes; done += PIECE) {
    const uint64_t left = driver_code.weights_bytes - done, bytes = left < PIECE ? left : PIECE;
    if (!CALL(context, cuMemcpyHtoDAsync, weights + done, driver_weights + done, (size_t)bytes, stream) ||
        !CALL(context, cuStreamSynchronize, stream))
      return false;
    release_pages(driver_weights + done, driver_weights + done + bytes);
  }
  return true;
}

static bool load_weights(struct context *context, struct device *device)
{
  CUstream stream;
  if (driver_code.weights_bytes == 0)
    return true;
  if (!driver_allocate(context, &device->weights, driver_code.weights_bytes, "the weights") ||
      !CALL(context, cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING))
    return false;
  const bool done = copy_weights(context, device->weights, stream);
  return CALL(context, cuStreamDestroy, stream) && done;
}

/* ---- made once, shared ---- */

static void release(struct device *device)
{
  if (device->primary && driver_cuda.cuCtxPushCurrent(device->primary) == CUDA_SUCCESS) {
    CUcontext popped;
    if (device->weights)
      driver_cuda.cuMemFree(device->weights);
    if (device->module)
      driver_cuda.cuModuleUnload(device->module);
    driver_cuda.cuCtxPopCurrent(&popped);
  }
  if (device->primary)
    driver_cuda.cuDevicePrimaryCtxRelease(device->handle);
  free(device->kernels);
  free(device);
}

static bool fill(struct context *context, struct device *device)
{
  CUcontext popped;
  if (!find_device(context, device) || !CALL(context, cuDevicePrimaryCtxRetain, &device->primary, device->handle) ||
      !CALL(context, cuCtxPushCurrent, device->primary))
    return false;
  const bool done = load_kernels(context, device) && load_weights(context, device);
  return CALL(context, cuCtxPopCurrent, &popped) && done;
}

static struct device *make(struct context *context, int ordinal)
{
  struct device *device = calloc(1, sizeof *device);
  if (device)
    device->kernels = calloc(driver_code.kernels, sizeof *device->kernels);
  if (!device || !device->kernels) {
    driver_report(context, "out of memory");
    free(device);
    return NULL;
  }
  device->ordinal = ordinal;
  if (fill(context, device)) {
    device->next = devices;
    devices = device;
    return device;
  }
  release(device);
  return NULL;
}

static struct device *find_or_make(struct context *context, int ordinal)
{
  for (struct device *device = devices; device; device = device->next)
    if (device->ordinal == ordinal)
      return device;
  return make(context, ordinal);
}

bool driver_take_device(struct context *context, int ordinal)
{
  driver_claim_cuda();   /* before the lock: the child of a fork never waits for it */
  pthread_mutex_lock(&lock);
  context->device = driver_load_cuda(context) ? find_or_make(context, ordinal) : NULL;
  if (context->device)
    context->device->users++;
  pthread_mutex_unlock(&lock);
  return context->device != NULL;
}

void driver_give_device_back(struct device *device)
{
  pthread_mutex_lock(&lock);
  if (--device->users == 0) {
    struct device **link = &devices;
    while (*link != device)
      link = &(*link)->next;
    *link = device->next;
    release(device);
  }
  pthread_mutex_unlock(&lock);
}
