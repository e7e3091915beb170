"""Layers that do nothing at inference: regularisation and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc.frontends.keras.registry import Layer, register
from convc.ir import Node, Origin


@dataclass(frozen=True)
class Identity(Layer):
    """The input as it is. No node is made."""

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return inputs[0]


for _name in (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
):  # fmt: skip
    register(_name, lambda fields: Identity(), "nothing to do at inference")
