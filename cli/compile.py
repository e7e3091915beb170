"""`convc compile`."""

from __future__ import annotations

from pathlib import Path

import click

from convc import api
from convc.cli.options import PATH, epilog, json_option, model_options
from convc.cli.output import clean, print_json, print_text, progress_bar, size
from convc.ir import Shape


@click.command(
    epilog=epilog(
        "convc compile resnet50.keras -o resnet50.so --target x86-64-v3 --header",
        "convc compile resnet50.keras --target cuda --precision float16",
        "convc compile old.h5",
        "convc compile model.json --weights model.weights.h5",
        "convc compile model.json --weights random:1 --input image=1x224x224x3",
    ),
    short_help="Compile a model to one shared library.",
)
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, help="The library; by default the model's name with .so, in this folder.")
@click.option(
    "--target", default="native", show_default=True, metavar="CPU|cuda[:sm_80,…]",
    help="What to compile for: a CPU, or GPUs of NVIDIA by their architectures; see 'convc targets'.",
)  # fmt: skip
@click.option(
    "--precision", default="float32", show_default=True, metavar="|".join(api.PRECISIONS),
    help="What a GPU multiplies and stores in; inputs and outputs stay float32.",
)  # fmt: skip
@model_options
@click.option("--header", is_flag=True, help="Write a C header beside the library.")
@click.option("--exact", is_flag=True, help="Compute every sum as it is defined: slower, with smaller rounding errors.")
@json_option
@click.option("-v", "--verbose", is_flag=True, help="List what the passes did and refused to do.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
def command(
    model: Path,
    output: Path | None,
    target: str,
    precision: str,
    batch: int,
    weights: str | None,
    input_shapes: dict[str, Shape],
    header: bool,
    exact: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Compile MODEL (.keras, .h5 or .json) to one shared library that needs libc only."""
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    library = output or Path(model.with_suffix(".so").name)
    with progress_bar(shown=not quiet) as progress:
        report = api.compile(
            model,
            library,
            target=target,
            precision=precision,
            batch=batch,
            weights=weights,
            input_shapes=input_shapes,
            header=header,
            exact=exact,
            progress=progress,
        )
    if verbose:
        for decision in report.decisions:
            verb = "applied" if decision.applied else "refused"
            click.echo(clean(f"{decision.rule}: {verb} at {decision.origin}: {decision.reason}"), err=True)
    if as_json:
        print_json(report.summary())
    elif not quiet:
        print_text(_text(report))


def _text(report: api.CompileReport) -> str:
    lines = [
        f"{report.output}  {size(report.library_bytes)}, of which weights {size(report.weights_bytes)}",
        f"target {report.target}, {report.groups} groups, {report.kernels} distinct kernels",
        f"arena {size(report.arena_bytes)} (all activations: {size(report.activation_bytes)})",
        f"compiled in {report.seconds:.1f} s",
    ]
    if report.header:
        lines.insert(1, f"{report.header}  C header")
    return "\n".join(lines)
