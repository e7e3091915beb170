"""Where each constant lies: in the library's file, and in memory once it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from convc import lower
from convc.build.memory import round_up
from convc.build.program import Expansion, Storage
from convc.errors import UnsupportedError
from convc.ir import Array, DType, Node
from convc.ops import Constant


class Key(NamedTuple):
    """A constant as a kernel reads it: packed, and in the type that it is stored in."""

    node: Node
    packing: lower.Packing | None
    dtype: DType


@dataclass(frozen=True)
class Weights:
    """`data` is what the file holds, by offset; `places` where kernels find each packed constant."""

    data: list[tuple[int, Array]]
    file_bytes: int
    expansions: tuple[Expansion, ...]
    places: Mapping[Key, tuple[Storage, int]]


def place(constants: Sequence[Key]) -> Weights:
    """Places constants in the order given, once each.

    Raises `UnsupportedError` for numbers that are infinite in the type that they are to be stored in.
    """
    data: list[tuple[int, Array]] = []
    places: dict[Key, tuple[Storage, int]] = {}
    expansions: list[Expansion] = []
    end = expanded = 0
    for key in constants:
        if key in places:
            continue
        node, packing, dtype = key
        assert isinstance(node.op, Constant), f"{node} is not a constant"
        value = _converted(packing.stored(node.op.value) if packing else node.op.value, node, dtype)
        data.append((end, value))
        places[key] = (Storage.WEIGHTS, end)
        if packing and (made := packing.expansion(node.type.shape)):
            assert dtype is DType.FLOAT32, "the driver makes weights of float32 only"
            planes = len(made.rows[0]) * len(made.columns[0])
            expansions.append(Expansion(end, expanded, value.size // planes, made))
            places[key] = (Storage.EXPANDED, expanded)
            expanded += round_up(expansions[-1].bytes)
        end += round_up(value.nbytes)
    return Weights(data, end, tuple(expansions), places)


def _converted(value: Array, node: Node, dtype: DType) -> Array:
    """`value` as `dtype`, rounded to the nearest, halves to even. Infinities and NaN stay what they are."""
    if value.dtype == dtype.numpy:
        return value
    with np.errstate(over="ignore", invalid="ignore"):
        converted: Array = value.astype(dtype.numpy)
    lost = np.isfinite(value) & ~np.isfinite(converted.astype(np.float32))
    if lost.any():
        largest = float(np.abs(value[lost]).max())
        raise UnsupportedError(
            str(node.origin),
            f"a weight is out of the range of {dtype.value}",
            expected=f"magnitudes up to {dtype.largest:.6g}",
            received=f"{largest:.6g}",
            remedy="compile for bfloat16" if dtype is DType.FLOAT16 else "compile for float32",
        )
    return converted
