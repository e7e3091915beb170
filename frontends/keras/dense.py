"""Dense: over the last axis, at any rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc import ops
from convc.errors import ShapeError
from convc.frontends.keras.activation import parse_activation
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.registry import Layer, Weight, register
from convc.ir import Node, Origin, TensorType, make


@dataclass(frozen=True)
class Dense(Layer):
    """x of N, ..., I to N, ..., units."""

    units: int
    kernel: Initializer
    bias: Initializer | None
    activation: Layer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        if inputs[0].rank < 2:
            raise ShapeError("", "the input has no features", expected="2 axes or more", received=str(inputs[0].shape))
        kernel = Weight("kernel", (inputs[0].shape[-1], self.units), self.kernel)
        return (kernel,) if self.bias is None else (kernel, Weight("bias", (self.units,), self.bias))

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        y = make(ops.Dense(), *inputs, *weights.values(), origin=origin)
        return self.activation.build([y], {}, origin)


def _dense(fields: Fields) -> Layer:
    return Dense(
        fields.integer("units"),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        parse_initializer(fields, "bias_initializer", "zeros") if fields.flag("use_bias", True) else None,
        parse_activation(fields),
    )


register("Dense", _dense, "inputs of any rank")
