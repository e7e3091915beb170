"""Standardisation as a tensor expression: the mean, the variance around it, and their use."""

from __future__ import annotations

from math import prod

from tvm import te

from convc import ops
from convc.ir import Shape
from convc.lower.anchor import Anchor
from convc.lower.layout import Layout
from convc.lower.math import Expr, f32
from convc.lower.stages import SUM, Element, columns, fold, whole


def standardize(op: ops.Standardize, axes: Shape, x: te.Tensor, layout: Layout) -> Anchor:
    """Blocks `mean` (where centered) and `scale`, and before each the stages of the sum that it is made of.

    `axes` are those of `x`, whose axes may be merged.
    """
    shape = tuple(int(extent) for extent in x.shape)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    grouped = op.groups > 1
    if grouped:  # statistics are kept for each element of the last axis, and are alike within a group
        kept.append(len(shape) - 1)
    size = shape[-1] // op.groups
    count = prod(shape[axis] for axis in axes) // op.groups
    domain = tuple(shape[axis] for axis in kept) or (1,)

    def own(indices: tuple[Expr, ...]) -> list[Expr]:
        return [indices[axis] for axis in kept] or [0]

    def average(element: Element, name: str) -> Element:
        if not grouped:
            total = fold(shape, axes, element, SUM, layout, name)
            return lambda *i: total(*i) * f32(1 / count)
        before = [axis for axis in axes if axis != len(shape) - 1]
        if layout.threads:
            split, reduced = (*shape[:-1], op.groups, size), (*before, len(shape))
            total = whole(split, reduced, lambda *i: element(*i[:-2], i[-2] * size + i[-1]), SUM, name)
            return lambda *i: total(*i[:-1], i[-1] // size) * f32(1 / count)
        parts = columns(shape, before, element, SUM, layout.lanes, name) if before else element
        tap = te.reduce_axis((0, size), "r")
        total = te.compute(
            (*domain[:-1], op.groups),
            lambda *i: te.sum(parts(*i[:-1], i[-1] * size + tap), axis=[tap]),
            name=f"{name}_rows",
        )
        return lambda *i: total(*i[:-1], i[-1] // size) * f32(1 / count)

    if op.centered:
        mean = te.compute(domain, average(x, "sum"), name="mean")

        def centered(*i: Expr) -> Expr:
            return x(*i) - mean(*own(i))

    else:
        centered = x
    variance = average(lambda *i: centered(*i) * centered(*i), "squares")
    scale = te.compute(domain, lambda *i: f32(1) / te.sqrt(variance(*i) + f32(op.epsilon)), name="scale")
    return lambda *i: centered(*i) * scale(*own(i))
