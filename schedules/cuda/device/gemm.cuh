// Products of matrices by a block of threads: C = A * B in tiles of ROWS x COLUMNS, with A read from channels-last
// tensors as a convolution needs it. Needs primitives.cuh.
//
// Tiles of A and B, DEPTH summands deep, come into shared memory by asynchronous copies, STAGES of them at a time. Their
// rows consist of units of 16 bytes, whose order is permuted from row to row, so that no two threads that read at once
// meet in a bank.
namespace convc {

// How elements are multiplied: bytes of one, the summands of an instruction, and the instruction. Sums are float32.
struct Float16 {
  static constexpr int BYTES = 2, STEP = 16;
  static constexpr bool TENSOR_CORES = true;
  __device__ static __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k16_f16(d, a, b);
  }
};

struct BFloat16 {
  static constexpr int BYTES = 2, STEP = 16;
  static constexpr bool TENSOR_CORES = true;
  __device__ static __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k16_bf16(d, a, b);
  }
};

struct TFloat32 {
  static constexpr int BYTES = 4, STEP = 8;
  static constexpr bool TENSOR_CORES = true;
  __device__ static __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k8_tf32(d, a, b);
  }
};

struct Float32 {
  static constexpr int BYTES = 4, STEP = 4;
  static constexpr bool TENSOR_CORES = false;
};

// A block's tile: ROWS_ x COLUMNS_ outputs by DOWN_ x ACROSS_ warps. The sum, in tiles of DEPTH_ summands, is made in
// SPLITS_ parts by as many blocks. A thread gets VECTOR_ neighbouring outputs at a time. SHARED_ bytes of shared memory.
template <int ROWS_, int COLUMNS_, int DEPTH_, int DOWN_, int ACROSS_, int STAGES_, int SPLITS_, int VECTOR_, int SHARED_>
struct Tile {
  static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, DEPTH = DEPTH_, DOWN = DOWN_, ACROSS = ACROSS_;
  static constexpr int STAGES = STAGES_, SPLITS = SPLITS_, VECTOR = VECTOR_, SHARED = SHARED_;
  static constexpr int THREADS = 32 * DOWN * ACROSS;
  static constexpr int WARP_ROWS = ROWS / DOWN, WARP_COLUMNS = COLUMNS / ACROSS;
  // Floats from one row of the finished tile to the next: eight more, so that the eight rows that a warp writes at once
  // lie in different banks.
  static constexpr int PITCH = COLUMNS + 8;
};

// Where a 16-byte unit of a tile with UNITS of them in a row lies, in bytes. Eight rows that follow each other have the
// same unit in eight different places, modulo the 128 bytes of all banks; with SPREAD 2, four rows have two
// neighbouring units so.
template <int UNITS, int SPREAD>
__device__ __forceinline__ int place(int row, int unit) {
  constexpr int PERIOD = UNITS < 8 ? UNITS : 8;
  const int turn = (row * SPREAD) / (8 / PERIOD) % PERIOD;
  return (row * UNITS + (unit ^ turn)) * 16;
}

// Elements of BYTES bytes that are copied at once from rows of `length` elements, `pitch` from one row to the next.
template <int BYTES>
constexpr int widest(int length, int pitch) {
  int vector = 16 / BYTES;
  while (length % vector != 0 || pitch % vector != 0) vector /= 2;
  return vector;
}

// Begins a copy of BYTES bytes, or zeros; two bytes, which cp.async cannot copy, are there at once.
template <int BYTES>
__device__ __forceinline__ void copy(void *shared, const void *global, bool valid) {
  if constexpr (BYTES >= 4) {
    cp_async<BYTES>(shared, global, valid);
  } else {
    *static_cast<uint16_t *>(shared) = valid ? *static_cast<const uint16_t *>(global) : uint16_t(0);
  }
}

