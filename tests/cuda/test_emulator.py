"""The emulator itself: a CUDA kernel computes what it would on a GPU, and its faults are found."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.cuda.emulator import Copies, KernelError, Kernels, Order
from tests.cuda.emulator.source import prepare
from tests.cuda.emulator_support import ONE, bfloat16, nan, normal, run, widened

pytestmark = pytest.mark.usefixtures("emulated")


SUMS = """
extern "C" __global__ void __launch_bounds__(128) k(const float* __restrict__ x, float* __restrict__ y) {
  alignas(16) __shared__ float part[128];
  part[threadIdx.x] = x[blockIdx.x * 128 + threadIdx.x];
  __syncthreads();
  for (int step = 64; step; step >>= 1) {
    if (threadIdx.x < step) part[threadIdx.x] += part[threadIdx.x + step];
    BARRIER
  }
  if (threadIdx.x == 0) y[blockIdx.x] = part[0];
}
"""


@pytest.mark.parametrize("order", Order)
def test_threads_meet_at_barriers(order: Order) -> None:
    x, y = normal(5, 128), nan(5)
    Kernels(SUMS.replace("BARRIER", "__syncthreads();")).launch("k", (5, 1, 1), (128, 1, 1), 0, [x, y], order)
    np.testing.assert_allclose(y, x.sum(1), rtol=1e-4)


def test_a_missing_barrier_shows() -> None:
    """In one order or another: in these sums, where the threads that are added run later."""
    kernels = Kernels(SUMS.replace("BARRIER", ""))
    wrong = []
    for order in Order:
        x, y = normal(5, 128), nan(5)
        kernels.launch("k", (5, 1, 1), (128, 1, 1), 0, [x, y], order)
        wrong.append(not np.allclose(y, x.sum(1), rtol=1e-4))
    assert any(wrong)


def test_blocks_that_need_each_other_show() -> None:
    """No block may read what another writes: only some order of blocks gives what it expects."""
    source = 'extern "C" __global__ void k(float *x) { x[blockIdx.x + 1] = x[blockIdx.x] + 1; }'
    kernels, results = Kernels(source), []
    for order in Order:
        x = np.zeros(8, np.float32)
        kernels.launch("k", (7, 1, 1), ONE, 0, [x], order)
        results.append(x.tolist())
    assert results[0] == list(range(8))
    assert results[1] == [0, *[1] * 7]
    assert results[2] not in results[:2]


def test_a_missing_barrier_before_a_warps_operation_shows() -> None:
    """A warp runs on through its own operations while another has not begun."""
    source = """
    extern "C" __global__ void k(const unsigned short *x, unsigned *y) {
      __shared__ __align__(16) unsigned short s[2][64];
      for (int i = 0; i < 2; ++i) s[threadIdx.x / 32][threadIdx.x % 32 * 2 + i] = x[threadIdx.x * 2 + i];
      __syncwarp();
      unsigned r[2];
      convc::ldmatrix_x2(r, s[threadIdx.x / 8 % 2] + threadIdx.x % 8 * 8);
      y[threadIdx.x] = r[0], y[64 + threadIdx.x] = r[1];
    }"""
    x = np.random.default_rng(7).integers(0, 1000, 128).astype(np.uint16)
    kernels = Kernels(source)
    for order, missing in ((Order.FORWARD, slice(64, 96)), (Order.BACKWARD, slice(32, 64))):
        y = np.zeros(128, np.uint32)
        kernels.launch("k", ONE, (64, 1, 1), 0, [x, y], order)
        want = np.tile(x.view(np.uint32).reshape(2, 1, 32), (1, 2, 1)).reshape(128)
        want[missing] = 0xFFFFFFFF
        assert np.array_equal(y, want)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x < 16) __syncthreads();", r"thread \(0, 0, 0\): __syncthreads diverges: .* has returned"),
        ("if (threadIdx.x == 3) return; __syncthreads();", r"diverges: thread \(3, 0, 0\) has returned"),
        ("if (threadIdx.x < 16) __syncthreads(); else __syncwarp();", "a vote diverges"),
        ("if (threadIdx.x < 16) __shfl_sync(0xffffffff, 1, 0);", "a shuffle diverges"),
        ("__shfl_sync(0xffff, 1, 0);", "lacks the thread's own lane 16"),
        ("__shfl_xor_sync(0xffffffff, 1, 1, threadIdx.x < 16 ? 8 : 16);", "has other operands"),
        ("x[64] = 1;", "an illegal address is accessed"),
        ("x[0] = 100 / (int)(threadIdx.x / 40);", "an integer is divided by zero"),
        ("*(float4 *)(x + 1) = make_float4(1, 2, 3, 4);", "the address of a 'struct float4' is no multiple of 16"),
        ("__shared__ float s[8]; s[threadIdx.x] = 1;", r"index 8 is outside of a 'float \[8\]'"),
        ("__shared__ float s[8]; float *p = s; p[threadIdx.x] = 1;", "written behind an array's end"),
        ("__shared__ float s[12289]; s[threadIdx.x] = 1;", "more than 48 KiB"),
        ("__trap();", "__trap is called"),
        ("extern __shared__ float s[]; s[1024] = 1;", "an illegal address is accessed"),
    ],
)
def test_faults(body: str, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        run(f'extern "C" __global__ void k(float *x) {{ {body} }}', normal(64), shared=4096)


def test_what_a_launch_may_not_ask_for() -> None:
    source = 'extern "C" __global__ void __launch_bounds__(64) k(float *x) { x[0] = 1; }'
    run(source, nan(1), threads=64)
    with pytest.raises(KernelError, match=r"cuLaunchKernel gives 1$"):
        run(source, nan(1), threads=96)
    with pytest.raises(KernelError, match=r"cuFuncSetAttribute gives 1$"):
        run(source, nan(1), shared=228 << 10)


def test_declarations_that_are_not_understood() -> None:
    with pytest.raises(ValueError, match="does not understand: int \\*__shared__ x"):
        prepare("int *__shared__ x;")


def test_shuffles() -> None:
    source = """
    extern "C" __global__ void k(const float *x, float *y, int width, int by) {
      const float v = x[threadIdx.x];
      y[threadIdx.x] = __shfl_sync(0xffffffffu, v, by, width);
      y[32 + threadIdx.x] = __shfl_up_sync(0xffffffffu, v, by, width);
      y[64 + threadIdx.x] = __shfl_down_sync(0xffffffffu, v, by, width);
      y[96 + threadIdx.x] = __shfl_xor_sync(0xffffffffu, v, by, width);
    }"""
    for width, by in product((8, 16, 32), (0, 1, 3, 8, 31)):
        x, y = normal(32), nan(4, 32)
        run(source, x, y, width, by)
        lanes = np.arange(32)
        first = lanes // width * width
        up, down, other = lanes - by, lanes + by, lanes ^ by
        sources = [
            first + by % width,
            np.where(up < first, lanes, up),
            np.where(down >= first + width, lanes, down),
            np.where(other >= first + width, lanes, other),
        ]
        assert np.array_equal(y, x[np.array(sources)])


def test_lanes_that_are_not_there_give_nan() -> None:
    source = """
    extern "C" __global__ void k(float *y) {
      if (threadIdx.x >= 20) return;
      const unsigned mask = __activemask();
      y[threadIdx.x] = __shfl_down_sync(mask, (float)threadIdx.x, 8, 32);
      y[32 + threadIdx.x] = (float)__popc(mask);
    }"""
    y = np.zeros((2, 32), np.float32)
    run(source, y)
    np.testing.assert_array_equal(y[0, :20], [*range(8, 20), *[np.nan] * 8])
    assert (y[1, :20] == 20).all()


def test_votes() -> None:
    source = """
    extern "C" __global__ void k(int *y) {
      const int t = threadIdx.x;
      if (t < 32) {
        y[0] = __ballot_sync(0xffffffffu, t % 3 == 0);
        y[1] = __any_sync(0xffffffffu, t == 5), y[2] = __all_sync(0xffffffffu, t < 40);
      }
      y[3] = __syncthreads_count(t % 2), y[4] = __syncthreads_or(t == 50), y[5] = __syncthreads_and(t < 50);
    }"""
    y = np.full(6, -1, np.int32)
    run(source, y, threads=60)
    assert y.tolist() == [sum(1 << t for t in range(0, 31, 3)), 1, 1, 30, 1, 0]


def test_atomics() -> None:
    source = """
    extern "C" __global__ void k(const int *x, int *counts, float *sum, int *most) {
      atomicAdd(&counts[x[threadIdx.x]], 1), atomicAdd(sum, 0.5f), atomicMax(most, x[threadIdx.x]);
    }"""
    x = np.random.default_rng(7).integers(0, 10, 200).astype(np.int32)
    counts, total, most = np.zeros(10, np.int32), np.zeros(1, np.float32), np.zeros(1, np.int32)
    run(source, x, counts, total, most, threads=200)
    assert np.array_equal(counts, np.bincount(x, minlength=10))
    assert total[0] == 100
    assert most[0] == x.max()


def test_indices_vectors_and_dynamic_memory() -> None:
    """Blocks and threads of three dimensions reverse 4 numbers at a time through shared memory."""
    source = """
    extern __shared__ __align__(128) unsigned char convc_shared[];
    extern "C" __global__ void k(const float *x, float *y) {
      const int threads = blockDim.x * blockDim.y * blockDim.z;
      const int t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
      const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
      float4 *all = reinterpret_cast<float4 *>(convc_shared);
      all[t] = *(float4 *)(x + (block * threads + t) * 4);
      __syncthreads();
      const float4 v = all[threads - 1 - t];
      *(float4 *)(y + (block * threads + t) * 4) = make_float4(v.w, v.z, v.y, v.x);
    }"""
    x, y = normal(24, 24 * 4), nan(24, 24 * 4)
    Kernels(source).launch("k", (2, 3, 4), (4, 3, 2), 24 * 16, [x, y])
    assert np.array_equal(y, x[:, ::-1])


def test_sixteen_bits() -> None:
    source = """
    extern "C" __global__ void k(const half *a, const nv_bfloat16 *b, half *c, nv_bfloat16 *d, float *e) {
      const int i = threadIdx.x;
      c[i] = (half)((float)a[i] * 3.0f), d[i] = (nv_bfloat16)((float)b[i] + 1.0f);
      const half2 two = *(const half2 *)(a + i / 2 * 2);
      e[i] = __half2float(two.x) + __half2float(two.y) + max(1.0f, 2.0f) + (float)(a[i] > half(0) ? a[i] : half(0));
    }"""
    a = normal(32).astype(np.float16)
    b = bfloat16(normal(32))
    c, d, e = np.zeros_like(a), np.zeros_like(b), nan(32)
    run(source, a, b, c, d, e)
    wide = a.astype(np.float32)
    assert np.array_equal(c, (wide * 3).astype(np.float16))
    assert np.array_equal(d, bfloat16(widened(b) + 1))
    np.testing.assert_allclose(e, wide.reshape(-1, 2).sum(1).repeat(2) + 2 + np.maximum(wide, 0), rtol=1e-6)


COPIES = """
extern "C" __global__ void k(const float *x, float *y) {
  __shared__ __align__(16) float s[3][128];
  for (int i = 0; i < 3; ++i) {
    convc::cp_async<16>(&s[i][threadIdx.x * 4], x + i * 128 + threadIdx.x * 4, threadIdx.x < 30);
    convc::cp_async_commit();
  }
  WAIT
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) y[i * 128 + j * 32 + threadIdx.x] = s[i][j * 32 + threadIdx.x];
}
"""


def test_copies_that_are_waited_for() -> None:
    source = COPIES.replace("WAIT", "convc::cp_async_wait<0>(); __syncthreads();")
    x = normal(3, 128)
    for order, copies in product(Order, Copies):
        y = nan(3, 128)
        # What is not valid is not read: the last two threads' sources do not exist.
        Kernels(source).launch("k", ONE, (32, 1, 1), 0, [x, y], order, copies)
        assert np.array_equal(y[:, :120], x[:, :120])
        assert not y[:, 120:].any()


def test_copies_of_the_newest_groups_are_not_done() -> None:
    y = nan(3, 128)
    run(COPIES.replace("WAIT", "convc::cp_async_wait<1>(); __syncthreads();"), normal(3, 128), y)
    assert np.isnan(y[2]).all()
    assert not np.isnan(y[:2]).any()


def test_copies_of_other_threads_need_a_barrier() -> None:
    y = nan(3, 128)
    run(COPIES.replace("WAIT", "convc::cp_async_wait<0>();"), normal(3, 128), y)
    assert np.isnan(y).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cp_async<16>(s + 4, x, true)", "shared address is no multiple of 16"),
        ("cp_async<8>(s, x + 1, true)", "global address is no multiple of 8"),
        ("cp_async<4>(x, x, true)", "destination is not in shared memory"),
        ("cp_async<4>(s, s, true)", "source is in shared memory"),
        ("ldmatrix_x4(r, s + 8)", "no multiple of 16"),
        ("ldmatrix_x4(r, x)", "not in shared memory"),
        ("if (threadIdx.x) ldmatrix_x4(r, s)", "ldmatrix diverges"),
    ],
)
def test_faults_of_primitives(call: str, message: str) -> None:
    source = f"""
    using namespace convc;
    extern "C" __global__ void k(float *x) {{
      __shared__ __align__(16) char s[1024];
      uint32_t r[4];
      {call};
    }}"""
    with pytest.raises(KernelError, match=message):
        run(source, normal(64))
