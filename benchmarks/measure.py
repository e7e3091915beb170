"""Latency, side by side: contenders run in turn, round after round, so that the machine's drift meets all alike.

Each contender lives in a process of its own, idle outside its turn: one's spinning threads, thread affinity or
allocator are nobody else's.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Final

from benchmarks.onnx_export import channels_first
from benchmarks.peers import CONTENDERS, Session
from convc.errors import ConvcError
from convc.ir.types import Array
from convc.peak import Peak
from tests.tolerances import RELATIVE, relative_error

LEAST_CALLS: Final = 5
"""In a turn."""
SETTLE: Final = 0.05
"""Seconds before a turn, in which threads of the one before stop spinning."""


@dataclass(frozen=True)
class Entry:
    """What one contender runs: a model file, and the inputs in that file's order of axes."""

    contender: str
    path: Path
    inputs: tuple[Array, ...]


@dataclass(frozen=True)
class Plan:
    """How long to measure: `seconds` of calls in each turn."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Latency:
    """Seconds of one call: the median in each round. `best` is the shortest call of all."""

    rounds: tuple[float, ...]
    best: float

    @property
    def median(self) -> float:
        """The median over rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Race:
    """One model at one batch size and number of threads. `peaks` has FLOP/s for each round; 0: not known."""

    latencies: dict[str, Latency]
    peaks: tuple[float, ...]


class Runner:
    """A process that holds one opened model and runs it when it is told to."""

    def __init__(self, entry: Entry, threads: int) -> None:
        self.name = entry.contender
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, entry, threads), daemon=True)
        self._process.start()
        theirs.close()

    def answers(self) -> list[Array]:
        """The outputs of a run."""
        return self._ask(0.0)[1]

    def turn(self, seconds: float) -> list[float]:
        """Durations of calls, in seconds, until they sum to `seconds`; `LEAST_CALLS` at least."""
        return self._ask(seconds)[0]

    def _ask(self, seconds: float) -> tuple[list[float], list[Array]]:
        try:
            self._connection.send(seconds)
            reply: tuple[list[float], list[Array]] | str = self._connection.recv()
        except (EOFError, BrokenPipeError):
            reply = "its process ended"
        if isinstance(reply, str):
            raise ConvcError(self.name, "cannot run this model", received=reply)
        return reply

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join()


def race(entries: Sequence[Entry], *, threads: int, plan: Plan, peak: Peak) -> Race:
    """Measures `entries` in turn; the first one is convc's. Raises `ConvcError` where one cannot run its model, and
    where its answers are not convc's."""
    rounds: dict[str, list[float]] = {entry.contender: [] for entry in entries}
    best = dict.fromkeys(rounds, float("inf"))
    peaks = []
    with ExitStack() as stack:
        runners = [stack.enter_context(Runner(entry, threads)) for entry in entries]
        reference = [channels_first(answer) for answer in runners[0].answers()]
        for runner in runners[1:]:
            check(runner.name, runner.answers(), reference)
        for place in range(plan.rounds):
            peaks.append(peak.measure(threads))
            first = place % len(runners)
            for runner in runners[first:] + runners[:first]:
                time.sleep(SETTLE)
                times = runner.turn(plan.seconds)
                rounds[runner.name].append(statistics.median(times))
                best[runner.name] = min(best[runner.name], *times)
    return Race({name: Latency(tuple(times), best[name]) for name, times in rounds.items()}, tuple(peaks))


def check(name: str, answers: Sequence[Array], reference: Sequence[Array]) -> None:
    """Raises `ConvcError` where the answers of `name` are further from `reference` than the product promises."""
    for got, want in zip(answers, reference, strict=True):
        error = relative_error(got, want)
        if error > RELATIVE["float32"]:
            raise ConvcError(
                name, "its answer is not convc's", expected=f"{RELATIVE['float32']:g}", received=f"{error:.2g}"
            )


def _serve(connection: Connection, entry: Entry, threads: int) -> None:
    """What a runner's process does until its pipe closes."""
    try:
        session = CONTENDERS[entry.contender].open(entry.path, entry.inputs, threads)
        while True:
            seconds = connection.recv()
            session.run()
            connection.send((_durations(session, seconds), session.answers()))
    except EOFError:
        return
    except Exception as error:
        connection.send(" ".join(f"{type(error).__name__}: {error}".split()))


def _durations(session: Session, seconds: float) -> list[float]:
    times: list[float] = []
    total = 0.0
    while total < seconds or len(times) < LEAST_CALLS:
        started = time.perf_counter()
        session.run()
        times.append(time.perf_counter() - started)
        total += times[-1]
    return times
