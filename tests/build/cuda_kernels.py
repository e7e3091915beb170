"""Small hand-made programs with CUDA kernels: they test the driver without passes, lowering or schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from convc.build.link import link
from convc.build.program import Buffer, Geometry, Launch, Port, Program, Storage
from convc.ir import Array, DType, TensorType
from convc.target import CudaTarget, named

ROWS, DEPTH, COLUMNS = 16, 24, 320

X, SHIFT = TensorType((ROWS, DEPTH)), TensorType((COLUMNS,))
WEIGHT, Y = TensorType((DEPTH, COLUMNS)), TensorType((ROWS, COLUMNS))
COUNTS, HALVES = TensorType((7,), DType.INT32), TensorType((7,))

SOURCE = r"""
extern __shared__ __align__(16) unsigned char convc_shared[];

/* hidden = exp(x) @ weight / 2: a block per row and half of the columns; exp(row) is in dynamic shared memory. */
extern "C" __global__ void __launch_bounds__(160) matmul(
    const float *__restrict__ x, const float *__restrict__ weight, float *__restrict__ hidden)
{
  float *powers = (float *)convc_shared;
  if (threadIdx.x < 24)
    powers[threadIdx.x] = expf(x[blockIdx.x * 24 + threadIdx.x]);
  __syncthreads();
  const int column = blockIdx.y * 160 + threadIdx.x;
  float sum = 0;
  for (int k = 0; k < 24; k++)
    sum += powers[k] * weight[k * 320 + column];
  hidden[blockIdx.x * 320 + column] = sum * 0.5f;
}

/* The output is not the last parameter. */
extern "C" __global__ void __launch_bounds__(320) add_relu(
    float *__restrict__ y, const float *__restrict__ h, const float *__restrict__ shift)
{
  const int i = blockIdx.x * 320 + threadIdx.y * 32 + threadIdx.x;
  y[i] = fmaxf(h[i] + shift[threadIdx.y * 32 + threadIdx.x], 0.0f);
}

extern "C" __global__ void __launch_bounds__(128) twice(const float *__restrict__ y, float *__restrict__ z)
{
  const int i = blockIdx.x * 128 + threadIdx.x;
  z[i] = y[i] + y[i];
}

extern "C" __global__ void halve(const int *__restrict__ counts, float *__restrict__ halves)
{
  halves[threadIdx.x] = (float)counts[threadIdx.x] * 0.5f;
}

/* Writes behind its output. */
extern "C" __global__ void stray(const float *__restrict__ x, float *__restrict__ y)
{
  y[16 * 320] = x[0];
}
"""

_TWICE = Geometry((40, 1, 1), (128, 1, 1))


def target() -> CudaTarget:
    """Machine code for 8.0 and 9.0, PTX for what comes later."""
    chosen = named("cuda:sm_80,sm_90")
    assert isinstance(chosen, CudaTarget)
    return chosen


def weight(seed: int = 0) -> Array:
    """float32 [DEPTH, COLUMNS]."""
    return np.random.default_rng(seed).normal(size=WEIGHT.shape).astype(np.float32)


def mixed(name: str = "mixed", seed: int = 0) -> Program:
    """y = relu(exp(x) @ weight / 2 + shift), z = 2 y: every kind of storage, two inputs, two outputs, three kernels.

    The weights lie behind a gap, and z is computed from the output y.
    """
    hidden, y = Buffer(Storage.ARENA, 64, Y), Buffer(Storage.OUTPUT, 0, Y)
    x, shift = Buffer(Storage.INPUT, 0, X), Buffer(Storage.INPUT, 1, SHIFT)
    weights = Buffer(Storage.WEIGHTS, 128, WEIGHT)
    matmul = Geometry((ROWS, 2, 1), (160, 1, 1), 4 * DEPTH)
    add_relu = Geometry((ROWS, 1, 1), (32, 10, 1))
    launches = (
        Launch("matmul", "dense_1", (x, weights, hidden), 2 * DEPTH * Y.elements, 1, matmul),
        Launch("add_relu", "bias+relu", (y, hidden, shift), 2 * Y.elements, 2, add_relu),
        Launch("twice", 'odd "name"\\', (y, Buffer(Storage.OUTPUT, 1, Y)), Y.elements, 3, _TWICE),
    )
    data = weight(seed)
    inputs, outputs = (Port("x", X), Port("shift", SHIFT)), (Port("y", Y), Port("z", Y))
    end = 128 + data.nbytes
    program = Program(name, inputs, outputs, launches, 64 + Y.bytes, 2 * Y.bytes, [(128, data)], end)
    return replace(program, driver_version=12000)


def inputs_of_mixed(seed: int = 1) -> dict[str, Array]:
    """Inputs for `mixed`."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=t.shape).astype(np.float32) for name, t in (("x", X), ("shift", SHIFT))}


def outputs_of_mixed(inputs: Mapping[str, Array], seed: int = 0) -> dict[str, Array]:
    """What `mixed` must compute, in float64."""
    y = np.maximum(np.exp(inputs["x"].astype(np.float64)) @ weight(seed).astype(np.float64) / 2 + inputs["shift"], 0)
    return {"y": y, "z": 2 * y}


def plain(name: str = "plain", times: int = 1) -> Program:
    """y = 2^times x, without weights; `times` launches of one kernel, two buffers of the arena in turn."""
    places = [Buffer(Storage.ARENA, Y.bytes * (i % 2), Y) for i in range(times - 1)]
    chain = [Buffer(Storage.INPUT, 0, Y), *places, Buffer(Storage.OUTPUT, 0, Y)]
    launches = tuple(
        Launch("twice", f"d{i}", (chain[i], chain[i + 1]), Y.elements, 2 * Y.bytes, _TWICE) for i in range(times)
    )
    arena = Y.bytes * min(times - 1, 2)
    return Program(name, (Port("x", Y),), (Port("y", Y),), launches, arena, arena, [], 0, driver_version=12000)


def halves(name: str = "halves") -> Program:
    """halves = counts / 2 for int32 counts."""
    buffers = (Buffer(Storage.INPUT, 0, COUNTS), Buffer(Storage.OUTPUT, 0, HALVES))
    launch = Launch("halve", "h", buffers, 7, 56, Geometry((1, 1, 1), (7, 1, 1)))
    return Program(name, (Port("counts", COUNTS),), (Port("halves", HALVES),), (launch,), 0, 0, [], 0)


def stray(name: str = "stray") -> Program:
    """A kernel that writes behind the end of its output, after one that does not."""
    middle = Buffer(Storage.ARENA, 0, Y)
    launches = (
        Launch("twice", "fine", (Buffer(Storage.INPUT, 0, Y), middle), 1, 1, _TWICE),
        Launch("stray", "lost", (middle, Buffer(Storage.OUTPUT, 0, Y)), 1, 1, Geometry((1, 1, 1), (1, 1, 1))),
    )
    return Program(name, (Port("x", Y),), (Port("y", Y),), launches, Y.bytes, Y.bytes, [], 0)


def build(program: Program, fatbin: Path, folder: Path, *, header: bool = False) -> Path:
    """Links `program` to NAME.so, and NAME.h with `header`, in `folder`."""
    output = folder / f"{program.name}.so"
    link(program, fatbin, target(), output, output.with_suffix(".h") if header else None)
    return output
