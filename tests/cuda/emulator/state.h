// What the parts of the emulated multiprocessor share.
#pragma once

#include <unistd.h>

#include <string>
#include <vector>

#include "threads.h"

namespace emulated {

enum class Wait { READY, BARRIER, COLLECTIVE, ACTIVE_MASK, DONE };

struct Copy {
  void *shared;
  const void *global;
  std::size_t bytes;
  bool valid;
};

struct Fiber {
  unsigned index = 0;
  uint3 thread = {};
  void *stack_pointer = nullptr;
  Wait wait = Wait::READY;
  bool vote = false;
  Votes votes = {};
  const Collective *kind = nullptr;
  unsigned mask = 0;
  std::uint64_t key = 0;
  void *operands = nullptr;
  std::vector<std::vector<Copy>> copies;  // by group, oldest first
  std::vector<Copy> open;                 // given, not yet committed
};

struct State {
  std::vector<Fiber> fibers;  // of the block
  Fiber *current = nullptr;   // nullptr while the scheduler runs
  std::string message;        // of the fault that ends the launch
};
extern State state;

// Notes the first fault of a launch; its thread is named where there is one.
void fault(const Fiber *fiber, const std::string &text);
bool by_chance();

// Shared memory of one block.
void begin_shared(std::size_t dynamic);
bool end_shared();  // false where something was written behind an array

}  // namespace emulated
