"""Elementary functions as expressions that vectorise: no libm, errors of a few units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tvm import te, tirx

Expr = Any
"""A TVM expression; TVM ships no types."""

LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 split so that n * LN2_HIGH is exact in float32 (Cody and Waite)."""
POWER = (8.29027223e-3, 4.18981608e-2, 1.66676381e-1, 4.99991477e-1, 9.99999706e-1, 1.0)
"""e**r for |r| <= ln2/2, highest power first: the polynomial of least relative error, 9.2e-8."""
POWER_LESS_ONE = (1.38825166e-3, 8.36654730e-3, 4.16672007e-2, 1.66665434e-1, 4.99999981e-1, 1.0)
"""(e**r - 1) / r for |r| <= ln2/2, in the same way: 1.3e-8."""
LOGARITHM = (5.36482104e-3, -3.00657805e-2, 7.92045185e-2, -1.37538011e-1, 1.91536544e-1,
             -2.48571636e-1, 3.33213226e-1, -4.99996480e-1, 1.0)  # fmt: skip
"""log(1 + e) / e for e from 0 to 1, in the same way: 3.3e-8."""
LARGEST = 3.4028234663852886e38
"""The largest float32; a larger one is infinite."""
SMALLEST = 1.1754943508222875e-38
"""The smallest normal float32."""


def f32(value: float) -> Expr:
    """A float32 constant."""
    return tirx.const(value, "float32")


def polynomial(x: Expr, coefficients: tuple[float, ...], number: Callable[[float], Expr] = f32) -> Expr:
    """Horner's scheme, highest power first; `number` makes the constants."""
    result = number(coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + number(coefficient)
    return result


def clamp(x: Expr, low: float, high: float) -> Expr:
    """x limited to [low, high]."""
    return te.min(te.max(x, f32(low)), f32(high))


def let(value: Expr, use: Callable[[Expr], Expr], dtype: str = "float32") -> Expr:
    """`use` of a variable bound to `value`: an expression that is read twice is otherwise two copies of its tree.

    The result is to be used once: TVM refuses a variable that is bound twice. While it compiles, TVM writes variables
    out all the same, which is why no kernel holds long chains of functions: see `Elementwise.reads`.
    """
    if isinstance(value, tirx.Var):
        return use(value)
    variable = tirx.Var("t", dtype)
    return tirx.Let(variable, value, use(variable))


def i32(value: int) -> Expr:
    """An int32 constant."""
    return tirx.const(value, "int32")


def bits(x: Expr) -> Expr:
    """A float32's representation as an int32."""
    return tirx.reinterpret("int32", x)


def select(condition: Expr, a: Expr, b: Expr) -> Expr:
    """`a` or `b`; both are computed."""
    return tirx.Select(condition, a, b)


def with_sign_of(x: Expr, magnitude: Expr) -> Expr:
    """`magnitude`, which is not negative, with the sign of `x`."""
    sign = tirx.bitwise_and(bits(x), tirx.const(-(1 << 31), "int32"))
    return tirx.reinterpret("float32", tirx.bitwise_or(bits(magnitude), sign))


def power_of_two(n: Expr) -> Expr:
    """2 to the n, a whole float32 from -126 to 127."""
    return tirx.reinterpret("float32", tirx.shift_left(tirx.Cast("int32", n) + 127, i32(23)))


def reduced(
    x: Expr, scale: float, limit: float, use: Callable[[Expr, Expr], Expr], ln2: tuple[float, ...] = (LN2,)
) -> Expr:
    """`use` of 2**n and r, where e**(scale * y) = 2**n * e**r with |r| <= ln2/2, and y is x limited to [-limit, limit].

    |scale * limit| is at most 87.3. n is rounded by the addition of 1.5 * 2**23, whose last place is one; 127 more make
    the last bits of the sum those of 2**n. With one constant `ln2`, the error of r is 2e-9 |n|; on machines without
    multiply-adds it is that of rounding x.
    """
    shift = 1.5 * 2**23 + 127

    def of_sum(y: Expr, t: Expr) -> Expr:
        power = tirx.reinterpret("float32", tirx.shift_left(bits(t), i32(23)))
        rest = y if scale == 1 else y * f32(scale)
        for part in ln2:
            rest = rest - (t - f32(shift)) * f32(part)
        return let(rest, lambda r: use(power, r))

    limited = te.min(f32(limit), te.max(f32(-limit), x))  # In this order NaN is kept.
    return let(limited, lambda y: let(y * f32(scale * LOG2E) + f32(shift), lambda t: of_sum(y, t)))


def exp(x: Expr) -> Expr:
    """e to the x, where x is limited to [-87.3, 87.3]: no infinities, no denormals."""
    return reduced(x, 1.0, 87.3, lambda power, r: polynomial(r, POWER) * power, (LN2_HIGH, LN2_LOW))


def exp_to_infinity(x: Expr) -> Expr:
    """e to the x, for all x, to 1 unit in the last place: denormals below -87.3, infinite from 88.73 on.

    By range reduction to [-ln2/2, ln2/2] and a polynomial of degree 6 (Cephes' expf).
    """

    def scaled(n: Expr, r: Expr) -> Expr:
        """By two powers of two, for n may be 128, and the value then below one."""
        p = polynomial(r, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5))
        value = p * r * r + r + f32(1.0)
        return let(te.floor(n * f32(0.5)), lambda half: value * power_of_two(half) * power_of_two(n - half))

    def rest(limited: Expr, n: Expr) -> Expr:
        return let(limited - n * f32(LN2_HIGH) - n * f32(LN2_LOW), lambda r: scaled(n, r))

    return let(
        clamp(x, -104.0, 89.0),
        lambda limited: let(te.floor(limited * f32(LOG2E) + f32(0.5)), lambda n: rest(limited, n)),
    )


