"""Normalization, with a mean and variance that are given or were found by adapt()."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.cast import as_float
from convc.frontends.keras.config import Fields, axis_in
from convc.frontends.keras.initializers import Constant
from convc.frontends.keras.registry import Layer, Weight, register
from convc.ir import Array, Node, Origin, Shape, TensorType, make

EPSILON = 1e-7
"""keras.config.epsilon(), the least standard deviation."""
STATISTICS_LIMIT = 1 << 24
"""Most elements of a mean, which is handled in float64 here."""


@dataclass(frozen=True, eq=False)
class Normalization(Layer):
    """(x - mean) / max(sqrt(variance), EPSILON), or where `invert`, the inverse; statistics run along `axes`.

    `given` is (mean, variance) from the config, aligned with the last of the axes; None where they are weights.
    """

    axes: tuple[int, ...]
    invert: bool
    given: tuple[Array, Array] | None
    integers: ClassVar[bool] = True

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        if self.given is not None:
            return ()
        shape = tuple(inputs[0].shape[axis] for axis in self._axes(inputs[0]))
        if math.prod(shape) > STATISTICS_LIMIT:
            raise ModelError("", "too large", expected=f"a mean of at most {STATISTICS_LIMIT}", received=str(shape))
        return (
            Weight("mean", shape, Constant(0.0)),
            Weight("variance", shape, Constant(1.0)),
            Weight("count", (), Constant(0.0), integer=True),
        )

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        x = as_float(inputs[0], origin)
        mean, variance = self.given or (_values(weights["mean"]), _values(weights["variance"]))
        if not np.isfinite(mean).all() or not (np.isfinite(variance) & (variance >= 0)).all():
            raise ModelError("", "the statistics are wrong", expected="finite means, and variances of 0 or more")
        shape = _aligned(mean.shape, self._axes(x.type), x.type)
        deviation = np.maximum(np.sqrt(variance.astype(np.float64)), EPSILON)
        scale = (deviation if self.invert else 1 / deviation).reshape(shape)
        offset = (mean if self.invert else -mean).reshape(shape)
        factor, summand = ops.constant(scale, origin), ops.constant(offset, origin)
        if self.invert:
            return make(ops.Add(), make(ops.Multiply(), x, factor, origin=origin), summand, origin=origin)
        # The mean goes first, as in Keras: it may be far larger than the deviation.
        return make(ops.Multiply(), make(ops.Add(), x, summand, origin=origin), factor, origin=origin)

    def _axes(self, x: TensorType) -> tuple[int, ...]:
        """Counted from the front, in order. Raises `ModelError`."""
        axes = tuple(sorted(axis_in(axis, x.rank) for axis in self.axes))
        if 0 in axes or len(set(axes)) < len(axes):
            raise ModelError("", "'axis' is wrong", expected="different axes, not the batch", received=str(self.axes))
        return axes


def _values(node: Node) -> Array:
    assert isinstance(node.op, ops.Constant)
    return node.op.value


def _aligned(shape: Shape, axes: tuple[int, ...], x: TensorType) -> Shape:
    """The shape that broadcasts statistics of `shape` along the last of `axes` of `x`, without leading ones."""
    aligned = [1] * x.rank
    for axis, extent in zip(reversed(axes), reversed(shape), strict=False):
        if extent not in (1, x.shape[axis]):
            raise ShapeError(
                "", "'mean' does not fit the input", expected=f"{x.shape[axis]} along axis {axis}", received=str(shape)
            )
        aligned[axis] = extent
    first = axes[-len(shape)] if shape else x.rank - 1
    return tuple(aligned[first:])


def _parse(fields: Fields) -> Layer:
    axes: tuple[int, ...] = ()
    if "axis" not in fields.values:
        axes = (-1,)
    elif fields.raw("axis") is not None:
        axes = fields.integers("axis", 1 if isinstance(fields.raw("axis"), int) else None, minimum=None)
    invert = fields.flag("invert", False)
    mean, variance = fields.array("mean"), fields.array("variance")
    if mean is None and variance is None:
        return Normalization(axes, invert, None)
    if mean is None or variance is None or mean.shape != variance.shape or mean.ndim > len(axes):
        shapes = [None if value is None else value.shape for value in (mean, variance)]
        expected = f"one shape of at most {len(axes)} axes for both"
        raise ModelError("", "'mean' and 'variance' are wrong", expected=expected, received="{} and {}".format(*shapes))
    return Normalization(axes, invert, (mean, variance))


register("Normalization", _parse, "any axes; mean and variance given, or found by adapt(); invert")
