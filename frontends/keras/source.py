"""InputLayer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.config import Fields, extents, show
from convc.frontends.keras.registry import Layer, register
from convc.ir import Node, Origin

Extents = tuple[int | None, ...]
"""Sizes of the axes, None where the config leaves them open."""


@dataclass(frozen=True)
class InputLayer(Layer):
    """Where a model's tensors come in. `shape` leaves out the batch; None where the config has none.

    It is built on the node that is fed in: a graph input, or what a nested model is called with.
    """

    shape: Extents | None

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if self.shape is not None and not fits(x.type.shape[1:], self.shape):
            raise ShapeError(
                "", "the model is called with another shape", expected=str(self.shape), received=str(x.type.shape[1:])
            )
        return x


def fits(shape: Sequence[int], declared: Extents) -> bool:
    """Whether a shape agrees with a declared one, neither with its batch."""
    return len(shape) == len(declared) and all(b in (None, a) for a, b in zip(shape, declared, strict=True))


def without_batch(value: object) -> Extents | None:
    """A config's shape without its batch. Raises `ModelError` where it is neither a shape nor absent."""
    if value is None:
        return None
    shape = extents(value)
    if not shape:
        expected = "the batch and positive sizes, or null where they are open"
        raise ModelError("", "the input's shape is wrong", expected=expected, received=show(value))
    return shape[1:]


def _parse(fields: Fields) -> Layer:
    dtype = fields.raw("dtype", "float32")
    if isinstance(dtype, str) and not dtype.startswith(("float", "bfloat", "mixed")):
        raise UnsupportedError("", "the input's dtype is not supported", expected="float32", received=dtype[:100])
    shape = fields.raw("batch_shape", fields.raw("batch_input_shape"))
    return InputLayer(without_batch(shape))


register("InputLayer", _parse, "floating point; open sizes are bound by --input NAME=1x224x224x3")
