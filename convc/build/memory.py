"""The static arena: where each activation lives, planned from when it is alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convc.build.program import ALIGNMENT


@dataclass(frozen=True)
class Lifetime:
    """A tensor that is written by launch `first` and read for the last time by launch `last`, both included."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both are alive during some launch."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Byte offsets, one per tensor in the order given, each a multiple of `ALIGNMENT`."""

    offsets: tuple[int, ...]
    arena_bytes: int
    activation_bytes: int
    """Sum of all tensors: what the arena would be without planning."""
    floor_bytes: int
    """The most that is alive during one launch: no plan can need less."""


def plan(lifetimes: Sequence[Lifetime]) -> Plan:
    """Places tensors so that no two share bytes while both are alive.

    Greedy by size, as in Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020),
    section 5: the largest tensor first, each in the smallest gap it fits among those placed and alive with it. Tensors
    that are views of others (a Reshape) are one tensor to the plan: the caller joins their lifetimes.
    """
    assert all(t.bytes >= 0 and t.first <= t.last for t in lifetimes), "a tensor is written before it is read"
    sizes = [round_up(t.bytes) for t in lifetimes]
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for index in sorted(range(len(lifetimes)), key=lambda i: (-sizes[i], lifetimes[i].first, i)):
        around = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in placed
            if lifetimes[other].meets(lifetimes[index])
        )
        offsets[index] = _best_fit(sizes[index], around)
        placed.append(index)
    return Plan(
        tuple(offsets),
        max((offset + size for offset, size in zip(offsets, sizes, strict=True)), default=0),
        sum(sizes),
        _floor(lifetimes, sizes),
    )


def round_up(size: int) -> int:
    """`size` bytes rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _best_fit(size: int, around: Sequence[tuple[int, int]]) -> int:
    """The offset of the smallest gap of at least `size` between the sorted spans; the end of them where none fits."""
    best, best_gap = None, 0
    end = 0
    for low, high in around:
        gap = low - end
        if gap >= size and (best is None or gap < best_gap):
            best, best_gap = end, gap
        end = max(end, high)
    return end if best is None else best


def _floor(lifetimes: Sequence[Lifetime], sizes: Sequence[int]) -> int:
    change: dict[int, int] = {}
    for lifetime, size in zip(lifetimes, sizes, strict=True):
        change[lifetime.first] = change.get(lifetime.first, 0) + size
        change[lifetime.last + 1] = change.get(lifetime.last + 1, 0) - size
    alive = most = 0
    for launch in sorted(change):
        alive += change[launch]
        most = max(most, alive)
    return most
