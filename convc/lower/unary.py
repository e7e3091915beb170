"""Mathematical functions of one argument as scalar expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tvm import te

from convc import ops
from convc.ir import Op
from convc.lower import angles, math
from convc.lower.double import cbrt
from convc.lower.math import Expr, clamp, exp_to_infinity, f32, let, select, with_sign_of

_FUNCTIONS: Final[dict[type[Op], Callable[[Expr], Expr]]] = {
    ops.Abs: te.abs,
    ops.Acos: angles.acos,
    ops.Acosh: math.acosh,
    ops.Asin: angles.asin,
    ops.Asinh: math.asinh,
    ops.Atan: angles.atan,
    ops.Atanh: math.atanh,
    ops.Cbrt: cbrt,
    ops.Ceil: te.ceil,
    ops.Cos: angles.cos,
    ops.Cosh: math.cosh,
    ops.Erf: math.erf,
    ops.Erfc: math.erfc,
    ops.Erfinv: math.erfinv,
    ops.Exp: exp_to_infinity,
    ops.Expm1: math.expm1_to_infinity,
    ops.Floor: te.floor,
    ops.Log: math.log,
    ops.Log1p: math.log1p,
    ops.Reciprocal: lambda x: f32(1.0) / x,
    ops.Rsqrt: lambda x: f32(1.0) / te.sqrt(x),
    ops.Sin: angles.sin,
    ops.Sinh: math.sinh,
    ops.Sqrt: te.sqrt,
    ops.Square: lambda x: x * x,
    ops.Tan: angles.tan,
    ops.Trunc: te.trunc,
}


def function(op: Op, x: Expr) -> Expr:
    """`op` applied to the variable x."""
    match op:
        case ops.Clip():
            return clamp(x, op.low, op.high)
        case ops.IntegerPower():
            power = _power(x, abs(op.exponent))
            return f32(1.0) / power if op.exponent < 0 else power
        case ops.Round():
            return with_sign_of(x, let(te.abs(x), lambda a: let(te.floor(a), lambda low: _round(a, low))))
        case ops.Sign():
            return select(x > f32(0.0), f32(1.0), select(x < f32(0.0), f32(-1.0), x))
    if type(op) not in _FUNCTIONS:
        raise AssertionError(f"no lowering for {op.kind}")
    return _FUNCTIONS[type(op)](x)


def _power(x: Expr, exponent: int) -> Expr:
    """x to a whole number, by squaring."""
    if exponent == 0:
        return f32(1.0)
    if exponent == 1:
        return x
    half = let(_power(x, exponent // 2), lambda y: y * y)
    return half * x if exponent % 2 else half


def _round(x: Expr, low: Expr) -> Expr:
    """The integer nearest to x, which is not negative, by the largest below it, even where both are equally near; every
    step is exact."""

    def upwards(rest: Expr) -> Expr:
        is_odd = te.floor(low * f32(0.5)) * f32(2.0) != low
        tie = select(is_odd, f32(1.0), f32(0.0))
        return low + select(rest > f32(0.5), f32(1.0), select(rest == f32(0.5), tie, f32(0.0)))

    return let(x - low, upwards)
