"""Elementary functions as expressions that vectorise: no libm, errors of a few units in the last place."""

from __future__ import annotations

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


def exp(x: Expr) -> Expr:
    """e to the x by range reduction to [-ln2/2, ln2/2] and a polynomial of degree 6 (Cephes' expf).

    Below -87.3 the result is the smallest normal number, above 88.3 it stays finite: no infinities, no denormals.
    """
    limited = clamp(x, -87.33654, 88.37626)
    n = te.floor(limited * f32(LOG2E) + f32(0.5))
    r = limited - n * f32(LN2_HIGH) - n * f32(LN2_LOW)
    p = polynomial(r, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5))
    power = tirx.reinterpret("float32", tirx.shift_left(tirx.Cast("int32", n) + 127, tirx.const(23, "int32")))
    return (p * r * r + r + f32(1.0)) * power


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x))."""
    return f32(1.0) / (f32(1.0) + exp(f32(0.0) - x))


def expm1(x: Expr) -> Expr:
    """exp(x) - 1 for x <= 0, without cancellation near zero: a Taylor polynomial from -0.35 up."""
    near = x * polynomial(x, (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0))
    return te.if_then_else(x > f32(-0.35), near, exp(x) - f32(1.0))


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent: an odd polynomial below 0.625 (Cephes' tanhf), 1 - 2 / (exp(2x) + 1) above."""
    a = te.abs(x)
    s = x * x
    small = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
    near = polynomial(s, small) * s * x + x
    far = f32(1.0) - f32(2.0) / (exp(a + a) + f32(1.0))
    return tirx.Select(a < f32(0.625), near, tirx.Select(x < f32(0.0), f32(0.0) - far, far))


def log1p_of_exp(x: Expr) -> Expr:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), log1p by 2 atanh(e / (2 + e)) as a series."""
    e = exp(f32(0.0) - te.abs(x))
    s = e / (f32(2.0) + e)
    s2 = s * s
    series = polynomial(s2, tuple(1 / k for k in range(17, 0, -2)))
    return te.max(x, f32(0.0)) + f32(2.0) * s * series


def erf(x: Expr) -> Expr:
    """The error function: an odd rational approximation on [-4, 4] (Eigen's and XLA's coefficients)."""
    c = clamp(x, -4.0, 4.0)
    s = c * c
    top = polynomial(s, (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
                         -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02))  # fmt: skip
    bottom = polynomial(s, (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03,
                            -7.37332916720468e-03, -1.42647390514189e-02))  # fmt: skip
    return c * top / bottom