// Four neighbouring floats of shared memory.
__device__ __forceinline__ void read(float *values, const char *from) {
  const float4 vector = *reinterpret_cast<const float4 *>(from);
  values[0] = vector.x, values[1] = vector.y, values[2] = vector.z, values[3] = vector.w;
}

// The left operand of a convolution: a row for each output position (n, y, x), a column for each tap of the window and
// channel. Pixels lie PITCH elements from one to the next. A product of matrices is a convolution over images of one
// pixel.
template <class Element, int BATCH, int HEIGHT, int WIDTH, int CHANNELS, int PITCH, int WINDOW_HEIGHT, int WINDOW_WIDTH,
          int STRIDE_Y, int STRIDE_X, int DILATION_Y, int DILATION_X, int TOP, int LEFT, int OUT_HEIGHT, int OUT_WIDTH>
struct Windows {
  static constexpr int DEPTH = WINDOW_HEIGHT * WINDOW_WIDTH * CHANNELS;
  static constexpr int BYTES = Element::BYTES, VECTOR = widest<BYTES>(CHANNELS, PITCH);
  static constexpr int POSITIONS = OUT_HEIGHT * OUT_WIDTH;
  // Rows follow each other at the same distance.
  static constexpr bool PLAIN = HEIGHT * WIDTH == 1 && DEPTH == CHANNELS && POSITIONS == 1;
  static constexpr bool OUTSIDE = TOP > 0 || LEFT > 0 ||
                                  (OUT_HEIGHT - 1) * STRIDE_Y + (WINDOW_HEIGHT - 1) * DILATION_Y >= HEIGHT ||
                                  (OUT_WIDTH - 1) * STRIDE_X + (WINDOW_WIDTH - 1) * DILATION_X >= WIDTH;

  // Copies tiles of ROWS rows.
  template <class T, int ROWS = T::ROWS>
  struct Loader {
    static constexpr int UNITS = T::DEPTH * BYTES / 16, SIZE = ROWS * UNITS * 16;
    static constexpr int PER_ROW = T::DEPTH / VECTOR, STEP = T::THREADS / PER_ROW;
    static constexpr int PASSES = (ROWS + STEP - 1) / STEP;
    static_assert(T::THREADS % PER_ROW == 0, "whole rows");

    static constexpr int KEPT = PLAIN ? 1 : PASSES;

    const char *source;
    int start, offset[KEPT], y[KEPT], x[KEPT];

    __device__ __forceinline__ Loader(const void *input, int first)
        : source(static_cast<const char *>(input)), start(first + static_cast<int>(threadIdx.x) / PER_ROW) {
#pragma unroll
      for (int pass = 0; pass < KEPT; ++pass) {
        const int row = start + pass * STEP;
        const int n = row / POSITIONS, position = row % POSITIONS;
        y[pass] = position / OUT_WIDTH * STRIDE_Y - TOP;
        x[pass] = position % OUT_WIDTH * STRIDE_X - LEFT;
        offset[pass] = ((n * HEIGHT + y[pass]) * WIDTH + x[pass]) * PITCH;
        // No tap of a row behind the last is inside.
        if (row >= BATCH * POSITIONS) y[pass] = -(1 << 30);
      }
    }

    // Begins to copy the tile of the summands from `k` on.
    __device__ __forceinline__ void load(char *tile, int k) const {
      const int column = static_cast<int>(threadIdx.x) % PER_ROW * VECTOR;
      const int tap = (k + column) / CHANNELS, channel = (k + column) % CHANNELS;
      const int down = tap / WINDOW_WIDTH * DILATION_Y, right = tap % WINDOW_WIDTH * DILATION_X;
      const int moved = (down * WIDTH + right) * PITCH + channel;
      const bool exists = DEPTH % T::DEPTH == 0 || k + column < DEPTH;
#pragma unroll
      for (int pass = 0; pass < PASSES; ++pass) {
        const int row = pass * STEP + static_cast<int>(threadIdx.x) / PER_ROW;
        if (ROWS % STEP && row >= ROWS) break;
        int at = moved;
        bool inside = true;
        if constexpr (PLAIN) {
          inside = BATCH % ROWS == 0 || start + pass * STEP < BATCH;
          at += offset[0] + pass * (STEP * PITCH);
        } else if constexpr (OUTSIDE) {
          inside = static_cast<unsigned>(y[pass] + down) < HEIGHT && static_cast<unsigned>(x[pass] + right) < WIDTH;
          at += offset[pass];
        } else {
          inside = y[pass] >= 0;
          at += offset[pass];
        }
        copy<VECTOR * BYTES>(tile + place<UNITS, 1>(row, column * BYTES / 16) + column * BYTES % 16,
                             source + static_cast<int64_t>(at) * BYTES, inside && exists);
      }
    }
  };

