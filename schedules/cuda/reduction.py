"""Reductions, softmax and standardisation: a team of threads for each row."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar

from convc.schedules.cuda.loops import BYTES, WARP, size
from convc.schedules.cuda.rows import RowLoops, Rows
from convc.schedules.cuda.team import Team
from convc.schedules.cuda.vectors import is_aligned
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget

INLINED = ("mean", "scale", "inverse")
"""Blocks of one number for each row, which all of its threads compute."""
REGISTERS = 64
"""Elements of a row that a thread keeps, at most."""
THREADS, MOST = 256, 1024
"""Threads of a block, and the most that it can have."""
BLOCKS = 264
"""Blocks that keep a GPU busy: two for each of the multiprocessors of a large one."""
FEW_BLOCKS = 32
"""Up to so many blocks, rows are cut into chunks if threads have more than STEPS pieces each."""
STEPS = 16
SECTOR = 128
"""Bytes in a row that are read at once by neighbouring threads, at least."""


@dataclass(frozen=True)
class ReductionKnobs(Knobs):
    """`team` has a row, or one of its `chunks`; `is_kept`: in registers, from its first read on."""

    team: Team = field(default_factory=lambda: Team(1, WARP, 1, False))
    is_kept: bool = False
    chunks: int = 1


class ReductionRule(Rule[CudaTarget]):
    """Blocks that reduce the same rows, `power` between them maybe, and `out`, over the rows or over their elements.

    Bytes: the input and the output once, which is the floor, where a thread's part of a row fits into its registers;
    else the input once more for each further block, from the L2 cache where it holds it.
    """

    name: ClassVar[str] = "reduction"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        rows = self._rows(KernelView(kernel.func))
        return rows is not None and rows.place([0] * len(rows.kept), [0] * len(rows.summed)) is not None

    def choose(self, kernel: KernelView, target: CudaTarget) -> ReductionKnobs:
        rows = self._rows(KernelView(kernel.func))
        assert rows is not None
        lanes = _lanes(rows)
        team = _across(rows, lanes) if rows.is_across else _along(rows, lanes)
        pieces = prod(rows.summed) // (1 if rows.is_across else lanes)
        blocks = -(-prod(rows.kept) // (team.count * (lanes if rows.is_across else 1)))
        chunks = min(BLOCKS // blocks, pieces // (team.size * STEPS)) if blocks <= FEW_BLOCKS else 1
        if chunks > 1:
            return ReductionKnobs(team=team, chunks=chunks)
        return ReductionKnobs(team=team, is_kept=-(-pieces // team.size) * lanes <= REGISTERS)

    def schedule(self, kernel: KernelView, knobs: ReductionKnobs, target: CudaTarget) -> Any:
        _inline(kernel, INLINED)
        view = KernelView(kernel.func)
        rows = Rows.of(view)
        assert rows is not None
        return RowLoops(view, rows, knobs.team, is_kept=knobs.is_kept, chunks=knobs.chunks).emit()

    @staticmethod
    def _rows(kernel: KernelView) -> Rows | None:
        _inline(kernel, INLINED)
        return Rows.of(KernelView(kernel.func))


def _inline(kernel: KernelView, names: tuple[str, ...]) -> None:
    for name in names:
        if kernel.has(name) and not kernel.domain(name)[1]:
            kernel.sch.compute_inline(kernel.block(name))


def _lanes(rows: Rows) -> int:
    """Elements in a row that a thread reads at once."""
    axes = [axis.var for axis in rows.first.iter_vars]
    spatial = [axis.var for axis in rows.first.iter_vars if int(axis.iter_type) == 0]
    last = spatial[-1] if rows.is_across else axes[-1]
    out = rows.blocks["out"].body.buffer
    lanes = BYTES // size(rows.source)
    while lanes > 1:
        written = rows.is_across or rows.is_of_elements
        stored = not written or int(out.shape[-1]) % lanes == 0
        if rows.last % lanes == 0 and stored and is_aligned(rows.load, last, lanes):
            return lanes
        lanes //= 2
    return 1


def _along(rows: Rows, lanes: int) -> Team:
    """A warp for a short row, or a part of one; a block for a long one."""
    count, pieces = prod(rows.kept), prod(rows.summed) // lanes
    members = min(_power(pieces), WARP)
    room = REGISTERS // 2 // lanes if count * members >= BLOCKS * THREADS else 1
    while members < MOST and members * room < pieces:
        members *= 2
    teams = max(1, WARP // members)
    while teams * members < THREADS and count > teams * BLOCKS:
        teams *= 2
    return Team(members, teams, lanes, False)


def _across(rows: Rows, lanes: int) -> Team:
    """Neighbouring elements of the last axis that fill a sector, and as many threads on each as the rows are long."""
    units, pieces = prod(rows.kept) // lanes, prod(rows.summed)
    teams = min(max(1, SECTOR // (lanes * size(rows.source))), _power(units))
    most = (THREADS if -(-units // teams) >= BLOCKS else MOST) // teams
    members = min(_power(pieces), most)
    while teams * members < WARP:
        teams *= 2
    while teams * members < THREADS and units > teams * BLOCKS:
        teams *= 2
    return Team(members, teams, lanes, True)


def _power(number: int) -> int:
    """The smallest power of two that is not below."""
    return 1 << (number - 1).bit_length()
