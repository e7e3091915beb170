"""Elementary functions as expressions that vectorise: no libm, errors of a few units in the last place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

Expr = Any
"""A TVM expression; TVM ships no types."""

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 split so that n * LN2_HIGH is exact in float32 (Cody and Waite)."""


def f32(value: float) -> Expr:
    """A float32 constant."""
    return tirx.const(value, "float32")


def polynomial(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """Horner's scheme, highest power first."""
    result = f32(coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + f32(coefficient)
    return result


def clamp(x: Expr, low: float, high: float) -> Expr:
    """x limited to [low, high]."""
    return te.min(te.max(x, f32(low)), f32(high))


def let(value: Expr, use: Callable[[Expr], Expr]) -> Expr:
    """`use` of a variable bound to `value`: an expression that is read twice is otherwise two copies of its tree.

    The result is to be used once: TVM refuses a variable that is bound twice.
    """
    variable = tirx.Var("t", "float32")
    return tirx.Let(variable, value, use(variable))


def exp(x: Expr) -> Expr:
    """e to the x by range reduction to [-ln2/2, ln2/2] and a polynomial of degree 6 (Cephes' expf).

    Below -87.3 the result is the smallest normal number, above 88.3 it stays finite: no infinities, no denormals.
    """

    def power_of_two(n: Expr) -> Expr:
        shifted = tirx.shift_left(tirx.Cast("int32", n) + 127, tirx.const(23, "int32"))
        return tirx.reinterpret("float32", shifted)

    def scaled(n: Expr, r: Expr) -> Expr:
        p = polynomial(r, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5))
        return (p * r * r + r + f32(1.0)) * power_of_two(n)

    def reduced(limited: Expr, n: Expr) -> Expr:
        return let(limited - n * f32(LN2_HIGH) - n * f32(LN2_LOW), lambda r: scaled(n, r))

    return let(
        clamp(x, -87.33654, 88.37626),
        lambda limited: let(te.floor(limited * f32(LOG2E) + f32(0.5)), lambda n: reduced(limited, n)),
    )


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x))."""
    return f32(1.0) / (f32(1.0) + exp(f32(0.0) - x))


def expm1(x: Expr) -> Expr:
    """exp(x) - 1 for x <= 0, without cancellation near zero: a Taylor polynomial from -0.35 up."""

    def joined(x: Expr) -> Expr:
        near = x * polynomial(x, (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0))
        return te.if_then_else(x > f32(-0.35), near, exp(x) - f32(1.0))

    return let(x, joined)


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent: an odd polynomial below 0.625 (Cephes' tanhf), 1 - 2 / (exp(2x) + 1) above."""
    small = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)

    def joined(x: Expr, s: Expr, far: Expr) -> Expr:
        signed = tirx.Select(x < f32(0.0), f32(0.0) - far, far)
        return tirx.Select(te.abs(x) < f32(0.625), polynomial(s, small) * s * x + x, signed)

    def split(x: Expr) -> Expr:
        far = f32(1.0) - f32(2.0) / (exp(te.abs(x) + te.abs(x)) + f32(1.0))
        return let(x * x, lambda s: let(far, lambda far: joined(x, s, far)))

    return let(x, split)


def log1p_of_exp(x: Expr) -> Expr:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), log1p by 2 atanh(e / (2 + e)) as a series."""
    odd = tuple(1 / k for k in range(17, 0, -2))

    def series(x: Expr, s: Expr) -> Expr:
        return let(s * s, lambda s2: te.max(x, f32(0.0)) + f32(2.0) * s * polynomial(s2, odd))

    def of_power(x: Expr, e: Expr) -> Expr:
        return let(e / (f32(2.0) + e), lambda s: series(x, s))

    return let(x, lambda x: let(exp(f32(0.0) - te.abs(x)), lambda e: of_power(x, e)))


def erf(x: Expr) -> Expr:
    """The error function: an odd rational approximation on [-4, 4] (Eigen's and XLA's coefficients)."""
    top = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
           -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
    bottom = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03,
              -7.37332916720468e-03, -1.42647390514189e-02)  # fmt: skip

    def ratio(c: Expr, s: Expr) -> Expr:
        return c * polynomial(s, top) / polynomial(s, bottom)

    return let(clamp(x, -4.0, 4.0), lambda c: let(c * c, lambda s: ratio(c, s)))
