"""Windows that slide over the spatial axes, for convolution and pooling: sizes, padding, and their NumPy views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Shape

Padding = tuple[tuple[int, int], ...]
"""(low, high) for each spatial axis, in elements."""


def effective(kernel: int, dilation: int) -> int:
    """Extent of a dilated window: (kernel - 1) * dilation + 1."""
    return (kernel - 1) * dilation + 1


def same_padding(extents: Shape, kernel: Shape, strides: Shape, dilation: Shape) -> Padding:
    """TensorFlow's and Keras's "same": out = ceil(in / stride), the odd element of padding goes at the end.

    Depends on the input's size when a stride is above one, so it is computed once shapes are known.
    """
    result = []
    for extent, k, s, d in zip(extents, kernel, strides, dilation, strict=True):
        total = max((-(-extent // s) - 1) * s + effective(k, d) - extent, 0)
        result.append((total // 2, total - total // 2))
    return tuple(result)


def output_extents(extents: Shape, kernel: Shape, strides: Shape, dilation: Shape, padding: Padding) -> Shape:
    """floor((in + low + high - effective kernel) / stride) + 1 per axis. Raises `ShapeError` where not positive."""
    result = []
    for axis, (extent, k, s, d, (low, high)) in enumerate(
        zip(extents, kernel, strides, dilation, padding, strict=True)
    ):
        room = extent + low + high - effective(k, d)
        if room < 0:
            raise ShapeError(
                "",
                f"the window does not fit into spatial axis {axis}",
                expected=f"at least {effective(k, d)} elements with padding",
                received=f"{extent} + {low} + {high}",
                remedy="use padding='same' or a larger input",
            )
        result.append(room // s + 1)
    return tuple(result)


def check_window(rank: int, **attributes: Sequence[object]) -> None:
    """Every attribute has one entry per spatial axis. Raises `ShapeError`."""
    for name, value in attributes.items():
        if len(value) != rank:
            raise ShapeError("", f"{name} does not fit the input", expected=f"{rank} entries", received=str(value))


def check_positive(**attributes: Sequence[int]) -> None:
    """Every entry is at least one. Raises `ShapeError`."""
    for name, value in attributes.items():
        if any(entry < 1 for entry in value):
            raise ShapeError("", f"{name} must be positive", expected="at least 1", received=str(tuple(value)))


def check_padding(padding: Padding) -> None:
    """No width is negative. Raises `ShapeError`."""
    if any(width < 0 for pair in padding for width in pair):
        raise ShapeError("", "padding must not be negative", expected="0 or more", received=str(padding))


def pad_spatial(x: Array, padding: Padding, value: float) -> Array:
    """`x` of shape N, *spatial, C with its spatial axes padded by `value`."""
    return np.pad(x, [(0, 0), *padding, (0, 0)], constant_values=value)


def taps(x: Array, kernel: Shape, strides: Shape, dilation: Shape, out: Shape) -> Iterator[tuple[Shape, Array]]:
    """For each position in the window, the strided view of padded `x` that meets it: shape N, *out, C."""
    for tap in product(*(range(k) for k in kernel)):
        index = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, s, o in zip(tap, dilation, strides, out, strict=True)
        )
        yield tap, x[(slice(None),) + index]  # noqa: RUF005  (a star in an index needs Python 3.11)
