"""Functions of keras.ops of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from convc import ops
from convc.errors import ModelError
from convc.frontends.keras.cast import as_float
from convc.frontends.keras.config import is_integer, show
from convc.frontends.keras.logic import choice
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.truth import number
from convc.ir import Node, make

_FUNCTIONS: dict[str, ops.Unary] = {
    "absolute": ops.Abs(), "fabs": ops.Abs(), "arccos": ops.Acos(), "arccosh": ops.Acosh(), "arcsin": ops.Asin(),
    "arcsinh": ops.Asinh(), "arctan": ops.Atan(), "arctanh": ops.Atanh(), "cbrt": ops.Cbrt(), "ceil": ops.Ceil(),
    "cos": ops.Cos(), "cosh": ops.Cosh(), "erf": ops.Erf(), "erfc": ops.Erfc(), "erfinv": ops.Erfinv(),
    "exp": ops.Exp(), "expm1": ops.Expm1(), "floor": ops.Floor(), "log": ops.Log(), "log1p": ops.Log1p(),
    "reciprocal": ops.Reciprocal(), "rsqrt": ops.Rsqrt(), "sign": ops.Sign(), "sin": ops.Sin(), "sinh": ops.Sinh(),
    "sqrt": ops.Sqrt(), "square": ops.Square(), "tan": ops.Tan(), "tanh": ops.Tanh(), "trunc": ops.Trunc(),
}  # fmt: skip

_SCALED: dict[str, tuple[ops.Unary | None, float]] = {
    "negative": (None, -1.0),
    "deg2rad": (None, math.pi / 180),
    "rad2deg": (None, 180 / math.pi),
    "log2": (ops.Log(), 1 / math.log(2)),
    "log10": (ops.Log(), 1 / math.log(10)),
}
"""Functions that are another, or the input itself, times a number."""

KEEPING = ("absolute", "fabs", "ceil", "floor", "negative", "sign", "square", "trunc")
"""Functions that give integers of integers, which are not supported."""


def _clip(call: Arguments) -> Node:
    """Bounds may be numbers, None, or lists of numbers that broadcast; the upper one wins."""
    x, fields = call.tensor("x"), call.fields
    bounds = [fields.array(key) for key in ("x_min", "x_max")]
    if all(bound is None for bound in bounds):
        return x
    if all(bound is None or bound.ndim == 0 for bound in bounds):
        low, high = (
            limit if bound is None else float(bound) for bound, limit in zip(bounds, (-math.inf, math.inf), strict=True)
        )
        return make(ops.Clip(low, high), x, origin=call.origin)
    for op, bound in zip((ops.Maximum(), ops.Minimum()), bounds, strict=True):
        if bound is not None:
            x = make(op, x, ops.constant(np.asarray(bound, np.float32), call.origin), origin=call.origin)
    return x


def _round(call: Arguments) -> Node:
    """To a number of decimals, which may be negative."""
    x, decimals, origin = call.tensor("x"), call.values.get("decimals", 0), call.origin
    if not is_integer(decimals) or abs(decimals) > 30:  # type: ignore[arg-type]
        raise ModelError("", "'decimals' is wrong", expected="an integer from -30 to 30", received=show(decimals))
    if decimals == 0:
        return make(ops.Round(), x, origin=origin)
    factor = number(10.0**decimals, origin)  # type: ignore[operator]
    rounded = make(ops.Round(), make(ops.Multiply(), x, factor, origin=origin), origin=origin)
    return make(ops.Divide(), rounded, factor, origin=origin)


def _exp2(call: Arguments) -> Node:
    return make(ops.Power(), number(2, call.origin), as_float(call.tensor("x"), call.origin), origin=call.origin)


def _sinc(call: Arguments) -> Node:
    """sin(pi x) / (pi x), 1 at 0."""
    origin = call.origin
    angle = make(ops.Multiply(), as_float(call.tensor("x"), origin), number(math.pi, origin), origin=origin)
    ratio = make(ops.Divide(), make(ops.Sin(), angle, origin=origin), angle, origin=origin)
    is_zero = make(ops.Equal(), angle, number(0, origin), origin=origin)
    return choice(is_zero, number(1, origin), ratio, origin)


def _angle(call: Arguments) -> Node:
    """Of a real number: pi below zero."""
    is_negative = make(ops.Greater(), number(0, call.origin), call.tensor("x"), origin=call.origin)
    return choice(is_negative, number(math.pi, call.origin), number(0, call.origin), call.origin)


def _function(op: ops.Unary | None, scale: float = 1.0) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        x = as_float(call.tensor("x"), call.origin)
        if op is not None:
            x = make(op, x, origin=call.origin)
        return x if scale == 1 else make(ops.Multiply(), x, number(scale, call.origin), origin=call.origin)

    return build


for _name, _op in _FUNCTIONS.items():
    register_function(_name, "x", _function(_op), integers=_name not in KEEPING)
for _name, (_inner, _scale) in _SCALED.items():
    register_function(_name, "x", _function(_inner, _scale), integers=_name not in KEEPING)
for _name in ("conjugate", "real"):
    register_function(_name, "x", _function(None), "hands the tensor on: no tensor is complex")
register_function("clip", "x x_min x_max", _clip, "numbers, None, lists that broadcast")
register_function("round", "x decimals", _round, "any number of decimals; to even where two are equally near")
register_function("exp2", "x", _exp2, integers=True)
register_function("sinc", "x", _sinc, integers=True)
register_function("angle", "x", _angle, "of real numbers")
