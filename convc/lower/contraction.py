"""Long sums in two stages, so that rounding errors do not pile up: short partial sums, and their total.

A float32 sum of n products in a row has a relative error near eps * sqrt(n / 2); in blocks of b it is near
eps * sqrt(b / 2 + n / b / 2): the error stays that of a sum of b, however long the sum is (Higham, "Accuracy and
Stability of Numerical Algorithms", section 4.2). Adding up the partial sums costs one addition in b.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from tvm import te

from convc.ir import Shape
from convc.lower.layout import Layout
from convc.lower.math import Expr

BLOCK = 512
"""Products in a partial sum, at most; sums of up to twice as many stay whole."""
GOOD_BLOCK = 64
"""Products in a partial sum that are enough for its total to cost little."""


def contract(domain: Shape, window: Shape, depth: int, product: Callable[..., Expr], layout: Layout) -> te.Tensor:
    """The tensor of `domain` whose elements are the sums of product(indices, taps, channel) over window and depth.

    One block `conv`; for long sums of vectors a block `partial` before it, whose domain is `domain` and the partial
    sums.
    """
    outer, inner = split_sum((*window, depth))
    if prod(outer) == 1 or layout.threads:
        axes = _axes((*window, depth), "k")
        return te.compute(domain, lambda *i: te.sum(product(i, axes[:-1], axes[-1]), axis=axes), name="conv")
    inside = _axes(inner, "i")

    def partial(*indices: Expr) -> Expr:
        position, blocks = indices[: len(domain)], indices[len(domain) :]
        taps = [block * extent + i for block, extent, i in zip(blocks, inner, inside, strict=True)]
        return te.sum(product(position, taps[:-1], taps[-1]), axis=inside)

    sums = te.compute((*domain, *outer), partial, name="partial")
    outside = _axes(outer, "o")
    return te.compute(domain, lambda *i: te.sum(sums(*i, *outside), axis=outside), name="conv")


def split_sum(extents: Shape) -> tuple[Shape, Shape]:
    """(outer, inner) with outer[i] * inner[i] = extents[i]: the innermost axes that make at most BLOCK products."""
    if prod(extents) <= 2 * BLOCK:
        return (1,) * len(extents), extents
    outer, inner, room = list(extents), [1] * len(extents), BLOCK
    for axis in reversed(range(len(extents))):
        sizes = range(1, min(room, extents[axis]) + 1)
        # Two blocks along this axis alone would be a sum short enough to stay whole: there are more along others.
        inner[axis] = max((size for size in sizes if _divides(size, extents[axis])), default=1)
        outer[axis] = extents[axis] // inner[axis]
        room //= inner[axis]
        if outer[axis] > 1:
            break
    return tuple(outer), tuple(inner)


def whole_blocks(depth: int) -> int:
    """`depth`, or the next larger one that divides into good partial sums where no divisor of `depth` makes any."""
    if depth <= 2 * BLOCK or split_sum((depth,))[1][0] >= GOOD_BLOCK:
        return depth
    blocks = max(3, -(-depth // BLOCK))
    return -(-depth // blocks) * blocks


def _divides(size: int, extent: int) -> bool:
    """Whether blocks of `size` fill `extent`, but not twice: LLVM unrolls two blocks into one and runs out of
    registers over both."""
    return extent % size == 0 and extent // size != 2


def _axes(extents: Shape, stem: str) -> list[Expr]:
    return [te.reduce_axis((0, extent), f"{stem}{axis}") for axis, extent in enumerate(extents)]
