// What kernels see of the machine that runs them: one block at a time, each CUDA thread a fiber of one host thread.
#pragma once

#include <vector_functions.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

extern uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {

constexpr unsigned WARP = 32;

// A kernel of a module; `sizes` and `pointers` have an entry for each parameter.
struct Kernel {
  const char *name;
  void (*call)(void **parameters);
  int count;
  const std::size_t *sizes;
  const bool *pointers;
  unsigned bound;  // most threads per block, 0: unbounded
};

template <typename... A>
struct Parameters {
  static constexpr std::size_t sizes[sizeof...(A) + 1] = {sizeof(A)..., 0};
  static constexpr bool pointers[sizeof...(A) + 1] = {std::is_pointer_v<A>..., false};
};

template <auto F>
struct Entry;

template <typename... A, void (*F)(A...)>
struct Entry<F> {
  template <std::size_t... I>
  static void spread(void **parameters, std::index_sequence<I...>) {
    F(*static_cast<A *>(parameters[I])...);
  }
  static void call(void **parameters) { spread(parameters, std::index_sequence_for<A...>()); }
  static constexpr Kernel kernel(const char *name, unsigned bound) {
    return {name, call, sizeof...(A), Parameters<A...>::sizes, Parameters<A...>::pointers, bound};
  }
};

// Ends the launch with that message, which the kernel's, block's and thread's names come before. For kernels only.
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Where a __shared__ array of a kernel is: a new place, filled with NaN, in each block.
class Shared {
 public:
  template <typename T>
  T &get(std::size_t align) {
    if (epoch_ != block()) place(sizeof(T), align > alignof(T) ? align : alignof(T));
    return *static_cast<T *>(memory_);
  }

 private:
  static std::uint64_t block();
  void place(std::size_t bytes, std::size_t align);
  std::uint64_t epoch_ = 0;
  void *memory_ = nullptr;
};

void *dynamic_shared();
bool is_shared(const void *address, std::size_t bytes);

// All threads of a block wait here; `vote` gives what __syncthreads_count, _and and _or need.
struct Votes {
  int count, threads;
};
Votes barrier(bool vote = false);

// What the lanes of a warp do together. `run` gets, for each lane of the mask, what it gave as operands.
struct Lanes {
  unsigned mask;
  void *operands[WARP];
};
struct Collective {
  const char *name;
  const char *(*run)(const Lanes &);  // nullptr, or what is wrong
};

// Waits until all lanes of `mask` are here, with the same mask and `key`, and `kind` was run for all of them.
void collective(const Collective &kind, unsigned mask, std::uint64_t key, void *operands);
unsigned active_mask();
unsigned lane();
unsigned lanes();  // of the warp, those that the block has

// Asynchronous copies of the thread: `valid` false fills with zeros and does not read `global`.
void copy(void *shared, const void *global, std::size_t bytes, bool valid);
void commit_copies();
void wait_for_copies(std::size_t newest);  // all but that many of the newest groups

// Fragments of a warp, by the layouts of the PTX ISA.
void ldmatrix(std::uint32_t *result, const void *row, int matrices, bool transposed);
void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

// Shuffles of up to 8 bytes; `from` is computed by the kind of shuffle.
enum class Shuffle { INDEX, UP, DOWN, XOR };
std::uint64_t shuffle(Shuffle kind, unsigned mask, std::uint64_t value, int lane, int width);
unsigned ballot(unsigned mask, bool predicate);

}  // namespace emulated
