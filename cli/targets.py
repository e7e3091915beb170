"""`convc targets`."""

from __future__ import annotations

import shlex

import click

from convc import target as targets
from convc.build import nvcc
from convc.build.link import find_compiler
from convc.cli.options import epilog, json_option
from convc.cli.output import print_json, print_table
from convc.errors import TargetError
from convc.target import CudaTarget, Target


@click.command(
    epilog=epilog("convc targets", "convc targets --json"),
    short_help="Show this machine and what can be compiled for.",
)
@json_option
def command(as_json: bool) -> None:
    """Show what this machine is, every CPU that can be compiled for, and what is there to compile for GPUs.

    For GPUs, cuda:sm_90 or cuda:sm_80,sm_90 names the architectures to compile for; cuda stands for the default ones.
    """
    try:
        native: Target | None = targets.native()
    except TargetError:
        native = None
    known = targets.known()
    if as_json:
        print_json(
            {
                "native": _as_json(native) if native else None,
                "targets": [_row_as_json(t) for t in known],
                "cuda": _cuda_as_json(),
            }
        )
        return
    if native:
        click.echo(
            f"this machine: {native.name}, {native.cores} usable cores, "
            f"L1 {native.l1 >> 10} KiB, L2 {native.l2 >> 10} KiB, {native.lanes} float32 lanes"
        )
    else:
        click.echo(f"this machine: {targets.host_arch()}, which convc does not compile for")
    print_table(
        ("target", "architecture", "lanes>", "C compiler", "runs here"),
        [
            (
                t.name,
                t.arch,
                t.lanes,
                compiler(t) or "none",
                f"no: needs {', '.join(missing(t))}" if missing(t) else "yes",
            )
            for t in known
        ],
    )

    click.echo(_cuda_as_text())


def _cuda_as_json() -> dict[str, object]:
    found = toolkit()
    return {
        "default": list(_default().codes),
        "architectures": [f"sm_{number}" for number in targets.CUDA_ARCHITECTURES],
        "nvcc": found[0] if found else None,
        "nvcc_version": found[1] if found else None,
    }


def _cuda_as_text() -> str:
    found = toolkit()
    known = " ".join(f"sm_{number}" for number in targets.CUDA_ARCHITECTURES)
    return f"\ncuda: GPUs of NVIDIA, by default {' '.join(_default().codes)}; cuda:sm_90 names others of {known}\n" + (
        f"nvcc {found[1]} at {found[0]}" if found else "there is no nvcc: install NVIDIA's CUDA toolkit"
    )


def _default() -> CudaTarget:
    target = targets.named(targets.CUDA)
    assert isinstance(target, CudaTarget)
    return target


def toolkit() -> tuple[str, str] | None:
    """The path of nvcc and its version, None where there is none that could be used."""
    try:
        path = nvcc.find()
        return path, ".".join(map(str, nvcc.version(path)))
    except TargetError:
        return None


def compiler(target: Target) -> str | None:
    """The command of the C compiler that links for `target`, None where there is none."""
    try:
        return shlex.join(find_compiler(target))
    except TargetError:
        return None


def missing(target: Target) -> list[str]:
    """What this machine lacks to run code for `target`: its architecture, else CPU features."""
    if target.arch != targets.host_arch():
        return [target.arch]
    return sorted(set(target.features) - targets.host_features())


def _row_as_json(target: Target) -> dict[str, object]:
    return {
        **_as_json(target),
        "compiler": compiler(target),
        "runs_here": not missing(target),
        "missing": missing(target),
    }


def _as_json(target: Target) -> dict[str, object]:
    return {
        "name": target.name,
        "arch": target.arch,
        "mcpu": target.mcpu,
        "features": list(target.features),
        "lanes": target.lanes,
        "l1": target.l1,
        "l2": target.l2,
        "cores": target.cores,
    }