  // What a warp multiplies: the summands of an instruction, of 16 rows, as ldmatrix gives them.
  template <class T>
  __device__ static __forceinline__ void fragment(uint32_t (&a)[4], const char *tile, int row, int unit) {
    const int lane = threadIdx.x % 32;
    ldmatrix_x4(a, tile + place<Loader<T>::UNITS, 1>(row + lane % 16, unit + lane / 16));
  }
};

// The right operand as a convolution's weights are stored: taps and CHANNELS channels x COLUMNS filters, PITCH elements
// from one row to the next. Where the left operand has more channels, LEFT_CHANNELS, it multiplies them by zeros.
template <class Element, int TAPS, int CHANNELS, int LEFT_CHANNELS, int COLUMNS, int PITCH>
struct Filters {
  static constexpr int BYTES = Element::BYTES, VECTOR = widest<BYTES>(COLUMNS, PITCH), UNIT = 16 / BYTES;
  static constexpr int SPREAD = BYTES == 4 ? 2 : 1;

  template <class T>
  struct Loader {
    static constexpr int UNITS = T::COLUMNS / UNIT, SIZE = T::DEPTH * UNITS * 16;
    static constexpr int PER_ROW = T::COLUMNS / VECTOR, STEP = T::THREADS / PER_ROW;
    static constexpr int PASSES = (T::DEPTH + STEP - 1) / STEP;
    static_assert(T::THREADS % PER_ROW == 0, "whole rows");

    const char *source;
    bool exists;

    __device__ __forceinline__ Loader(const void *weights, int first) {
      const int column = first + static_cast<int>(threadIdx.x) % PER_ROW * VECTOR;
      source = static_cast<const char *>(weights) + static_cast<int64_t>(column) * BYTES;
      exists = COLUMNS % T::COLUMNS == 0 || column < COLUMNS;
    }

    __device__ __forceinline__ void load(char *tile, int k) const {
      const int column = static_cast<int>(threadIdx.x) % PER_ROW * VECTOR;
#pragma unroll
      for (int pass = 0; pass < PASSES; ++pass) {
        const int row = pass * STEP + static_cast<int>(threadIdx.x) / PER_ROW;
        if (T::DEPTH % STEP && row >= T::DEPTH) break;
        int at = k + row;
        bool inside = TAPS * LEFT_CHANNELS % T::DEPTH == 0 || at < TAPS * LEFT_CHANNELS;
        if constexpr (LEFT_CHANNELS != CHANNELS) {
          inside = inside && at % LEFT_CHANNELS < CHANNELS;
          at = at / LEFT_CHANNELS * CHANNELS + at % LEFT_CHANNELS;
        }
        copy<VECTOR * BYTES>(tile + place<UNITS, SPREAD>(row, column / UNIT) + column % UNIT * BYTES,
                             source + static_cast<int64_t>(at) * (PITCH * BYTES), inside && exists);
      }
    }
  };

