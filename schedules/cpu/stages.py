"""How the stages of a reduction are scheduled: those that convc.lower.stages names."""

from __future__ import annotations

from math import prod

from convc.schedules.cpu.loops import parallel, simple
from convc.schedules.rule import KernelView, Loop
from convc.target import Target

VECTORS = 8
"""Vectors of columns side by side, at most: enough independent additions to hide their latency."""
KINDS = (
    "columns_partial", "columns", "spare_columns_partial", "spare_columns", "joined", "lanes", "folded", "tail", "rows",
)  # fmt: skip
"""What a stage's name ends in; the total of a row has no such ending."""


def stages(kernel: KernelView, stem: str) -> list[str]:
    """The blocks of the reduction that is called `stem`, in order."""
    names = {stem, *(f"{stem}_{kind}" for kind in KINDS)}
    return [name for name in kernel.blocks if name in names]


def is_of_rows(kernel: KernelView, stem: str) -> bool:
    """Whether only the last axis is reduced."""
    return not any(name.endswith(("columns", "columns_partial")) for name in stages(kernel, stem))


def apart(kernel: KernelView, name: str, target: Target) -> None:
    """A stage on its own, its kept axes in parallel."""
    spatial, reduction = kernel.domain(name)
    work = prod(spatial) * prod(reduction)
    kept = kernel.loops(name)[: len(spatial)]
    if name.endswith(("columns", "columns_partial")):
        sch, (*outer, last), taps = kernel.sch, kept, kernel.loops(name)[len(spatial) :]
        column, vectors, lane = sch.split(last, [None, *_tile(spatial[-1], target.lanes)])
        sch.reorder(*outer, column, *taps, vectors, lane)
        parallel(kernel, [*outer, column], work)
        sch.unroll(vectors)
        sch.vectorize(lane)
        sch.decompose_reduction(kernel.block(name), taps[0])
    elif name.endswith("lanes"):
        parallel(kernel, kept[:-2], work)
        lanes(kernel, name)
    elif name.endswith("folded"):
        parallel(kernel, kept[:-1], work)
        folded(kernel, name)
    elif reduction:
        parallel(kernel, kept, work)
    else:
        simple(kernel, kernel.block(name), target)


def together(kernel: KernelView, names: list[str], loop: Loop) -> None:
    """Stages of rows, the last one first, computed for one row within `loop`."""
    for name in names:
        kernel.sch.compute_at(kernel.block(name), loop, preserve_unit_loops=True)
    for name in names:
        if name.endswith("lanes"):
            lanes(kernel, name)
        elif name.endswith("folded"):
            folded(kernel, name)


def lanes(kernel: KernelView, name: str) -> None:
    """Vectors of a row side by side, in registers."""
    sch = kernel.sch
    vector, lane, step = kernel.loops(name)[-3:]
    sch.reorder(step, vector, lane)
    sch.unroll(vector)
    sch.vectorize(lane)
    sch.decompose_reduction(kernel.block(name), step)


def folded(kernel: KernelView, name: str) -> None:
    """The vectors of a row in one vector."""
    sch = kernel.sch
    lane, block, vector = kernel.loops(name)[-3:]
    sch.reorder(block, vector, lane)
    sch.unroll(vector)
    sch.vectorize(lane)
    sch.decompose_reduction(kernel.block(name), block)


def _tile(columns: int, lanes: int) -> tuple[int, int]:
    """Vectors side by side, and the width of each."""
    whole = max(1, columns // lanes)
    return max(size for size in range(1, VECTORS + 1) if whole % size == 0), min(columns, lanes)
