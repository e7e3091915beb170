"""`convc bench`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from convc import runtime
from convc.cli.options import PATH, device_options, epilog, json_option
from convc.cli.output import print_json, print_table
from convc.samples import random_feeds

LEAST_RUNS: Final = 10
WARM_SHARE: Final = 0.2
"""Share of the time that is spent before measuring: caches, page tables and clocks settle."""


@click.command(
    epilog=epilog("convc bench resnet50.so --threads 2 --seconds 5"),
    short_help="Measure latency and throughput of a compiled library.",
)
@click.argument("artifact", type=PATH)
@device_options
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True, max=3600), default=3.0, show_default=True,
    help="How long to measure; at least ten runs are made.",
)  # fmt: skip
@json_option
def command(artifact: Path, device: str | None, threads: int | None, seconds: float, as_json: bool) -> None:
    """Run ARTIFACT again and again on random data, and show the latency of one run and the throughput.

    A run is a call with arrays of the host: on a GPU it copies the inputs there and the outputs back.
    """
    with runtime.load(artifact, device, threads) as module:
        feeds = random_feeds(module.inputs, seed=0)
        batch = next((spec.shape[0] for spec in module.inputs if spec.shape), 1)
        measure(lambda: module.run(feeds), seconds * WARM_SHARE)
        times = measure(lambda: module.run(feeds), seconds)
        place = module.device
    report = summary(times, batch)
    if as_json:
        print_json({"artifact": str(artifact), "device": place, "threads": threads, "batch": batch, **report})
        return
    rows = [(name.removesuffix("_ms"), f"{report[name]:.3f}") for name in ("min_ms", "p50_ms", "p90_ms", "p99_ms")]
    print_table(("latency", "ms>"), rows)
    click.echo(f"{report['throughput']:.1f} samples/s, {len(times)} runs on {place}")


def measure(run: Callable[[], object], seconds: float) -> list[float]:
    """Durations of runs in seconds, until their sum is `seconds`; `LEAST_RUNS` at least."""
    times: list[float] = []
    total = 0.0
    while total < seconds or len(times) < LEAST_RUNS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
        total += times[-1]
    return times


def summary(times: Sequence[float], batch: int) -> dict[str, float]:
    """Percentiles in milliseconds and samples per second."""
    ordered = sorted(times)
    return {
        "runs": len(ordered),
        "min_ms": ordered[0] * 1e3,
        "p50_ms": percentile(ordered, 50) * 1e3,
        "p90_ms": percentile(ordered, 90) * 1e3,
        "p99_ms": percentile(ordered, 99) * 1e3,
        "throughput": batch * len(ordered) / sum(ordered),
    }


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` of all values do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]
