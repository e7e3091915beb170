"""What was measured on a GPU, as Markdown, and what it could be at best."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.gpu_folder import Subject
from benchmarks.plain_graph import Array
from convc.artifact import LaunchInfo

OURS: Final = "convc"


@dataclass(frozen=True)
class Measured:
    """One contender: seconds of a call in each round, back to back (`device`, by events) and one by one (`alone`, from
    the call to the answer); and the distance of its answer from torch's in float32."""

    device: tuple[float, ...]
    alone: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Floors:
    """The least seconds of convc's kernels at the peaks that the GPU showed in the same round.

    `operations` at the rate of a large product, `memory` at the bandwidth of a large copy, for what the kernels read
    and write at least; `kernels` is the sum of the larger of the two over the kernels. What stays in the L2 cache can
    be read faster than `memory` says.
    """

    flops: float
    bandwidth: float
    operations: float
    memory: float
    kernels: float

    @classmethod
    def of(cls, launches: Sequence[LaunchInfo], flops: float, bandwidth: float) -> Floors:
        """Those of the launches at peaks in FLOP/s and bytes/s."""
        pairs = [(launch.flops / flops, launch.bytes / bandwidth) for launch in launches]
        operations, memory = (sum(pair[place] for pair in pairs) for place in (0, 1))
        return cls(flops, bandwidth, operations, memory, sum(map(max, pairs)))


@dataclass(frozen=True)
class Race:
    """One model at one batch size; `floors` has an entry for each round."""

    subject: Subject
    measured: Mapping[str, Measured]
    floors: tuple[Floors, ...]


def relative_error(got: Array, want: Array) -> float:
    """||got - want|| / ||want||; infinite where the shapes differ or anything is not finite."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want.astype(np.float64)))


def ratios(race: Race, peer: str) -> tuple[float, ...]:
    """A peer's time by convc's, back to back, in each round: above 1 convc is faster."""
    ours, theirs = race.measured[OURS].device, race.measured[peer].device
    return tuple(b / a for a, b in zip(ours, theirs, strict=True))


def to_markdown(machine: Mapping[str, str], races: Sequence[Race]) -> str:
    """The machine and the tables."""
    head = f"{machine['gpu']}, {machine['date']}; " + ", ".join(
        f"{name} {version}" for name, version in machine.items() if name not in ("gpu", "date")
    )
    rows = ["model", "batch", "precision", "contender", "ms", "ms alone", "by convc", "images/s", "error"]
    times = [
        "| " + " | ".join([*_who(race), name, *_cells(race, name)]) + " |" for race in races for name in race.measured
    ]
    bounds = ["model", "batch", "precision", "operations ms", "memory ms", "kernels ms", "reached", "TFLOP/s", "GB/s"]
    floors = ["| " + " | ".join([*_who(race), *_floors(race)]) + " |" for race in races]
    return "\n".join([
        head,
        "",
        "ms: a call of many back to back, by the GPU's clock; alone: from the call to the answer, by the host's. Median"
        " over rounds and range. By convc: a contender's ms divided by convc's in the same round; above 1 convc is"
        " faster. Error: distance from torch's answer in float32. torch reads and writes its type, convc float32.",
        "",
        _header(rows),
        *times,
        "",
        "Floors of convc's kernels, at the rate of a product of 8192x8192 matrices and the bandwidth of a copy of 1 GiB"
        " that were measured in the same rounds. Kernels: the larger of both, kernel by kernel; reached: its share of"
        " convc's ms.",
        "",
        _header(bounds),
        *floors,
    ])  # fmt: skip


def _header(names: Sequence[str]) -> str:
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names)


def _who(race: Race) -> list[str]:
    return [race.subject.model, str(race.subject.batch), race.subject.precision]


def _cells(race: Race, name: str) -> list[str]:
    measured = race.measured[name]
    by = "" if name == OURS else _range(ratios(race, name), 1, 2)
    images = race.subject.batch / statistics.median(measured.device)
    return [
        _range(measured.device, 1e3, 3),
        _range(measured.alone, 1e3, 3),
        by,
        f"{images:.0f}",
        f"{measured.error:.1e}",
    ]


def _floors(race: Race) -> list[str]:
    def median(name: str) -> float:
        return statistics.median(float(getattr(floors, name)) for floors in race.floors)

    shares = [f.kernels / time for f, time in zip(race.floors, race.measured[OURS].device, strict=True)]
    milliseconds = [f"{median(name) * 1e3:.3f}" for name in ("operations", "memory", "kernels")]
    peaks = [f"{median('flops') / 1e12:.0f}", f"{median('bandwidth') / 1e9:.0f}"]
    return [*milliseconds, f"{statistics.median(shares):.0%}", *peaks]


def _range(values: Sequence[float], factor: float, digits: int) -> str:
    low, middle, high = (f"{f(values) * factor:.{digits}f}" for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"
