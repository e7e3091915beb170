// Fibers, barriers and the order of threads. One launch at a time; its state is global.

#include "threads.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <numeric>
#include <random>
#include <vector>

#include "launch.h"
#include "state.h"

uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {

Settings settings;
State state;

namespace {

constexpr std::size_t STACK = 256 << 10, PAGE = 4096;

// Saves the registers that a callee keeps on the stack, stores its pointer, and goes on where `to` was stored.
extern "C" void emulated_switch(void **from, void *to);
asm(R"(
.text
.globl emulated_switch
.hidden emulated_switch
.type emulated_switch, @function
emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulated_switch, .-emulated_switch
)");

const Kernel *kernel;
void **arguments;
void *scheduler;  // its stack pointer while a fiber runs
std::mt19937_64 random_source;

void to_scheduler() {
  Fiber *fiber = state.current;
  state.current = nullptr;
  emulated_switch(&fiber->stack_pointer, scheduler);
}

void body() {
  kernel->call(arguments);
  state.current->wait = Wait::DONE;
  to_scheduler();
  __builtin_unreachable();
}

char *stack_of(unsigned index) {
  static std::vector<char *> stacks;
  while (stacks.size() <= index) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *memory = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE)) std::abort();
    stacks.push_back(static_cast<char *>(memory) + PAGE);
  }
  return stacks[index];
}

void prepare(unsigned index) {
  Fiber &fiber = state.fibers[index];
  fiber = Fiber();
  fiber.index = index;
  fiber.thread = make_uint3(index % blockDim.x, index / blockDim.x % blockDim.y, index / blockDim.x / blockDim.y);
  // What emulated_switch pops: six registers and the return address; a function begins 8 bytes off 16.
  void **top = reinterpret_cast<void **>(stack_of(index) + STACK) - 1;
  *--top = reinterpret_cast<void *>(body);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.stack_pointer = top;
}

void resume(Fiber &fiber) {
  threadIdx = fiber.thread;
  state.current = &fiber;
  emulated_switch(&scheduler, fiber.stack_pointer);
}

const char *where(Wait wait) {
  switch (wait) {
    case Wait::DONE: return "has returned";
    case Wait::BARRIER: return "waits at __syncthreads";
    case Wait::COLLECTIVE: return "waits at a warp's operation";
    case Wait::ACTIVE_MASK: return "waits at __activemask";
    default: return "runs";
  }
}

std::string name_of(const Fiber &fiber) {
  char text[64];
  std::snprintf(text, sizeof text, "thread (%u, %u, %u)", fiber.thread.x, fiber.thread.y, fiber.thread.z);
  return text;
}

// Lets go all lanes of the warp that wait at one operation and have all of its mask there. False after a fault.
bool run_collective(Fiber *warp, unsigned threads, Fiber &first) {
  Lanes lanes{first.mask, {}};
  for (unsigned i = 0; i < WARP; ++i) {
    if (!(first.mask >> i & 1)) continue;
    if (i >= threads) {
      fault(&first, std::string(first.kind->name) + " names lane " + std::to_string(i) + ", which the block has not");
      return false;
    }
    Fiber &lane = warp[i];
    if (lane.wait != Wait::COLLECTIVE || lane.kind != first.kind || lane.mask != first.mask || lane.key != first.key) {
      std::string other = where(lane.wait);
      if (lane.wait == Wait::COLLECTIVE)
        other = lane.kind == first.kind ? "has other operands" : std::string("waits at ") + lane.kind->name;
      fault(&first, std::string(first.kind->name) + " diverges: " + name_of(lane) + " " + other);
      return false;
    }
    lanes.operands[i] = lane.operands;
  }
  if (const char *wrong = first.kind->run(lanes)) {
    fault(&first, std::string(first.kind->name) + ": " + wrong);
    return false;
  }
  for (unsigned i = 0; i < WARP; ++i)
    if (first.mask >> i & 1) warp[i].wait = Wait::READY;
  return true;
}

