"""Emulated tensor cores: fragments lie where the PTX ISA says, and products of matrices are NumPy's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convc.ir import Array
from tests.cuda.emulator_support import bfloat16, nan, normal, run, widened

pytestmark = pytest.mark.usefixtures("emulated")


@pytest.mark.parametrize(("matrices", "transposed"), list(product((2, 4), (False, True))))
def test_ldmatrix(matrices: int, transposed: bool) -> None:
    """Lane 8m + r has the address of row r of matrix m; lane l gets elements 2 (l % 4) and the next of row l / 4."""
    source = f"""
    extern "C" __global__ void k(const unsigned short *x, unsigned *y) {{
      __shared__ __align__(16) unsigned short s[{matrices} * 64];
      for (int i = threadIdx.x; i < {matrices} * 64; i += 32) s[i] = x[i];
      __syncthreads();
      unsigned r[{matrices}];
      convc::ldmatrix_x{matrices}{"_trans" * transposed}(r, s + threadIdx.x % ({matrices} * 8) * 8);
      for (int m = 0; m < {matrices}; ++m) y[m * 32 + threadIdx.x] = r[m];
    }}"""
    x = np.random.default_rng(7).permutation(matrices * 64).astype(np.uint16).reshape(matrices, 8, 8)
    y = np.zeros((matrices, 32), np.uint32)
    run(source, x, y)
    assert np.array_equal(y.view(np.uint16).reshape(matrices, 8, 8), x.transpose(0, 2, 1) if transposed else x)


# Fragments by the formulas of the PTX ISA, "Matrix Fragments for mma.m16n8k16" and "… mma.m16n8k8".
PRODUCT_16 = """
extern "C" __global__ void k(const unsigned short *a, const unsigned short *b, float *c) {
  const int group = threadIdx.x >> 2, within = threadIdx.x % 4;
  unsigned short af[8], bf[4];
  for (int i = 0; i < 8; ++i) {
    const int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
    af[i] = a[row * 16 + within * 2 + (i & 1) + (i >= 4 ? 8 : 0)];
  }
  for (int i = 0; i < 4; ++i) bf[i] = b[(within * 2 + (i & 1) + (i >= 2 ? 8 : 0)) * 8 + group];
  unsigned ar[4], br[2];
  memcpy(ar, af, 16), memcpy(br, bf, 8);
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(group + (i < 2 ? 0 : 8)) * 8 + within * 2 + (i & 1)];
  convc::mma_m16n8k16_TYPE(d, ar, br);
  for (int i = 0; i < 4; ++i) c[(group + (i < 2 ? 0 : 8)) * 8 + within * 2 + (i & 1)] = d[i];
}
"""

PRODUCT_8 = """
extern "C" __global__ void k(const float *a, const float *b, float *c) {
  const int group = threadIdx.x >> 2, within = threadIdx.x % 4;
  unsigned ar[4], br[2];
  for (int i = 0; i < 4; ++i)
    ar[i] = convc::to_tf32(a[(i == 0 || i == 2 ? group : group + 8) * 8 + within + (i < 2 ? 0 : 4)]);
  for (int i = 0; i < 2; ++i) br[i] = convc::to_tf32(b[(within + i * 4) * 8 + group]);
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(group + (i < 2 ? 0 : 8)) * 8 + within * 2 + (i & 1)];
  convc::mma_m16n8k8_tf32(d, ar, br);
  for (int i = 0; i < 4; ++i) c[(group + (i < 2 ? 0 : 8)) * 8 + within * 2 + (i & 1)] = d[i];
}
"""


def tf32(values: Array) -> Array:
    """To 10 bits behind the point, ties away from zero."""
    return ((values.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32)


@pytest.mark.parametrize("kind", ["f16", "bf16", "tf32"])
def test_products_of_matrices(kind: str) -> None:
    depth = 8 if kind == "tf32" else 16
    a, b, c = normal(16, depth), normal(depth, 8), normal(16, 8, seed=1)
    if kind == "f16":
        stored = [a.astype(np.float16), b.astype(np.float16)]
        wide = [value.astype(np.float64) for value in stored]
    elif kind == "bf16":
        stored = [bfloat16(a), bfloat16(b)]
        wide = [widened(value).astype(np.float64) for value in stored]
    else:
        stored = [a, b]
        wide = [tf32(value).astype(np.float64) for value in stored]
    want = c + wide[0] @ wide[1]
    run(PRODUCT_8 if kind == "tf32" else PRODUCT_16.replace("TYPE", kind), *stored, c)
    # One rounding toward zero, of less than one unit in the last place.
    np.testing.assert_allclose(c, want, rtol=2**-23, atol=0)
    assert (np.abs(c) <= np.abs(want)).all()


def test_products_from_shared_memory() -> None:
    """As a kernel does it: both operands row by row in shared memory, the right one read transposed."""
    source = """
    extern "C" __global__ void k(const half *a, const half *b, float *c) {
      __shared__ __align__(16) half sa[16 * 16];
      __shared__ __align__(16) half sb[16 * 8];
      for (int i = threadIdx.x; i < 32; i += 32) convc::cp_async<16>(sa + i * 8, a + i * 8, true);
      convc::cp_async<16>(sb + threadIdx.x % 16 * 8, b + threadIdx.x % 16 * 8, true);
      convc::cp_async_commit();
      convc::cp_async_wait<0>();
      __syncthreads();
      unsigned ar[4], br[2];
      convc::ldmatrix_x4(ar, sa + threadIdx.x % 16 * 16 + threadIdx.x / 16 * 8);
      convc::ldmatrix_x2_trans(br, sb + threadIdx.x % 16 * 8);
      float d[4] = {};
      convc::mma_m16n8k16_f16(d, ar, br);
      for (int i = 0; i < 4; ++i) c[(threadIdx.x / 4 + i / 2 * 8) * 8 + threadIdx.x % 4 * 2 + i % 2] = d[i];
    }"""
    a, b, c = normal(16, 16).astype(np.float16), normal(16, 8).astype(np.float16), nan(16, 8)
    run(source, a, b, c)
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - want) <= 2**-22 * np.linalg.norm(want)
