// Devices, contexts, errors, and what tests set and count.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>

#include "fake.h"

namespace fake {

Device device;
std::recursive_mutex mutex;

namespace {

std::set<const void *> handles;
std::map<int, CUctx_st> contexts;
thread_local std::vector<CUcontext> current;

const std::map<CUresult, std::pair<const char *, const char *>> ERRORS = {
    {CUDA_SUCCESS, {"CUDA_SUCCESS", "no error"}},
    {CUDA_ERROR_INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {CUDA_ERROR_OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {CUDA_ERROR_NOT_INITIALIZED, {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"}},
    {CUDA_ERROR_NO_DEVICE, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
    {CUDA_ERROR_INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
    {CUDA_ERROR_INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}},
    {CUDA_ERROR_INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {CUDA_ERROR_NO_BINARY_FOR_GPU,
     {"CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"}},
    {CUDA_ERROR_INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
    {CUDA_ERROR_NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {CUDA_ERROR_NOT_READY, {"CUDA_ERROR_NOT_READY", "device not ready"}},
    {CUDA_ERROR_ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
    {CUDA_ERROR_LAUNCH_FAILED, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
    {CUDA_ERROR_NOT_SUPPORTED, {"CUDA_ERROR_NOT_SUPPORTED", "operation not supported"}},
    {CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
     {"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"}},
    {CUDA_ERROR_UNKNOWN, {"CUDA_ERROR_UNKNOWN", "unknown error"}},
};

bool is_device(int ordinal) { return 0 <= ordinal && ordinal < device.devices; }

}  // namespace

CUresult enter(const char *function, Needs needs) {
  ++device.counters[function];
  auto failing = device.failing.find(function);
  if (failing != device.failing.end() && --failing->second.first == 0) {
    CUresult result = failing->second.second;
    device.failing.erase(failing);
    return result;
  }
  if (needs != Needs::NOTHING && !device.initialized) return CUDA_ERROR_NOT_INITIALIZED;
  if (needs == Needs::CONTEXT && (current.empty() || !current.back() || !current.back()->retained))
    return CUDA_ERROR_INVALID_CONTEXT;
  return needs == Needs::CONTEXT ? device.broken : CUDA_SUCCESS;
}

int current_device() { return current.back()->device; }

bool known(const void *handle) { return handles.count(handle); }

void note(const void *handle, const char *counter, bool alive) {
  if (alive)
    handles.insert(handle);
  else
    handles.erase(handle);
  device.counters[counter] += alive ? 1 : -1;
}

void fail(CUresult result, const std::string &message) {
  device.message = message;
  if (!device.broken) device.broken = result;
  std::fprintf(stderr, "emulated CUDA: %s\n", message.c_str());
}

std::size_t most_shared() {
  const long capability = device.capability;
  return (capability >= 90 && capability < 120 ? 227 : capability == 80 || capability == 87 ? 163 : 99) << 10;
}

}  // namespace fake

using fake::device;

API cuInit(unsigned) {
  ENTER(NOTHING);
  if (!device.devices) return CUDA_ERROR_NO_DEVICE;
  device.initialized = true;
  return CUDA_SUCCESS;
}

API cuDriverGetVersion(int *version) {
  ENTER(NOTHING);
  *version = static_cast<int>(device.driver_version);
  return CUDA_SUCCESS;
}

API cuGetErrorName(CUresult error, const char **text) {
  auto found = fake::ERRORS.find(error);
  *text = found == fake::ERRORS.end() ? nullptr : found->second.first;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API cuGetErrorString(CUresult error, const char **text) {
  auto found = fake::ERRORS.find(error);
  *text = found == fake::ERRORS.end() ? nullptr : found->second.second;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API cuDeviceGetCount(int *count) {
  ENTER(DRIVER);
  *count = static_cast<int>(device.devices);
  return CUDA_SUCCESS;
}

API cuDeviceGet(CUdevice *result, int ordinal) {
  ENTER(DRIVER);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *result = ordinal;
  return CUDA_SUCCESS;
}

API cuDeviceGetName(char *name, int length, CUdevice ordinal) {
  ENTER(DRIVER);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(name, static_cast<std::size_t>(length), "%s", device.name.c_str());
  return CUDA_SUCCESS;
}

API cuDeviceTotalMem_v2(size_t *bytes, CUdevice ordinal) {
  ENTER(DRIVER);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *bytes = static_cast<size_t>(device.memory);
  return CUDA_SUCCESS;
}

API cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice ordinal) {
  ENTER(DRIVER);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = 48 << 10; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = static_cast<int>(fake::most_shared()); break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = emulated::WARP; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 1; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = static_cast<int>(device.capability / 10); break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = static_cast<int>(device.capability % 10); break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *value = 1; break;
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS: *value = static_cast<int>(device.pageable); break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice ordinal) {
  ENTER(DRIVER);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  *context = &fake::contexts[ordinal];
  (*context)->device = ordinal;
  ++(*context)->retained;
  ++device.counters["contexts"];
  return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
  ENTER(DRIVER);
  if (!fake::is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
  CUctx_st &context = fake::contexts[ordinal];
  if (!context.retained) return CUDA_ERROR_INVALID_CONTEXT;
  --device.counters["contexts"];
  --context.retained;
  return CUDA_SUCCESS;
}
#undef cuDevicePrimaryCtxRelease
API cuDevicePrimaryCtxRelease(CUdevice ordinal) {
  ENTER(DRIVER);
  return cuDevicePrimaryCtxRelease_v2(ordinal);
}

API cuCtxPushCurrent_v2(CUcontext context) {
  ENTER(DRIVER);
  if (!context || !context->retained) return CUDA_ERROR_INVALID_CONTEXT;
  fake::current.push_back(context);
  return CUDA_SUCCESS;
}

API cuCtxPopCurrent_v2(CUcontext *context) {
  ENTER(DRIVER);
  if (fake::current.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (context) *context = fake::current.back();
  fake::current.pop_back();
  return CUDA_SUCCESS;
}

API cuCtxSetCurrent(CUcontext context) {
  ENTER(DRIVER);
  if (!fake::current.empty()) fake::current.pop_back();
  if (context) fake::current.push_back(context);
  return CUDA_SUCCESS;
}

API cuCtxGetCurrent(CUcontext *context) {
  ENTER(DRIVER);
  *context = fake::current.empty() ? nullptr : fake::current.back();
  return CUDA_SUCCESS;
}

API cuCtxGetDevice(CUdevice *ordinal) {
  ENTER(CONTEXT);
  *ordinal = fake::current_device();
  return CUDA_SUCCESS;
}

API cuCtxSynchronize() {
  ENTER(CONTEXT);
  fake::finish_all();
  return device.broken;
}

CONTROL void fake_cuda_reset() {
  fake::Guard guard(fake::mutex);
  fake::finish_all();
  fake::forget_streams();
  fake::free_all();
  fake::handles.clear();
  fake::contexts.clear();
  fake::current.clear();
  device = fake::Device();
  emulated::settings = emulated::Settings();
}

// False for an unknown name.
CONTROL bool fake_cuda_set(const char *what, long value) {
  fake::Guard guard(fake::mutex);
  const std::map<std::string, long *> numbers = {{"devices", &device.devices},
                                                 {"driver_version", &device.driver_version},
                                                 {"capability", &device.capability},
                                                 {"memory", &device.memory},
                                                 {"pageable", &device.pageable}};
  auto number = numbers.find(what);
  if (number != numbers.end())
    *number->second = value;
  else if (!std::strcmp(what, "order"))
    emulated::settings.order = static_cast<emulated::Order>(value);
  else if (!std::strcmp(what, "copies"))
    emulated::settings.copies = static_cast<emulated::Copies>(value);
  else if (!std::strcmp(what, "seed"))
    emulated::settings.seed = static_cast<std::uint64_t>(value);
  else
    return false;
  return true;
}

CONTROL void fake_cuda_name(const char *name) {
  fake::Guard guard(fake::mutex);
  device.name = name;
}

// The `call`-th call from now on, 1 for the next, gives `result` and does nothing.
CONTROL void fake_cuda_fail(const char *function, long call, int result) {
  fake::Guard guard(fake::mutex);
  device.failing[function] = {call, static_cast<CUresult>(result)};
}

// A counter, or how often a function was called, by its name.
CONTROL long fake_cuda_get(const char *what) {
  fake::Guard guard(fake::mutex);
  auto found = device.counters.find(what);
  return found == device.counters.end() ? 0 : found->second;
}

CONTROL const char *fake_cuda_message() {
  fake::Guard guard(fake::mutex);
  return device.message.c_str();
}
