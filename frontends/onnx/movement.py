"""Operators that move elements: Slice, Split, Gather, Pad, Expand, Tile, DepthToSpace and their like."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.registry import Call, Value, handler
from convc.frontends.onnx.shape import axis_in, check_pattern
from convc.frontends.onnx.window import Ints
from convc.ir import Array, Node


def _ints(value: Array) -> Ints:
    return tuple(int(item) for item in np.atleast_1d(value).reshape(-1))


@handler("Slice")
def slice_(
    call: Call,
    data: Node,
    given_starts: Array | None = None,
    given_ends: Array | None = None,
    given_axes: Array | None = None,
    given_steps: Array | None = None,
    *,
    starts: Ints | None = None,
    ends: Ints | None = None,
    axes: Ints | None = None,
) -> Value:
    """Bounds are attributes before opset 10; they are clamped to the axis."""
    first = starts if given_starts is None else _ints(given_starts)
    last = ends if given_ends is None else _ints(given_ends)
    if first is None or last is None or len(first) != len(last):
        raise ModelError("", "the bounds are wrong", expected="as many starts as ends")
    along = axes if given_axes is None else _ints(given_axes)
    along = tuple(range(len(first))) if along is None else along
    steps = (1,) * len(first) if given_steps is None else _ints(given_steps)
    if len(along) != len(first) or len(steps) != len(first) or 0 in steps:
        raise ModelError("", "the bounds are wrong", expected=f"{len(first)} axes, and steps that are not 0")
    shape = data.type.shape
    begin, size, step = [0] * len(shape), list(shape), [1] * len(shape)
    for axis, low, high, stride in zip(along, first, last, steps, strict=True):
        place = axis_in(axis, len(shape))
        chosen = (
            range(shape[place])[slice(low, high, stride)] if stride > 0 else _backwards(shape[place], low, high, stride)
        )
        begin[place], size[place], step[place] = (chosen[0] if chosen else 0), len(chosen), stride
    if 0 in size:
        return _nothing(data, tuple(size))
    return call.make(ops.Slice(tuple(begin), tuple(size), tuple(step)), data)


def _nothing(x: Node, shape: Ints) -> Array:
    """A tensor without elements, which is known."""
    return np.zeros(shape, x.type.dtype.numpy)


def _backwards(extent: int, low: int, high: int, step: int) -> range:
    """The places of a slice that runs backwards; an end before the first element is one below -extent."""
    return range(extent)[slice(low, None if high < -extent else high, step)]


@handler("Split")
def split(
    call: Call,
    x: Node,
    given: Array | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    split: Ints | None = None,
) -> tuple[Value, ...]:
    """Parts of sizes that are given, or equal ones, the last of which may be smaller."""
    place = axis_in(axis, x.type.rank)
    extent = x.type.shape[place]
    sizes = split if given is None else _ints(given)
    if sizes is None:
        count = call.outputs if num_outputs is None else num_outputs
        check_pattern(count)
        whole = -(-extent // count)
        sizes = tuple(min(whole, extent - whole * i) for i in range(count))
    if sum(sizes) != extent or any(size < 0 for size in sizes):
        raise ShapeError("", "the parts do not fit", expected=f"sizes of sum {extent}", received=str(sizes[:20]))
    starts = [0, *accumulate(sizes[:-1])]
    return tuple(
        call.make(ops.Slice.along(x.type.shape, place, start, size), x)
        if size
        else _nothing(x, (*x.type.shape[:place], 0, *x.type.shape[place + 1 :]))
        for start, size in zip(starts, sizes, strict=True)
    )


@handler("Gather")
def gather(call: Call, data: Value, indices: Value, *, axis: int = 0) -> Node:
    """Elements along an axis at indices of any shape."""
    x = data if isinstance(data, Node) else call.constant(data)
    place = axis_in(axis, x.type.rank)
    if not isinstance(indices, Node):
        if indices.size and not (-x.type.shape[place] <= indices.min() and indices.max() < x.type.shape[place]):
            raise ShapeError("", "an index is outside the axis", expected=f"below {x.type.shape[place]}")
        if indices.size == 1:
            at = int(indices.reshape(-1)[0]) % x.type.shape[place]
            one = call.make(ops.Slice.along(x.type.shape, place, at, 1), x)
            shape = (*x.type.shape[:place], *indices.shape, *x.type.shape[place + 1 :])
            return call.make(ops.Reshape(shape), one)
    where = indices if isinstance(indices, Node) else call.constant(indices)
    return call.make(ops.Take(place), x, where)


@handler("GatherElements")
def gather_elements(call: Call, data: Node, indices: Node, *, axis: int = 0) -> Node:
    """Elements along an axis, each with an index of its own."""
    return call.make(ops.TakeAlong(axis_in(axis, data.type.rank)), data, indices)


@handler("Expand")
def expand(call: Call, x: Node, shape: Array) -> Node:
    """Repeated to what NumPy's rule gives for two shapes."""
    try:
        target = np.broadcast_shapes(x.type.shape, _ints(shape))
    except ValueError:
        raise ShapeError("", "the shape does not fit", expected=str(x.type.shape), received=str(_ints(shape))) from None
    return x if target == x.type.shape else call.make(ops.Broadcast(target), x)