def over_one_plus_exp(numerator: Expr, x: Expr) -> Expr:
    """numerator / (1 + exp(-x))."""
    return reduced(x, -1.0, 87.3, lambda power, r: numerator / (polynomial(r, POWER) * power + f32(1.0)))


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x))."""
    return over_one_plus_exp(f32(1.0), x)


def expm1(x: Expr) -> Expr:
    """exp(x) - 1, where x is limited to [-87.3, 87.3], without cancellation near zero."""
    return _expm1(x, 1.0, 87.3)


def _expm1(x: Expr, scale: float, limit: float) -> Expr:
    """2**n (e**r - 1) + (2**n - 1), which is e**r - 1 near zero."""

    def joined(power: Expr, r: Expr) -> Expr:
        return polynomial(r, POWER_LESS_ONE) * r * power + (power - f32(1.0))

    return reduced(x, scale, limit, joined)


def expm1_to_infinity(x: Expr) -> Expr:
    """exp(x) - 1 for all x: a Taylor polynomial within 0.35 of zero, else by `exp_to_infinity`."""

    def joined(x: Expr) -> Expr:
        near = x * polynomial(x, (1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0))
        return select(te.abs(x) < f32(0.35), near, exp_to_infinity(x) - f32(1.0))

    return let(x, joined)


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent: m / (m + 2) with m = exp(2x) - 1. Beyond 9.02 it is 1 in float32."""
    return let(_expm1(x, 2.0, 9.02), lambda m: m / (m + f32(2.0)))


def log1p_of_exp(x: Expr) -> Expr:
    """log(1 + exp(x)) = max(x, 0) + log1p(e) with e = exp(-|x|), at most 1."""

    def joined(x: Expr) -> Expr:
        return te.max(x, f32(0.0)) + let(exp(f32(0.0) - te.abs(x)), lambda e: e * polynomial(e, LOGARITHM))

    return let(x, joined)


def log(x: Expr) -> Expr:
    """The natural logarithm: x = 2**e * m with m from sqrt(1/2) to sqrt(2), log(m) as 2 atanh((m - 1) / (m + 1))."""

    def of_normal(x: Expr, scale: Expr) -> Expr:
        return let(x, lambda x: split(x, lambda e, f: from_parts(e + scale, f)))

    def joined(x: Expr) -> Expr:
        is_small = x < f32(SMALLEST)
        normal = select(is_small, x * f32(1 << 23), x)
        return with_poles(x, x, of_normal(normal, select(is_small, f32(-23.0), f32(0.0))))

    return let(x, joined)


