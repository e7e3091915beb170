"""A folder of compiled libraries with inputs and the answers that a GPU must give: what is in it, and one check of one.

It needs NumPy, convc's runtime and the standard library only: a machine with a GPU may have nothing else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from convc import runtime
from convc.errors import ConvcError, ModelError
from tests.tolerances import relative_error

Arrays = dict[str, npt.NDArray[Any]]

MANIFEST: Final = "manifest.json"
INPUT, OUTPUT = "input ", "output "
"""What begins the names in the files with data; the names of the model's inputs and outputs follow."""
RUNS: Final = 20
"""Most runs that are timed."""
SECONDS: Final = 0.5
"""After so much time no other run begins."""
SHOWN: Final = 5
"""Wrong outputs that are listed for a library."""


@dataclass(frozen=True)
class Item:
    """One library. Files are in the folder; precisions of one model share the data. `tolerance` is the largest accepted
    ||got - want|| / ||want|| of an output."""

    name: str
    library: str
    data: str
    tolerance: float


@dataclass(frozen=True)
class Outcome:
    """What a check found: the largest error of an output, seconds of a run on arrays of the host, and what is wrong,
    or "". Error and seconds are None where it came to no answer."""

    name: str
    tolerance: float
    error: float | None = None
    seconds: float | None = None
    message: str = ""


def write(folder: Path, items: Sequence[Item]) -> None:
    """Says in the folder what is in it."""
    (folder / MANIFEST).write_text(json.dumps([asdict(item) for item in items], indent=1), encoding="ascii")


def read(folder: Path) -> list[Item]:
    """What is in the folder. Raises `ModelError` where nothing was carried there."""
    try:
        return [Item(**values) for values in json.loads((folder / MANIFEST).read_text(encoding="ascii"))]
    except (OSError, ValueError, TypeError):
        message, remedy = "no libraries to check are in it", "make it with 'python -m tests.cuda.carry build FOLDER'"
        raise ModelError(f"folder '{folder}'", message, remedy=remedy) from None


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a library is one of those that are asked for."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check(folder: Path, item: Item) -> Outcome:
    """Runs the library on the first GPU, and compares: two runs must give the same bits too."""
    feeds, wanted = _data(folder / item.data)
    try:
        with runtime.load(folder / item.library, "cuda") as module:
            got = module.run(feeds)
            again, seconds = _timed(module, feeds)
    except ConvcError as error:
        return Outcome(item.name, item.tolerance, message=str(error))
    errors = {name: relative_error(got[name], want) for name, want in wanted.items()}
    wrong = sorted((name for name in errors if not errors[name] <= item.tolerance), key=lambda name: -errors[name])
    told = [f"{name} is off by {errors[name]:.2g}" for name in wrong[:SHOWN]]
    told += [f"{len(wrong)} of {len(wanted)} outputs are wrong"] if len(wrong) > SHOWN else []
    unsteady = [name for name, value in got.items() if again[name].tobytes() != value.tobytes()]
    told += [f"{unsteady[0]} differs between runs, and {len(unsteady) - 1} others"] if unsteady else []
    return Outcome(item.name, item.tolerance, max(errors.values()), seconds, "; ".join(told))


def blame(folder: Path, item: Item) -> str:
    """What the driver says of a library that fails, where each kernel is waited for: it names the layers."""
    feeds, _ = _data(folder / item.data)
    try:
        with runtime.load(folder / item.library, "cuda") as module:
            module.profile(feeds)
    except ConvcError as error:
        return str(error)
    return "kernels that run one by one do not fail"


def _timed(module: runtime.Module, feeds: Arrays) -> tuple[Arrays, float]:
    """The answers of another run, and the least seconds of a run."""
    times: list[float] = []
    began = time.perf_counter()
    while not times or (len(times) < RUNS and time.perf_counter() - began < SECONDS):
        started = time.perf_counter()
        answers = module.run(feeds)
        times.append(time.perf_counter() - started)
    return answers, min(times)


def _data(path: Path) -> tuple[Arrays, Arrays]:
    """Inputs and answers by name."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    return (
        {name.removeprefix(INPUT): array for name, array in arrays.items() if name.startswith(INPUT)},
        {name.removeprefix(OUTPUT): array for name, array in arrays.items() if name.startswith(OUTPUT)},
    )
