"""Layers that move or rename elements: Reshape, Flatten, Permute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import channels_last
from convc.ir import Node, Origin, make


@dataclass(frozen=True)
class Reshape(Layer):
    """Another shape, the batch left out; at most one size is -1 and follows from the others."""

    target: tuple[int, ...]

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        batch, *rest = inputs[0].type.shape
        known = math.prod(extent for extent in self.target if extent != -1)
        elements = math.prod(rest)
        if elements % known or (-1 not in self.target and elements != known):
            raise ShapeError("", "the shape does not fit", expected=f"{elements} elements", received=str(self.target))
        shape = (elements // known if extent == -1 else extent for extent in self.target)
        return make(ops.Reshape((batch, *shape)), *inputs, origin=origin)


@dataclass(frozen=True)
class Flatten(Layer):
    """All axes but the batch in one; channels that come first are moved last before."""

    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if self.channels_first and x.type.rank > 2:
            x = channels_last(x, origin)
        return make(ops.Reshape((x.type.shape[0], math.prod(x.type.shape[1:]))), x, origin=origin)


@dataclass(frozen=True)
class Permute(Layer):
    """Axes in another order; they count from 1, the batch stays in front."""

    order: tuple[int, ...]

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return make(ops.Transpose((0, *self.order)), *inputs, origin=origin)


def _reshape(fields: Fields) -> Layer:
    target = fields.integers("target_shape", None, minimum=-1)
    if 0 in target or target.count(-1) > 1:
        raise ModelError("", "'target_shape' is wrong", expected="positive sizes, one -1 at most", received=str(target))
    return Reshape(target)


register("Reshape", _reshape, "one size may be -1")
register("Flatten", lambda fields: Flatten(fields.channels_first()), "both data formats")
register("Permute", lambda fields: Permute(fields.integers("dims", None)), "any order")
