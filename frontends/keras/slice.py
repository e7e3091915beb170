"""Cropping, and what every function that cuts elements out is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import check_rank
from convc.ir import Node, Origin, make
from convc.ops.window import Padding

MAX_SELECTED = 1 << 24
"""Most indices along one axis that are made into a constant."""


@dataclass(frozen=True)
class Cropping(Layer):
    """Less of the spatial axes: (low, high) elements are cut off at their ends."""

    widths: Padding
    channels_first: bool
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        check_rank(x.type, len(self.widths) + 2)
        none = ((0, 0),)
        widths = (*none * 2, *self.widths) if self.channels_first else (*none, *self.widths, *none)
        sizes = tuple(extent - low - high for extent, (low, high) in zip(x.type.shape, widths, strict=True))
        for axis, (size, (low, high)) in enumerate(zip(sizes, widths, strict=True)):
            if size < 1:
                raise ShapeError(
                    "",
                    f"nothing is left of axis {axis}",
                    expected=f"less than {x.type.shape[axis]} cut off",
                    received=f"{low} + {high}",
                    remedy="crop less, or use a larger input",
                )
        return make(ops.Slice(tuple(low for low, _ in widths), sizes, (1,) * len(sizes)), x, origin=origin)


def cut(x: Node, axis: int, start: int, size: int, origin: Origin, step: int = 1) -> Node:
    """`size` elements of one axis, from `start` on."""
    return make(ops.Slice.along(x.type.shape, axis, start, size, step), x, origin=origin)


def select(x: Node, axis: int, indices: Sequence[int], origin: Origin) -> Node:
    """The elements of one axis at these indices, which are from 0 up and inside."""
    if len(indices) > MAX_SELECTED:
        expected = f"at most {MAX_SELECTED}"
        raise ModelError("", f"too many elements along axis {axis}", expected=expected, received=str(len(indices)))
    if not len(indices):
        raise ShapeError("", f"nothing is left of axis {axis}", expected="one index or more", received="none")
    values = np.asarray(indices, np.int64)
    step = int(values[1] - values[0]) if values.size > 1 else 1
    if step and np.array_equal(values, values[0] + step * np.arange(values.size)):
        return cut(x, axis, int(values[0]), values.size, origin, step)
    return make(ops.Take(axis), x, ops.constant(values, origin), origin=origin)


def resolved(index: int, extent: int) -> int:
    """An index counted from the front. Raises `ShapeError` where it is outside."""
    if not -extent <= index < extent:
        raise ShapeError("", "an index is outside", expected=f"{-extent} to {extent - 1}", received=str(index))
    return index % extent


def _parse(fields: Fields, rank: int) -> Layer:
    return Cropping(fields.pairs("cropping", rank, 1), rank > 1 and fields.channels_first())


for _rank in (1, 2, 3):
    register(f"Cropping{_rank}D", partial(_parse, rank=_rank), "every form of the argument, both data formats")
