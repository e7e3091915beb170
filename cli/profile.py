"""`convc profile`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

from convc import runtime
from convc.artifact import LaunchInfo
from convc.cli.options import PATH, epilog, json_option, threads_option
from convc.cli.output import print_json, print_table
from convc.samples import random_feeds

WARM_RUNS: Final = 3


@click.command(
    epilog=epilog("convc profile resnet50.so --threads 1"),
    short_help="Time every kernel of a compiled library.",
)
@click.argument("artifact", type=PATH)
@threads_option
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Runs, of which medians are shown.",
)
@json_option
def command(artifact: Path, threads: int | None, runs: int, as_json: bool) -> None:
    """Run ARTIFACT on random data and show the time, speed and share of each kernel call, in their order."""
    with runtime.load(artifact, threads=threads) as module:
        feeds = random_feeds(module.inputs, seed=0)
        for _ in range(WARM_RUNS):
            module.run(feeds)
        profiles = [[time.seconds for time in module.profile(feeds)] for _ in range(runs)]
        calls = describe(module.metadata.launches, [median(times) for times in zip(*profiles, strict=True)])
    total = sum(call["seconds"] for call in calls)
    flops = sum(call["flops"] for call in calls)
    if as_json:
        print_json({"artifact": str(artifact), "threads": threads, "runs": runs, "seconds": total, "calls": calls})
        return
    print_table(
        ("call>", "kernel", "layers", "µs>", "share>", "GFLOP/s>", "GB/s>"),
        [
            (
                place,
                call["kernel"],
                call["layers"],
                f"{call['seconds'] * 1e6:.1f}",
                f"{call['share']:.1%}",
                f"{call['gflops']:.1f}",
                f"{call['gbytes']:.1f}",
            )
            for place, call in enumerate(calls)
        ],
    )
    click.echo(f"sum of the kernels {total * 1e3:.3f} ms, {_rate(flops, total):.1f} GFLOP/s")


def describe(launches: Sequence[LaunchInfo], seconds: Sequence[float]) -> list[dict[str, Any]]:
    """Each call with its seconds, its share of their sum, and what it computed and moved per second, in 1e9."""
    total = sum(seconds)
    return [
        {
            "kernel": launch.kernel,
            "layers": launch.layers,
            "flops": launch.flops,
            "bytes": launch.bytes,
            "seconds": time,
            "share": time / total if total else 0.0,
            "gflops": _rate(launch.flops, time),
            "gbytes": _rate(launch.bytes, time),
        }
        for launch, time in zip(launches, seconds, strict=True)
    ]


def _rate(amount: int, seconds: float) -> float:
    return amount / seconds / 1e9 if seconds else 0.0
