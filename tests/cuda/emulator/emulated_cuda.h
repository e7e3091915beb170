// CUDA C on the CPU: put before a kernel's source, which source.py prepares, it lets g++ compile it.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdio>

#include "threads.h"

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __launch_bounds__
#undef __forceinline__
#undef __noinline__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __noinline__
#define __grid_constant__

// Threads and warps.
constexpr int warpSize = emulated::WARP;
inline void __syncthreads() { emulated::barrier(); }
inline int __syncthreads_count(int predicate) { return emulated::barrier(predicate != 0).count; }
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
inline int __syncthreads_and(int predicate) {
  const emulated::Votes votes = emulated::barrier(predicate != 0);
  return votes.count == votes.threads;
}
inline unsigned __activemask() { return emulated::active_mask(); }
inline unsigned __ballot_sync(unsigned mask, int predicate) { return emulated::ballot(mask, predicate != 0); }
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
inline void __syncwarp(unsigned mask = 0xffffffff) { emulated::ballot(mask & emulated::lanes(), false); }
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace emulated {
template <typename T>
T shuffled(Shuffle kind, unsigned mask, T value, int lane, int width) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t), "a shuffle moves up to 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = shuffle(kind, mask, bits, lane, width);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace emulated

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return emulated::shuffled(emulated::Shuffle::INDEX, mask, value, lane, width);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return emulated::shuffled(emulated::Shuffle::UP, mask, value, static_cast<int>(delta), width);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return emulated::shuffled(emulated::Shuffle::DOWN, mask, value, static_cast<int>(delta), width);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
  return emulated::shuffled(emulated::Shuffle::XOR, mask, value, lanes, width);
}

// Memory: threads run one at a time, so plain accesses are atomic.
template <typename T>
T __ldg(const T *address) {
  return *address;
}
template <typename T>
T __ldcs(const T *address) {
  return *address;
}
template <typename T>
T __ldcg(const T *address) {
  return *address;
}
template <typename T>
void __stcs(T *address, T value) {
  *address = value;
}
template <typename T>
void __stcg(T *address, T value) {
  *address = value;
}
template <typename T>
T atomicExch(T *address, T value) {
  return std::exchange(*address, value);
}
template <typename T>
T atomicAdd(T *address, T value) {
  return std::exchange(*address, static_cast<T>(*address + value));
}
template <typename T>
T atomicMax(T *address, T value) {
  return std::exchange(*address, std::max(*address, value));
}
template <typename T>
T atomicMin(T *address, T value) {
  return std::exchange(*address, std::min(*address, value));
}
template <typename T>
T atomicCAS(T *address, T expected, T value) {
  return std::exchange(*address, *address == expected ? value : *address);
}

// Numbers. max and min of floats are the other operand where one is NaN.
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
template <typename T, typename U, typename = std::enable_if_t<std::is_integral_v<T> && std::is_integral_v<U>>>
std::common_type_t<T, U> max(T a, U b) {
  return a < b ? b : a;
}
template <typename T, typename U, typename = std::enable_if_t<std::is_integral_v<T> && std::is_integral_v<U>>>
std::common_type_t<T, U> min(T a, U b) {
  return b < a ? b : a;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __exp10f(float x) { return std::pow(10.0f, x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __log10f(float x) { return std::log10(x); }
inline float __sinf(float x) { return std::sin(x); }
inline float __cosf(float x) { return std::cos(x); }
inline float __tanf(float x) { return std::tan(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float __saturatef(float x) { return std::fmin(std::fmax(x, 0.0f), 1.0f); }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __float2int_rd(float x) { return static_cast<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return static_cast<int>(std::ceil(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned x, unsigned y) { return static_cast<unsigned>(std::uint64_t(x) * y >> 32); }
inline int __mulhi(int x, int y) { return static_cast<int>(std::int64_t(x) * y >> 32); }

namespace emulated {
template <typename T, typename U>
T same_bits(U value) {
  static_assert(sizeof(T) == sizeof(U), "the bits of a number of the same size");
  T result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}
}  // namespace emulated
inline int __float_as_int(float x) { return emulated::same_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulated::same_bits<unsigned>(x); }
inline float __int_as_float(int x) { return emulated::same_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulated::same_bits<float>(x); }

[[noreturn]] inline void __trap() { emulated::fail("__trap is called"); }

// The device primitives of convc, in place of those in PTX.
#define CONVC_PRIMITIVES
namespace convc {

using std::uint32_t;

template <int BYTES>
void cp_async(void *shared, const void *global, bool valid) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "a copy has 4, 8 or 16 bytes");
  emulated::copy(shared, global, BYTES, valid);
}
inline void cp_async_commit() { emulated::commit_copies(); }
template <int N>
void cp_async_wait() {
  emulated::wait_for_copies(N);
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void *row) { emulated::ldmatrix(r, row, 4, false); }
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) { emulated::ldmatrix(r, row, 4, true); }
inline void ldmatrix_x2(uint32_t (&r)[2], const void *row) { emulated::ldmatrix(r, row, 2, false); }
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row) { emulated::ldmatrix(r, row, 2, true); }

inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulated::mma_f16(d, a, b);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulated::mma_bf16(d, a, b);
}
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  emulated::mma_tf32(d, a, b);
}

// To the nearest number of 10 bits behind the point, halves away from zero.
inline uint32_t to_tf32(float value) {
  const uint32_t bits = __float_as_uint(value);
  return std::isfinite(value) ? (bits + 0x1000u) & 0xffffe000u : bits;
}

}  // namespace convc
