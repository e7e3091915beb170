"""Functions of two arguments that need more digits than float32 has on the way: they are computed in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

from tvm import te, tirx

from convc.lower.math import LARGEST, Expr, f32, let, polynomial, select, with_sign_of


def f64(value: float) -> Expr:
    """A float64 constant."""
    return tirx.const(value, "float64")


def wide(x: Expr) -> Expr:
    """A float32 as a float64."""
    return tirx.Cast("float64", x)


def narrow(x: Expr) -> Expr:
    """A float64 as a float32: infinite or denormal where need be."""
    return tirx.Cast("float32", x)


def _horner(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    return polynomial(x, coefficients, f64)


def _log(x: Expr) -> Expr:
    """log(x) in float64 for a normal, positive x, to a relative error of 1e-12: see `convc.lower.math.log`."""
    root = tirx.const(0x3FE6A09E667F3BCD, "int64")  # sqrt(1/2)
    shift = tirx.const(52, "int64")
    odd = tuple(2 / k for k in range(15, 0, -2))

    def joined(pattern: Expr, e: Expr) -> Expr:
        m = tirx.reinterpret("float64", pattern - tirx.shift_left(e, shift))

        def series(s: Expr) -> Expr:
            return s * let(s * s, lambda z: _horner(z, odd), "float64")

        ratio = let(m, lambda m: (m - f64(1.0)) / (m + f64(1.0)), "float64")
        return tirx.Cast("float64", e) * f64(math.log(2)) + let(ratio, series, "float64")

    def of_bits(pattern: Expr) -> Expr:
        return let(tirx.shift_right(pattern - root, shift), lambda e: joined(pattern, e), "int64")

    return let(tirx.reinterpret("int64", x), of_bits, "int64")


def _exp(t: Expr) -> Expr:
    """exp(t) in float64, to a relative error of 1e-11; t is limited to what float32 can tell apart."""
    terms = tuple(1 / math.factorial(k) for k in range(9, -1, -1))

    def scaled(limited: Expr, n: Expr) -> Expr:
        exponent = tirx.shift_left(tirx.Cast("int64", n) + tirx.const(1023, "int64"), tirx.const(52, "int64"))
        rest = let(limited - n * f64(math.log(2)), lambda r: _horner(r, terms), "float64")
        return rest * tirx.reinterpret("float64", exponent)

    def of_limited(limited: Expr) -> Expr:
        return let(te.floor(limited * f64(1 / math.log(2)) + f64(0.5)), lambda n: scaled(limited, n), "float64")

    return let(te.min(te.max(t, f64(-150.0)), f64(130.0)), of_limited, "float64")


def power(x: Expr, y: Expr) -> Expr:
    """x to the y as exp(y log|x|); with a sign where x is negative and y odd, NaN where y is then no integer."""

    def value(x: Expr, y: Expr) -> Expr:
        magnitude = narrow(_exp(wide(y) * _log(wide(te.abs(x)))))
        at_zero = select(y > f32(0.0), f32(0.0), tirx.const(math.inf, "float32"))
        at_infinity = select(y > f32(0.0), tirx.const(math.inf, "float32"), f32(0.0))
        inner = select(te.abs(x) > f32(LARGEST), at_infinity, select(x == f32(0.0), at_zero, magnitude))
        return select(y == f32(0.0), f32(1.0), inner)

    def joined(x: Expr, y: Expr) -> Expr:
        is_odd = te.floor(y * f32(0.5)) * f32(2.0) != y
        is_whole = te.floor(y) == y

        def signed(v: Expr) -> Expr:
            negative = select(is_whole, select(is_odd, f32(0.0) - v, v), tirx.const(math.nan, "float32"))
            return select(x < f32(0.0), negative, v)

        return let(value(x, y), signed)

    return let(x, lambda x: let(y, lambda y: joined(x, y)))


def cbrt(x: Expr) -> Expr:
    """The cube root."""

    def magnitude(a: Expr) -> Expr:
        root = narrow(_exp(f64(1 / 3) * _log(wide(a))))
        return select(tirx.all(a > f32(0.0), a <= f32(LARGEST)), root, a)

    return let(x, lambda x: with_sign_of(x, let(te.abs(x), magnitude)))


def floor_divide(a: Expr, b: Expr) -> Expr:
    """floor(a / b): no quotient of float32s that is below 2**29 and no integer rounds to one in float64."""
    return narrow(te.floor(wide(a) / wide(b)))


def mod(a: Expr, b: Expr) -> Expr:
    """a - floor(a / b) b, exact where the quotient is below 2**29; as Python has it where b is infinite."""
    return _rest(a, b, lambda rest, b: select(rest * b < f64(0.0), rest + b, rest))


def fmod(a: Expr, b: Expr) -> Expr:
    """a - trunc(a / b) b, exact where the quotient is below 2**29, and a where b is infinite."""
    return _rest(a, b, lambda rest, b: rest)


def _rest(a: Expr, b: Expr, finish: Callable[[Expr, Expr], Expr]) -> Expr:
    def of_wide(a: Expr, b: Expr) -> Expr:
        def of_whole(whole: Expr) -> Expr:
            rest = select(whole.equal(f64(0.0)), a, a - whole * b)
            return let(rest, lambda rest: narrow(finish(rest, b)), "float64")

        return let(te.trunc(a / b), of_whole, "float64")

    return let(wide(a), lambda a: let(wide(b), lambda b: of_wide(a, b), "float64"), "float64")
