"""Mathematical functions: ordinary values, small ones, and those at the ends of what float32 and the functions take."""

from __future__ import annotations

import zlib
from math import prod

import numpy as np

from convc.ops import (
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cbrt,
    Ceil,
    Clip,
    Cos,
    Cosh,
    Erf,
    Erfc,
    Erfinv,
    Exp,
    Expm1,
    Floor,
    IntegerPower,
    Log,
    Log1p,
    Reciprocal,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    Tan,
    Trunc,
    Unary,
)
from tests.cases.case import Case, case

_TIES = (0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.5, -3.5, 0.0, 2.0, -2.0, 8388607.5, -8388607.5, 1e9, -1e9, 0.49999997)
_ANGLES = (0.0, 0.7853982, 1.5707964, 3.1415927, -3.1415927, 6.2831855, 100.0, -1000.0, 8192.5, 1e5, -1e6, 3e7, 1e8)
_POSITIVE = (1.0, 0.99999994, 1.0000001, 0.5, 2.0, 0.70710677, 0.7071068, 1e-10, 1e-30, 1e-37, 1e30, 3e38, 10.0)
_UNIT = (0.0, 0.5, -0.5, 0.50000006, 0.9, -0.9, 0.99, -0.99, 0.999, 1e-3, -1e-3, 1e-6, 1e-20, 0.25, -0.75)
_WIDE = (0.0, 1e-3, -1e-3, 0.41421357, 0.41421354, 2.4142135, -2.4142137, 1.0, -1.0, 1e3, -1e3, 1e8, -1e8, 1e20, -1e20)

ALL: dict[str, Unary] = {
    "abs": Abs(),
    "acos": Acos(),
    "acosh": Acosh(),
    "asin": Asin(),
    "asinh": Asinh(),
    "atan": Atan(),
    "atanh": Atanh(),
    "cbrt": Cbrt(),
    "ceil": Ceil(),
    "clip": Clip(-1.25, 2.0),
    "clip_crossed": Clip(2.0, -1.25),
    "cos": Cos(),
    "cosh": Cosh(),
    "erf": Erf(),
    "erfc": Erfc(),
    "erfinv": Erfinv(),
    "exp": Exp(),
    "expm1": Expm1(),
    "floor": Floor(),
    "integer_power_0": IntegerPower(0),
    "integer_power_3": IntegerPower(3),
    "integer_power_7": IntegerPower(7),
    "integer_power_m2": IntegerPower(-2),
    "log": Log(),
    "log1p": Log1p(),
    "reciprocal": Reciprocal(),
    "round": Round(),
    "rsqrt": Rsqrt(),
    "sign": Sign(),
    "sin": Sin(),
    "sinh": Sinh(),
    "sqrt": Sqrt(),
    "square": Square(),
    "tan": Tan(),
    "trunc": Trunc(),
}

EDGES: dict[str, tuple[float, ...]] = {
    "abs": _TIES,
    "acos": (*_UNIT, 1.0, -1.0),
    "acosh": (1.0, 1.0000001, 1.001, 1.1, 1.5, 2.0, 10.0, 1e4, 1e8, 2e9, 1e20, 3e38),
    "asin": (*_UNIT, 1.0, -1.0),
    "asinh": _WIDE,
    "atan": _WIDE,
    "atanh": _UNIT,
    "cbrt": (0.0, 1.0, -1.0, 8.0, -27.0, 1e-30, -1e30, 3e38, 1e-37, 0.001),
    "ceil": _TIES,
    "clip": _TIES,
    "clip_crossed": _TIES,
    "cos": _ANGLES,
    "cosh": (0.0, 1.0, -1.0, 1e-3, 5.0, -5.0, 20.0, 80.0, -88.0, 88.7),
    "erf": (0.0, 0.1, -0.1, 0.5, -0.5, 1.0, 2.0, -3.0, 4.0, 5.0, -10.0, 1e4, 1e-6),
    "erfc": (0.0, 0.1, -0.1, 0.5, -0.5, 1.0, 2.0, -3.0, 4.0, 5.0, -10.0, 1e4, 1e-6),
    "erfinv": (0.0, 0.5, -0.5, 0.9, -0.9, 0.99, 0.999, -0.999, 1e-3, 1e-6),
    "exp": (80.0, -80.0, 87.0, -87.0, 88.7, -100.0, -1e4, 0.0, 1.0, 88.3, 88.5),
    "expm1": (0.0, 1e-6, -1e-6, 0.34999, 0.35001, -0.34999, -0.35001, 5.0, -20.0, -100.0, -1e4),
    "floor": _TIES,
    "integer_power_0": (0.0, 1.0, -2.0),
    "integer_power_3": (0.0, 1.0, -2.0, 1e-3, 1e3),
    "integer_power_7": (0.0, 1.0, -2.0, 1e-3, 1e3),
    "integer_power_m2": (1.0, -2.0, 1e-3, 1e3),
    "log": _POSITIVE,
    "log1p": (0.0, 1e-6, -1e-6, 0.4142, 0.4143, -0.2928, -0.2929, -0.5, -0.99, 1e-20, 10.0, 1e10, 1e30),
    "reciprocal": (1.0, -3.0, 7.0, 1e-10, 1e10, -1e-3),
    "round": _TIES,
    "rsqrt": _POSITIVE,
    "sign": _TIES,
    "sin": _ANGLES,
    "sinh": (0.0, 0.99999, 1.00001, -1.0, 1e-3, -1e-6, 5.0, -5.0, 20.0, 80.0, -88.0),
    "sqrt": (0.0, *_POSITIVE),
    "square": (0.0, -3.0, 1e-10, 1e10),
    "tan": _ANGLES,
    "trunc": _TIES,
}
"""Values at the ends of what float32 and the functions take; all of them have finite results."""

_RANGES = {
    "acos": (-0.97, 0.97), "acosh": (1.0, 6.0), "asin": (-0.97, 0.97), "atanh": (-0.97, 0.97), "erfinv": (-0.97, 0.97),
    "integer_power_m2": (0.2, 5.0), "log": (0.01, 6.0), "log1p": (-0.9, 5.0), "reciprocal": (0.1, 5.0),
    "rsqrt": (0.01, 6.0), "sqrt": (0.0, 6.0), "tan": (-1.4, 1.4),
}  # fmt: skip
"""What ordinary values are drawn from where the normal distribution has others than the function takes."""


def _plain(name: str, op: Unary) -> Case:
    shape = (2, 3, 5, 7)
    if name not in _RANGES:
        return case(name, op, shape, scale=3.0)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return case(name, op, shape, special=rng.uniform(*_RANGES[name], prod(shape)).tolist())


CASES: list[Case] = [
    *(_plain(name, op) for name, op in ALL.items()),
    *(case(f"{name}_edges", op, (1, len(EDGES[name])), special=EDGES[name]) for name, op in ALL.items()),
    case("exp_rank1", Exp(), (17,)),
    case("square_rank5", Square(), (1, 2, 3, 4, 5)),
]
