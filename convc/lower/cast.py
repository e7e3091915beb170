"""Conversion of one element; LLVM's own is undefined for what the target type cannot hold."""

from __future__ import annotations

from tvm import te, tirx

from convc import ops
from convc.ir import DType
from convc.lower.math import Expr, f32
from convc.ops.cast import INT32_MAX, INT32_MIN

LARGEST = 2147483520.0
"""The largest float32 below 2**31."""


def cast(op: ops.Cast, source: DType, x: Expr) -> Expr:
    """`x`, which is of type `source`, as the op's type."""
    if source is op.dtype:
        return x
    if op.dtype is DType.FLOAT32:
        return tirx.Cast("float32", x)
    limited = tirx.Cast("int32", te.max(te.min(x, f32(LARGEST)), f32(INT32_MIN)))
    magnitude = tirx.bitwise_and(tirx.reinterpret("int32", x), tirx.const(0x7FFFFFFF, "int32"))
    is_nan = magnitude > tirx.const(0x7F800000, "int32")
    saturated = tirx.Select(x > f32(LARGEST), tirx.const(INT32_MAX, "int32"), limited)
    return tirx.Select(is_nan, tirx.const(0, "int32"), saturated)
