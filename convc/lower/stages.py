"""Reductions in stages: vectors of partial results in registers, short running sums, and their totals.

Rounding errors of a sum of n elements in blocks of b are those of a sum of b + n / b: see `contraction`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from tvm import te

from convc.ir import Shape
from convc.lower.contraction import BLOCK
from convc.lower.layout import Layout
from convc.lower.math import Expr, f32

Element = Callable[..., Expr]
"""The value at full indices."""

VECTORS = 4
"""Vectors of a row that are reduced side by side, at most: enough to hide an addition's latency."""


WORTH_JOINING = 8
"""Fewer elements than this are reduced before two stages would be joined."""


@dataclass(frozen=True)
class Reducer:
    """An associative function; `over` reduces axes, `combine` two values, and `neutral` changes none."""

    over: Callable[..., Expr]
    combine: Callable[[Expr, Expr], Expr]
    neutral: float


def _extreme(combine: Callable[[Expr, Expr], Expr], end: float, limit: Callable[[str], Expr]) -> Reducer:
    """The largest or the smallest element. TVM begins with the last finite number, which infinities are beyond."""

    def neutral(dtype: str) -> Expr:
        return f32(end) if str(dtype) == "float32" else limit(dtype)

    return Reducer(te.comm_reducer(lambda a, b: combine(a, b), neutral, name="extreme"), combine, end)


SUM = Reducer(te.sum, lambda a, b: a + b, 0.0)
MAX = _extreme(te.max, float("-inf"), te.min_value)
MIN = _extreme(te.min, float("inf"), te.max_value)
PRODUCT = Reducer(te.comm_reducer(lambda a, b: a * b, lambda dtype: f32(1.0), name="product"), lambda a, b: a * b, 1.0)


def fold(shape: Shape, axes: Sequence[int], element: Element, reducer: Reducer, layout: Layout, name: str) -> te.Tensor:
    """`element`, which has `shape`, reduced over `axes`; the domain is that of the kept axes, or (1,).

    Its blocks: `name`_columns_partial and `name`_columns for all axes but the last, the same of `name`_spare and
    `name`_joined where that does not fill its vectors; for the last axis `name`_lanes,
    `name`_folded, `name`_tail and `name`, or `name`_rows alone where it is short. For threads it is `name` alone.
    """
    if layout.threads:
        return whole(shape, axes, element, reducer, name)
    last, lanes = len(shape) - 1, layout.lanes
    before = [axis for axis in axes if axis != last]
    if last not in axes:
        return columns(shape, before, element, reducer, lanes, name)
    if before:
        sums = columns(shape, before, element, reducer, lanes, name)
        shape, element = tuple(int(extent) for extent in sums.shape), sums
    return rows(shape, element, reducer, lanes, name)


