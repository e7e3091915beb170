"""Options and argument types that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from convc.ir import Shape

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PATH: Final = click.Path(path_type=Path)


def parse_shape(text: str) -> tuple[str, Shape]:
    """The name and shape of "NAME=1x224x224x3". Raises `BadParameter`."""
    name, _, shape = text.rpartition("=")
    extents = shape.lower().split("x")
    if not name or not all(re.fullmatch("[1-9][0-9]{0,17}", extent) for extent in extents):
        raise click.BadParameter(f"'{text}' is not of the form NAME=1x224x224x3")
    return name, tuple(int(extent) for extent in extents)


def _parse_shapes(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, Shape]:
    return named(parse_shape(text) for text in texts)


def model_options(function: F) -> F:
    """`--batch`, `--weights` and `--input`: what binds a model's open ends."""
    batch = click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Batch size.")
    return batch(parameter_options(function))


def parameter_options(function: F) -> F:
    """`--weights` and `--input`: `model_options` where the batch size is known."""
    weights = click.option(
        "--weights", metavar="FILE|random[:SEED]",
        help="Weights for a Keras model that has none, or others than its own: a .weights.h5, .h5, .keras or .npz "
             "file, or 'random' to draw them by the initializers of the config. A file of that name is ./random.",
    )  # fmt: skip
    shapes = click.option(
        "--input", "input_shapes", metavar="NAME=SHAPE", multiple=True, callback=_parse_shapes,
        help="Shape of an input that the model leaves open, batch included. May be repeated.",
    )  # fmt: skip
    return weights(shapes(function))


def json_option(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def device_options(function: F) -> F:
    """`--device` and `--threads`: where a library runs."""
    device = click.option(
        "--device", metavar="cpu|cuda[:N]",
        help="Where to run: a GPU by its number, from 0. By default what the library was compiled for.",
    )  # fmt: skip
    threads = click.option(
        "--threads", type=click.IntRange(min=1), help="Threads of a run on a CPU; by default all cores of this process."
    )
    return device(threads(function))


def epilog(*lines: str) -> str:
    """The example that ends a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def named(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """The pairs of a repeated `--input` as a dict. Raises `UsageError` for a name that comes twice."""
    result: dict[str, T] = {}
    for name, value in pairs:
        if name in result:
            raise click.UsageError(f"--input names '{name}' twice")
        result[name] = value
    return result
