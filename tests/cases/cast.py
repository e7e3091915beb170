"""Conversion between integers and floating point."""

from __future__ import annotations

from convc.ir import DType
from convc.ops import Cast
from tests.cases.case import Case, case

_EDGES = (0.0, -0.0, 0.5, -0.5, 0.999999, -0.999999, 1.0, -1.0, 1.5, -1.5, 2.5, -2.5, 1e-30, 8388607.5, 16777215.0)
_FAR = (2147483520.0, 2147483648.0, -2147483648.0, -2147483904.0, 1e20, -1e20, float("inf"), -float("inf"))

CASES: list[Case] = [
    case("to_int", Cast(DType.INT32), (2, 3, 5, 7), scale=100.0, special=_EDGES),
    case("to_int_edges", Cast(DType.INT32), (15,), special=_EDGES),
    case("to_int_far", Cast(DType.INT32), (8,), special=_FAR),
    case("to_int_nan", Cast(DType.INT32), (2, 20), scale=50.0, special=(float("nan"), -float("nan"))),
    case("to_float", Cast(DType.FLOAT32), (2, 3, 5, 7), integers={0: (-300, 300)}),
    case("to_float_of_pixels", Cast(DType.FLOAT32), (1, 5, 7, 3), integers={0: (0, 256)}),
    case("to_float_large", Cast(DType.FLOAT32), (3, 17), integers={0: (-(1 << 31), 1 << 31)}),
    case("float_to_float", Cast(DType.FLOAT32), (2, 3)),
    case("int_to_int", Cast(DType.INT32), (2, 3), integers={0: (-9, 9)}),
]
