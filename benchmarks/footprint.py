"""What a model costs beside its latency: compiling, file sizes, memory, and the way to the first answer."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.measure import Entry

LAUNCHER: Final = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(sys.argv[1:])
seconds = time.perf_counter() - started
print(json.dumps([code, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""
"""A small process between: the peak memory of a child counts from the size of the process that starts it."""


@dataclass(frozen=True)
class Compilation:
    """Wall time in seconds and peak resident memory in bytes, of the whole command and whatever it starts."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class FirstAnswer:
    """Medians over fresh processes: seconds of the runtime's import and from loading to the first answer; bytes by
    which the peak memory grew meanwhile, and of the `constants` that convc made at load."""

    import_seconds: float
    load_seconds: float
    memory: int
    constants: int


def compile_model(model: Path, output: Path, batch: int) -> Compilation:
    """Runs `convc compile`. Raises `CalledProcessError` where it fails; it has said why."""
    command = [sys.executable, "-m", "convc", "compile", str(model), "-o", str(output), "--batch", str(batch), "-q"]
    launched = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, *command], check=True, stdout=subprocess.PIPE, text=True
    )
    code, seconds, memory = json.loads(launched.stdout)
    if code:
        raise subprocess.CalledProcessError(code, command)
    return Compilation(seconds, memory)


def first_answers(entries: Sequence[Entry], *, threads: int, repetitions: int) -> dict[str, FirstAnswer]:
    """Measures `entries` in fresh processes, in turn. The files are in the page cache: one round comes before."""
    seen: dict[str, list[dict[str, float]]] = {entry.contender: [] for entry in entries}
    with tempfile.TemporaryDirectory() as folder:
        for place in range(repetitions + 1):
            for entry in entries:
                inputs = Path(folder) / f"{entry.contender}.npz"
                if place == 0:
                    np.savez(inputs, *entry.inputs)
                report = _first_answer(entry, inputs, threads)
                if place:
                    seen[entry.contender].append(report)
    return {name: _median(reports) for name, reports in seen.items()}


def _first_answer(entry: Entry, inputs: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.first_answer", entry.contender]
    command += [str(entry.path), str(inputs), str(threads)]
    report: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return report


def _median(reports: Sequence[dict[str, float]]) -> FirstAnswer:
    middle = {key: statistics.median(report[key] for report in reports) for key in reports[0]}
    return FirstAnswer(middle["import"], middle["load"], int(middle["memory"]), int(middle["constants"]))
