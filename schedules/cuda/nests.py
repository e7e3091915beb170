"""Loops bound to a GPU's blocks and threads, which all CUDA rules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.s_tir import Schedule

from convc.schedules.rule import Block, KernelView, Loop

THREADS = 256
"""Threads of a block, where nothing else decides: eight warps, of which several blocks fit on a multiprocessor."""


def prepared(func: Any) -> Any:
    """The PrimFunc without its stages `wide<i>`, which read what is stored in 16 bits: they are computed where used."""
    sch = Schedule(func)
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        if str(sch.get(block).name_hint).startswith("wide"):
            sch.compute_inline(block)
    return sch.mod["main"]


def spread(kernel: KernelView, block: Block, loops: Sequence[Loop], threads: int = THREADS) -> Loop:
    """`loops`, the outermost ones around `block`, as one, over blocks of at most `threads` threads; the threads' loop.

    With no loops at all, one thread does what there is to do.
    """
    sch = kernel.sch
    fused = sch.fuse(*loops) if loops else sch.add_unit_loop(block)
    grid, thread = sch.split(fused, [None, min(threads, kernel.extent(fused))])
    sch.bind(grid, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    return thread


def alone(kernel: KernelView, name: str) -> None:
    """The block as a nest of its own, one thread for each element that it computes."""
    sch, block = kernel.sch, kernel.block(name)
    spatial, taps = kernel.domain(name)
    if not taps:
        spread(kernel, block, sch.get_loops(block))
        return
    loops = sch.get_loops(block)
    sums = sch.cache_write(block, 0, "local")
    thread = spread(kernel, block, loops[: len(spatial)])
    sch.reverse_compute_at(sums, thread, preserve_unit_loops=True)
    sch.decompose_reduction(block, loops[len(spatial)])
