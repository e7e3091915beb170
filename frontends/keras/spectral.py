"""SpectralNormalization, which divides its layer's kernel by its largest singular value while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc.errors import UnsupportedError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.registry import Layer, Masked, Weight, register
from convc.frontends.keras.wrappers import inner_layer, of, within
from convc.ir import Node, Origin, TensorType


@dataclass(frozen=True)
class Spectral(Layer):
    """The layer in it as it is: its kernel is stored as training left it."""

    inner: Layer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return within("layer", self.inner, inputs)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return self.inner.build(inputs, of("layer", weights), origin)


def _spectral(fields: Fields) -> Layer:
    kind, inner = inner_layer(fields.raw("layer"), fields.legacy)
    if isinstance(inner, Masked):
        raise UnsupportedError("", f"the {kind} in it is not supported", expected="a layer that knows no masks")
    return Spectral(inner)


register("SpectralNormalization", _spectral, "around layers with a kernel, as training left it")
