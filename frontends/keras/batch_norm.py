"""BatchNormalization, with the statistics of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.keras.config import Fields, axis_in
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.keras.window import channels_first, channels_last
from convc.ir import Node, Origin, TensorType, make


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalises `axis`, which may count from the end. gamma is absent without scale, beta without center."""

    axis: int
    epsilon: float
    gamma: Initializer | None
    beta: Initializer | None
    mean: Initializer
    variance: Initializer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        shape = (inputs[0].shape[axis_in(self.axis, inputs[0].rank)],)
        named = (
            ("gamma", self.gamma),
            ("beta", self.beta),
            ("moving_mean", self.mean),
            ("moving_variance", self.variance),
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
    if fields.flag("renorm", False):
        raise UnsupportedError("", "batch renormalisation is not supported", remedy="train with renorm=False")
    axes = fields.integers("axis", 1, -1, minimum=None)
    return BatchNorm(
        axes[0],
        fields.number("epsilon", 1e-3),
        parse_initializer(fields, "gamma_initializer", "ones") if fields.flag("scale", True) else None,
        parse_initializer(fields, "beta_initializer", "zeros") if fields.flag("center", True) else None,
        parse_initializer(fields, "moving_mean_initializer", "zeros"),
        parse_initializer(fields, "moving_variance_initializer", "ones"),
    )


register("BatchNormalization", _batch_norm, "any one axis; inference only")