def log1p(x: Expr) -> Expr:
    """log(1 + x). Where 1 + x need not be scaled, its m - 1 is x itself, so nothing is lost by the addition."""

    def of_sum(x: Expr, u: Expr) -> Expr:
        value = split(u, lambda e, f: let(select(e == f32(0.0), x, f), lambda f: from_parts(e, f)))
        return with_poles(u, x, value)

    return let(x, lambda x: let(x + f32(1.0), lambda u: of_sum(x, u)))


def split(x: Expr, use: Callable[[Expr, Expr], Expr]) -> Expr:
    """`use` of e and m - 1 for a normal, positive x = 2**e * m."""
    root = i32(0x3F3504F3)  # sqrt(1/2)
    exponent = tirx.shift_right(bits(x) - root, i32(23))

    def of_exponent(e: Expr) -> Expr:
        fraction = tirx.reinterpret("float32", bits(x) - tirx.shift_left(e, i32(23))) - f32(1.0)
        return let(tirx.Cast("float32", e), lambda e: let(fraction, lambda f: use(e, f)))

    return let(exponent, of_exponent, "int32")


def from_parts(e: Expr, f: Expr) -> Expr:
    """e ln 2 + log(1 + f)."""

    def series(s: Expr) -> Expr:
        return let(s * s, lambda z: s * (f32(2.0) + z * polynomial(z, (2 / 9, 2 / 7, 2 / 5, 2 / 3))))

    return let(e, lambda e: e * f32(LN2_HIGH) + (let(f / (f32(2.0) + f), series) + e * f32(LN2_LOW)))


def with_poles(u: Expr, x: Expr, logarithm: Expr) -> Expr:
    """`logarithm` of u where that is positive and finite; u is `x` or comes from it."""
    large = select(u > f32(LARGEST), x, logarithm)
    zero = select(u == f32(0.0), tirx.const(-math.inf, "float32"), tirx.const(math.nan, "float32"))
    return select(u > f32(0.0), large, zero)


def sinh(x: Expr) -> Expr:
    """The hyperbolic sine: a Taylor polynomial within 1 of zero, else by exp."""

    def joined(x: Expr, s: Expr, e: Expr) -> Expr:
        near = x + x * s * polynomial(s, (1 / 39916800, 1 / 362880, 1 / 5040, 1 / 120, 1 / 6))
        return select(s < f32(1.0), near, with_sign_of(x, f32(0.5) * (e - f32(1.0) / e)))

    def powered(x: Expr, s: Expr) -> Expr:
        return let(exp_to_infinity(te.abs(x)), lambda e: joined(x, s, e))

    return let(x, lambda x: let(x * x, lambda s: powered(x, s)))


def cosh(x: Expr) -> Expr:
    """The hyperbolic cosine."""
    return let(exp_to_infinity(te.abs(x)), lambda e: f32(0.5) * (e + f32(1.0) / e))


def asinh(x: Expr) -> Expr:
    """sign(x) log1p(a + a**2 / (1 + sqrt(1 + a**2))) with a = |x|, log(2a) where its square is too large."""

    def magnitude(a: Expr) -> Expr:
        square = a * a
        return _log1p_or_log_of_double(a, a + square / (f32(1.0) + te.sqrt(f32(1.0) + square)))

    return let(x, lambda x: with_sign_of(x, let(te.abs(x), magnitude)))


def acosh(x: Expr) -> Expr:
    """log1p(t + sqrt(t (t + 2))) with t = x - 1, log(2x) where the square is too large; NaN below 1."""

    def of_rest(x: Expr, t: Expr) -> Expr:
        nan = tirx.const(math.nan, "float32")
        return _log1p_or_log_of_double(x, select(x >= f32(1.0), t + te.sqrt(t * (t + f32(2.0))), nan))

    return let(x, lambda x: let(x - f32(1.0), lambda t: of_rest(x, t)))


def _log1p_or_log_of_double(x: Expr, rest: Expr) -> Expr:
    is_large = x > f32(1e9)
    return log1p(select(is_large, x, rest)) + select(is_large, f32(math.log(2)), f32(0.0))


