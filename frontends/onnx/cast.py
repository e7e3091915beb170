"""Conversions of element types. What is narrower than 32 bits is wrapped, or cut off, as NumPy does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.onnx.arithmetic import integers, is_integer, number
from convc.frontends.onnx.reader import dtype_of, ir_type
from convc.frontends.onnx.registry import Call, Value, handler
from convc.ir import Node


@handler("Cast")
def cast(call: Call, x: Node, *, to: int, saturate: bool = True, round_mode: str = "up") -> Node:
    """To another type; `saturate` and `round_mode` are about types of 8 bits, which are not supported."""
    return _cast(call, x, to)


@handler("CastLike")
def cast_like(call: Call, x: Node, like: Value, *, saturate: bool = True, round_mode: str = "up") -> Node:
    """To the type of another tensor."""
    if isinstance(like, Node):
        return _cast(call, x, helper.np_dtype_to_tensor_dtype(like.type.dtype.numpy.newbyteorder("=")))
    return _cast(call, x, helper.np_dtype_to_tensor_dtype(like.dtype))


def _cast(call: Call, x: Node, to: int) -> Node:
    dtype = ir_type(to)
    if dtype is None:
        raise UnsupportedError("", "this type is not supported", expected="floating point, integers or booleans")
    if to == TensorProto.BOOL:
        return call.make(ops.NotEqual(), x, number(call, 0, x))
    if x.type.dtype is dtype:
        return _wrapped(call, x, to) if is_integer(x) else x
    return _wrapped(call, integers(call, x), to) if not is_integer(x) else call.make(ops.Cast(dtype), x)


def _wrapped(call: Call, x: Node, to: int) -> Node:
    """The low bits that a narrower type keeps."""
    numpy = dtype_of(to)
    if numpy is None or numpy.itemsize >= 4:
        return x
    bits = 8 * numpy.itemsize
    mask, half = number(call, (1 << bits) - 1, x), number(call, 1 << (bits - 1), x)
    if numpy.kind == "u":
        return call.make(ops.BitAnd(), x, mask)
    moved = call.make(ops.BitAnd(), call.make(ops.Add(), x, half), mask)
    return call.make(ops.Subtract(), moved, half)


def narrow(dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """The least and the most that an integer type holds; None for those of 32 bits and more."""
    if dtype.kind not in "iu" or dtype.itemsize >= 4:
        return None
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
