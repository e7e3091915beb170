"""`python -m benchmarks`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks import models
from benchmarks.footprint import Compilation, compile_model, first_answers
from benchmarks.measure import Entry, Plan, race
from benchmarks.memory import largest_live_set
from benchmarks.onnx_export import channels_first, export
from benchmarks.peers import CONTENDERS, CONVC, PEERS
from benchmarks.report import Footprint, Result, to_json, to_markdown
from convc import api, artifact
from convc.errors import ConvcError
from convc.passes import optimize
from convc.peak import Peak

FOLDER = Path(__file__).parent.parent / "out" / "benchmarks"

FULL = Plan(rounds=9, seconds=1.0)
QUICK = Plan(rounds=3, seconds=0.3)
REPETITIONS = {False: 7, True: 3}
"""Fresh processes for each contender's first answer, without and with --quick."""


def names(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:
    """The models that an option lists."""
    listed = tuple(text.split(","))
    unknown = [name for name in listed if name not in models.MODELS]
    if unknown:
        raise click.BadParameter(f"'{unknown[0]}' is not one of {', '.join(models.MODELS)}")
    return listed


def counts(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, ...]:
    """The positive numbers that an option lists."""
    if not all(part.isdecimal() and int(part) > 0 for part in text.split(",")):
        raise click.BadParameter(f"'{text}' is not a list of numbers like 1,2")
    return tuple(map(int, text.split(",")))


@click.command(epilog="\b\nExample:\n  python -m benchmarks --models resnet50,vgg16 --threads 2 --quick")
@click.option("--models", "chosen", default=",".join(models.MODELS), show_default=True, callback=names)
@click.option("--threads", default="1,2", show_default=True, callback=counts, help="Numbers of threads.")
@click.option("--batch", "batches", default="1", show_default=True, callback=counts, help="Batch sizes.")
@click.option("--rounds", type=click.IntRange(min=1), help=f"Rounds of a measurement; by default {FULL.rounds}.")
@click.option("--quick", is_flag=True, help=f"{QUICK.rounds} short rounds: a first look, no result.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that was measured as JSON.")
def main(
    chosen: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    rounds: int | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure convc beside its peers, in turn on this machine, and print Markdown tables.

    The models are made once, in out/benchmarks; they are compiled and exported anew in each run.
    """
    plan = QUICK if quick else FULL
    plan = Plan(rounds or plan.rounds, plan.seconds)
    peak = Peak()
    results: list[Result] = []
    footprints: list[Footprint] = []
    try:
        for name in chosen:
            for batch in batches:
                subject = _Subject(name, batch, peak)
                results += subject.results(threads, plan)
                footprints.append(subject.footprint(max(threads), REPETITIONS[quick]))
    except ConvcError as error:
        raise click.ClickException(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise click.ClickException(f"'{error.cmd[0]}' ended with {error.returncode}") from None
    if as_json:
        click.echo(json.dumps(to_json(results, footprints), indent=2))
    else:
        click.echo(to_markdown(results, footprints))


class _Subject:
    """One model at one batch size: compiled, exported, with inputs."""

    def __init__(self, name: str, batch: int, peak: Peak) -> None:
        self.name, self.batch, self.peak = name, batch, peak
        FOLDER.mkdir(parents=True, exist_ok=True)
        source = models.ensure(name, FOLDER)
        self._say("compiling")
        self.library = FOLDER / f"{name}_{batch}.so"
        self.compilation: Compilation = compile_model(source, self.library, batch)
        self.metadata = artifact.read(self.library)
        self._say("exporting to ONNX")
        exported = FOLDER / f"{name}_{batch}.onnx"
        grouped = optimize(api.read(source, batch=batch)).grouped
        export(grouped.graph, exported)
        self.live_bytes = largest_live_set(grouped)
        (spec,) = self.metadata.inputs
        inputs = (models.sample(name, spec.shape),)
        moved = tuple(channels_first(value) for value in inputs)
        peers = [Entry(peer.name, exported, moved) for peer in PEERS if peer.version]
        self.entries = [Entry(CONVC.name, self.library, inputs), *peers]

    def results(self, threads: Sequence[int], plan: Plan) -> Iterator[Result]:
        """The latency at each number of threads."""
        flops = sum(launch.flops for launch in self.metadata.launches)
        for count in threads:
            self._say(f"running, threads {count}")
            race_ = race(self.entries, threads=count, plan=plan, peak=self.peak)
            yield Result(self.name, self.batch, count, flops, race_)

    def footprint(self, threads: int, repetitions: int) -> Footprint:
        """What the model costs beside its latency."""
        self._say("starting fresh processes")
        entries = [entry for entry in self.entries if not CONTENDERS[entry.contender].beside]
        answers = first_answers(entries, threads=threads, repetitions=repetitions)
        size = self.library.stat().st_size
        return Footprint(
            self.name, self.batch, threads, self.compilation, size, self.metadata, self.live_bytes, answers
        )

    def _say(self, what: str) -> None:
        click.echo(f"{self.name}, batch {self.batch}: {what}", err=True)


if __name__ == "__main__":
    main()