// Lets lanes of the warp go on that wait for each other, where none of them runs. False after a fault.
bool release_warp(Fiber *warp, unsigned threads) {
  unsigned active = 0;
  for (unsigned i = 0; i < threads; ++i)
    if (warp[i].wait == Wait::ACTIVE_MASK) active |= 1u << i;
  if (active) {
    for (unsigned i = 0; i < threads; ++i)
      if (active >> i & 1) warp[i].mask = active, warp[i].wait = Wait::READY;
    return true;
  }
  for (unsigned i = 0; i < threads; ++i)
    if (warp[i].wait == Wait::COLLECTIVE && !run_collective(warp, threads, warp[i])) return false;
  return true;
}

// Runs each lane of the warp until it waits, and lets those go on that wait for each other. False after a fault.
bool step_warp(Fiber *warp, unsigned threads) {
  unsigned lanes[WARP];
  std::iota(lanes, lanes + threads, 0u);
  if (settings.order == Order::BACKWARD) std::reverse(lanes, lanes + threads);
  if (settings.order == Order::SHUFFLED) std::shuffle(lanes, lanes + threads, random_source);
  for (unsigned i = 0; i < threads; ++i) {
    if (warp[lanes[i]].wait == Wait::READY) resume(warp[lanes[i]]);
    if (!state.message.empty()) return false;
  }
  return release_warp(warp, threads);
}

// Runs the block until all its threads wait at a barrier or have returned; false after a fault. A warp runs as far as
// it can before the next one does: what it reads of that one's, without a barrier, is not there yet.
bool run_phase() {
  const auto threads = static_cast<unsigned>(state.fibers.size());
  std::deque<unsigned> starts;
  for (unsigned start = 0; start < threads; start += WARP) starts.push_back(start);
  if (settings.order == Order::BACKWARD) std::reverse(starts.begin(), starts.end());
  if (settings.order == Order::SHUFFLED) std::shuffle(starts.begin(), starts.end(), random_source);
  while (!starts.empty()) {
    const unsigned start = starts.front(), size = std::min(WARP, threads - start);
    Fiber *warp = &state.fibers[start];
    if (!step_warp(warp, size)) return false;
    const bool ready = std::any_of(warp, warp + size, [](const Fiber &lane) { return lane.wait == Wait::READY; });
    if (ready && (settings.order != Order::SHUFFLED || by_chance())) continue;
    starts.pop_front();
    if (ready) starts.push_back(start);
  }
  return true;
}

Fiber *first(Wait wait) {
  auto &fibers = state.fibers;
  auto found = std::find_if(fibers.begin(), fibers.end(), [=](const Fiber &fiber) { return fiber.wait == wait; });
  return found == fibers.end() ? nullptr : &*found;
}

bool run_block() {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  state.fibers.resize(threads);
  for (unsigned i = 0; i < threads; ++i) prepare(i);
  for (;;) {
    if (!run_phase()) return false;
    const Fiber *waiting = first(Wait::BARRIER), *done = first(Wait::DONE);
    if (!waiting) return true;
    if (done) {
      fault(waiting, "__syncthreads diverges: " + name_of(*done) + " has returned");
      return false;
    }
    int votes = 0;
    for (const Fiber &fiber : state.fibers) votes += fiber.vote;
    for (Fiber &fiber : state.fibers) fiber.wait = Wait::READY, fiber.votes = {votes, static_cast<int>(threads)};
  }
}

// A fault of the kernel's own code ends the launch: the handler goes on in `broken`, on a stack of its own.
alignas(64) char handler_stack[64 << 10], broken_stack[64 << 10];
int broken_signal;
struct sigaction previous[3];
constexpr int SIGNALS[3] = {SIGSEGV, SIGBUS, SIGFPE};
volatile pid_t launching;

void broken() {
  fail(broken_signal == SIGFPE ? "an integer is divided by zero" : "an illegal address is accessed");
}

void handle(int signal, siginfo_t *, void *context) {
  if (launching != gettid() || !state.current) {  // not a kernel's fault: as before
    for (int i = 0; i < 3; ++i) sigaction(SIGNALS[i], &previous[i], nullptr);
    return;
  }
  broken_signal = signal;
  auto &registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
  registers[REG_RIP] = reinterpret_cast<greg_t>(broken);
  registers[REG_RSP] = reinterpret_cast<greg_t>(broken_stack + sizeof broken_stack - 8);
}