  // The summands of an instruction, from row `k` of the tile on, of the columns of two instructions from `column` on.
  template <class T>
  __device__ static __forceinline__ void fragments(uint32_t (&b)[2][2], const char *tile, int k, int column) {
    constexpr int UNITS = Loader<T>::UNITS;
    const int lane = threadIdx.x % 32;
    if constexpr (BYTES == 2) {
      uint32_t r[4];
      ldmatrix_x4_trans(r, tile + place<UNITS, SPREAD>(k + lane % 16, column / UNIT + lane / 16));
      b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
    } else {
#pragma unroll
      for (int half = 0; half < 4; ++half) {
        const int at = column + half / 2 * 8 + lane / 4;
        b[half / 2][half % 2] = *reinterpret_cast<const uint32_t *>(
            tile + place<UNITS, SPREAD>(k + half % 2 * 4 + lane % 4, at / UNIT) + at % UNIT * 4);
      }
    }
  }

  // Four summands, from row `k` of the tile on, of vectors of four columns, 32 apart, from `column` on.
  template <class T, int VECTORS>
  struct Four {
    const char *tile;
    int k, column;

    __device__ __forceinline__ void summand(float (&b)[VECTORS * 4], int n) const {
#pragma unroll
      for (int j = 0; j < VECTORS; ++j) {
        read(b + j * 4, tile + place<Loader<T>::UNITS, SPREAD>(k + n, column / 4 + j * 8));
      }
    }
  };
};

// A right operand that lies transposed: COLUMNS rows of DEPTH summands, PITCH elements from one to the next.
template <class Element, int DEPTH, int COLUMNS, int PITCH>
struct Transposed {
  using Rows = Windows<Element, COLUMNS, 1, 1, DEPTH, PITCH, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1>;
  static constexpr int BYTES = Element::BYTES;

  template <class T>
  struct Loader : Rows::template Loader<T, T::COLUMNS> {
    using Rows::template Loader<T, T::COLUMNS>::Loader;
  };

  template <class T>
  __device__ static __forceinline__ void fragments(uint32_t (&b)[2][2], const char *tile, int k, int column) {
    const int lane = threadIdx.x % 32, row = column + lane / 16 * 8 + lane % 8;
    uint32_t r[4];
    ldmatrix_x4(r, tile + place<Loader<T>::UNITS, 1>(row, k * BYTES / 16 + lane / 8 % 2));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
  }

  template <class T, int VECTORS>
  struct Four {
    float values[VECTORS * 4][4];

    __device__ __forceinline__ Four(const char *tile, int k, int column) {
#pragma unroll
      for (int j = 0; j < VECTORS * 4; ++j) {
        read(values[j], tile + place<Loader<T>::UNITS, 1>(column + j / 4 * 32 + j % 4, k / 4));
      }
    }

    __device__ __forceinline__ void summand(float (&b)[VECTORS * 4], int n) const {
#pragma unroll
      for (int j = 0; j < VECTORS * 4; ++j) b[j] = values[j][n];
    }
  };
};

// A warp's sums by tensor cores.
template <class Element, class A, class B, class T>
struct TensorCores {
  static constexpr int DOWN = T::WARP_ROWS / 16, ACROSS = T::WARP_COLUMNS / 8;
  static_assert(T::WARP_ROWS % 16 == 0 && T::WARP_COLUMNS % 16 == 0, "whole instructions");
  float sums[DOWN][ACROSS][4] = {};
  const int row, column, lane;

  __device__ __forceinline__ TensorCores()
      : row(threadIdx.x / 32 / T::ACROSS * T::WARP_ROWS),
        column(threadIdx.x / 32 % T::ACROSS * T::WARP_COLUMNS),
        lane(threadIdx.x % 32) {}

