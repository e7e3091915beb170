// Modules and launches. An image is text: a line "emulated CUDA", the path of the compiled kernels, and a line of the
// architectures that it is for, such as "sm_80 sm_90 compute_90"; where that is empty it is for all.

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "fake.h"

namespace fake {

namespace {

bool runs_here(const std::string &architectures) {
  std::istringstream words(architectures);
  std::string word;
  bool any = false;
  while (words >> word) {
    any = true;
    const long version = std::atol(word.c_str() + word.find('_') + 1), here = device.capability;
    const bool binary = word.rfind("sm_", 0) == 0;
    if (binary ? version / 10 == here / 10 && version <= here : version <= here) return true;
  }
  return !any;
}

// A handle as an argument: where the bytes are that a device pointer is for. Null stays null.
bool translate(std::uint64_t &value) {
  if (!value) return true;
  void *memory = resident(value, 0);
  value = reinterpret_cast<std::uint64_t>(memory);
  return memory != nullptr;
}

}  // namespace

CUresult prepare(Launch &launch, CUfunction function, uint3 grid, uint3 block, std::size_t shared, void **parameters,
                 void **extra) {
  if (!known(function)) return CUDA_ERROR_INVALID_HANDLE;
  const emulated::Kernel &kernel = *function->kernel;
  const std::uint64_t threads = std::uint64_t(block.x) * block.y * block.z;
  if (!threads || threads > 1024 || block.z > 64 || !grid.x || !grid.y || !grid.z) return CUDA_ERROR_INVALID_VALUE;
  if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return CUDA_ERROR_INVALID_VALUE;
  if (kernel.bound && threads > kernel.bound) return CUDA_ERROR_INVALID_VALUE;
  if (shared > function->shared || extra || (kernel.count && !parameters)) return CUDA_ERROR_INVALID_VALUE;
  launch = {function, grid, block, shared, {}};
  for (int i = 0; i < kernel.count; ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, parameters[i], kernel.sizes[i]);
    launch.values.push_back(value);
  }
  return CUDA_SUCCESS;
}

void run(const Launch &launch) {
  const emulated::Kernel &kernel = *launch.function->kernel;
  auto values = launch.values;
  std::vector<void *> parameters;
  for (int i = 0; i < kernel.count; ++i) {
    if (kernel.pointers[i] && !translate(values[static_cast<std::size_t>(i)]))
      return fail(CUDA_ERROR_ILLEGAL_ADDRESS,
                  std::string("kernel ") + kernel.name + ": parameter " + std::to_string(i) + " is no device pointer");
    parameters.push_back(&values[static_cast<std::size_t>(i)]);
  }
  ++device.counters["launches"];
  const std::string wrong = emulated::launch(kernel, launch.grid, launch.block, launch.shared, parameters.data());
  if (!wrong.empty()) {
    const bool address = wrong.find("illegal address") != std::string::npos;
    fail(address ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED, wrong);
  }
}

}  // namespace fake

API cuModuleLoadData(CUmodule *module, const void *image) {
  ENTER(CONTEXT);
  std::istringstream text(static_cast<const char *>(image));
  std::string magic, path, architectures;
  std::getline(text, magic), std::getline(text, path), std::getline(text, architectures);
  if (magic != "emulated CUDA") return CUDA_ERROR_INVALID_IMAGE;
  if (!fake::runs_here(architectures)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::fprintf(stderr, "emulated CUDA: %s\n", dlerror());
    return CUDA_ERROR_INVALID_IMAGE;
  }
  auto *kernel = static_cast<const emulated::Kernel *>(dlsym(library, "emulated_kernels"));
  if (!kernel) return CUDA_ERROR_INVALID_IMAGE;
  *module = fake::keep(new CUmod_st, "modules");
  (*module)->library = library;
  for (; kernel->name; ++kernel) {
    auto function = std::make_unique<CUfunc_st>();
    function->kernel = kernel;
    (*module)->functions[kernel->name] = std::move(function);
  }
  return CUDA_SUCCESS;
}

API cuModuleUnload(CUmodule module) {
  ENTER(CONTEXT);
  if (!fake::known(module)) return CUDA_ERROR_INVALID_HANDLE;
  fake::finish_all();
  for (auto &[name, function] : module->functions)
    if (fake::known(function.get())) fake::note(function.get(), "functions", false);
  dlclose(module->library);
  fake::drop(module, "modules");
  return CUDA_SUCCESS;
}

API cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  ENTER(CONTEXT);
  if (!fake::known(module)) return CUDA_ERROR_INVALID_HANDLE;
  auto found = module->functions.find(name);
  if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *function = found->second.get();
  if (!fake::known(*function)) fake::note(*function, "functions", true);
  return CUDA_SUCCESS;
}

API cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  ENTER(CONTEXT);
  if (!fake::known(function)) return CUDA_ERROR_INVALID_HANDLE;
  if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) return CUDA_SUCCESS;
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_ERROR_INVALID_VALUE;
  if (value < 0 || static_cast<std::size_t>(value) > fake::most_shared()) return CUDA_ERROR_INVALID_VALUE;
  function->shared = static_cast<std::size_t>(value);
  return CUDA_SUCCESS;
}

API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **parameters,
                   void **extra) {
  ENTER(CONTEXT);
  fake::Launch launch;
  if (CUresult result = fake::prepare(launch, function, make_uint3(grid_x, grid_y, grid_z),
                                      make_uint3(block_x, block_y, block_z), shared, parameters, extra))
    return result;
  return fake::enqueue(stream, [launch] { fake::run(launch); });
}
