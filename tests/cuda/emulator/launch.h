// Running a kernel: the side of the fake driver.
#pragma once

#include <string>

#include "threads.h"

namespace emulated {

// In which order blocks run, and the threads of a block between two barriers.
enum class Order { FORWARD, BACKWARD, SHUFFLED };
// When an asynchronous copy is done: when it is waited for, when it is given, or either by chance.
enum class Copies { LATE, EARLY, MIXED };

struct Settings {
  Order order = Order::FORWARD;
  Copies copies = Copies::LATE;
  std::uint64_t seed = 1;
};
extern Settings settings;

// Runs all blocks; "" or what went wrong. Not for two threads at a time.
std::string launch(const Kernel &kernel, uint3 grid, uint3 block, std::size_t shared, void **parameters);

}  // namespace emulated
