"""Compiles what `tests.cuda.carry` checks elsewhere, as long as there is room."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from convc.ir import Array
from convc.precision import Precision
from convc.target import CudaTarget, named
from tests.cuda import carried, networks, subjects
from tests.cuda.carried import INPUT, OUTPUT, Item
from tests.support.kernels import PARTS, Subject


@dataclass(frozen=True)
class Plan:
    """A library that may be built."""

    model: str
    precision: Precision
    make: Callable[[], Subject]
    limit: Callable[[Subject, Precision], float]

    @property
    def name(self) -> str:
        """What it is called in the manifest."""
        return f"{self.model}-{self.precision.value}"


def plans() -> Iterator[Plan]:
    """All libraries, the least of a precision first, and the large ones last."""
    for part in PARTS:
        for precision in subjects.precisions(part):
            yield Plan(part, precision, partial(subjects.cases, part), _limit_of_cases)
    for name, make in networks.SMALL.items():
        for precision in subjects.precisions(name):
            yield Plan(name, precision, make, subjects.network_limit)
    for name in networks.FULL:
        for precision in sorted(subjects.precisions(name), key=lambda precision: precision.storage == "float32"):
            yield Plan(name, precision, partial(networks.full, name), subjects.network_limit)


def _limit_of_cases(subject: Subject, precision: Precision) -> float:
    return subjects.limit(precision)


def build(folder: Path, target_name: str, limit: int, only: Sequence[str]) -> None:
    """Fills the folder with at most `limit` bytes of libraries for that target and their data; `only` are
    patterns of their names. What does not fit is left out and said. Raises what compiling raises."""
    target = named(target_name)
    assert isinstance(target, CudaTarget)
    folder.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    used = 0
    for plan in plans():
        if not carried.fits(plan.name, only):
            continue
        started = time.perf_counter()
        known = {item.data for item in items}
        item, size = _built(plan, folder, target, known)
        fits = used + size <= limit
        if fits:
            used += size
            items.append(item)
            carried.write(folder, items)
        else:
            for name in {item.library, item.data} - known:
                (folder / name).unlink()
        taken = time.perf_counter() - started
        _say(f"{plan.name}: {size / 1e6:.2f} MB, {taken:.1f} s{'' if fits else ', LEFT OUT: no room'}")
    _say(f"{len(items)} libraries, {used / 1e6:.1f} MB")


def _built(plan: Plan, folder: Path, target: CudaTarget, known: set[str]) -> tuple[Item, int]:
    """The library and, where it is not there yet, its data, with the bytes of both."""
    subject = plan.make()
    item = Item(plan.name, f"{plan.name}.so", f"{plan.model}.npz", plan.limit(subject, plan.precision))
    subjects.compile(subject.graph, folder / item.library, target, plan.precision)
    size = (folder / item.library).stat().st_size
    if item.data not in known:
        arrays = {f"{INPUT}{name}": array for name, array in subject.feeds.items()}
        arrays |= {f"{OUTPUT}{name}": _stored(array) for name, array in subject.want.items()}
        np.savez_compressed(folder / item.data, allow_pickle=False, **arrays)
        size += (folder / item.data).stat().st_size
    return item, size


def _stored(want: Array) -> Array:
    """Rounding to float32 is far below every tolerance."""
    return want.astype(np.float32) if want.dtype == np.float64 else want


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
