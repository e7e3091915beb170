"""`python -m benchmarks.gpu_prepare FOLDER`: compiles what `benchmarks.gpu` measures. It needs no GPU."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import gpu_folder, models
from benchmarks.__main__ import FOLDER, counts, names
from benchmarks.gpu_folder import Subject
from benchmarks.onnx_export import export
from benchmarks.plain_graph import read_onnx
from convc import api
from convc.errors import ConvcError
from convc.passes import optimize


@click.command(epilog="\b\nExample:\n  python -m benchmarks.gpu_prepare out/gpu --models resnet50 --batch 1,64")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--models", "chosen", default="resnet50,mobilenetv2", show_default=True, callback=names)
@click.option("--batch", "batches", default="1,64", show_default=True, callback=counts, help="Batch sizes.")
@click.option("--precision", default="float16", show_default=True, help="What convc computes in.")
@click.option("--target", default="cuda", show_default=True, help="What it is compiled for.")
def main(folder: Path, chosen: tuple[str, ...], batches: tuple[int, ...], precision: str, target: str) -> None:
    """Compile models for a GPU into FOLDER, and export them for torch beside it.

    The folder can be measured on a machine that has torch, NumPy and this checkout, but no compiler.
    """
    folder.mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        subjects = [
            prepare(models.ensure(name, FOLDER, normed=True), name, batch, folder, precision, target)
            for name in chosen
            for batch in batches
        ]
    except ConvcError as error:
        raise click.ClickException(str(error)) from None
    gpu_folder.write(folder, subjects)


def prepare(source: Path, name: str, batch: int, folder: Path, precision: str, target: str) -> Subject:
    """One model at one batch size. Raises what compiling raises."""
    click.echo(f"{name}, batch {batch}: compiling", err=True)
    stem = f"{name}_{batch}_{precision}"
    library, steps, weights = f"{stem}.so", f"{name}_{batch}.json", f"{name}.npz"
    api.compile(source, folder / library, target=target, precision=precision, batch=batch)
    graph = optimize(api.read(source, batch=batch)).grouped.graph
    exported = folder / f"{name}.onnx"
    export(graph, exported)
    read_onnx(exported).save(folder / steps, folder / weights)
    exported.unlink()
    (port,) = graph.inputs
    return Subject(name, batch, precision, port.type.shape, library, steps, weights)


if __name__ == "__main__":
    main()
