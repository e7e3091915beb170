"""Softmax as a layer and as an activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc import ops
from convc.frontends.keras.config import Fields, axis_in
from convc.frontends.keras.registry import Layer, register
from convc.ir import Node, Origin, make


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax over one or several axes, which may count from the end."""

    axes: tuple[int, ...]

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        axes = {axis_in(axis, inputs[0].type.rank) for axis in self.axes}
        return make(ops.Softmax(tuple(sorted(axes))), *inputs, origin=origin)


def _parse(fields: Fields) -> Layer:
    if isinstance(fields.raw("axis"), Sequence):
        return Softmax(fields.integers("axis", None, minimum=None))
    return Softmax((fields.integer("axis", -1, minimum=None),))


register("Softmax", _parse, "over one axis or several")
