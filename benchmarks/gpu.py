"""`python -m benchmarks.gpu FOLDER`: convc beside torch on this machine's GPU, in turn.

It needs torch, NumPy and this checkout; what it measures was compiled by `benchmarks.gpu_prepare`, anywhere.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks import gpu_folder, gpu_report
from benchmarks.gpu_folder import Subject
from benchmarks.gpu_report import Floors, Measured, Race
from convc import artifact
from convc.errors import ConvcError, TargetError

WARM_UP: Final = 10
"""Calls of a contender before its first turn."""
LEAST_CALLS: Final = 10
"""In a turn."""
ALONE: Final = 20
"""Calls of a turn that are waited for one by one."""
ACCEPTED: Final = {"float32": 1e-4, "tf32": 5e-2, "float16": 5e-2, "bfloat16": 0.3}
"""Distance from torch's answer in float32 from which on a contender computes something else. Drawn networks amplify
rounding errors: a tenth of this is normal."""


@dataclass(frozen=True)
class Plan:
    """How long to measure: `seconds` of calls in each turn."""

    rounds: int
    seconds: float


def measure(folder: Path, plan: Plan) -> list[Race]:
    """Everything in the folder. Raises `ConvcError` where there is no torch or no GPU, and for wrong answers."""
    check_machine()
    return [race(folder, subject, plan) for subject in gpu_folder.read(folder)]


def check_machine() -> None:
    """Raises `TargetError` where nothing can be measured."""
    try:
        import torch
    except ImportError:
        message, remedy = "torch is not installed", "pip install torch; convc is measured beside it, and by its events"
        raise TargetError("benchmarks.gpu", message, remedy=remedy) from None
    if not torch.cuda.is_available():
        raise TargetError(
            "benchmarks.gpu",
            "torch finds no GPU",
            received=f"torch {torch.__version__}",
            remedy="run it on a machine with a GPU of NVIDIA, and a torch that is built for CUDA",
        )


def race(folder: Path, subject: Subject, plan: Plan) -> Race:
    """One model at one batch size. Contenders run in turn, round after round, the GPU's peaks measured in each."""
    from benchmarks import torch_gpu

    say(f"{subject.model}, batch {subject.batch}: getting ready")
    launches = artifact.read(folder / subject.library).launches
    with torch_gpu.stream():
        contenders, want = torch_gpu.contenders(folder, subject)
        errors = {name: gpu_report.relative_error(contender.answer(), want) for name, contender in contenders.items()}
        for name, error in errors.items():
            if not error <= ACCEPTED[subject.precision]:
                expected = f"{ACCEPTED[subject.precision]:g} from torch in float32"
                raise ConvcError(name, "its answer is wrong", expected=expected, received=f"{error:.2g}")
        device: dict[str, list[float]] = {name: [] for name in contenders}
        alone: dict[str, list[float]] = {name: [] for name in contenders}
        floors = []
        names = list(contenders)
        for place in range(plan.rounds):
            say(f"{subject.model}, batch {subject.batch}: round {place + 1} of {plan.rounds}")
            floors.append(Floors.of(launches, torch_gpu.peak_flops(subject.precision), torch_gpu.peak_bandwidth()))
            first = place % len(names)
            for name in names[first:] + names[:first]:
                run = contenders[name].run
                device[name].append(torch_gpu.turn(run, _calls(run, plan.seconds)))
                alone[name].append(_answered(run))
    measured = {name: Measured(tuple(device[name]), tuple(alone[name]), errors[name]) for name in names}
    return Race(subject, measured, tuple(floors))


def _calls(run: Callable[[], object], seconds: float) -> int:
    """How many calls take about `seconds`."""
    from benchmarks import torch_gpu

    for _ in range(WARM_UP):
        run()
    return max(LEAST_CALLS, int(seconds / torch_gpu.turn(run, LEAST_CALLS)))


def _answered(run: Callable[[], object]) -> float:
    """Seconds from a call to its answer on an idle GPU, by the host's clock: the median."""
    from benchmarks import torch_gpu

    times = []
    for _ in range(ALONE):
        torch_gpu.wait()
        started = time.perf_counter()
        run()
        torch_gpu.wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def say(what: str) -> None:
    """Progress, apart from the result."""
    print(what, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("folder", type=Path, help="what benchmarks.gpu_prepare made")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of a measurement (default: 9)")
    parser.add_argument("--seconds", type=float, default=0.5, help="seconds of a turn (default: 0.5)")
    parser.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("--rounds: at least one")
    try:
        races = measure(given.folder, Plan(given.rounds, given.seconds))
    except ConvcError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    from benchmarks import torch_gpu

    machine = torch_gpu.machine()
    if given.json:
        print(json.dumps({"machine": machine, "results": list(map(asdict, races))}, indent=2))
    else:
        print(gpu_report.to_markdown(machine, races))
    return 0


if __name__ == "__main__":
    sys.exit(main())
