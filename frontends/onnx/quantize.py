"""Quantisation to integers, and products of integers, which are exact.

Integers of 8 bits are multiplied in float32, where sums below 2**24 are exact. Where they may be larger, an operand is
cut into 16 * high + low, whose products are summed apart and put together as integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convc import ops
from convc.errors import ShapeError, UnsupportedError
from convc.frontends.onnx.arithmetic import floats, is_integer, number
from convc.frontends.onnx.cast import narrow
from convc.frontends.onnx.conv import convolution
from convc.frontends.onnx.reader import dtype_of
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.shape import axis_in
from convc.frontends.onnx.window import Ints
from convc.frontends.product import matmul
from convc.ir import Array, DType, Node

EXACT = 1 << 24
"""Integers up to this have a float32 each."""
WIDEST = 255
"""The largest difference of two integers of 8 bits."""


def _spread(call: Call, value: Node, x: Node, axis: int, block: int) -> Node:
    """A scale or a zero point in a shape that broadcasts to x: one, one along an axis, or one for each block of it."""
    if value.type.elements == 1:
        return call.make(ops.Reshape(()), value)
    place = axis_in(axis, x.type.rank)
    extent = x.type.shape[place]
    if not block:
        if value.type.shape != (extent,):
            raise ShapeError("", "a scale does not fit", expected=str((extent,)), received=str(value.type.shape))
        return call.make(ops.Reshape((extent,) + (1,) * (x.type.rank - 1 - place)), value)
    shape = value.type.shape
    rest = x.type.shape[:place] + x.type.shape[place + 1 :]
    if block < 0 or len(shape) != x.type.rank or shape[:place] + shape[place + 1 :] != rest:
        raise ShapeError("", "the scales do not fit the blocks", expected=str(x.type.shape), received=str(shape))
    if shape[place] != -(-extent // block):
        raise ShapeError("", "the scales do not fit the blocks", expected=f"{-(-extent // block)}", received=str(shape))
    places = np.arange(extent, dtype=np.int32) // block
    return call.make(ops.Take(place), value, call.constant(places))


def _range(zero_point: Array | None, output_dtype: int) -> tuple[int, int]:
    """The least and the most of the integers that are asked for; uint8 unless something says otherwise."""
    dtype: np.dtype[Any] | None = np.dtype("uint8")
    if zero_point is not None or output_dtype:
        dtype = dtype_of(output_dtype) if zero_point is None else zero_point.dtype
    limits = None if dtype is None else narrow(dtype)
    if limits is None:
        raise UnsupportedError(
            "", "this type is not supported", expected="integers of 8 or 16 bits", received=str(dtype)
        )
    return limits


def _rounded(call: Call, x: Node, zero_point: Node | None, limits: tuple[int, int]) -> Node:
    """Floating point as integers within `limits`: rounded, half to even, and moved by the zero point."""
    y = call.make(ops.Round(), x)
    if zero_point is not None:
        y = call.make(ops.Add(), y, floats(call, zero_point))
    return call.make(ops.Cast(DType.INT32), call.make(ops.Clip(*map(float, limits)), y))


@handler("QuantizeLinear")
def quantize_linear(
    call: Call,
    x: Node,
    y_scale: Node,
    y_zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: bool = True,
) -> Node:
    """x / scale + zero point, rounded and limited to what the type holds."""
    limits = _range(y_zero_point, output_dtype)
    quotient = call.make(ops.Divide(), floats(call, x), _spread(call, y_scale, x, axis, block_size))
    zero = None
    if y_zero_point is not None and y_zero_point.any():
        zero = _spread(call, call.constant(y_zero_point), x, axis, block_size)
    return _rounded(call, quotient, zero, limits)


@handler("DequantizeLinear")
def dequantize_linear(
    call: Call,
    x: Node,
    x_scale: Node,
    x_zero_point: Node | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Node:
    """(x - zero point) * scale."""
    if not is_integer(x):
        raise UnsupportedError("", "this type is not supported", expected="integers", received="floating point")
    moved = x
    if x_zero_point is not None:
        moved = call.make(ops.Subtract(), x, _spread(call, x_zero_point, x, axis, block_size))
    return call.make(ops.Multiply(), floats(call, moved), _spread(call, x_scale, x, axis, block_size))


@handler("DynamicQuantizeLinear")
def dynamic_quantize_linear(call: Call, x: Node) -> tuple[Node, Node, Node]:
    """x as uint8 by its own range, which has 0 in it; and the scale and the zero point."""
    axes, zero = tuple(range(x.type.rank)), call.constant(np.float32(0))
    most = call.make(ops.Maximum(), call.make(ops.ReduceMax(axes), x), zero) if axes else x
    least = call.make(ops.Minimum(), call.make(ops.ReduceMin(axes), x), zero) if axes else x
    spread = call.make(ops.Subtract(), most, least)
    one = call.constant(np.float32(1))
    safe = call.make(ops.Where(), call.make(ops.Equal(), spread, zero), one, spread)
    scale = call.make(ops.Divide(), safe, call.constant(np.float32(255)))
    offset = call.make(ops.Divide(), call.make(ops.Subtract(), zero, least), scale)
    point = call.make(ops.Round(), call.make(ops.Clip(0.0, 255.0), offset))
    y = _rounded(call, call.make(ops.Divide(), x, scale), point, (0, 255))
    return y, scale, call.make(ops.Cast(DType.INT32), point)


@dataclass(frozen=True)
class _Piece:
    """A part of an operand: it is multiplied by `factor` in the end. `most` is its largest magnitude."""

    factor: int
    value: Node
    most: int


def _pieces(call: Call, x: Node, most: int, *, cut: bool) -> Sequence[_Piece]:
    """Integers of up to `most` in floating point, whole or cut into 16 * high + low."""
    if not cut:
        return [_Piece(1, floats(call, x), most)]
    high = call.make(ops.ShiftRight(), x, number(call, 4, x))
    low = call.make(ops.BitAnd(), x, number(call, 15, x))
    return [_Piece(16, floats(call, high), most // 16 + 1), _Piece(1, floats(call, low), 15)]


def _summed(
    call: Call, a: Node, b: Node, depth: int, most: tuple[int, int], product: Callable[[Node, Node], Node]
) -> Node:
    """The product of two tensors of integers of magnitudes up to `most`, exact; each sum has `depth` terms."""
    for cuts in ((False, False), (True, False), (True, True)):
        left, right = (_pieces(call, x, own, cut=cut) for x, own, cut in zip((a, b), most, cuts, strict=True))
        if max(p.most for p in left) * max(p.most for p in right) * depth <= EXACT:
            break
    else:
        raise UnsupportedError("", "the sums are too long", expected="at most 65000 terms", received=str(depth))
    total: Node | None = None
    for p in left:
        for q in right:
            part = call.make(ops.Cast(DType.INT32), product(p.value, q.value))
            factor = p.factor * q.factor
            scaled = part if factor == 1 else call.make(ops.Multiply(), part, number(call, factor, part))
            total = scaled if total is None else call.make(ops.Add(), total, scaled)
    assert total is not None
    return total


def _moved(call: Call, x: Node, zero_point: Node | None) -> Node:
    return x if zero_point is None else call.make(ops.Subtract(), x, zero_point)


def _per_row(call: Call, point: Node | None, x: Node) -> Node | None:
    """A zero point for each row of x, or one for all."""
    if point is None or point.type.rank != 1 or point.type.elements == 1:
        return None if point is None else call.make(ops.Reshape(()), point) if point.type.elements == 1 else point
    if point.type.shape != x.type.shape[-2:-1]:
        raise ShapeError("", "the zero point does not fit", expected=str(x.type.shape[-2:-1]), received=str(point.type))
    return call.make(ops.Reshape((*point.type.shape, 1)), point)


def _matmul(call: Call, a: Node, b: Node, a_zero: Node | None, b_zero: Node | None) -> Node:
    """The product of matrices of 8 bits, in INT32."""
    if not a.type.rank or not b.type.rank:
        raise ShapeError("", "an operand has no axes", received=f"{a.type.shape} and {b.type.shape}")
    left = _moved(call, a, _per_row(call, a_zero, a))
    right = _moved(call, b, call.make(ops.Reshape(()), b_zero) if b_zero and b_zero.type.elements == 1 else b_zero)
    return _summed(call, left, right, a.type.shape[-1], (WIDEST, WIDEST), lambda p, q: matmul(p, q, call.origin))


@handler("MatMulInteger")
def matmul_integer(
    call: Call, a: Node, b: Node, a_zero_point: Node | None = None, b_zero_point: Node | None = None
) -> Node:
    """(a - zero point) @ (b - zero point) of integers of 8 bits, exact."""
    return _matmul(call, a, b, a_zero_point, b_zero_point)


@handler("QLinearMatMul")
def qlinear_matmul(
    call: Call,
    a: Node,
    a_scale: Node,
    a_zero_point: Node,
    b: Node,
    b_scale: Node,
    b_zero_point: Node,
    y_scale: Node,
    y_zero_point: Array,
) -> Node:
    """A product of quantised matrices, quantised again."""
    total = _matmul(call, a, b, a_zero_point, b_zero_point)
    rows = _per_row(call, a_scale, a)
    assert rows is not None
    columns = call.make(ops.Reshape(()), b_scale) if b_scale.type.elements == 1 else b_scale
    scale = call.make(ops.Divide(), call.make(ops.Multiply(), rows, columns), call.make(ops.Reshape(()), y_scale))
    y = call.make(ops.Multiply(), floats(call, total), scale)
    return _rounded(call, y, call.constant(y_zero_point.reshape(())), _range(y_zero_point, 0))


@dataclass(frozen=True)
class _Convolution:
    """The attributes that all convolutions have."""

    auto_pad: str
    dilations: Ints | None
    group: int
    kernel_shape: Ints | None
    pads: Ints | None
    strides: Ints | None

    def apply(
        self, call: Call, x: Node, w: Array, x_zero: Node | None, w_zero: Array | None, bias: Array | None
    ) -> Node:
        """The exact sums, in INT32."""
        wide = w.astype(np.int64)
        if w_zero is not None:
            wide = wide - w_zero.astype(np.int64).reshape((-1,) + (1,) * (w.ndim - 1) if w_zero.size > 1 else ())
        source = _moved(call, x, None if x_zero is None else call.make(ops.Reshape(()), x_zero))
        depth = math.prod(w.shape[1:])
        longest = int(np.abs(wide).reshape(w.shape[0], -1).sum(axis=1).max())
        # Known weights bound the sums more closely than their number does.
        weights = longest / depth if longest * WIDEST <= EXACT or longest * 16 <= EXACT else WIDEST
        kernel = call.constant(wide.astype(np.int32))
        y = _summed(
            call, source, kernel, depth, (WIDEST, math.ceil(weights)), lambda p, q: self._product(call, p, _array(q))
        )
        if bias is None:
            return y
        column = bias.reshape((-1,) + (1,) * (x.type.rank - 2))
        return call.make(ops.Add(), y, call.constant(column))

    def _product(self, call: Call, x: Node, w: Array) -> Node:
        return convolution(
            call, x, w, None, self.auto_pad, self.dilations, self.group, self.kernel_shape, self.pads, self.strides,
            exact=True,
        )  # fmt: skip


def _array(x: Node) -> Array:
    """The value of a constant, or of what is computed from constants."""
    if isinstance(x.op, ops.Constant):
        return x.op.value
    return np.asarray(x.op.reference(*map(_array, x.inputs)), x.type.dtype.numpy)


@handler("ConvInteger")
def conv_integer(
    call: Call,
    x: Node,
    w: Array,
    x_zero_point: Node | None = None,
    w_zero_point: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """The convolution of integers of 8 bits, exact."""
    form = _Convolution(auto_pad, dilations, group, kernel_shape, pads, strides)
    return form.apply(call, x, w, x_zero_point, w_zero_point, None)


@handler("QLinearConv")
def qlinear_conv(
    call: Call,
    x: Node,
    x_scale: Node,
    x_zero_point: Node,
    w: Array,
    w_scale: Node,
    w_zero_point: Array,
    y_scale: Node,
    y_zero_point: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """A convolution of quantised tensors, quantised again; the weights' scale is one, or one for each filter."""
    form = _Convolution(auto_pad, dilations, group, kernel_shape, pads, strides)
    total = form.apply(call, x, w, x_zero_point, w_zero_point, b)
    own = () if w_scale.type.elements == 1 else (w.shape[0],) + (1,) * (x.type.rank - 2)
    one, per_filter, out = (
        call.make(ops.Reshape(shape), value) for shape, value in (((), x_scale), (own, w_scale), ((), y_scale))
    )
    scale = call.make(ops.Divide(), call.make(ops.Multiply(), one, per_filter), out)
    y = call.make(ops.Multiply(), floats(call, total), scale)
    return _rounded(call, y, call.constant(y_zero_point.reshape(())), _range(y_zero_point, 0))
