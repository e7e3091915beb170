"""Pooling over windows and over whole planes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import TypeVar

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.onnx.arithmetic import floats, integers, is_integer, magnitude
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.window import Ints, channels_last, each, padding, spatial
from convc.ir import Array, Node, Op, Shape
from convc.ops.window import Padding, effective

T = TypeVar("T")

MAX_TAPS = 1 << 10
"""Elements of a window that is written out tap by tap; more is taken for an attack."""


@dataclass(frozen=True)
class _Window:
    """A window on an input of `extents`. `given` is the padding of the model, `whole` with what `ceil_mode` adds."""

    extents: Shape
    window: Shape
    strides: Shape
    dilation: Shape
    given: Padding
    whole: Padding

    @classmethod
    def of(
        cls,
        x: Node,
        kernel_shape: Ints,
        auto_pad: str,
        ceil_mode: bool,
        dilations: Ints | None,
        pads: Ints | None,
        strides: Ints | None,
    ) -> _Window:
        """Raises `ModelError` with an empty subject."""
        extents = spatial(x)
        rank = len(extents)
        window, s = each(kernel_shape, rank, "kernel_shape"), each(strides, rank, "strides")
        d = each(dilations, rank, "dilations")
        given = padding(auto_pad, pads, extents, window, s, d)
        whole = _ceiled(extents, window, s, d, given) if ceil_mode and auto_pad == "NOTSET" else given
        return cls(extents, window, s, d, given, whole)

    @property
    def out(self) -> Shape:
        sides = zip(self.extents, self.window, self.strides, self.dilation, self.whole, strict=True)
        return tuple((e + low + high - effective(k, d)) // s + 1 for e, k, s, d, (low, high) in sides)

    def along(self, axis: int, extents: Shape) -> _Window:
        """The window along one axis alone, on an input of other extents."""
        one, none = [1] * len(extents), [(0, 0)] * len(extents)

        def only(values: Sequence[T], others: list[T]) -> tuple[T, ...]:
            return (*others[:axis], values[axis], *others[axis + 1 :])

        window, strides, dilation = (only(values, one) for values in (self.window, self.strides, self.dilation))
        return _Window(extents, window, strides, dilation, only(self.given, none), only(self.whole, none))

    def taps(self, call: Call, x: Node, fill: float) -> Iterator[tuple[Shape, Node]]:
        """For each place in the window, the elements of x of N, *spatial, C that lie there, `fill` in the padding."""
        if math.prod(self.window) > MAX_TAPS:
            expected = f"at most {MAX_TAPS} elements"
            raise UnsupportedError("", "the dilated window is too large", expected=expected, received=str(self.window))
        if min(self.out) < 1:
            expected = f"at most the padded input of {self.extents}"
            raise ModelError("", "the window is too large", expected=expected, received=str(self.window))
        padded = call.make(ops.Pad(((0, 0), *self.whole, (0, 0)), fill), x) if any(map(any, self.whole)) else x
        for tap in product(*(range(k) for k in self.window)):
            starts = (0, *(t * d for t, d in zip(tap, self.dilation, strict=True)), 0)
            sizes = (x.type.shape[0], *self.out, x.type.shape[-1])
            yield tap, call.make(ops.Slice(starts, sizes, (1, *self.strides, 1)), padded)

    def counts(self, *, padded: bool) -> Array:
        """How many elements count in each window, of (1, *out, 1): all but padding, or all but what was added."""
        result = np.ones((), np.int64)
        sides = zip(self.extents, self.out, self.window, self.strides, self.dilation, self.given, strict=True)
        for extent, out, k, s, d, (low, high) in sides:
            places = np.arange(out)[:, None] * s + np.arange(k) * d - low
            first, last = (-low, extent + high) if padded else (0, extent)
            result = np.multiply.outer(result, ((places >= first) & (places < last)).sum(axis=1))
        return result[None, ..., None]


def _ceiled(extents: Shape, window: Shape, strides: Shape, dilation: Shape, pads: Padding) -> Padding:
    """Padding with as much more at the end as gives the window that `ceil_mode` adds; it never starts in padding."""
    result = []
    for extent, k, s, d, (low, high) in zip(extents, window, strides, dilation, pads, strict=True):
        room = extent + low + high - effective(k, d)
        out = -(-room // s) + 1
        if (out - 1) * s >= extent + low:
            out -= 1
        result.append((low, max(high, (out - 1) * s + effective(k, d) - extent - low)))
    return tuple(result)


@handler("MaxPool")
def max_pool(
    call: Call,
    x: Node,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
) -> Node | tuple[Node, ...]:
    """The largest of each window, and where a second output is asked for, its place in the flat input."""
    window = _Window.of(x, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    source = floats(call, x)
    if call.outputs > 1:
        values = channels_last(call, source, lambda y: _argmax(call, y, window, storage_order)[0])
        places = channels_last(call, source, lambda y: _argmax(call, y, window, storage_order)[1])
        return (integers(call, values) if is_integer(x) else values), places
    y = channels_last(call, source, lambda y: _max(call, y, window))
    return integers(call, y) if is_integer(x) else y


def _max(call: Call, x: Node, window: _Window) -> Node:
    if max(window.dilation) == 1:
        return call.make(ops.MaxPool(window.window, window.strides, window.whole), x)
    return _by_axes(call, x, window, ops.Maximum(), -math.inf)


def _by_axes(call: Call, x: Node, window: _Window, op: Op, fill: float) -> Node:
    """A sum, or a maximum, along one axis of the window after the other."""
    for axis in range(len(window.window)):
        taps = window.along(axis, x.type.shape[1:-1]).taps(call, x, fill)
        x = reduce(lambda a, b: call.make(op, a, b), (y for _, y in taps))
    return x


def _argmax(call: Call, x: Node, window: _Window, storage_order: int) -> tuple[Node, Node]:
    """The largest elements, and the first of their places in x of N, C, *spatial."""
    batch, channels = x.type.shape[0], x.type.shape[-1]
    planes = np.arange(batch * channels).reshape(batch, *(1,) * len(window.out), channels) * math.prod(window.extents)
    order = range(len(window.out))
    sizes = np.ones(len(window.out), np.int64)
    for axis in order if storage_order else reversed(order):
        behind = range(axis) if storage_order else range(axis + 1, len(window.out))
        sizes[axis] = math.prod(window.extents[i] for i in behind)
    best: Node | None = None
    where: Node | None = None
    for tap, value in window.taps(call, x, -math.inf):
        place = planes
        for axis, (t, size) in enumerate(zip(tap, sizes, strict=True)):
            own = np.arange(window.out[axis]) * window.strides[axis] + t * window.dilation[axis] - window.given[axis][0]
            shape = [1] * x.type.rank
            shape[1 + axis] = window.out[axis]
            place = place + (own * size).reshape(shape)
        here = call.constant(np.ascontiguousarray(place))
        if best is None or where is None:
            best, where = value, here
            continue
        above = call.make(ops.Greater(), value, best)
        where = call.make(ops.Where(), above, here, where)
        best = call.make(ops.Maximum(), value, best)
    assert best is not None
    assert where is not None
    return best, where if where.type.shape == best.type.shape else call.make(ops.Broadcast(best.type.shape), where)


@handler("AveragePool")
def average_pool(
    call: Call,
    x: Node,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """The mean of each window; what `ceil_mode` adds is never counted."""
    window = _Window.of(x, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    if max(window.dilation) == 1 and not (count_include_pad and window.whole != window.given):
        op = ops.AvgPool(window.window, window.strides, window.whole, count_include_pad)
        return channels_last(call, x, lambda y: call.make(op, y))
    scale = 1 / np.maximum(window.counts(padded=count_include_pad), 1)
    return channels_last(call, x, lambda y: call.make(ops.Multiply(), _total(call, y, window), call.constant(scale)))


def _total(call: Call, x: Node, window: _Window) -> Node:
    """The sum of each window."""
    if max(window.dilation) == 1:
        mean = call.make(ops.AvgPool(window.window, window.strides, window.whole, True), x)
        return call.make(ops.Multiply(), mean, call.constant(float(math.prod(window.window))))
    return _by_axes(call, x, window, ops.Add(), 0.0)


@handler("LpPool")
def lp_pool(
    call: Call,
    x: Node,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: bool = False,
    dilations: Ints | None = None,
    p: int = 2,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Node:
    """The p-norm of each window."""
    window = _Window.of(x, kernel_shape, auto_pad, ceil_mode, dilations, pads, strides)
    return channels_last(call, x, lambda y: _root(call, _total(call, _power(call, y, p), window), p))


def _power(call: Call, x: Node, p: int) -> Node:
    """|x| to the p. Raises `ModelError` with an empty subject."""
    if p < 1:
        raise ModelError("", "'p' is wrong", expected="1 or more", received=str(p))
    if p == 2:
        return call.make(ops.Square(), x)
    size = magnitude(call, x)
    return size if p == 1 else call.make(ops.IntegerPower(p), size)


def _root(call: Call, x: Node, p: int) -> Node:
    if p == 1:
        return x
    return call.make(ops.Sqrt(), x) if p == 2 else call.make(ops.Power(), x, call.constant(1 / p))


@handler("GlobalAveragePool")
def global_average_pool(call: Call, x: Node) -> Node:
    """The mean of each plane."""
    return call.make(ops.ReduceMean(tuple(range(2, x.type.rank)), True), x)


@handler("GlobalMaxPool")
def global_max_pool(call: Call, x: Node) -> Node:
    """The maximum of each plane."""
    return call.make(ops.ReduceMax(tuple(range(2, x.type.rank)), True), x)


@handler("GlobalLpPool")
def global_lp_pool(call: Call, x: Node, *, p: int = 2) -> Node:
    """The p-norm of each plane."""
    sums = call.make(ops.ReduceSum(tuple(range(2, x.type.rank)), True), _power(call, x, p))
    return _root(call, sums, p)
