"""Opset 6, said in terms of opset 7: what PyTorch exported until 2018."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc import ops
from convc.errors import ShapeError
from convc.frontends.onnx.registry import Call, Value
from convc.ir import Node, Shape

OPSET = 7
"""The opset that nodes are of after `updated`."""

_BINARY = ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")
_MEANINGLESS = {
    "BatchNormalization": ("consumed_inputs", "is_test"),
    "Dropout": ("consumed_inputs", "is_test"),
    "Gemm": ("broadcast",),
    "PRelu": ("consumed_inputs",),
}
"""Attributes that say nothing about inference, or what is the rule since."""


def updated(
    op_type: str, call: Call, inputs: Sequence[Value | None], attributes: dict[str, object]
) -> list[Value | None]:
    """The inputs as opset 7 has them; attributes that it does not have are taken out.

    Broadcasting was asked for by an attribute, and put the second operand's axes at `axis` of the first's. The slopes
    of PRelu were one for each channel. Raises `ShapeError` with an empty subject.
    """
    values = list(inputs)
    for name in _MEANINGLESS.get(op_type, ()):
        attributes.pop(name, None)
    if op_type in _BINARY:
        attributes.pop("broadcast", None)
        attributes.pop("consumed_inputs", None)
        axis = attributes.pop("axis", None)
        if isinstance(axis, int) and len(values) == 2:
            values[1] = _followed(call, values[1], _rank(values[0]) - axis % max(_rank(values[0]), 1))
    elif op_type == "PRelu" and len(values) == 2 and _rank(values[1]) == 1:
        values[1] = _followed(call, values[1], _rank(values[0]) - 1)
    return values


def _rank(value: Value | None) -> int:
    return len(_shape(value))


def _shape(value: Value | None) -> Shape:
    return value.type.shape if isinstance(value, Node) else np.shape(value) if value is not None else ()


def _followed(call: Call, value: Value | None, rank: int) -> Value | None:
    """The value with axes of size one behind its own, up to a rank."""
    shape = _shape(value)
    if rank < len(shape):
        raise ShapeError("", "the operands do not fit", expected=f"at most {rank} axes", received=str(shape))
    if value is None or rank == len(shape):
        return value
    wide = (*shape, *(1,) * (rank - len(shape)))
    return call.make(ops.Reshape(wide), value) if isinstance(value, Node) else value.reshape(wide)
