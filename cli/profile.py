"""`convc profile`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import click

from convc import runtime
from convc.artifact import LaunchInfo
from convc.cli.options import PATH, device_options, epilog, json_option
from convc.cli.output import print_json, print_table
from convc.peak import Peak
from convc.samples import random_feeds
from convc.target import usable_cores

WARM_RUNS: Final = 3
CPU: Final = "cpu"


@dataclass(frozen=True)
class Row:
    """One kernel call, or all calls of one kernel: names, and what they take and do in one run together."""

    kernel: str
    layers: str
    seconds: float
    flops: int
    bytes: int
    calls: int = 1


@dataclass(frozen=True)
class Profile:
    """One run, on average. `seconds` is its wall time, the call from Python included: the rows and an overhead. `peak`
    is that of the CPU in FLOP/s, 0 where it is not known."""

    rows: tuple[Row, ...]
    seconds: float
    peak: float
    device: str = CPU

    @property
    def kernels(self) -> float:
        """Seconds of all kernels."""
        return sum(row.seconds for row in self.rows)

    @property
    def flops(self) -> int:
        """Of one run."""
        return sum(row.flops for row in self.rows)


@click.command(
    epilog=epilog("convc profile resnet50.so --threads 1", "convc profile resnet50.so --top 5"),
    short_help="Time every kernel of a compiled library.",
)
@click.argument("artifact", type=PATH)
@device_options
@click.option(
    "--runs", type=click.IntRange(min=1), default=20, show_default=True,
    help="Runs, of whose faster half means are shown.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N",
    help="Show the N kernels that take the most time, with all calls of a kernel as one row.",
)  # fmt: skip
@json_option
def command(artifact: Path, device: str | None, threads: int | None, runs: int, top: int | None, as_json: bool) -> None:
    """Run ARTIFACT on random data and show the time, speed and share of each kernel call, in their order.

    The last rows are the rest of a run outside the kernels, and the run as a whole. "of peak" is the speed by that of
    multiply-adds on registers alone, measured beside the runs. Operations are counted as the layers define them: an
    algorithm that needs fewer, as Winograd's, can exceed the peak. On a GPU no peak is shown, and the rest of a run has
    the copies of inputs and outputs in it, and the gaps between kernels that are launched one by one.
    """
    with runtime.load(artifact, device, threads) as module:
        profile = measure(module, runs, threads or usable_cores())
    if top is not None:
        profile = replace(profile, rows=most_expensive(profile.rows, top))
    if as_json:
        print_json({"artifact": str(artifact), "threads": threads, "runs": runs, **describe(profile)})
    else:
        show(profile, "call" if top is None else "calls")


def measure(module: runtime.Module, runs: int, threads: int) -> Profile:
    """Runs `module` on random data, and the loop of a CPU's peak before and after."""
    feeds = random_feeds(module.inputs, seed=0)
    for _ in range(WARM_RUNS):
        module.run(feeds)
    loop = Peak() if module.device == CPU else None
    peaks = [loop.measure(threads) if loop else 0.0]
    timed = []
    for _ in range(runs):
        started = time.perf_counter()
        times = module.profile(feeds)
        timed.append((time.perf_counter() - started, [launch.seconds for launch in times]))
    if loop:
        peaks.append(loop.measure(threads))
    return summary(module.metadata.launches, timed, max(peaks), module.device)


