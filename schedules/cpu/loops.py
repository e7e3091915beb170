"""Loop transformations that several CPU rules share."""

from __future__ import annotations

from math import prod

from convc.schedules.rule import Block, KernelView, Loop
from convc.target import Target

PARALLEL_WORK = 1 << 15
"""Fewer elementary operations than this are done before other threads have woken up."""


def vectorize(view: KernelView, loop: Loop, lanes: int) -> None:
    """The loop in steps of `lanes` elements, one vector each; a remainder is split off, masked."""
    if view.extent(loop) <= lanes:
        view.sch.vectorize(loop)
        return
    outer, inner = view.sch.split(loop, [None, lanes])
    view.sch.annotate(outer, "pragma_loop_partition_hint", 1)
    view.sch.vectorize(inner)


def parallel(view: KernelView, loops: list[Loop], work: int) -> Loop:
    """The loops fused into one, spread over the threads where `work` (elementary operations) is worth it."""
    fused = view.sch.fuse(*loops) if len(loops) > 1 else loops[0]
    if work >= PARALLEL_WORK and view.extent(fused) > 1:
        view.sch.parallel(fused)
    return fused


def simple(view: KernelView, block: Block, target: Target) -> None:
    """A block without reduction: outer loops parallel, the innermost one in vectors."""
    loops = view.sch.get_loops(block)
    if not loops:
        return
    *outer, last = loops
    work = prod(view.extent(loop) for loop in [*outer, last])
    if not outer:
        chunks, last = view.sch.split(last, [None, 64 * target.lanes])
        outer = [chunks]
    parallel(view, outer, work)
    vectorize(view, last, target.lanes)


def store_tile(view: KernelView, outer: int, lanes: int) -> None:
    """Unrolls what of the block `out` lies inside its `outer` outermost loops, the register tile, in vectors."""
    loops = view.loops("out")[outer:]
    if not loops:
        return
    *unrolled, last = loops
    if view.extent(last) > lanes:
        vectors, last = view.sch.split(last, [None, lanes])
        unrolled.append(vectors)
    for loop in unrolled:
        view.sch.unroll(loop)
    view.sch.vectorize(last)
