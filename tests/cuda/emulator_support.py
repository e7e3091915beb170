"""Kernels of a few lines for tests of the emulator, and what they are given."""

from __future__ import annotations

import numpy as np

from convc.ir import Array
from tests.cuda.emulator import Kernels

ONE = (1, 1, 1)


def run(source: str, *arguments: Array | int, threads: int = 32, blocks: int = 1, shared: int = 0) -> None:
    """Runs kernel `k` in one-dimensional blocks."""
    Kernels(source).launch("k", (blocks, 1, 1), (threads, 1, 1), shared, arguments)


def normal(*shape: int, seed: int = 0) -> Array:
    """Random float32, the same ones for a shape and seed."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


def nan(*shape: int) -> Array:
    """What a kernel must overwrite."""
    return np.full(shape, np.nan, np.float32)


def bfloat16(values: Array) -> Array:
    """The bits of the nearest bfloat16, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def widened(bits: Array) -> Array:
    """bfloat16 bits as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
