"""The results as Markdown and as JSON."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

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
    live_bytes: int
    """The largest set of activations that are alive at once."""
    first_answers: dict[str, FirstAnswer]


@dataclass(frozen=True)
class Memory:
    """What a run of convc needs, in bytes, beside the `promise`: all weights, and 1.2 times the live activations.

    `weights` are those of the file and those `made` from them at load. `needed` is by how much the peak of a fresh
    process grew, the pages of the library included.
    """

    weights: int
    made: int
    live: int
    arena: int
    needed: int

    @property
    def promise(self) -> int:
        """The most that a run may need."""
        return self.weights + self.made + int(LIVE_FACTOR * self.live)


LIVE_FACTOR: Final = 1.2


def memory(footprint: Footprint) -> Memory:
    """What was measured of convc."""
    meta, first = footprint.metadata, footprint.first_answers[CONVC.name]
    return Memory(meta.weights_bytes, first.constants, footprint.live_bytes, meta.arena_bytes, first.memory)


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


def rated(peers: Iterable[str]) -> list[str]:
    """Those of `peers` that count for the fastest one."""
    return [name for name in peers if not CONTENDERS[name].beside]


def geometric_means(results: Iterable[Result]) -> list[dict[str, object]]:
    """Over the models: convc's median ratio to each peer and to the fastest, for each batch size and number of threads
    at which every model was measured with that peer."""
    means: list[dict[str, object]] = []
    groups: dict[tuple[int, int], list[Race]] = {}
    for result in results:
        groups.setdefault((result.batch, result.threads), []).append(result.race)
    for (batch, threads), races in sorted(groups.items()):
        peers = [name for name in CONTENDERS if name != CONVC.name and all(name in race.latencies for race in races)]
        columns = {name: [name] for name in peers} | ({"fastest": counted} if (counted := rated(peers)) else {})
        ratios = {
            name: statistics.geometric_mean(ratio(race, members).median for race in races)
            for name, members in columns.items()
        }
        means.append({"batch": batch, "threads": threads, "models": len(races), "ratios": ratios})
    return means


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


def to_json(results: Sequence[Result], footprints: Iterable[Footprint]) -> dict[str, object]:
    """Everything that was measured, in seconds, bytes and FLOP/s, and the ratios."""
    rows = []
    for result in results:
        peers = [name for name in result.race.latencies if name != CONVC.name]
        ratios = {name: asdict(ratio(result.race, [name])) for name in peers}
        if counted := rated(peers):
            ratios["fastest"] = asdict(ratio(result.race, counted))
        row = {**asdict(result), "ratios": ratios, "flop_rate": rate(result), "share_of_peak": share_of_peak(result)}
        rows.append(row)
    costs = [{**asdict(footprint), "memory": asdict(memory(footprint))} for footprint in footprints]
    return {"machine": machine(), "results": rows, "geometric_means": geometric_means(results), "footprints": costs}


def to_markdown(results: Sequence[Result], footprints: Sequence[Footprint]) -> str:
    """The tables, and the machine before them."""
    parts = [_machine_line(), _latencies(results)]
    if footprints:
        parts += [_sizes(footprints), _memories(footprints), _first_answers(footprints)]
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
    counted = rated(peers)
    header = ["model", "batch", "threads", "convc ms"]
    for peer in peers:
        header += [f"{peer} ms", f"by {peer}"]
    rows = []
    for result in results:
        row = [result.model, str(result.batch), str(result.threads), _milliseconds(result.race.latencies[CONVC.name])]
        for peer in peers:
            row += [_milliseconds(result.race.latencies[peer]), str(ratio(result.race, [peer]))]
        if counted:
            row.append(str(ratio(result.race, counted)))
        share = share_of_peak(result)
        of_peak = "unknown" if share is None else f"{share:.0%}"
        rows.append([*row, f"{rate(result) / 1e9:.0f}", _peak(result.race.peaks), of_peak])
    header += ["by the fastest"] if counted else []
    lines = [
        "Latency in ms: median over rounds, and the shortest call. By: a peer's time divided by convc's in the same"
        " round, median and range; above 1 convc is faster. The peak is measured in each round: a wide range means"
        " that the machine was not quiet.",
        "",
        _table([*header, "convc GFLOP/s", "FMA peak GFLOP/s", "of peak"], rows, left=1),
    ]
    return "\n".join([*lines, *_means(results)])


def _means(results: Sequence[Result]) -> list[str]:
    lines = []
    for mean in geometric_means(results):
        ratios = mean["ratios"]
        assert isinstance(ratios, dict)
        if ratios:
            where = f"batch {mean['batch']}, {mean['threads']} {'thread' if mean['threads'] == 1 else 'threads'}"
            values = ", ".join(f"{value:.2f}x by {_peer(name)}" for name, value in reversed(ratios.items()))
            lines += ["", f"Geometric mean of {mean['models']} models, {where}: {values}."]
    return lines


def _peer(name: str) -> str:
    """ "the fastest" says of which: torch, say, is shown and not counted."""
    return name if name != "fastest" else f"the fastest of {' and '.join(rated(peer.name for peer in PEERS))}"


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


def _memories(footprints: Sequence[Footprint]) -> str:
    header = ["model", "batch", "threads", "weights MB", "made at load MB", "live activations MB", "arena MB"]
    header += ["arena by live", "a run needs MB", "promise MB", "of the promise"]
    rows = []
    for footprint in footprints:
        held = memory(footprint)
        row = [footprint.model, str(footprint.batch), str(footprint.threads)]
        row += map(_megabytes, (held.weights, held.made, held.live, held.arena))
        row += [f"{held.arena / held.live:.2f}" if held.live else "", _megabytes(held.needed), _megabytes(held.promise)]
        rows.append([*row, f"{held.needed / held.promise:.0%}"])
    note = (
        f"Memory of a run. Promised are the weights and at most {LIVE_FACTOR} times the largest set of activations that"
    )
    note += " are alive at once; needed is what the peak of a fresh process grew by."
    return note + "\n\n" + _table(header, rows, left=1)


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
