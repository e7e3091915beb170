// What the lanes of a warp do together: shuffles, votes, and products of matrices by the fragments of the PTX ISA.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

#include "state.h"

namespace emulated {

namespace {

constexpr std::uint64_t NOTHING = ~std::uint64_t(0);  // what a lane gets from one that is not there: NaN
constexpr unsigned ALL = 0xffffffff;

struct Shuffled {
  Shuffle kind;
  int lane, width;
  std::uint64_t value, result;
};

const char *run_shuffle(const Lanes &lanes) {
  for (int i = 0; i < static_cast<int>(WARP); ++i) {
    if (!(lanes.mask >> i & 1)) continue;
    auto &own = *static_cast<Shuffled *>(lanes.operands[i]);
    const int first = i / own.width * own.width;  // of the segment
    int from = i;
    switch (own.kind) {
      case Shuffle::INDEX: from = first + (own.lane & (own.width - 1)); break;
      case Shuffle::UP: from = i - own.lane < first ? i : i - own.lane; break;
      case Shuffle::DOWN: from = i + own.lane >= first + own.width ? i : i + own.lane; break;
      case Shuffle::XOR: from = (i ^ own.lane) >= first + own.width ? i : i ^ own.lane; break;
    }
    const bool there = lanes.mask >> from & 1;
    own.result = there ? static_cast<Shuffled *>(lanes.operands[from])->value : NOTHING;
  }
  return nullptr;
}

struct Ballot {
  bool predicate;
  unsigned result;
};

const char *run_ballot(const Lanes &lanes) {
  unsigned result = 0;
  for (unsigned i = 0; i < WARP; ++i)
    if (lanes.mask >> i & 1 && static_cast<Ballot *>(lanes.operands[i])->predicate) result |= 1u << i;
  for (unsigned i = 0; i < WARP; ++i)
    if (lanes.mask >> i & 1) static_cast<Ballot *>(lanes.operands[i])->result = result;
  return nullptr;
}

struct Rows {
  const void *row;
  std::uint32_t *result;
  int matrices;
  bool transposed;
};

// Matrix m has 8 rows of 8 two-byte elements, row r where lane 8m + r says. Lane l gets two neighbours of row l / 4,
// of the matrix or of its transpose.
const char *run_ldmatrix(const Lanes &lanes) {
  auto &first = *static_cast<Rows *>(lanes.operands[0]);
  std::uint16_t matrices[4][8][8];
  for (int i = 0; i < first.matrices * 8; ++i) {
    const void *row = static_cast<Rows *>(lanes.operands[i])->row;
    if (reinterpret_cast<std::uintptr_t>(row) % 16) return "the address of a row is no multiple of 16";
    if (!is_shared(row, 16)) return "a row is not in shared memory";
    std::memcpy(matrices[i / 8][i % 8], row, 16);
  }
  for (int i = 0; i < static_cast<int>(WARP); ++i) {
    auto &own = *static_cast<Rows *>(lanes.operands[i]);
    for (int m = 0; m < first.matrices; ++m) {
      const int r = i / 4, c = i % 4 * 2;
      const std::uint32_t low = first.transposed ? matrices[m][c][r] : matrices[m][r][c];
      const std::uint32_t high = first.transposed ? matrices[m][c + 1][r] : matrices[m][r][c + 1];
      own.result[m] = low | high << 16;
    }
  }
  return nullptr;
}

struct Product {
  float *d;
  const std::uint32_t *a, *b;
};

float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float half_of(std::uint16_t bits) { return __half2float(__half(__half_raw{bits})); }
float bfloat16_of(std::uint16_t bits) { return float_of(std::uint32_t(bits) << 16); }
float tf32_of(std::uint32_t bits) { return float_of(bits & 0xffffe000u); }  // the low 13 bits are not looked at

// Tensor cores add exact products and cut the sum to float32.
float toward_zero(double sum) {
  const float nearest = static_cast<float>(sum);
  return std::isfinite(nearest) && std::fabs(nearest) > std::fabs(sum) ? std::nextafter(nearest, 0.0f) : nearest;
}

template <int DEPTH>
void multiply(const Lanes &lanes, const float (&a)[16][DEPTH], const float (&b)[DEPTH][8]) {
  for (int i = 0; i < static_cast<int>(WARP); ++i) {
    float *d = static_cast<Product *>(lanes.operands[i])->d;
    for (int j = 0; j < 4; ++j) {
      const int row = i / 4 + (j < 2 ? 0 : 8), column = i % 4 * 2 + (j & 1);
      double sum = d[j];
      for (int k = 0; k < DEPTH; ++k) sum += static_cast<double>(a[row][k]) * b[k][column];
      d[j] = toward_zero(sum);
    }
  }
}

template <float (*NUMBER)(std::uint16_t)>
const char *run_m16n8k16(const Lanes &lanes) {
  float a[16][16], b[16][8];
  for (int i = 0; i < static_cast<int>(WARP); ++i) {
    auto &own = *static_cast<Product *>(lanes.operands[i]);
    const int group = i / 4, within = i % 4;
    for (int j = 0; j < 8; ++j) {  // two in a register
      const int row = group + (j / 2 % 2 ? 8 : 0), column = within * 2 + (j & 1) + (j < 4 ? 0 : 8);
      a[row][column] = NUMBER(static_cast<std::uint16_t>(own.a[j / 2] >> (j % 2 * 16)));
    }
    for (int j = 0; j < 4; ++j) {
      const int row = within * 2 + (j & 1) + (j < 2 ? 0 : 8);
      b[row][group] = NUMBER(static_cast<std::uint16_t>(own.b[j / 2] >> (j % 2 * 16)));
    }
  }
  multiply(lanes, a, b);
  return nullptr;
}

const char *run_m16n8k8(const Lanes &lanes) {
  float a[16][8], b[8][8];
  for (int i = 0; i < static_cast<int>(WARP); ++i) {
    auto &own = *static_cast<Product *>(lanes.operands[i]);
    const int group = i / 4, within = i % 4;
    for (int j = 0; j < 4; ++j) a[group + (j % 2 ? 8 : 0)][within + (j < 2 ? 0 : 4)] = tf32_of(own.a[j]);
    for (int j = 0; j < 2; ++j) b[within + j * 4][group] = tf32_of(own.b[j]);
  }
  multiply(lanes, a, b);
  return nullptr;
}

constexpr Collective SHUFFLE{"a shuffle", run_shuffle}, BALLOT{"a vote", run_ballot},
    LDMATRIX{"ldmatrix", run_ldmatrix}, MMA_F16{"mma.m16n8k16.f16", run_m16n8k16<half_of>},
    MMA_BF16{"mma.m16n8k16.bf16", run_m16n8k16<bfloat16_of>}, MMA_TF32{"mma.m16n8k8.tf32", run_m16n8k8};

}  // namespace

std::uint64_t shuffle(Shuffle kind, unsigned mask, std::uint64_t value, int lane, int width) {
  if (width < 1 || width > static_cast<int>(WARP) || width & (width - 1))
    fail("a shuffle's width %d is no power of two up to 32", width);
  Shuffled own{kind, lane, width, value, 0};
  collective(SHUFFLE, mask, static_cast<std::uint64_t>(kind) << 8 | static_cast<unsigned>(width), &own);
  return own.result;
}

unsigned ballot(unsigned mask, bool predicate) {
  Ballot own{predicate, 0};
  collective(BALLOT, mask, 0, &own);
  return own.result;
}

void ldmatrix(std::uint32_t *result, const void *row, int matrices, bool transposed) {
  Rows own{row, result, matrices, transposed};
  collective(LDMATRIX, ALL, static_cast<std::uint64_t>(matrices) << 1 | transposed, &own);
}

void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  Product own{d, a, b};
  collective(MMA_F16, ALL, 0, &own);
}

void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  Product own{d, a, b};
  collective(MMA_BF16, ALL, 0, &own);
}

void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  Product own{d, a, b};
  collective(MMA_TF32, ALL, 0, &own);
}

}  // namespace emulated