def atanh(x: Expr) -> Expr:
    """log1p(2a / (1 - a)) / 2 with a = |x| and the sign of x; NaN above 1."""

    def magnitude(a: Expr) -> Expr:
        return f32(0.5) * log1p((a + a) / (f32(1.0) - a))

    return let(x, lambda x: with_sign_of(x, let(te.abs(x), magnitude)))


def erf(x: Expr) -> Expr:
    """The error function: an odd rational approximation on [-4, 4] (Eigen's and XLA's coefficients)."""
    top = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
           -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
    bottom = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03,
              -7.37332916720468e-03, -1.42647390514189e-02)  # fmt: skip

    def ratio(c: Expr, s: Expr) -> Expr:
        return c * polynomial(s, top) / polynomial(s, bottom)

    return let(clamp(x, -4.0, 4.0), lambda c: let(c * c, lambda s: ratio(c, s)))


def gelu(x: Expr) -> Expr:
    """x (1 + erf(x / sqrt(2))) / 2, where erf is an odd rational function within 3.9e-8 of it on [-5.5, 5.5]."""
    top = (2.23514038e-10, -4.41646448e-08, 6.48215885e-06, 3.40751569e-04, 9.01835329e-03, 7.18448248e-02,
           7.97884309e-01)  # fmt: skip
    bottom = (6.23270967e-05, 1.83065445e-03, 2.90916088e-02, 2.56708706e-01, 1.0)

    def ratio(x: Expr, c: Expr, s: Expr) -> Expr:
        return let(polynomial(s, bottom), lambda below: f32(0.5) * x * (below + c * polynomial(s, top)) / below)

    def limited(x: Expr) -> Expr:
        return let(te.min(f32(5.5), x), lambda c: let(c * c, lambda s: ratio(x, c, s)))

    return let(te.max(f32(-5.5), x), limited)


def erfc(x: Expr) -> Expr:
    """1 - erf(x): exp(-x**2) times a polynomial in t = 1 / (1 + |x| / 2), divided by t, of degree 8.

    The polynomial is the Chebyshev fit of erfcx(x) / t for x from 0 to 10.5; what the square of x loses in float32 is a
    second power.
    """
    fit = (-5.8294610185e-5, 2.4326845870e-5, 6.1574153377e-4, -6.8554647387e-4, -6.3248314511e-3, 6.3113059920e-3,
           1.0352082562e-1, 3.2718769996e-1, 5.6940872160e-1)  # fmt: skip
    low = 1 / (1 + 10.5 / 2)

    def power(a: Expr) -> Expr:
        upper = tirx.reinterpret("float32", tirx.bitwise_and(bits(a), i32(-4096)))

        def split_square(u: Expr) -> Expr:
            return exp_to_infinity(f32(0.0) - u * u) * exp((u - a) * (u + a))

        return let(upper, split_square)

    def positive(a: Expr) -> Expr:
        def of_t(t: Expr) -> Expr:
            scaled = t * f32(2 / (1 - low)) - f32((1 + low) / (1 - low))
            return t * let(scaled, lambda k: polynomial(k, fit)) * power(a)

        return let(f32(1.0) / (f32(1.0) + f32(0.5) * a), of_t)

    def joined(x: Expr) -> Expr:
        tail = let(te.min(te.abs(x), f32(10.5)), positive)
        return let(tail, lambda tail: select(x < f32(0.0), f32(2.0) - tail, tail))

    return let(x, joined)


def erfinv(x: Expr) -> Expr:
    """The inverse of the error function: two polynomials in w = -log((1 - x) (1 + x)) (Giles 2010)."""
    centre = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
              -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
    tail = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
            0.00943887047, 1.00167406, 2.83297682)  # fmt: skip

    def joined(x: Expr, w: Expr) -> Expr:
        near = let(w - f32(2.5), lambda v: polynomial(v, centre))
        far = let(te.sqrt(w) - f32(3.0), lambda v: polynomial(v, tail))
        value = x * select(w < f32(5.0), near, far)
        return select(te.abs(x) == f32(1.0), x * tirx.const(math.inf, "float32"), value)

    return let(x, lambda x: let(f32(0.0) - log((f32(1.0) - x) * (f32(1.0) + x)), lambda w: joined(x, w)))
