"""`convc targets`."""

from __future__ import annotations

import shlex

import click

from convc import target as targets
from convc.build.link import find_compiler
from convc.cli.options import epilog, json_option
from convc.cli.output import print_json, print_table
from convc.errors import TargetError
from convc.target import Target


@click.command(
    epilog=epilog("convc targets", "convc targets --json"),
    short_help="Show this machine and what can be compiled for.",
)
@json_option
def command(as_json: bool) -> None:
    """Show what this machine is, and every machine that can be compiled for."""
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
