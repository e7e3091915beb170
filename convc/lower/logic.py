"""Comparisons and choices as scalar expressions."""

from __future__ import annotations

from convc import ops
from convc.ir import Op
from convc.lower.math import Expr, f32, select


def logic(op: Op, *inputs: Expr) -> Expr:
    """`op` applied to one element of each input; the condition of Where is a float32."""
    match op:
        case ops.Where():
            condition, a, b = inputs
            return select(condition != f32(0.0), a, b)
        case ops.Greater():
            holds = inputs[0] > inputs[1]
        case ops.GreaterEqual():
            holds = inputs[0] >= inputs[1]
        case ops.Equal():
            holds = inputs[0].equal(inputs[1])
        case ops.NotEqual():
            holds = inputs[0] != inputs[1]
        case _:
            raise AssertionError(f"no lowering for {op.kind}")
    return select(holds, f32(1.0), f32(0.0))