@handler("Tile")
def tile(call: Call, x: Node, repeats: Array) -> Node:
    """Copies side by side along every axis."""
    counts = _ints(repeats)
    if len(counts) != x.type.rank or any(count < 1 for count in counts):
        raise ShapeError("", "'repeats' is wrong", expected=f"{x.type.rank} positive integers", received=str(counts))
    split = [size for extent in x.type.shape for size in (1, extent)]
    whole = [size for extent, count in zip(x.type.shape, counts, strict=True) for size in (count, extent)]
    repeated = call.make(ops.Broadcast(tuple(whole)), call.make(ops.Reshape(tuple(split)), x))
    final = (extent * count for extent, count in zip(x.type.shape, counts, strict=True))
    return call.make(ops.Reshape(tuple(final)), repeated)


@handler("Pad")
def pad(
    call: Call,
    data: Node,
    given: Array | None = None,
    constant_value: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
    pads: Ints | None = None,
    value: float = 0.0,
) -> Node:
    """Constant, reflected, repeated or wrapped around; negative widths cut off."""
    rank = data.type.rank
    widths = pads if given is None else _ints(given)
    along = tuple(range(rank)) if axes is None else tuple(axis_in(axis, rank) for axis in _ints(axes))
    if widths is None or len(widths) != 2 * len(along):
        raise ModelError("", "'pads' is wrong", expected=f"{2 * len(along)} integers", received=str(widths))
    low, high = [0] * rank, [0] * rank
    for place, before, after in zip(along, widths[: len(along)], widths[len(along) :], strict=True):
        low[place], high[place] = before, after
    if mode != "constant":
        return _extended(call, data, low, high, mode)
    starts = tuple(max(0, -before) for before in low)
    sizes = tuple(e - s - max(0, -after) for e, s, after in zip(data.type.shape, starts, high, strict=True))
    if sizes != data.type.shape:
        data = call.make(ops.Slice(starts, sizes, (1,) * rank), data)
    amounts = tuple((max(0, before), max(0, after)) for before, after in zip(low, high, strict=True))
    fill = value if constant_value is None or not constant_value.size else float(constant_value.reshape(-1)[0])
    return call.make(ops.Pad(amounts, fill), data) if any(map(any, amounts)) else data


def _extended(call: Call, x: Node, low: list[int], high: list[int], mode: str) -> Node:
    """Each axis picked by indices that run beyond its ends."""
    modes = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
    if mode not in modes:
        raise ModelError("", "'mode' is wrong", expected="constant, reflect, edge or wrap", received=mode[:100])
    for axis, (before, after) in enumerate(zip(low, high, strict=True)):
        if before or after:
            check_pattern(x.type.shape[axis] + max(before, 0) + max(after, 0))
            places = np.arange(x.type.shape[axis])
            wide = np.pad(places, (max(before, 0), max(after, 0)), mode=modes[mode])  # type: ignore[call-overload]
            cut = wide[max(-before, 0) : len(wide) - max(-after, 0)]
            x = call.make(ops.Take(axis), x, call.constant(cut))
    return x


@handler("DepthToSpace")
def depth_to_space(call: Call, x: Node, *, blocksize: int, mode: str = "DCR") -> Node:
    """Channels spread over blocks of rows and columns."""
    n, c, h, w = _image(x)
    b = blocksize
    if b < 1 or c % (b * b):
        raise ShapeError(
            "", "the block does not divide the channels", expected=f"a multiple of {b * b}", received=str(c)
        )
    if mode == "DCR":
        split, order = (n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, order = (n, c // (b * b), b, b, h, w), (0, 1, 4, 2, 5, 3)
    moved = call.make(ops.Transpose(order), call.make(ops.Reshape(split), x))
    return call.make(ops.Reshape((n, c // (b * b), h * b, w * b)), moved)


@handler("SpaceToDepth")
def space_to_depth(call: Call, x: Node, *, blocksize: int, mode: str = "DCR") -> Node:
    """Blocks of rows and columns gathered in channels, which are behind them (DCR) or in front (CRD)."""
    n, c, h, w = _image(x)
    b = blocksize
    if b < 1 or h % b or w % b:
        raise ShapeError("", "the block does not divide the image", expected=f"multiples of {b}", received=f"{h}x{w}")
    split = call.make(ops.Reshape((n, c, h // b, b, w // b, b)), x)
    moved = call.make(ops.Transpose((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)), split)
    return call.make(ops.Reshape((n, c * b * b, h // b, w // b)), moved)


def _image(x: Node) -> tuple[int, int, int, int]:
    if x.type.rank != 4:
        raise ShapeError("", "the input is no image", expected="4 axes", received=str(x.type.shape))
    n, c, h, w = x.type.shape
    return n, c, h, w


@handler("Compress", "NonZero", "Unique", "NonMaxSuppression")
def dynamic(call: Call, *inputs: Value) -> Node:
    """What has as many elements as the data say."""
    raise UnsupportedError("", "the size of its output depends on the data", expected="sizes known when compiling")
