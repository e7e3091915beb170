"""Comparisons, truth values, which are 1.0 and 0.0, and choices by them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convc import ops
from convc.errors import ModelError
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.ir import Node, Op

_BINARY: Mapping[str, Op] = {
    "Greater": ops.Greater(), "GreaterOrEqual": ops.GreaterEqual(), "Equal": ops.Equal(),
    "And": ops.Multiply(), "Or": ops.Maximum(), "Xor": ops.NotEqual(),
}  # fmt: skip


def _binary(op: Op) -> Handler:
    def build(call: Call, a: Node, b: Node) -> Node:
        return call.make(op, a, b)

    return build


for _name, _op in _BINARY.items():
    handler(_name)(_binary(_op))


@handler("Less")
def less(call: Call, a: Node, b: Node) -> Node:
    """a < b."""
    return call.make(ops.Greater(), b, a)


@handler("LessOrEqual")
def less_or_equal(call: Call, a: Node, b: Node) -> Node:
    """a <= b."""
    return call.make(ops.GreaterEqual(), b, a)


@handler("Not")
def not_(call: Call, x: Node) -> Node:
    """1 - x."""
    return call.make(ops.Subtract(), call.constant(np.float32(1)), x)


@handler("Where")
def where(call: Call, condition: Node, a: Node, b: Node) -> Node:
    """a where the condition holds, else b."""
    return call.make(ops.Where(), condition, a, b)


@handler("IsNaN")
def is_nan(call: Call, x: Node) -> Node:
    """Whether x is not a number: no comparison holds of it. That it differs from itself is simplified away."""
    within = call.make(ops.GreaterEqual(), call.constant(np.float32(np.inf)), x)
    return call.make(ops.Where(), within, call.constant(np.float32(0)), call.constant(np.float32(1)))


@handler("IsInf")
def is_inf(call: Call, x: Node, *, detect_negative: bool = True, detect_positive: bool = True) -> Node:
    """Whether x is one of the infinities that are asked for."""
    if not detect_negative and not detect_positive:
        raise ModelError("", "neither infinity is asked for", expected="detect_negative or detect_positive")
    source = call.make(ops.Abs(), x) if detect_negative and detect_positive else x
    return call.make(ops.Equal(), source, call.constant(np.float32(np.inf if detect_positive else -np.inf)))
