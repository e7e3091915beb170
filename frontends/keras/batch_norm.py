"""BatchNormalization, with the statistics of training, and the function of keras.ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import ShapeError
from convc.frontends.keras.config import Fields, axis_in
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.keras.standardize import epsilon_in
from convc.frontends.keras.window import channels_first, channels_last
from convc.ir import Node, Origin, TensorType, make

RENORM = ("moving_stddev", "renorm_mean", "renorm_stddev")
"""Variables of batch renormalisation that mean nothing at inference."""


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalises `axis`, which may count from the end. gamma is absent without scale, beta without center.

    `renorm` comes with statistics that only training uses.
    """

    axis: int
    epsilon: float
    gamma: Initializer | None
    beta: Initializer | None
    mean: Initializer
    variance: Initializer
    renorm: bool = False

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        shape = (inputs[0].shape[axis_in(self.axis, inputs[0].rank)],)
        named = (
            ("gamma", self.gamma),
            ("beta", self.beta),
            ("moving_mean", self.mean),
            ("moving_variance", self.variance),
            *((name, self.variance) for name in RENORM if self.renorm),
        )
        return tuple(Weight(name, shape, initializer) for name, initializer in named if initializer is not None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        axis = axis_in(self.axis, x.type.rank)
        shape = (x.type.shape[axis],)
        gamma = weights.get("gamma") or ops.constant(np.ones(shape, np.float32), origin)
        beta = weights.get("beta") or ops.constant(np.zeros(shape, np.float32), origin)
        operands = (gamma, beta, weights["moving_mean"], weights["moving_variance"])
        op = ops.BatchNorm(self.epsilon)
        if axis == x.type.rank - 1:
            return make(op, x, *operands, origin=origin)
        y = make(op, channels_last(x, origin, axis), *operands, origin=origin)
        return channels_first(y, origin, axis)


def _batch_norm(fields: Fields) -> Layer:
    axes = fields.integers("axis", 1, -1, minimum=None)
    return BatchNorm(
        axes[0],
        fields.number("epsilon", 1e-3),
        parse_initializer(fields, "gamma_initializer", "ones") if fields.flag("scale", True) else None,
        parse_initializer(fields, "beta_initializer", "zeros") if fields.flag("center", True) else None,
        parse_initializer(fields, "moving_mean_initializer", "zeros"),
        parse_initializer(fields, "moving_variance_initializer", "ones"),
        fields.flag("renorm", False),
    )


register("BatchNormalization", _batch_norm, "any one axis; inference only")


def _function(call: Arguments) -> Node:
    """keras.ops.batch_normalization, whose statistics may be computed: (x - mean) / sqrt(variance + epsilon)."""
    x, origin = call.tensor("x"), call.origin
    axis = axis_in(call.fields.integer("axis", minimum=None), x.type.rank)
    epsilon = ops.constant(np.full(1, epsilon_in(call.fields, 1e-3), np.float32), origin)
    shape = tuple(extent if i == axis else 1 for i, extent in enumerate(x.type.shape))

    def vector(name: str) -> Node:
        node = call.tensor(name)
        if node.type.shape != (x.type.shape[axis],):
            expected, received = str((x.type.shape[axis],)), str(node.type.shape)
            raise ShapeError("", f"'{name}' does not fit the input", expected=expected, received=received)
        return node if axis == x.type.rank - 1 else make(ops.Reshape(shape), node, origin=origin)

    scale = make(ops.Rsqrt(), make(ops.Add(), vector("variance"), epsilon, origin=origin), origin=origin)
    if call.values.get("scale") is not None:
        scale = make(ops.Multiply(), scale, vector("scale"), origin=origin)
    y = make(ops.Multiply(), make(ops.Subtract(), x, vector("mean"), origin=origin), scale, origin=origin)
    return y if call.values.get("offset") is None else make(ops.Add(), y, vector("offset"), origin=origin)


register_function(
    "batch_normalization",
    "x mean variance offset scale",
    _function,
    "any one axis; statistics that are computed, too",
    class_name="BatchNorm",
)