  // Adds the products of a stage. `ahead` begins the copies of a later one: their addresses are computed while the first
  // operands are on their way.
  template <class Ahead>
  __device__ __forceinline__ void add(const char *left, const char *right, int, const Ahead &ahead) {
#pragma unroll
    for (int k = 0; k < T::DEPTH; k += Element::STEP) {
      uint32_t a[DOWN][4], b[ACROSS / 2][2][2];
#pragma unroll
      for (int i = 0; i < DOWN; ++i) {
        A::template fragment<T>(a[i], left, row + i * 16, k * Element::BYTES / 16);
        if constexpr (Element::BYTES == 4) round(a[i]);
      }
#pragma unroll
      for (int j = 0; j < ACROSS / 2; ++j) {
        B::template fragments<T>(b[j], right, k, column + j * 16);
        if constexpr (Element::BYTES == 4) {
          round(b[j][0]);
          round(b[j][1]);
        }
      }
      if (k == 0) ahead();
#pragma unroll
      for (int i = 0; i < DOWN; ++i) {
#pragma unroll
        for (int j = 0; j < ACROSS; ++j) Element::multiply(sums[i][j], a[i], b[j / 2][j % 2]);
      }
    }
  }

  __device__ __forceinline__ void finish() {}

  __device__ __forceinline__ void store(float *tile) const {
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
#pragma unroll
      for (int j = 0; j < ACROSS; ++j) {
        float *at = tile + (row + i * 16 + lane / 4) * T::PITCH + column + j * 8 + lane % 4 * 2;
        *reinterpret_cast<float2 *>(at) = make_float2(sums[i][j][0], sums[i][j][1]);
        *reinterpret_cast<float2 *>(at + 8 * T::PITCH) = make_float2(sums[i][j][2], sums[i][j][3]);
      }
    }
  }

 private:
  template <int N>
  __device__ static __forceinline__ void round(uint32_t (&values)[N]) {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = to_tf32(__uint_as_float(values[i]));
  }
};

// A warp's sums by float32 multiply-adds: 4 x 8 lanes, each with RIGHT columns in vectors of four and DOWN rows. Sums
// longer than CHUNK are made of parts of that length, which keeps rounding errors those of a short sum.
template <class A, class B, class T>
struct MultiplyAdds {
  static constexpr int DOWN = T::WARP_ROWS / 4, RIGHT = T::WARP_COLUMNS / 8, CHUNK = 512 / T::DEPTH;
  static_assert(T::WARP_ROWS % 4 == 0 && T::WARP_COLUMNS % 32 == 0, "whole vectors");
  static constexpr bool CHUNKS = (A::DEPTH + T::DEPTH * T::SPLITS - 1) / (T::DEPTH * T::SPLITS) > 2 * CHUNK;
  float sums[DOWN][RIGHT] = {}, totals[DOWN][RIGHT] = {};
  int row, column;

  // Lanes that differ in bit 0 read the same row of A, those that differ in bit 1 the same columns of B: then half a
  // warp's 16-byte reads are served at once.
  __device__ __forceinline__ MultiplyAdds() {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    row = warp / T::ACROSS * T::WARP_ROWS + (lane / 2 % 2) + (lane / 16) * 2;
    column = warp % T::ACROSS * T::WARP_COLUMNS + (lane % 2 + lane / 4 % 4 * 2) * 4;
  }

  template <class Ahead>
  __device__ __forceinline__ void add(const char *left, const char *right, int step, const Ahead &ahead) {
    ahead();
#pragma unroll
    for (int k = 0; k < T::DEPTH; k += 4) {
      float a[DOWN][4];
#pragma unroll
      for (int i = 0; i < DOWN; ++i) read(a[i], left + place<A::template Loader<T>::UNITS, 1>(row + i * 4, k / 4));
      const typename B::template Four<T, RIGHT / 4> four{right, k, column};
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        float b[RIGHT];
        four.summand(b, n);
#pragma unroll
        for (int i = 0; i < DOWN; ++i) {
#pragma unroll
          for (int j = 0; j < RIGHT; ++j) sums[i][j] = fmaf(a[i][n], b[j], sums[i][j]);
        }
      }
    }
    if constexpr (CHUNKS) {
      if (step % CHUNK == CHUNK - 1) total();
    }
  }

  __device__ __forceinline__ void finish() {
    if constexpr (CHUNKS) total();
  }

  __device__ __forceinline__ void store(float *tile) const {
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
#pragma unroll
      for (int j = 0; j < RIGHT; j += 4) {
        const float *from = CHUNKS ? totals[i] + j : sums[i] + j;
        *reinterpret_cast<float4 *>(tile + (row + i * 4) * T::PITCH + column + j * 8) =
            make_float4(from[0], from[1], from[2], from[3]);
      }
    }
  }

 private:
  __device__ __forceinline__ void total() {
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
#pragma unroll
      for (int j = 0; j < RIGHT; ++j) {
        totals[i][j] += sums[i][j];
        sums[i][j] = 0.0f;
      }
    }
  }
};

