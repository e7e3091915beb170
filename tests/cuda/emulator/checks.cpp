// Ends a launch where the checks that g++ puts into kernels (-fsanitize=alignment,bounds) fail: on a GPU a misaligned
// address is an error, and a vector load has the alignment of its size. Instead of libubsan, under its names.

#include "threads.h"

namespace {

struct Location {
  const char *file;
  unsigned line, column;
};

struct Type {
  std::uint16_t kind, info;
  char name[1];
};

struct Mismatch {
  Location location;
  const Type *type;
  unsigned char log_alignment, kind;
};

struct OutOfBounds {
  Location location;
  const Type *array, *index;
};

}  // namespace

#define HANDLER extern "C" __attribute__((visibility("default"))) void

HANDLER __ubsan_handle_type_mismatch_v1(const Mismatch *data, void *address) {
  if (!address) emulated::fail("a null pointer is followed (line %u)", data->location.line);
  emulated::fail("the address of a %s is no multiple of %u (line %u)", data->type->name, 1u << data->log_alignment,
                 data->location.line);
}

HANDLER __ubsan_handle_out_of_bounds(const OutOfBounds *data, void *index) {
  emulated::fail("index %td is outside of a %s (line %u)", reinterpret_cast<std::ptrdiff_t>(index), data->array->name,
                 data->location.line);
}
