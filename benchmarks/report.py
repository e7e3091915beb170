"""The results as Markdown and as JSON."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from benchmarks.footprint import Compilation, FirstAnswer
from benchmarks.measure import Latency, Race
from benchmarks.peers import CONTENDERS, CONVC, PEERS
from convc import __version__
from convc.artifact import Metadata


@dataclass(frozen=True)
class Result:
    """The latency of one model at one batch size and number of threads."""

    model: str
    batch: int
    threads: int
    flops: int
    race: Race


@dataclass(frozen=True)
class Footprint:
    """What else one model costs."""

    model: str
    batch: int
    threads: int
    compilation: Compilation
    library_bytes: int
    metadata: Metadata
    first_answers: dict[str, FirstAnswer]


@dataclass(frozen=True)
class Ratio:
    """How often convc's time goes into a peer's: above 1 convc is faster. The median over rounds and their range."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f} to {self.high:.2f})"


def ratio(race: Race, peers: Sequence[str]) -> Ratio:
    """The fastest of `peers` in each round against convc in the same round."""
    fastest = [min(times) for times in zip(*(race.latencies[peer].rounds for peer in peers), strict=True)]
    values = [theirs / ours for theirs, ours in zip(fastest, race.latencies[CONVC.name].rounds, strict=True)]
    return Ratio(statistics.median(values), min(values), max(values))


def rate(result: Result) -> float:
    """FLOP/s of convc's median call."""
    return result.flops / result.race.latencies[CONVC.name].median


def share_of_peak(result: Result) -> float | None:
    """The median over rounds of convc's FLOP/s by the peak of the same round; None where that is not known."""
    ours = result.race.latencies[CONVC.name].rounds
    shares = [result.flops / time / peak for time, peak in zip(ours, result.race.peaks, strict=True) if peak]
    return statistics.median(shares) if shares else None


def machine() -> dict[str, object]:
    """What was measured on, and with what."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "date": date.today().isoformat(),
        "versions": {CONVC.name: __version__, **{peer.name: peer.version for peer in PEERS if peer.version}},
        "missing": [peer.name for peer in PEERS if not peer.version],
    }


def to_json(results: Iterable[Result], footprints: Iterable[Footprint]) -> dict[str, object]:
    """Everything that was measured, in seconds, bytes and FLOP/s, and the ratios."""
    rows = []
    for result in results:
        peers = [name for name in result.race.latencies if name != CONVC.name]
        ratios = {name: asdict(ratio(result.race, [name])) for name in peers}
        if peers:
            ratios["fastest"] = asdict(ratio(result.race, peers))
        row = {**asdict(result), "ratios": ratios, "flop_rate": rate(result), "share_of_peak": share_of_peak(result)}
        rows.append(row)
    return {"machine": machine(), "results": rows, "footprints": [asdict(footprint) for footprint in footprints]}


def to_markdown(results: Sequence[Result], footprints: Sequence[Footprint]) -> str:
    """The tables, and the machine before them."""
    parts = [_machine_line(), _latencies(results)]
    if footprints:
        parts += [_sizes(footprints), _first_answers(footprints)]
    return "\n\n".join(parts)


def _machine_line() -> str:
    about = machine()
    versions, missing = about["versions"], about["missing"]
    assert isinstance(versions, dict)
    assert isinstance(missing, list)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    line = f"{about['cpu']}, {about['cores']} cores, {about['date']}; {packages}"
    return line + "".join(f"; {name} is not installed" for name in missing)


def _latencies(results: Sequence[Result]) -> str:
    peers = [name for name in CONTENDERS if name != CONVC.name and all(name in r.race.latencies for r in results)]
    header = ["model", "batch", "threads", "convc ms"]
    for peer in peers:
        header += [f"{peer} ms", f"by {peer}"]
    rows = []
    for result in results:
        row = [result.model, str(result.batch), str(result.threads), _milliseconds(result.race.latencies[CONVC.name])]
        for peer in peers:
            row += [_milliseconds(result.race.latencies[peer]), str(ratio(result.race, [peer]))]
        if peers:
            row.append(str(ratio(result.race, peers)))
        share = share_of_peak(result)
        of_peak = "unknown" if share is None else f"{share:.0%}"
        rows.append([*row, f"{rate(result) / 1e9:.0f}", _peak(result.race.peaks), of_peak])
    header += ["by the fastest"] if peers else []
    lines = [
        "Latency in ms: median over rounds, and the shortest call. By: a peer's time divided by convc's in the same"
        " round, median and range; above 1 convc is faster. The peak is measured in each round: a wide range means"
        " that the machine was not quiet.",
        "",
        _table([*header, "convc GFLOP/s", "FMA peak GFLOP/s", "of peak"], rows, left=1),
    ]
    if peers:
        for batch, threads in sorted({(result.batch, result.threads) for result in results}):
            alike = [r for r in results if (r.batch, r.threads) == (batch, threads)]
            mean = statistics.geometric_mean(ratio(result.race, peers).median for result in alike)
            where = f"batch {batch}, {threads} {'thread' if threads == 1 else 'threads'}"
            lines += ["", f"Geometric mean by the fastest peer, {where}: {mean:.2f}x."]
    return "\n".join(lines)


def _sizes(footprints: Sequence[Footprint]) -> str:
    header = ["model", "batch", "compile s", "compile peak MB", "library MB", "weights MB", "rest MB"]
    header += ["arena MB", "all activations MB"]
    rows = []
    for footprint in footprints:
        meta = footprint.metadata
        sizes = [footprint.compilation.memory, footprint.library_bytes, meta.weights_bytes]
        sizes += [footprint.library_bytes - meta.weights_bytes, meta.arena_bytes, meta.activation_bytes]
        seconds = f"{footprint.compilation.seconds:.1f}"
        rows.append([footprint.model, str(footprint.batch), seconds, *map(_megabytes, sizes)])
    return _table(header, rows, left=1)


def _first_answers(footprints: Sequence[Footprint]) -> str:
    header = ["model", "threads", "runtime", "import ms", "load to first answer ms", "both ms", "peak memory grew MB"]
    rows = []
    for footprint in footprints:
        for name, first in footprint.first_answers.items():
            times = (first.import_seconds, first.load_seconds, first.import_seconds + first.load_seconds)
            milliseconds = [f"{seconds * 1e3:.0f}" for seconds in times]
            rows.append([footprint.model, str(footprint.threads), name, *milliseconds, _megabytes(first.memory)])
    return "Fresh processes in turn, medians; files in the page cache.\n\n" + _table(header, rows, left=1)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """A Markdown table whose first `left` columns are aligned to the left, the others to the right."""
    rule = ["---" if place < left else "---:" for place in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def _milliseconds(latency: Latency) -> str:
    return f"{latency.median * 1e3:.2f} (best {latency.best * 1e3:.2f})"


def _peak(peaks: Sequence[float]) -> str:
    low, middle, high = (f"{peak / 1e9:.0f}" for peak in (min(peaks), statistics.median(peaks), max(peaks)))
    return f"{middle} ({low} to {high})" if all(peaks) else "unknown"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