template <class Element, class A, class B, class T, bool TENSOR_CORES = Element::TENSOR_CORES>
struct Sums : TensorCores<Element, A, B, T> {};
template <class Element, class A, class B, class T>
struct Sums<Element, A, B, T, false> : MultiplyAdds<A, B, T> {};

// The tile of A * B whose first output is (row, column), or the part `split` of its sums, by all threads of the block.
// Thread t finds in out[i * VECTOR + v] row i * THREADS / W + t / W of the tile and column t % W * VECTOR + v, for
// W = COLUMNS / VECTOR: neighbouring threads have neighbouring vectors. What lies outside of the product is not
// meaningful.
template <class Element, class A, class B, class T>
__device__ __forceinline__ void gemm(float *out, const void *left, const void *right, int row, int column, int split) {
  using Left = typename A::template Loader<T>;
  using Right = typename B::template Loader<T>;
  constexpr int STAGE = Left::SIZE + Right::SIZE;
  static_assert(T::STAGES * STAGE <= T::SHARED && T::ROWS * T::PITCH * 4 <= T::SHARED, "shared memory");
  constexpr int ALL = (A::DEPTH + T::DEPTH - 1) / T::DEPTH, PART = (ALL + T::SPLITS - 1) / T::SPLITS;
  extern __shared__ __align__(128) unsigned char convc_shared[];
  char *shared = reinterpret_cast<char *>(convc_shared);

  const Left a(left, row);
  const Right b(right, column);
  Sums<Element, A, B, T> sums;
  const int first = split * PART;
  const int steps = ALL % T::SPLITS == 0 || ALL - first > PART ? PART : ALL - first;
  auto load = [&](int step, int stage) {
    if (step < steps) {
      a.load(shared + stage * STAGE, (first + step) * T::DEPTH);
      b.load(shared + stage * STAGE + Left::SIZE, (first + step) * T::DEPTH);
    }
    cp_async_commit();
  };
#pragma unroll
  for (int step = 0; step < T::STAGES - 1; ++step) load(step, step);
  int stage = 0;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<T::STAGES - 2>();
    // Others' copies are here too, and nobody still reads the stage that is written next.
    __syncthreads();
    sums.add(shared + stage * STAGE, shared + stage * STAGE + Left::SIZE, step,
             [&] { load(step + T::STAGES - 1, stage == 0 ? T::STAGES - 1 : stage - 1); });
    stage = stage == T::STAGES - 1 ? 0 : stage + 1;
  }
  sums.finish();
  // Nobody still reads the stages, where the finished tile comes.
  __syncthreads();
  float *tile = reinterpret_cast<float *>(convc_shared);
  sums.store(tile);
  __syncthreads();
  constexpr int ACROSS = T::COLUMNS / T::VECTOR, DOWN = T::THREADS / ACROSS;
  static_assert(T::THREADS % ACROSS == 0 && T::ROWS % DOWN == 0, "whole rows");
#pragma unroll
  for (int pass = 0; pass < T::ROWS / DOWN; ++pass) {
    const float *from = tile + (pass * DOWN + static_cast<int>(threadIdx.x) / ACROSS) * T::PITCH +
                        static_cast<int>(threadIdx.x) % ACROSS * T::VECTOR;
#pragma unroll
    for (int v = 0; v < T::VECTOR; ++v) out[pass * T::VECTOR + v] = from[v];
  }
}

}  // namespace convc
