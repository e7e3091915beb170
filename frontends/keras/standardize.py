"""Normalisation by statistics of the input itself: LayerNormalization, GroupNormalization, RMSNormalization,
UnitNormalization, and the functions of keras.ops that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import FLOAT32_MAX, Fields, axis_in
from convc.frontends.keras.initializers import Constant, Initializer, parse_initializer
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.reduce import axes_in, given_axes, unit, variance
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.keras.window import channels_first, channels_last
from convc.ir import Node, Op, Origin, Shape, TensorType, make

EPSILON = 1e-7
"""keras.config.epsilon()."""
UNIT_EPSILON = 1e-12
"""The least norm of UnitNormalization."""


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Standardised over `axes`, which may count from the end, then scaled and shifted along them.

    `rms_scaling` divides by the standard deviation and leaves the mean in place.
    """

    axes: tuple[int, ...]
    epsilon: float
    gamma: Initializer | None
    beta: Initializer | None
    rms_scaling: bool

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        (x,) = inputs
        axes_in(self.axes, x.rank)
        shape = tuple(x.shape[axis] for axis in sorted(self.axes))
        layout = along(self.axes, shape, x)
        named = (("gamma", self.gamma), ("beta", self.beta))
        return tuple(Weight(name, shape, kind, layout) for name, kind in named if kind is not None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if self.rms_scaling:
            y = scaled_by_deviation(x, self.axes, self.epsilon, origin)
        else:
            y = make(ops.Standardize(axes_in(self.axes, x.type.rank), self.epsilon), x, origin=origin)
        return affine(y, weights.get("gamma"), weights.get("beta"), origin)


@dataclass(frozen=True)
class GroupNorm(Layer):
    """Standardised over all axes but the batch, the channels in `groups` (-1: each on its own)."""

    groups: int
    axis: int
    epsilon: float
    gamma: Initializer | None
    beta: Initializer | None

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        shape = (inputs[0].shape[self._channels(inputs[0])],)
        named = (("gamma", self.gamma), ("beta", self.beta))
        return tuple(Weight(name, shape, kind) for name, kind in named if kind is not None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        axis, last = self._channels(x.type), x.type.rank - 1
        channels = x.type.shape[axis]
        groups = channels if self.groups == -1 else self.groups
        if channels % groups:
            raise ModelError("", "'groups' is wrong", expected=f"a divisor of {channels}", received=str(groups))
        y = x if axis == last else channels_last(x, origin, axis)
        alone = groups == channels and last > 1
        axes = tuple(range(1, last if alone else last + 1))
        y = make(ops.Standardize(axes, self.epsilon, groups=1 if alone else groups), y, origin=origin)
        y = affine(y, weights.get("gamma"), weights.get("beta"), origin)
        return y if axis == last else channels_first(y, origin, axis)

    def _channels(self, x: TensorType) -> int:
        axis = axis_in(self.axis, x.rank)
        if axis == 0:
            raise UnsupportedError("", "'axis' is the batch", expected="another axis", received=str(self.axis))
        return axis


@dataclass(frozen=True)
class RmsNorm(Layer):
    """x / sqrt(mean(x^2) + epsilon) over `axes`, times a learnt scale, which broadcasts from the last axis."""

    axes: tuple[int, ...]
    epsilon: float

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        axes_in(self.axes, inputs[0].rank)
        return (Weight("scale", tuple(inputs[0].shape[axis] for axis in sorted(self.axes)), Constant(1.0)),)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        op = ops.Standardize(axes_in(self.axes, x.type.rank), self.epsilon, centered=False)
        return scaled(make(op, x, origin=origin), weights["scale"], origin)


@dataclass(frozen=True)
class UnitNorm(Layer):
    """Divided by the Euclidean norm over `axes`."""

    axes: tuple[int, ...]

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return unit(inputs[0], axes_in(self.axes, inputs[0].type.rank), UNIT_EPSILON, origin)


def along(axes: Sequence[int], shape: Shape, x: TensorType) -> Shape:
    """The shape that Keras gives a weight of `shape` before it scales `x`, normalised over `axes`.

    It reshapes, whatever the order of the axes, and leaves weights with as many axes as `x` as they are.
    """
    if len(shape) == x.rank:
        return shape
    places = {axis % x.rank for axis in axes}
    return tuple(extent if axis in places else 1 for axis, extent in enumerate(x.shape))


def affine(x: Node, gamma: Node | None, beta: Node | None, origin: Origin) -> Node:
    """x * gamma + beta, of what is there."""
    if gamma is not None:
        x = scaled(x, gamma, origin)
    return x if beta is None else _same_shape(ops.Add(), x, beta, origin)


def scaled(x: Node, gamma: Node, origin: Origin) -> Node:
    """x * gamma."""
    return _same_shape(ops.Multiply(), x, gamma, origin)


def scaled_by_deviation(x: Node, axes: Sequence[int], epsilon: float, origin: Origin) -> Node:
    """x / sqrt(variance + epsilon): the mean stays in."""
    deviation = make(
        ops.Add(), variance(x, axes_in(axes, x.type.rank), True, origin), _number(epsilon, origin), origin=origin
    )
    return make(ops.Multiply(), x, make(ops.Rsqrt(), deviation, origin=origin), origin=origin)


def _same_shape(op: Op, x: Node, other: Node, origin: Origin) -> Node:
    y = make(op, x, other, origin=origin)
    if y.type.shape != x.type.shape:
        expected, received = f"a shape that broadcasts to {x.type.shape}", str(other.type.shape)
        raise ModelError("", "the scale or offset does not fit the input", expected=expected, received=received)
    return y


def _number(value: float, origin: Origin) -> Node:
    return ops.constant(np.full(1, value, np.float32), origin)


def epsilon_in(fields: Fields, default: float) -> float:
    """'epsilon', not negative: a square root is taken of it and a variance."""
    epsilon = default if fields.raw("epsilon") is None else fields.number("epsilon")
    if not 0 <= epsilon <= FLOAT32_MAX:
        raise ModelError("", "'epsilon' is wrong", expected="a number from 0 up for float32", received=str(epsilon))
    return epsilon


def _scale(fields: Fields, key: str, name: str, default: str) -> Initializer | None:
    return parse_initializer(fields, f"{name}_initializer", default) if fields.flag(key, True) else None


def _layer_norm(fields: Fields) -> Layer:
    rms_scaling = fields.flag("rms_scaling", False)
    gamma, beta = _scale(fields, "scale", "gamma", "ones"), _scale(fields, "center", "beta", "zeros")
    if rms_scaling:
        gamma, beta = parse_initializer(fields, "gamma_initializer", "ones"), None
    return LayerNorm(given_axes(fields), epsilon_in(fields, 1e-3), gamma, beta, rms_scaling)


def _group_norm(fields: Fields) -> Layer:
    groups = fields.integer("groups", 32, minimum=-1)
    if groups == 0:
        raise ModelError("", "'groups' is wrong", expected="an integer from 1 up, or -1", received="0")
    return GroupNorm(
        groups,
        fields.integer("axis", -1, minimum=None),
        epsilon_in(fields, 1e-3),
        _scale(fields, "scale", "gamma", "ones"),
        _scale(fields, "center", "beta", "zeros"),
    )


register("LayerNormalization", _layer_norm, "one axis or several; epsilon, center, scale, rms_scaling")
register("GroupNormalization", _group_norm, "any number of groups, -1 too; any axis; epsilon, center, scale")
register(
    "RMSNormalization",
    lambda fields: RmsNorm(given_axes(fields), epsilon_in(fields, 1e-6)),
    "one axis or several; epsilon",
)
register("UnitNormalization", lambda fields: UnitNorm(given_axes(fields)), "one axis or several")


def _layer_normalization(call: Arguments) -> Node:
    x, fields = call.tensor("x"), call.fields
    axes, epsilon = given_axes(fields), epsilon_in(fields, EPSILON)
    gamma, beta = (_aligned(call, name, axes, x.type) for name in ("gamma", "beta"))
    if fields.flag("rms_scaling", False):
        return affine(scaled_by_deviation(x, axes, epsilon, call.origin), gamma, None, call.origin)
    y = make(ops.Standardize(axes_in(axes, x.type.rank), epsilon), x, origin=call.origin)
    return affine(y, gamma, beta, call.origin)


def _aligned(call: Arguments, name: str, axes: Sequence[int], x: TensorType) -> Node | None:
    """A scale or an offset as Keras reshapes it."""
    if call.values.get(name) is None:
        return None
    node = call.tensor(name)
    if node.type.rank == x.rank or list(axes) == [x.rank - 1]:
        return node
    return make(ops.Reshape(along(axes, node.type.shape, x)), node, origin=call.origin)


def _rms_normalization(call: Arguments) -> Node:
    x = call.tensor("x")
    op = ops.Standardize(
        axes_in(given_axes(call.fields), x.type.rank), epsilon_in(call.fields, EPSILON), centered=False
    )
    y = make(op, x, origin=call.origin)
    return y if call.values.get("scale") is None else scaled(y, call.tensor("scale"), call.origin)


register_function(
    "layer_normalization",
    "x gamma beta",
    _layer_normalization,
    "any axes, epsilon; gamma and beta that are computed, too",
    class_name="LayerNorm",
)
register_function("rms_normalization", "x scale", _rms_normalization, "any axes, epsilon", class_name="RMSNorm")
