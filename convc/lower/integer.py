"""Arithmetic and logic on integers as scalar expressions that neither trap nor leave anything undefined."""

from __future__ import annotations

from tvm import te, tirx

from convc import ops
from convc.ir import Op
from convc.lower.math import Expr, i32, let, select


def integer(op: Op, a: Expr, b: Expr) -> Expr:
    """`op` applied to one element of each input."""
    return let(a, lambda a: let(b, lambda b: _integer(op, a, b), "int32"), "int32")


def _integer(op: Op, a: Expr, b: Expr) -> Expr:
    # By 0, and the least integer by -1, the machine traps. Divisions stay outside of choices by b: inside of one, TVM
    # simplifies `safe` to b, and still computes both sides.
    safe = select(tirx.any(b == i32(0), b == i32(-1)), i32(1), b)
    in_range = tirx.all(b >= i32(0), b <= i32(31))
    match op:
        case ops.Quotient():
            return let(te.truncdiv(a, safe), lambda quotient: _quotient(a, b, quotient), "int32")
        case ops.Remainder():
            return let(te.truncmod(a, safe), lambda rest: select(b == i32(0), a, rest), "int32")
        case ops.Modulo():
            return let(te.truncmod(a, safe), lambda rest: _with_sign_of(b, rest), "int32")
        case ops.BitAnd():
            return tirx.bitwise_and(a, b)
        case ops.BitOr():
            return tirx.bitwise_or(a, b)
        case ops.BitXor():
            return tirx.bitwise_xor(a, b)
        case ops.ShiftLeft():
            return select(in_range, tirx.shift_left(a, tirx.bitwise_and(b, i32(31))), i32(0))
        case ops.ShiftRight():
            return tirx.shift_right(a, select(in_range, b, i32(31)))
    raise AssertionError(f"no lowering for {op.kind}")


def _quotient(a: Expr, b: Expr, quotient: Expr) -> Expr:
    return select(b == i32(0), i32(-1), select(b == i32(-1), i32(0) - a, quotient))


def _with_sign_of(b: Expr, rest: Expr) -> Expr:
    """`rest`, what a division by b leaves, moved to the side of zero on which b is."""
    apart = tirx.all(rest != i32(0), tirx.bitwise_xor(rest, b) < i32(0))
    return select(b == i32(0), i32(0), select(apart, rest + b, rest))
