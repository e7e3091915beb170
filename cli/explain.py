"""`convc explain`."""

from __future__ import annotations

from pathlib import Path

import click

from convc import api
from convc.cli.options import PATH, epilog, json_option, model_options
from convc.cli.output import print_json, print_text
from convc.ir import Shape
from convc.passes import optimize


@click.command(
    epilog=epilog("convc explain resnet50.keras"),
    short_help="Show what was fused, what was not, and why.",
)
@click.argument("model", type=PATH)
@model_options
@json_option
def command(model: Path, batch: int, weights: str | None, input_shapes: dict[str, Shape], as_json: bool) -> None:
    """Show each rewrite that the passes made to MODEL or refused to make, with the reason and the layer at fault."""
    report = optimize(api.read(model, batch=batch, weights=weights, input_shapes=input_shapes)).report
    if as_json:
        print_json(report.to_json())
    else:
        print_text(report.to_text().rstrip())
