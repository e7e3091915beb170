"""Seeded random inputs: for verifying, timing and trying out a library without data at hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from convc.artifact import TensorSpec
from convc.ir import Array

INTEGERS = 10
"""Random integer inputs lie in [0, INTEGERS)."""


def random_array(spec: TensorSpec, seed: int) -> Array:
    """Standard normal values, or integers in [0, INTEGERS). Inputs of different names differ."""
    generator = np.random.default_rng((seed, *spec.name.encode()))
    if np.issubdtype(spec.dtype, np.integer):
        return generator.integers(0, INTEGERS, spec.shape).astype(spec.dtype)
    return generator.standard_normal(spec.shape).astype(spec.dtype)


def random_feeds(specs: Iterable[TensorSpec], seed: int) -> dict[str, Array]:
    """A random array for each input."""
    return {spec.name: random_array(spec, seed) for spec in specs}
