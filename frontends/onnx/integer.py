"""Operators on the bits of integers."""

from __future__ import annotations

from collections.abc import Mapping

from convc import ops
from convc.errors import ModelError
from convc.frontends.onnx.arithmetic import number
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.ir import Node, Op

_BITWISE: Mapping[str, Op] = {"BitwiseAnd": ops.BitAnd(), "BitwiseOr": ops.BitOr(), "BitwiseXor": ops.BitXor()}


def _bitwise(op: Op) -> Handler:
    def build(call: Call, a: Node, b: Node) -> Node:
        return call.make(op, a, b)

    return build


for _name, _op in _BITWISE.items():
    handler(_name)(_bitwise(_op))


@handler("BitwiseNot")
def bitwise_not(call: Call, x: Node) -> Node:
    """Every bit the other way."""
    return call.make(ops.BitXor(), x, number(call, -1, x))


@handler("BitShift")
def bit_shift(call: Call, x: Node, y: Node, *, direction: str) -> Node:
    """Bits moved up or down, where a sign is copied; what is moved out of a narrower type is still there."""
    if direction not in ("LEFT", "RIGHT"):
        raise ModelError("", "'direction' is wrong", expected="LEFT or RIGHT", received=direction[:100])
    return call.make(ops.ShiftLeft() if direction == "LEFT" else ops.ShiftRight(), x, y)
