"""InputLayer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.cast import INTEGERS, NARROW, as_float, cast
from convc.frontends.keras.config import Fields, extents, show
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.truth import truth
from convc.ir import DType, Node, Origin, Shape, TensorType
from convc.ops.source import Input, NarrowInput

Extents = tuple[int | None, ...]
"""Sizes of the axes, None where the config leaves them open."""


@dataclass(frozen=True)
class InputLayer(Layer):
    """Where a model's tensors come in. `shape` leaves out the batch; None where the config has none.

    It is built on the node that is fed in: a graph input, or what a nested model is called with, which is converted.
    """

    shape: Extents | None
    dtype: str
    integers: ClassVar[bool] = True

    def source(self, shape: Shape) -> Input:
        """The graph input that is fed to it: integers and truth values of any width are INT32."""
        type_ = TensorType(shape, DType.FLOAT32 if self._is_float else DType.INT32)
        return NarrowInput(type_) if self.dtype in NARROW else Input(type_)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        if self.shape is not None and not fits(x.type.shape[1:], self.shape):
            raise ShapeError(
                "", "the model is called with another shape", expected=str(self.shape), received=str(x.type.shape[1:])
            )
        if self._is_float:
            return as_float(x, origin)
        if self.dtype == "bool":
            return truth(x, origin)
        if self.dtype in NARROW and x.type.dtype is DType.FLOAT32:
            message = f"the model is called with the floating point of {x.origin}"
            raise UnsupportedError("", message, expected=self.dtype, received="float32")
        return cast(x, DType.INT32, origin)

    @property
    def _is_float(self) -> bool:
        return self.dtype not in INTEGERS


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
    shape = fields.raw("batch_shape", fields.raw("batch_input_shape"))
    for key in ("sparse", "ragged"):
        if fields.raw(key) not in (None, False):
            raise UnsupportedError("", f"the input is {key}", expected="a dense tensor", received=show(fields.raw(key)))
    return InputLayer(without_batch(shape), _dtype(fields))


def _dtype(fields: Fields) -> str:
    """Its name; policies and whatever is absent are of floating point."""
    dtype = fields.raw("dtype")
    if not isinstance(dtype, str) or dtype.startswith(("float", "bfloat", "mixed")):
        return "float32"
    if dtype not in INTEGERS:
        expected = "floating point or integers"
        raise UnsupportedError("", "the input's dtype is not supported", expected=expected, received=dtype[:100])
    return dtype


register("InputLayer", _parse, "floating point and integers; open sizes are bound by --input NAME=1x224x224x3")
