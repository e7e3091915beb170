"""Concatenate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc import ops
from convc.frontends.keras.config import axis_in
from convc.frontends.keras.registry import Layer, register
from convc.ir import Node, Origin, make


@dataclass(frozen=True)
class Concat(Layer):
    """Inputs side by side along `axis`, which counts the batch and may count from the end."""

    axis: int
    arity: ClassVar = (1, None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return make(ops.Concat(axis_in(self.axis, inputs[0].type.rank)), *inputs, origin=origin)


register("Concatenate", lambda fields: Concat(fields.integer("axis", -1, minimum=None)), "any axis")
