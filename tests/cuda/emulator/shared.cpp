// Shared memory of a block, and the copies into it that a thread does not wait for.

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "launch.h"
#include "state.h"

namespace emulated {

namespace {

constexpr std::size_t STATIC = 48 << 10, DYNAMIC = 256 << 10, PAGE = 4096;
constexpr std::size_t BEHIND = 128;  // bytes behind an array that stay as they are
constexpr int NOTHING = 0xff;        // NaN as float, half and bfloat16, -1 as an integer

// Memory that a page without access follows.
struct Arena {
  explicit Arena(std::size_t bytes) : size(bytes) {
    void *memory = mmap(nullptr, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(static_cast<char *>(memory) + bytes, PAGE, PROT_NONE)) std::abort();
    begin = static_cast<char *>(memory);
  }
  bool has(const void *address, std::size_t bytes) const {
    auto at = static_cast<const char *>(address);
    return begin <= at && at + bytes <= begin + size;
  }
  char *begin;
  std::size_t size;
};

Arena fixed(2 * STATIC), dynamic(DYNAMIC);
std::uint64_t epoch;
std::size_t used, counted;              // of `fixed`, with and without what lies behind the arrays
char *dynamic_begin, *dynamic_end;
std::vector<std::pair<char *, char *>> untouched;

char *behind(char *end, std::size_t bytes) {
  std::memset(end, NOTHING, bytes);
  untouched.emplace_back(end, end + bytes);
  return end + bytes;
}

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

void finish(const Copy &copy) {
  if (copy.valid)
    std::memcpy(copy.shared, copy.global, copy.bytes);
  else
    std::memset(copy.shared, 0, copy.bytes);
}

}  // namespace

void begin_shared(std::size_t bytes) {
  ++epoch;
  used = counted = 0;
  untouched.clear();
  // At the end of its arena, as far as its alignment permits.
  dynamic_begin = dynamic.begin + (DYNAMIC - rounded(bytes, 1024));
  dynamic_end = dynamic_begin + bytes;
  std::memset(dynamic_begin, NOTHING, bytes);
  behind(dynamic_end, dynamic.begin + DYNAMIC - dynamic_end);
}

bool end_shared() {
  auto is_nothing = [](char byte) { return static_cast<unsigned char>(byte) == NOTHING; };
  return std::all_of(untouched.begin(), untouched.end(),
                     [=](auto range) { return std::all_of(range.first, range.second, is_nothing); });
}

std::uint64_t Shared::block() { return epoch; }

void Shared::place(std::size_t bytes, std::size_t align) {
  counted = rounded(counted, align) + bytes;
  if (counted > STATIC) fail("static __shared__ arrays take %zu bytes, more than 48 KiB", counted);
  char *begin = fixed.begin + rounded(used, align);
  if (begin + bytes + BEHIND > fixed.begin + fixed.size) fail("too many static __shared__ arrays for the emulator");
  std::memset(begin, NOTHING, bytes);
  used = behind(begin + bytes, BEHIND) - fixed.begin;
  memory_ = begin, epoch_ = epoch;
}

void *dynamic_shared() { return dynamic_begin; }

bool is_shared(const void *address, std::size_t bytes) {
  auto at = static_cast<const char *>(address);
  return (dynamic_begin <= at && at + bytes <= dynamic_end) || fixed.has(address, bytes);
}

void copy(void *shared, const void *global, std::size_t bytes, bool valid) {
  auto aligned = [=](const void *address) { return reinterpret_cast<std::uintptr_t>(address) % bytes == 0; };
  if (!aligned(shared)) fail("cp_async: the shared address is no multiple of %zu", bytes);
  if (!is_shared(shared, bytes)) fail("cp_async: the destination is not in shared memory");
  if (valid && !aligned(global)) fail("cp_async: the global address is no multiple of %zu", bytes);
  if (valid && is_shared(global, bytes)) fail("cp_async: the source is in shared memory");
  Copy given{shared, global, bytes, valid};
  if (settings.copies == Copies::EARLY || (settings.copies == Copies::MIXED && by_chance()))
    finish(given);
  else
    state.current->open.push_back(given);
}

void commit_copies() {
  Fiber *fiber = state.current;
  fiber->copies.push_back(std::move(fiber->open));
  fiber->open.clear();
}

void wait_for_copies(std::size_t newest) {
  auto &groups = state.current->copies;
  if (groups.size() <= newest) return;
  const auto end = groups.end() - static_cast<std::ptrdiff_t>(newest);
  for (auto group = groups.begin(); group != end; ++group)
    for (const Copy &given : *group) finish(given);
  groups.erase(groups.begin(), end);
}

}  // namespace emulated
