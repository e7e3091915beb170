"""`convc verify`."""

from __future__ import annotations

from pathlib import Path

import click

from convc.cli.options import PATH, device_options, epilog, json_option, parameter_options
from convc.cli.output import print_json, print_table, print_text, shape_text
from convc.ir import Shape
from convc.verification import VerifyReport, verify


@click.command(
    epilog=epilog(
        "convc verify resnet50.so resnet50.keras --seed 1",
        "convc verify model.so model.json --weights model.weights.h5",
    ),
    short_help="Compare a compiled library with its model.",
)
@click.argument("artifact", type=PATH)
@click.argument("model", type=PATH)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random inputs.")
@click.option(
    "--tolerance", type=click.FloatRange(min=0, min_open=True), 
    help="Largest relative error of an output's norm; by default as the precision allows.",
)  # fmt: skip
@click.option("--kernels", is_flag=True, help="Compare the output of every kernel too; compiles the model once more.")
@parameter_options
@device_options
@json_option
def command(
    artifact: Path,
    model: Path,
    seed: int,
    tolerance: float | None,
    weights: str | None,
    input_shapes: dict[str, Shape],
    device: str | None,
    threads: int | None,
    kernels: bool,
    as_json: bool,
) -> None:
    """Run ARTIFACT on random inputs and compare it with the slow reference of MODEL.

    The options are those that ARTIFACT was compiled with. Exits with 1 where they differ.
    """
    report = verify(
        artifact,
        model,
        seed=seed,
        tolerance=tolerance,
        weights=weights,
        input_shapes=input_shapes,
        device=device,
        threads=threads,
        kernels=kernels,
    )
    if as_json:
        print_json(_as_json(report))
    else:
        stages = (("after passes", report.optimized), ("kernel", report.kernels), ("library", report.outputs))
        rows = [
            (stage, c.name, shape_text(c.shape), f"{c.error:.2e}", "ok" if c.ok else "WRONG")
            for stage, comparisons in stages
            for c in comparisons
        ]
        print_table(("stage", "tensor", "shape", "relative error>", ""), rows)
        print_text(_verdict(report))
    if not report.ok:
        click.get_current_context().exit(1)


def _verdict(report: VerifyReport) -> str:
    if report.diverging:
        return f"the passes changed the result, first at {report.diverging}"
    wrong = next((c.name for c in report.kernels if not c.ok), None)
    if wrong:
        return f"a kernel is wrong, first that of {wrong}"
    if not report.ok:
        return "passes and kernels are right: the library was made from another model, or its plan is wrong"
    return f"the library computes what the model says ({report.layers} layers, seed {report.seed})"


def _as_json(report: VerifyReport) -> dict[str, object]:
    return {
        "ok": report.ok,
        "outputs": [vars(c) for c in report.outputs],
        "after_passes": [vars(c) for c in report.optimized],
        "kernels": [vars(c) for c in report.kernels],
        "layers": report.layers,
        "diverging": report.diverging,
        "seed": report.seed,
        "tolerance": report.tolerance,
    }