// Handles signals while it lives.
class Signals {
 public:
  Signals() {
    stack_t stack{};
    stack.ss_sp = handler_stack, stack.ss_size = sizeof handler_stack;
    sigaltstack(&stack, &stack_);
    struct sigaction action {};
    action.sa_sigaction = handle;
    // The handler is left by going on elsewhere, so the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < 3; ++i) sigaction(SIGNALS[i], &action, &previous[i]);
    launching = gettid();
  }
  ~Signals() {
    launching = 0;
    for (int i = 0; i < 3; ++i) sigaction(SIGNALS[i], &previous[i], nullptr);
    sigaltstack(&stack_, nullptr);
  }

 private:
  stack_t stack_;
};

}  // namespace

void fault(const Fiber *fiber, const std::string &text) {
  if (!state.message.empty()) return;
  char block[64];
  std::snprintf(block, sizeof block, ", block (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
  const std::string thread = fiber ? ", " + name_of(*fiber) : "";
  state.message = std::string("kernel ") + kernel->name + block + thread + ": " + text;
}

void fail(const char *format, ...) {
  char text[256];
  va_list rest;
  va_start(rest, format);
  std::vsnprintf(text, sizeof text, format, rest);
  va_end(rest);
  fault(state.current, text);
  to_scheduler();
  __builtin_unreachable();
}

unsigned lane() { return state.current->index % WARP; }

unsigned lanes() {
  const std::size_t threads = state.fibers.size() - state.current->index / WARP * WARP;
  return threads < WARP ? (1u << threads) - 1 : ~0u;
}

Votes barrier(bool vote) {
  Fiber *fiber = state.current;
  fiber->vote = vote;
  fiber->wait = Wait::BARRIER;
  to_scheduler();
  return fiber->votes;
}

void collective(const Collective &kind, unsigned mask, std::uint64_t key, void *operands) {
  Fiber *fiber = state.current;
  if (!(mask >> lane() & 1)) fail("%s: the mask 0x%x lacks the thread's own lane %u", kind.name, mask, lane());
  fiber->kind = &kind, fiber->mask = mask, fiber->key = key, fiber->operands = operands;
  fiber->wait = Wait::COLLECTIVE;
  to_scheduler();
}

unsigned active_mask() {
  Fiber *fiber = state.current;
  fiber->wait = Wait::ACTIVE_MASK;
  to_scheduler();
  return fiber->mask;
}

// The first of so many blocks, and how far it is from one to the next, modulo their number.
std::pair<std::uint64_t, std::uint64_t> order_of(std::uint64_t blocks) {
  if (settings.order == Order::FORWARD) return {0, 1};
  if (settings.order == Order::BACKWARD) return {blocks - 1, blocks - 1};
  std::uint64_t step = random_source() % blocks + 1;
  while (std::gcd(step, blocks) != 1) ++step;
  return {random_source() % blocks, step};
}

bool by_chance() { return random_source() & 1; }

std::string launch(const Kernel &what, uint3 grid, uint3 block, std::size_t shared, void **parameters) {
  Signals signals;
  kernel = &what, arguments = parameters;
  gridDim = grid, blockDim = block;
  random_source.seed(settings.seed);
  state.message.clear();
  const std::uint64_t blocks = std::uint64_t(grid.x) * grid.y * grid.z;
  const auto [first, step] = order_of(blocks);
  for (std::uint64_t i = 0, at = first; i < blocks; ++i, at = (at + step) % blocks) {
    const auto row = static_cast<unsigned>(at / grid.x);
    blockIdx = make_uint3(static_cast<unsigned>(at % grid.x), row % grid.y, row / grid.y);
    begin_shared(shared);
    if (!run_block()) return state.message;
    if (!end_shared()) {
      fault(nullptr, "shared memory is written behind an array's end");
      return state.message;
    }
  }
  return "";
}

}  // namespace emulated