def whole(shape: Shape, axes: Sequence[int], element: Element, reducer: Reducer, name: str) -> te.Tensor:
    """Reduced over `axes` in one block; the domain is that of the kept axes, or (1,)."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    taps = {axis: te.reduce_axis((0, shape[axis]), f"r{axis}") for axis in axes}

    def value(*indices: Expr) -> Expr:
        where = dict(zip(kept, indices, strict=False)) | taps
        return reducer.over(element(*(where[axis] for axis in range(len(shape)))), axis=list(taps.values()))

    return te.compute(tuple(shape[axis] for axis in kept) or (1,), value, name=name)


def columns(shape: Shape, axes: Sequence[int], element: Element, reducer: Reducer, lanes: int, name: str) -> te.Tensor:
    """Reduced over `axes`, not the last one, which runs in vectors; what does not fill them is a stage of its own."""
    *_, depth = shape
    left = depth % lanes
    if depth < lanes or left == 0 or prod(shape[axis] for axis in axes) < WORTH_JOINING:
        return _columns(shape, axes, element, reducer, name)
    whole = depth - left
    main = _columns((*shape[:-1], whole), axes, element, reducer, name)
    spare = _columns((*shape[:-1], left), axes, lambda *i: element(*i[:-1], i[-1] + whole), reducer, f"{name}_spare")
    return te.compute(
        (*(int(extent) for extent in main.shape[:-1]), depth),
        lambda *i: te.if_then_else(i[-1] < whole, main(*i), spare(*i[:-1], i[-1] - whole)),
        name=f"{name}_joined",
    )


def _columns(shape: Shape, axes: Sequence[int], element: Element, reducer: Reducer, name: str) -> te.Tensor:
    """Reduced over `axes`, not the last one."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    extents = {axis: shape[axis] for axis in axes}
    domain = tuple(shape[axis] for axis in kept)
    long = max(extents, key=extents.__getitem__)
    others = prod(extents.values()) // extents[long]
    size = extents[long] if prod(extents.values()) <= 2 * BLOCK else max(1, BLOCK // others)
    blocks = -(-extents[long] // size)

    def partial(*indices: Expr) -> Expr:
        *start, block, end = indices
        where = dict(zip(kept, (*start, end), strict=True))
        taps = {
            axis: te.reduce_axis((0, extent if axis != long else size), f"r{axis}") for axis, extent in extents.items()
        }
        at = block * size + taps[long]
        value = element(*((where | taps | {long: at})[axis] for axis in range(len(shape))))
        if blocks * size > extents[long]:
            value = te.if_then_else(at < extents[long], value, f32(reducer.neutral))
        return reducer.over(value, axis=list(taps.values()))

    if blocks == 1:
        return te.compute(domain, lambda *i: partial(*i[:-1], 0, i[-1]), name=f"{name}_columns")
    parts = te.compute((*domain[:-1], blocks, domain[-1]), partial, name=f"{name}_columns_partial")
    number = te.reduce_axis((0, blocks), "block")
    return te.compute(
        domain, lambda *i: reducer.over(parts(*i[:-1], number, i[-1]), axis=[number]), name=f"{name}_columns"
    )


def rows(shape: Shape, element: Element, reducer: Reducer, lanes: int, name: str) -> te.Tensor:
    """Reduced over the last axis, which runs in vectors as far as it fills them."""
    *domain, depth = shape
    kept = tuple(domain) or (1,)

    def at(indices: Sequence[Expr], position: Expr) -> Expr:
        return element(*(indices if domain else ()), position)

    if depth < lanes:
        tap = te.reduce_axis((0, depth), "r")
        return te.compute(kept, lambda *i: reducer.over(at(i, tap), axis=[tap]), name=f"{name}_rows")
    vectors = min((v for v in range(VECTORS, 0, -1) if v * lanes <= depth), key=lambda v: depth % (v * lanes))
    width = vectors * lanes
    steps = depth // width
    blocks = 1 if steps <= 2 * BLOCK else -(-steps // BLOCK)
    size = -(-steps // blocks)

    def partial(*indices: Expr) -> Expr:
        *row, block, vector, lane = indices
        step = te.reduce_axis((0, size), "step")
        first = block * size + step
        value = at(row, first * width + vector * lanes + lane)
        if blocks * size > steps:
            value = te.if_then_else(first < steps, value, f32(reducer.neutral))
        return reducer.over(value, axis=[step])

    parts = te.compute((*kept, blocks, vectors, lanes), partial, name=f"{name}_lanes")

    def vector(*indices: Expr) -> Expr:
        *row, lane = indices
        block, number = te.reduce_axis((0, blocks), "block"), te.reduce_axis((0, vectors), "vector")
        return reducer.over(parts(*row, block, number, lane), axis=[block, number])

    folded = te.compute((*kept, lanes), vector, name=f"{name}_folded")
    left = depth - steps * width
    tap = te.reduce_axis((0, max(left, 1)), "r")
    tail = te.compute(kept, lambda *i: reducer.over(at(i, steps * width + tap), axis=[tap]), name=f"{name}_tail")

    def total(*indices: Expr) -> Expr:
        values = [folded(*indices, lane) for lane in range(lanes)]
        while len(values) > 1:
            half = len(values) // 2
            values = [reducer.combine(a, b) for a, b in zip(values[:half], values[half:], strict=True)]
        return reducer.combine(values[0], tail(*indices)) if left else values[0]

    return te.compute(kept, total, name=name)
