"""What is measured on a GPU, as a folder that another machine made: libraries, graphs for torch, and what they are.

It is read with NumPy and the standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.plain_graph import PlainGraph, load
from convc.errors import ModelError

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Subject:
    """One model at one batch size. The files are in the folder; `shape` is that of its only input, channels-last."""

    model: str
    batch: int
    precision: str
    shape: tuple[int, ...]
    library: str
    steps: str
    weights: str

    def graph(self, folder: Path) -> PlainGraph:
        """What torch computes."""
        return load(folder / self.steps, folder / self.weights)

    @property
    def channels_first(self) -> tuple[int, ...]:
        """The shape of the input of the graph for torch."""
        return (self.shape[0], self.shape[-1], *self.shape[1:-1])


def write(folder: Path, subjects: Sequence[Subject]) -> None:
    """Says in the folder what is in it."""
    (folder / MANIFEST).write_text(json.dumps([asdict(subject) for subject in subjects], indent=2), encoding="ascii")


def read(folder: Path) -> list[Subject]:
    """What is in the folder. Raises `ModelError` where it was not prepared."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
        subjects = [Subject(**{**value, "shape": tuple(value["shape"])}) for value in values]
    except (OSError, ValueError, TypeError, KeyError):
        subjects = []
    if not subjects:
        message, remedy = "nothing to measure is in it", "make it with 'python -m benchmarks.gpu_prepare FOLDER'"
        raise ModelError(f"folder '{folder}'", message, remedy=remedy)
    missing = [name for s in subjects for name in (s.library, s.steps, s.weights) if not (folder / name).exists()]
    if missing:
        raise ModelError(f"folder '{folder}'", "files are missing", received=", ".join(dict.fromkeys(missing)))
    return subjects
