"""`convc run`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import numpy as np

from convc import runtime
from convc.artifact import TensorSpec
from convc.cli.options import PATH, device_options, epilog, json_option, named
from convc.cli.output import clean, print_json, print_text, shape_text
from convc.errors import ConvcError
from convc.ir import Array
from convc.samples import random_array

TOP = 5
_RANDOM = re.compile(r"random(?::(\d{1,9}))?")


@click.command(
    epilog=epilog("convc run resnet50.so --input image.npy -o answer.npz", "convc run resnet50.so --input random:1"),
    short_help="Run a compiled library on arrays or random data.",
)
@click.argument("artifact", type=PATH)
@click.option(
    "--input", "inputs", metavar="[NAME=]X.npy|random[:SEED]", multiple=True,
    help="An array, or random data, for an input; NAME may be left out where there is one input. "
         "Inputs that are not given are random.",
)  # fmt: skip
@click.option("-o", "--output", type=PATH, help="Save the outputs: .npz by name, or .npy where there is one.")
@device_options
@json_option
def command(
    artifact: Path, inputs: tuple[str, ...], output: Path | None, device: str | None, threads: int | None, as_json: bool
) -> None:
    """Run ARTIFACT once and show its outputs."""
    if output is not None and output.suffix not in (".npz", ".npy"):
        raise click.UsageError(f"'{output}' is neither .npz nor .npy")
    with runtime.load(artifact, device, threads) as module:
        names = [spec.name for spec in module.inputs]
        sources = named(_assigned(inputs, names))
        feeds = {spec.name: read_array(sources.get(spec.name, "random"), spec) for spec in module.inputs}
        for name in (name for name in names if name not in sources):
            click.echo(clean(f"convc: input '{name}' is random (--input {name}=x.npy gives it)"), err=True)
        results = module.run(feeds)
    if output is not None:
        save(output, results)
    if as_json:
        print_json({name: {"shape": list(value.shape), **_statistics(value)} for name, value in results.items()})
    else:
        print_text("\n".join(line for name, value in results.items() for line in _text(name, value)))


def read_array(source: str, spec: TensorSpec) -> Array:
    """The array that an `--input` value stands for; whether its shape fits is left to the run.

    Raises `ConvcError` for a file that is not one plain array.
    """
    if match := _RANDOM.fullmatch(source):
        return random_array(spec, int(match[1] or 0))
    try:
        # Mapping the file first bounds what is allocated by the file's size, whatever shape its header claims.
        return np.array(np.lib.format.open_memmap(source, mode="r"))
    except FileNotFoundError:
        raise ConvcError(f"'{source}'", "there is no such file") from None
    except ValueError:
        raise ConvcError(f"'{source}'", "not a NumPy array file", expected=".npy, one array of numbers") from None


def save(output: Path, results: dict[str, Array]) -> None:
    """Writes the outputs, whole or not at all."""
    if output.suffix == ".npy" and len(results) > 1:
        raise ConvcError(f"'{output}'", "holds one array", expected=".npz", received=f"{len(results)} outputs")
    if not output.parent.is_dir():
        raise ConvcError(f"'{output}'", f"there is no folder '{output.parent}'")
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with partial.open("xb") as file:
            if output.suffix == ".npy":
                np.save(file, next(iter(results.values())), allow_pickle=False)
            else:
                np.savez(file, allow_pickle=False, **results)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _assigned(inputs: tuple[str, ...], names: list[str]) -> list[tuple[str, str]]:
    """(input name, source) of each `--input`. Raises `UsageError`."""
    pairs = []
    for value in inputs:
        name, equals, source = value.partition("=")
        if equals and name in names:
            pairs.append((name, source))
        elif len(names) == 1 and (not equals or Path(value).exists()):
            pairs.append((names[0], value))
        else:
            wanted = ", ".join(names)
            raise click.UsageError(f"--input {value}: expected NAME=x.npy or NAME=random, NAME one of {wanted}")
    return pairs


def _statistics(value: Array) -> dict[str, object]:
    top = _top(value)
    return {
        "min": float(value.min()),
        "mean": float(value.mean(dtype=np.float64)),
        "max": float(value.max()),
        **({"top": [[{"class": c, "value": v} for c, v in row] for row in top]} if top else {}),
    }


def _text(name: str, value: Array) -> list[str]:
    lines = [
        f"{name}: {value.dtype}[{shape_text(value.shape)}]  "
        f"min {value.min():.6g}  mean {value.mean(dtype=np.float64):.6g}  max {value.max():.6g}"
    ]
    for row, best in enumerate(_top(value)):
        lines.append(f"  {row}: " + "  ".join(f"class {c} {v:.6g}" for c, v in best))
    return lines


def _top(value: Array) -> list[list[tuple[int, float]]]:
    """The highest classes of each row of a matrix, best first; empty for any other shape."""
    if value.ndim != 2:
        return []
    order = np.argsort(-value, axis=1, kind="stable")[:, :TOP]
    return [[(int(c), float(value[row, c])) for c in best] for row, best in enumerate(order)]
