// What the parts of the fake libcuda.so.1 share. Its handles are the structures that cuda.h leaves open.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "launch.h"

struct CUctx_st {
  int device = 0;
  int retained = 0;
};

struct CUmod_st {
  void *library = nullptr;
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

struct CUfunc_st {
  const emulated::Kernel *kernel = nullptr;
  std::size_t shared = 48 << 10;  // most dynamic bytes
};

struct CUstream_st {
  bool blocking = true;  // whether it waits for the default stream
  std::deque<std::function<void()>> work;
};

struct CUevent_st {
  struct State {
    CUstream stream = nullptr;
    std::uint64_t recorded = 0, done = 0;  // the last record that was given, and that was reached
    double seconds = 0;
  };
  bool timed = true;
  std::shared_ptr<State> state = std::make_shared<State>();
};

namespace fake {

// What tests set, and what they count.
struct Device {
  long devices = 1, driver_version = 13000, capability = 90, memory = 8l << 30, pageable = 0;
  std::string name = "Emulated CUDA device";
  std::map<std::string, std::pair<long, CUresult>> failing;  // by function: calls until it fails, and how
  std::map<std::string, long> counters;
  std::string message;  // of the last kernel that failed
  CUresult broken = CUDA_SUCCESS;  // an error that stays
  bool initialized = false;
};
extern Device device;

// Holds the lock of the fake while a function of it runs.
extern std::recursive_mutex mutex;
using Guard = std::lock_guard<std::recursive_mutex>;

// What a function needs before it can work.
enum class Needs { NOTHING, DRIVER, CONTEXT };
CUresult enter(const char *function, Needs needs);
int current_device();  // of the current context, which there is

// Makes a handle known, or unknown; `counter` counts those alive.
template <typename T>
T *keep(T *handle, const char *counter);
template <typename T>
bool drop(T *handle, const char *counter);
bool known(const void *handle);
void note(const void *handle, const char *counter, bool alive);

template <typename T>
T *keep(T *handle, const char *counter) {
  note(handle, counter, true);
  return handle;
}
template <typename T>
bool drop(T *handle, const char *counter) {
  if (!known(handle)) return false;
  note(handle, counter, false);
  delete handle;
  return true;
}

// Device memory: where the bytes of a device pointer are, nullptr where they are not all in one allocation.
void *resident(CUdeviceptr pointer, std::size_t bytes);
bool pinned(const void *address, std::size_t bytes);
void free_all();

// Streams. Work is done when something waits for it.
CUresult enqueue(CUstream stream, std::function<void()> work);
void finish(CUstream stream);
void finish_all();
void forget_streams();
void fail(CUresult result, const std::string &message);

// A kernel with its geometry and a copy of its arguments.
struct Launch {
  CUfunction function = nullptr;
  uint3 grid = {}, block = {};
  std::size_t shared = 0;
  std::vector<std::uint64_t> values;
};
CUresult prepare(Launch &launch, CUfunction function, uint3 grid, uint3 block, std::size_t shared, void **parameters,
                 void **extra);
void run(const Launch &launch);
std::size_t most_shared();

}  // namespace fake

// Begins a function of the API.
#define ENTER(needs)                                                    \
  fake::Guard guard(fake::mutex);                                       \
  if (CUresult result = fake::enter(__func__, fake::Needs::needs)) return result
#define API extern "C" __attribute__((visibility("default"))) CUresult
#define CONTROL extern "C" __attribute__((visibility("default")))
