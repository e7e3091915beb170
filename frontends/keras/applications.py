"""Layers that keras.applications defines for its own networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.config import FLOAT32_MAX, Fields
from convc.frontends.keras.identity import Identity
from convc.frontends.keras.initializers import Constant
from convc.frontends.keras.registry import Layer, Weight, register
from convc.ir import Node, Origin, TensorType, make


@dataclass(frozen=True)
class LayerScale(Layer):
    """x times a learnt number for each element of the last axis; ConvNeXt has it."""

    extent: int
    start: float

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return (Weight("gamma", (self.extent,), Constant(self.start)),)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if self.extent not in (1, x.type.shape[-1]):
            expected, received = f"1 or {x.type.shape[-1]}", str(self.extent)
            raise ShapeError("", "'projection_dim' does not fit the input", expected=expected, received=received)
        return make(ops.Multiply(), x, weights["gamma"], origin=origin)


@dataclass(frozen=True)
class CustomScale(Layer):
    """The first input, and the second times `scale`; InceptionResNetV2 has it."""

    scale: float
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        kept, branch = inputs
        scale = ops.constant(np.full(1, self.scale, np.float32), origin)
        return make(ops.Add(), kept, make(ops.Multiply(), branch, scale, origin=origin), origin=origin)


def _layer_scale(fields: Fields) -> Layer:
    return LayerScale(fields.integer("projection_dim"), _number(fields, "init_values"))


def _number(fields: Fields, key: str) -> float:
    value = fields.number(key)
    if abs(value) > FLOAT32_MAX:
        raise ModelError("", f"'{key}' is wrong", expected="a number that float32 can hold", received=str(value))
    return value


register("LayerScale", _layer_scale, "of keras.applications.convnext")
register("StochasticDepth", lambda fields: Identity(), "of keras.applications.convnext; nothing to do at inference")
register(
    "CustomScaleLayer",
    lambda fields: CustomScale(_number(fields, "scale")),
    "of keras.applications.inception_resnet_v2",
)
