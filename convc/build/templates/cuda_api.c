/* NVIDIA's driver, libcuda.so.1: found at run time, so that the library loads where there is none. */
#include "cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct cuda driver_cuda;

static bool loaded;        /* driver_cuda is complete */
static atomic_int owner;   /* the process that began to use CUDA; 0: none yet */

/* ---- errors ---- */

struct cuda_error driver_error(const char *function, CUresult result)
{
  struct cuda_error error;
  const char *name = NULL, *meaning = NULL;
  if (driver_cuda.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name ||
      driver_cuda.cuGetErrorString(result, &meaning) != CUDA_SUCCESS || !meaning)
    snprintf(error.text, sizeof error.text, "%s: error %d", function, result);
  else
    snprintf(error.text, sizeof error.text, "%s: %.80s (%.120s)", function, name, meaning);
  return error;
}

bool driver_succeeded(struct context *context, const char *function, CUresult result)
{
  if (result != CUDA_SUCCESS)
    driver_report(context, "%s", driver_error(function, result).text);
  return result == CUDA_SUCCESS;
}

bool driver_allocate(struct context *context, CUdeviceptr *memory, uint64_t bytes, const char *purpose)
{
  if (bytes == 0)
    return true;
  const CUresult result = driver_cuda.cuMemAlloc(memory, (size_t)bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY)
    driver_report(context, "out of memory on the device: %llu bytes for %s: %s", (unsigned long long)bytes, purpose,
                  driver_error("cuMemAlloc", result).text);
  if (result != CUDA_SUCCESS)
    *memory = 0;
  return driver_succeeded(context, "cuMemAlloc", result);
}

/* ---- loading ---- */

void driver_claim_cuda(void)
{
  atomic_store(&owner, getpid());
}

bool driver_is_forked(void)
{
  const int process = atomic_load(&owner);
  return process != 0 && process != getpid();
}

/* POSIX lets a pointer from dlsym be a function's; ISO C has no conversion for it. */
static bool find(void *library, const char *symbol, void *function)
{
  void *const found = dlsym(library, symbol);
  memcpy(function, &found, sizeof found);
  return found != NULL;
}

static const char *find_functions(void *library)
{
#define CUDA_FIND(name, symbol, parameters)      \
  if (!find(library, symbol, &driver_cuda.name)) \
    return symbol;
  CUDA_FUNCTIONS(CUDA_FIND)
#undef CUDA_FIND
  driver_cuda.has_graphs = true;
#define CUDA_FIND(name, symbol, parameters) driver_cuda.has_graphs &= find(library, symbol, &driver_cuda.name);
  CUDA_GRAPH_FUNCTIONS(CUDA_FIND)
#undef CUDA_FIND
  return NULL;
}

/* The driver is at least as new as the compiler of the kernels. */
static bool check_version(struct context *context)
{
  int version;
  if (!CALL(context, cuDriverGetVersion, &version))
    return false;
  const int needed = driver_code.version;
  if (version < needed)
    driver_report(context,
                  "the NVIDIA driver is for CUDA %d.%d, the model needs %d.%d: update the driver, or compile the model "
                  "with an older CUDA toolkit",
                  version / 1000, version % 1000 / 10, needed / 1000, needed % 1000 / 10);
  return version >= needed;
}

static bool initialise(struct context *context)
{
  const CUresult result = driver_cuda.cuInit(0);
  if (result == CUDA_ERROR_NO_DEVICE)
    driver_report(context, "no GPU that CUDA can use: %s; see nvidia-smi and CUDA_VISIBLE_DEVICES",
                  driver_error("cuInit", result).text);
  else if (result != CUDA_SUCCESS)
    driver_report(context, "the NVIDIA driver does not start: %s; see nvidia-smi", driver_error("cuInit", result).text);
  return result == CUDA_SUCCESS;
}

static bool open_library(struct context *context)
{
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);   /* stays open: CUDA keeps threads of its own */
  if (!library) {
    const char *why = dlerror();
    driver_report(context,
                  "no NVIDIA driver: libcuda.so.1 cannot be loaded: %.200s; install the driver, or give the container "
                  "the GPU",
                  why ? why : "");
    return false;
  }
  const char *missing = find_functions(library);
  if (missing)
    driver_report(context, "the NVIDIA driver is too old: libcuda.so.1 has no %s; update it", missing);
  return !missing;
}

bool driver_load_cuda(struct context *context)
{
  if (!loaded && !open_library(context)) {
    atomic_store(&owner, 0);   /* nothing was used that a fork would break */
    return false;
  }
  loaded = true;
  driver_claim_cuda();
  return initialise(context) && check_version(context);
}
