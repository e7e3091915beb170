"""Arithmetic as scalar expressions, and the broadcast that brings its inputs to one shape."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import te

from convc import ops
from convc.ir import Op, Shape
from convc.lower.angles import atan2
from convc.lower.double import floor_divide, fmod, mod, power
from convc.lower.math import Expr


def binary(op: Op, a: Expr, b: Expr) -> Expr:
    """`op` applied to one element of each input."""
    match op:
        case ops.Add():
            return a + b
        case ops.Subtract():
            return a - b
        case ops.Multiply():
            return a * b
        case ops.Divide():
            return a / b
        case ops.Maximum():
            return te.max(a, b)
        case ops.Minimum():
            return te.min(a, b)
        case ops.Power():
            return power(a, b)
        case ops.FloorDivide():
            return floor_divide(a, b)
        case ops.Mod():
            return mod(a, b)
        case ops.Fmod():
            return fmod(a, b)
        case ops.Atan2():
            return atan2(a, b)
    raise AssertionError(f"no lowering for {op.kind}")


def broadcast(shape: Shape, indices: Sequence[Expr]) -> tuple[Expr, ...]:
    """The indices at which a tensor of `shape` is read for an output element at `indices` (NumPy's rule)."""
    tail = indices[len(indices) - len(shape) :]
    return tuple(0 if extent == 1 else index for extent, index in zip(shape, tail, strict=True))
