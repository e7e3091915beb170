// Device memory, pinned memory and copies. A device pointer is an address without access: only kernels and copies get
// to the bytes, which lie elsewhere, between addresses without access.

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "fake.h"

namespace fake {

namespace {

constexpr std::size_t PAGE = 4096, ALIGNMENT = 256, GUARD = 1 << 20;
constexpr int NOTHING = 0xff;

struct Allocation {
  char *reserved, *mapping;  // for the device pointer, and for the bytes
  std::size_t mapped;        // bytes with access, behind GUARD without
  char *bytes;
  std::size_t size;
  int device;
};

// Pinned memory of the host.
struct Pinned {
  std::size_t size;
  int device;
};

std::map<CUdeviceptr, Allocation> allocations;
std::map<const char *, Pinned> host;

// The one that the address is in, or right behind; end() where there is none.
template <typename M, typename K>
typename M::iterator around(M &made, K address) {
  auto found = made.upper_bound(address);
  if (found == made.begin()) return made.end();
  --found;
  return static_cast<std::size_t>(address - found->first) <= found->second.size ? found : made.end();
}

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

// Whether the bytes with access before and behind it are as they were.
bool intact(const Allocation &made) {
  auto untouched = [](const char *begin, const char *end) {
    return std::all_of(begin, end, [](char byte) { return static_cast<unsigned char>(byte) == NOTHING; });
  };
  const char *first = made.mapping + GUARD;
  return untouched(first, made.bytes) && untouched(made.bytes + made.size, first + made.mapped);
}

void release(std::map<CUdeviceptr, Allocation>::iterator found) {
  const Allocation &made = found->second;
  if (!intact(made)) {
    ++device.counters["overruns"];
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, "device memory is written outside of an allocation");
  }
  munmap(made.reserved, made.mapped + 2 * GUARD);
  munmap(made.mapping, made.mapped + 2 * GUARD);
  --device.counters["allocations"];
  device.counters["bytes"] -= static_cast<long>(made.size);
  allocations.erase(found);
}

CUresult copy_now(void *to, const void *from, std::size_t bytes) {
  if (!to || !from) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(to, from, bytes);
  ++device.counters["copies"];
  return CUDA_SUCCESS;
}

void freed_too_early() { fail(CUDA_ERROR_ILLEGAL_ADDRESS, "a copy's memory was freed before it was done"); }

// What a copy between these finds when it is done: an address of the host is as it is.
CUresult copy_later(CUstream stream, CUdeviceptr to, CUdeviceptr from, std::size_t bytes, bool to_host,
                    bool from_host) {
  if ((!to_host && !resident(to, bytes)) || (!from_host && !resident(from, bytes))) return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, [=] {
    void *target = to_host ? reinterpret_cast<void *>(to) : resident(to, bytes);
    const void *source = from_host ? reinterpret_cast<const void *>(from) : resident(from, bytes);
    if (copy_now(target, source, bytes)) freed_too_early();
  });
}

CUdeviceptr address(const void *pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

CUresult set(CUstream stream, CUdeviceptr to, std::uint32_t value, std::size_t width, std::size_t count) {
  if (!resident(to, count * width)) return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, [=] {
    auto *target = static_cast<char *>(resident(to, count * width));
    if (!target) return fail(CUDA_ERROR_ILLEGAL_ADDRESS, "memory was freed before it was set");
    for (std::size_t i = 0; i < count; ++i) std::memcpy(target + i * width, &value, width);
  });
}

}  // namespace

void *resident(CUdeviceptr pointer, std::size_t bytes) {
  if (pinned(reinterpret_cast<const void *>(pointer), bytes)) return reinterpret_cast<void *>(pointer);
  auto found = around(allocations, pointer);
  if (found == allocations.end()) return nullptr;
  const std::size_t offset = pointer - found->first;
  return bytes <= found->second.size - offset ? found->second.bytes + offset : nullptr;
}

bool pinned(const void *pointer, std::size_t bytes) {
  auto at = static_cast<const char *>(pointer);
  auto found = around(host, at);
  return found != host.end() && bytes <= found->second.size - static_cast<std::size_t>(at - found->first);
}

void free_all() {
  while (!allocations.empty()) release(allocations.begin());
  for (auto &[memory, made] : host) std::free(const_cast<char *>(memory));
  host.clear();
}

}  // namespace fake

using fake::device;

API cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
  ENTER(CONTEXT);
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  if (device.counters["bytes"] + static_cast<long>(bytes) > device.memory) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::size_t mapped = fake::rounded(bytes, fake::PAGE), whole = mapped + 2 * fake::GUARD;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *reserved = mmap(nullptr, whole, PROT_NONE, flags, -1, 0);
  void *mapping = mmap(nullptr, whole, PROT_NONE, flags, -1, 0);
  if (reserved == MAP_FAILED || mapping == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  char *inside = static_cast<char *>(mapping) + fake::GUARD;
  if (mprotect(inside, mapped, PROT_READ | PROT_WRITE)) return CUDA_ERROR_OUT_OF_MEMORY;
  std::memset(inside, fake::NOTHING, mapped);
  // At the end, as far as its alignment permits.
  const std::size_t offset = fake::GUARD + mapped - fake::rounded(bytes, fake::ALIGNMENT);
  auto *begin = static_cast<char *>(mapping);
  *pointer = fake::address(reserved) + offset;
  fake::allocations[*pointer] = {static_cast<char *>(reserved), begin, mapped, begin + offset, bytes,
                                 fake::current_device()};
  ++device.counters["allocations"];
  device.counters["bytes"] += static_cast<long>(bytes);
  return CUDA_SUCCESS;
}

API cuMemFree_v2(CUdeviceptr pointer) {
  ENTER(CONTEXT);
  if (!pointer) return CUDA_SUCCESS;
  auto found = fake::allocations.find(pointer);
  if (found == fake::allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  fake::finish_all();
  fake::release(found);
  return device.broken;
}

API cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER(CONTEXT);
  *total = static_cast<size_t>(device.memory);
  *free = static_cast<size_t>(device.memory - device.counters["bytes"]);
  return CUDA_SUCCESS;
}

API cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  ENTER(CONTEXT);
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  *pointer = std::aligned_alloc(fake::PAGE, fake::rounded(bytes, fake::PAGE));
  if (!*pointer) return CUDA_ERROR_OUT_OF_MEMORY;
  std::memset(*pointer, fake::NOTHING, bytes);
  fake::host[static_cast<char *>(*pointer)] = {bytes, fake::current_device()};
  ++device.counters["pinned"];
  return CUDA_SUCCESS;
}

API cuMemAllocHost_v2(void **pointer, size_t bytes) {
  ENTER(CONTEXT);
  return cuMemHostAlloc(pointer, bytes, 0);
}

API cuMemFreeHost(void *pointer) {
  ENTER(CONTEXT);
  auto found = fake::host.find(static_cast<char *>(pointer));
  if (found == fake::host.end()) return CUDA_ERROR_INVALID_VALUE;
  fake::finish_all();
  std::free(pointer);
  fake::host.erase(found);
  --device.counters["pinned"];
  return device.broken;
}

API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  ENTER(CONTEXT);
  if (fake::pinned(from, bytes)) return fake::copy_later(stream, to, fake::address(from), bytes, false, true);
  // What is not pinned is read before the function returns.
  auto begin = static_cast<const char *>(from);
  auto staged = std::make_shared<std::vector<char>>(begin, begin + bytes);
  if (!fake::resident(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return fake::enqueue(stream, [=] {
    if (fake::copy_now(fake::resident(to, bytes), staged->data(), bytes)) fake::freed_too_early();
  });
}

API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  ENTER(CONTEXT);
  if (CUresult result = fake::copy_later(stream, fake::address(to), from, bytes, true, false)) return result;
  // What is not pinned is written before the function returns.
  if (!fake::pinned(to, bytes)) fake::finish(stream);
  return device.broken;
}

API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  ENTER(CONTEXT);
  return fake::copy_later(stream, to, from, bytes, false, false);
}

API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  ENTER(CONTEXT);
  if (CUresult result = fake::copy_later(nullptr, to, fake::address(from), bytes, false, true)) return result;
  fake::finish(nullptr);
  return device.broken;
}

API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  ENTER(CONTEXT);
  if (CUresult result = fake::copy_later(nullptr, fake::address(to), from, bytes, true, false)) return result;
  fake::finish(nullptr);
  return device.broken;
}

API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  ENTER(CONTEXT);
  return fake::copy_later(nullptr, to, from, bytes, false, false);
}

API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  ENTER(CONTEXT);
  return fake::set(stream, to, value, 1, count);
}

API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  ENTER(CONTEXT);
  return fake::set(stream, to, value, 4, count);
}

API cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  ENTER(CONTEXT);
  return fake::set(nullptr, to, value, 1, count);
}

API cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr pointer) {
  ENTER(DRIVER);
  const auto host = fake::around(fake::host, reinterpret_cast<const char *>(pointer));
  const auto made = fake::around(fake::allocations, pointer);
  const bool pinned = host != fake::host.end();
  if (!pinned && made == fake::allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned *>(value) = pinned ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int *>(value) = pinned ? host->second.device : made->second.device;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *static_cast<int *>(value) = 0; return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
}