def summary(
    launches: Sequence[LaunchInfo], timed: Sequence[tuple[float, Sequence[float]]], peak: float, device: str = CPU
) -> Profile:
    """Means over the faster half of the runs, each given as its wall time and the time of each launch in seconds:
    unlike medians, means of parts sum to that of the whole."""
    kept = sorted(timed, key=lambda run: run[0])[: max(1, len(timed) // 2)]
    seconds = [fmean(times) for times in zip(*(times for _, times in kept), strict=True)]
    rows = (Row(c.kernel, c.layers, time, c.flops, c.bytes) for c, time in zip(launches, seconds, strict=True))
    return Profile(tuple(rows), fmean(wall for wall, _ in kept), peak, device)


def most_expensive(rows: Sequence[Row], count: int) -> tuple[Row, ...]:
    """`rows` merged by kernel: the `count` that take the most time, and those left as one row."""
    merged: dict[str, Row] = {}
    for row in rows:
        merged[row.kernel] = _joined(merged[row.kernel], row) if row.kernel in merged else row
    ordered = sorted(merged.values(), key=lambda row: -row.seconds)
    shown, left = tuple(ordered[:count]), ordered[count:]
    if not left:
        return shown
    rest = left[0]
    for row in left[1:]:
        rest = _joined(rest, row)
    kernels = "kernel" if len(left) == 1 else "kernels"
    return (*shown, replace(rest, kernel=f"{len(left)} other {kernels}", layers=""))


def _joined(first: Row, second: Row) -> Row:
    return replace(
        first,
        layers=f"{first.layers}, {second.layers}",
        seconds=first.seconds + second.seconds,
        flops=first.flops + second.flops,
        bytes=first.bytes + second.bytes,
        calls=first.calls + second.calls,
    )


def describe(profile: Profile) -> dict[str, Any]:
    """The profile as plain data: seconds, shares of the run's wall time, 1e9 operations and bytes per second."""
    overhead = profile.seconds - profile.kernels
    return {
        "device": profile.device,
        "seconds": profile.seconds,
        "kernel_seconds": profile.kernels,
        "overhead_seconds": overhead,
        "peak_gflops": profile.peak / 1e9 if profile.peak else None,
        **_speed(profile.flops, profile.seconds, profile),
        "calls": [
            {
                "kernel": row.kernel,
                "layers": row.layers,
                "calls": row.calls,
                "flops": row.flops,
                "bytes": row.bytes,
                "seconds": row.seconds,
                "share": row.seconds / profile.seconds,
                **_speed(row.flops, row.seconds, profile),
                "gbytes": _rate(row.bytes, row.seconds),
            }
            for row in profile.rows
        ],
    }


def _speed(flops: int, seconds: float, profile: Profile) -> dict[str, float | None]:
    rate = _rate(flops, seconds)
    return {"gflops": rate, "of_peak": rate * 1e9 / profile.peak if profile.peak else None}


def _rate(amount: int, seconds: float) -> float:
    return amount / seconds / 1e9 if seconds else 0.0


def show(profile: Profile, counted: str) -> None:
    """Prints the table. `counted` is its first column: the number of a "call", or how many "calls" a row stands for."""
    report = describe(profile)
    calls: Sequence[Mapping[str, Any]] = report["calls"]
    on_cpu = profile.device == CPU
    rows: list[tuple[object, ...]] = []
    for place, call in enumerate(calls):
        number = place if counted == "call" else call["calls"]
        layers = _first_layer(call)
        rows.append((number, call["kernel"], layers, *_cells(call, on_cpu), f"{call['gbytes']:.1f}"))
    overhead = report["overhead_seconds"]
    rows.append(("", "overhead", "", f"{overhead * 1e6:.1f}", f"{overhead / profile.seconds:.1%}"))
    rows.append(("", "run", "", *_cells({**report, "share": 1.0}, on_cpu)))
    speed = ("GFLOP/s>", "of peak>") if on_cpu else ("TFLOP/s>",)
    print_table((f"{counted}>", "kernel", "layers", "µs>", "share>", *speed, "GB/s>"), rows)
    if not on_cpu:
        click.echo(f"on {profile.device}")
    elif profile.peak:
        click.echo(f"the FMA peak is {profile.peak / 1e9:.1f} GFLOP/s")
    else:
        click.echo("the FMA peak is not known: that needs x86-64 and a C compiler")


def _first_layer(call: Mapping[str, Any]) -> str:
    """The layers of a row; of several calls those of the first."""
    first: str = call["layers"]
    return first if call["calls"] == 1 or not first else f"{first.partition(', ')[0]}, …"


def _cells(values: Mapping[str, Any], on_cpu: bool) -> tuple[str, ...]:
    """Time, share and speed; on a CPU the share of the peak too."""
    taken = (f"{values['seconds'] * 1e6:.1f}", f"{values['share']:.1%}")
    if not on_cpu:
        return (*taken, f"{values['gflops'] / 1e3:.2f}")
    share = "" if values["of_peak"] is None else f"{values['of_peak']:.1%}"
    return (*taken, f"{values['gflops']:.1f}", share)
