"""Trigonometric functions and their inverses as expressions that vectorise: no libm."""

from __future__ import annotations

import math

from tvm import te, tirx

from convc.lower.math import Expr, clamp, f32, let, polynomial, select, with_sign_of

QUARTER_HIGH = 1.5707963267341256
QUARTER_LOW = 6.077100506506192e-11
"""pi / 2 split so that n * QUARTER_HIGH is exact in float64 for n below 2**20."""


def sin(x: Expr) -> Expr:
    """The sine: see `_reduced`."""
    return _reduced(x, lambda s, c, q: select(_is_odd(q), _signed(q, c), _signed(q, s)))


def cos(x: Expr) -> Expr:
    """The cosine, the sine of a quarter turn more."""

    def turned(s: Expr, c: Expr, q: Expr) -> Expr:
        return select(_is_odd(q), f32(0.0) - _signed(q, s), _signed(q, c))

    return _reduced(x, turned)


def tan(x: Expr) -> Expr:
    """The tangent."""
    return _reduced(x, lambda s, c, q: select(_is_odd(q), (f32(0.0) - c) / s, s / c))


def _is_odd(q: Expr) -> Expr:
    return tirx.any(q == f32(1.0), q == f32(3.0))


def _signed(q: Expr, value: Expr) -> Expr:
    return select(q >= f32(2.0), f32(0.0) - value, value)


def _reduced(x: Expr, use: Expr) -> Expr:
    """`use` of sin(r), cos(r) and q, where x is r plus q quarter turns, r within pi/4 of 0 and q from 0 to 3.

    The quarters are taken off in float64, which keeps the error of r below 1e-8 for |x| up to 1e8; r is kept within
    bounds for any x. The polynomials are Taylor's.
    """

    def f64(value: float) -> Expr:
        return tirx.const(value, "float64")

    def of_rest(r: Expr, q: Expr) -> Expr:
        def of_square(z: Expr) -> Expr:
            sine = r + r * z * polynomial(z, (1 / 362880, -1 / 5040, 1 / 120, -1 / 6))
            cosine = f32(1.0) + z * polynomial(z, (-1 / 3628800, 1 / 40320, -1 / 720, 1 / 24, -0.5))
            return let(sine, lambda s: let(cosine, lambda c: use(s, c, q)))

        return let(r * r, of_square)

    def of_quarters(wide: Expr, n: Expr) -> Expr:
        rest = clamp(tirx.Cast("float32", wide - n * f64(QUARTER_HIGH) - n * f64(QUARTER_LOW)), -0.7854, 0.7854)
        quarter = tirx.Cast("float32", n - f64(4.0) * te.floor(n * f64(0.25)))
        return let(rest, lambda r: let(quarter, lambda q: of_rest(r, q)))

    def of_wide(wide: Expr) -> Expr:
        return let(te.floor(wide * f64(2 / math.pi) + f64(0.5)), lambda n: of_quarters(wide, n), "float64")

    return let(tirx.Cast("float64", x), of_wide, "float64")


def _atan_of_small(t: Expr) -> Expr:
    """The arctangent for |t| up to tan(pi / 8) (Cephes' atanf)."""
    fit = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
    return let(t, lambda t: let(t * t, lambda z: polynomial(z, fit) * z * t + t))


def atan(x: Expr) -> Expr:
    """The arctangent: pi/2 less that of 1/x above tan(3 pi / 8), pi/4 more than that of (x - 1) / (x + 1) before."""

    def magnitude(a: Expr) -> Expr:
        is_large, is_middle = a > f32(math.tan(3 * math.pi / 8)), a > f32(math.tan(math.pi / 8))
        middle = select(is_middle, (a - f32(1.0)) / (a + f32(1.0)), a)
        start = select(is_large, f32(math.pi / 2), select(is_middle, f32(math.pi / 4), f32(0.0)))
        return start + _atan_of_small(select(is_large, f32(-1.0) / a, middle))

    return let(x, lambda x: with_sign_of(x, let(te.abs(x), magnitude)))


def atan2(y: Expr, x: Expr) -> Expr:
    """The angle of (x, y): the arctangent of the smaller by the larger magnitude, put into its octant."""

    def magnitude(y: Expr, x: Expr) -> Expr:
        low, high = te.min(te.abs(x), te.abs(y)), te.max(te.abs(x), te.abs(y))
        ratio = select(low == high, select(high == f32(0.0), f32(0.0), f32(1.0)), low / high)
        octant = let(atan(ratio), lambda r: select(te.abs(y) > te.abs(x), f32(math.pi / 2) - r, r))
        is_left = tirx.reinterpret("int32", x) < tirx.const(0, "int32")
        return let(octant, lambda r: select(is_left, f32(math.pi) - r, r))

    return let(y, lambda y: let(x, lambda x: with_sign_of(y, magnitude(y, x))))


def asin(x: Expr) -> Expr:
    """The arcsine: a polynomial below 1/2 (Cephes' asinf), pi/2 - 2 asin(sqrt((1 - a) / 2)) above; NaN above 1."""

    def magnitude(a: Expr) -> Expr:
        is_large = a > f32(0.5)

        def joined(t: Expr) -> Expr:
            return let(_asin_of_small(t), lambda s: select(is_large, f32(math.pi / 2) - (s + s), s))

        return let(select(is_large, te.sqrt(f32(0.5) * (f32(1.0) - a)), a), joined)

    return let(x, lambda x: with_sign_of(x, let(te.abs(x), magnitude)))


def acos(x: Expr) -> Expr:
    """The arccosine: 2 asin(sqrt((1 - x) / 2)) above 1/2, pi less that of -x below -1/2, pi/2 - asin(x) between."""

    def joined(x: Expr, a: Expr) -> Expr:
        is_large = a > f32(0.5)

        def of_small(s: Expr) -> Expr:
            outer = select(x < f32(0.0), f32(math.pi) - (s + s), s + s)
            return select(is_large, outer, f32(math.pi / 2) - s)

        return let(_asin_of_small(select(is_large, te.sqrt(f32(0.5) * (f32(1.0) - a)), x)), of_small)

    return let(x, lambda x: let(te.abs(x), lambda a: joined(x, a)))


def _asin_of_small(t: Expr) -> Expr:
    fit = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
    return let(t, lambda t: let(t * t, lambda z: polynomial(z, fit) * z * t + t))
