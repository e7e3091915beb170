"""`convc inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from convc import api, artifact
from convc.artifact import Metadata
from convc.cli.dot import to_dot
from convc.cli.options import PATH, epilog, json_option, model_options
from convc.cli.output import print_json, print_table, print_text, quantity, shape_text, size
from convc.errors import ConvcError
from convc.ir import Graph, Node, Shape
from convc.ir.group import Group, GroupedGraph
from convc.ops import Constant


@click.command(
    epilog=epilog("convc inspect resnet50.keras --graph resnet50.dot", "convc inspect resnet50.so --json"),
    short_help="Show what is in a model or a compiled library.",
)
@click.argument("file", metavar="MODEL|ARTIFACT", type=PATH)
@model_options
@click.option("--graph", "picture", metavar="FILE.dot", type=PATH, help="Write a model's fusion groups for Graphviz.")
@json_option
def command(
    file: Path,
    batch: int,
    weights: str | None,
    input_shapes: dict[str, Shape],
    picture: Path | None,
    as_json: bool,
) -> None:
    """Show the inputs, outputs, fusion groups, parameters and FLOPs of a model, or what a compiled library holds."""
    if api.is_artifact(file):
        if picture is not None:
            raise ConvcError("--graph", "a compiled library has no graph", expected="a model")
        _show_artifact(file, artifact.read(file), as_json)
        return

    from convc.passes import optimize

    source = api.read(file, batch=batch, weights=weights, input_shapes=input_shapes)
    grouped = optimize(source).grouped
    if picture is not None:
        picture.write_text(to_dot(grouped), encoding="utf-8")
    report = describe(source, grouped)
    if as_json:
        print_json(report)
    else:
        _show_model(report)


def _show_model(report: dict[str, Any]) -> None:
    print_text(f"model {report['name']}")
    for what in ("inputs", "outputs"):
        for port in report[what]:
            print_text(f"  {what[:-1]} {port['name']}: {port['dtype']}[{shape_text(port['shape'])}]")
    print_text(
        f"  {quantity(report['parameters'])} parameters ({size(report['parameter_bytes'])}), "
        f"{quantity(report['flops'])}FLOP a run\n"
        f"  {report['layers']} layers in {len(report['groups'])} groups, "
        f"all activations {size(report['activation_bytes'])}\n"
    )
    print_table(
        ("group>", "layers", "operations", "output", "parameters>", "FLOP>"),
        [
            (place, g["layers"], " ".join(g["operations"]), shape_text(g["shape"]), *_amounts(g))
            for place, g in enumerate(report["groups"])
        ],
    )


def _amounts(group: dict[str, Any]) -> tuple[str, str]:
    return quantity(group["parameters"]), quantity(group["flops"])


def _show_artifact(file: Path, held: Metadata, as_json: bool) -> None:
    library_bytes = file.stat().st_size
    if as_json:
        print_json({**asdict(held), "library_bytes": library_bytes})
        return
    lines = [f"library {held.name}, {size(library_bytes)}, made by convc {held.convc_version}"]
    lines += [f"  input {spec}" for spec in held.inputs] + [f"  output {spec}" for spec in held.outputs]
    lines += [
        *_needs(held),
        f"  weights {size(held.weights_bytes)}, arena {size(held.arena_bytes)} "
        f"(all activations {size(held.activation_bytes)})",
        f"  {len(held.launches)} kernel calls of {len({call.kernel for call in held.launches})} distinct kernels, "
        f"{quantity(sum(call.flops for call in held.launches))}FLOP a run",
        "",
    ]
    print_text("\n".join(lines))
    print_table(
        ("call>", "kernel", "layers", "FLOP>", "bytes>"),
        [
            (place, call.kernel, call.layers, quantity(call.flops), size(call.bytes))
            for place, call in enumerate(held.launches)
        ],
    )


def _needs(held: Metadata) -> list[str]:
    """What the library was compiled for, and what it must find where it runs."""
    cpu = f"needs {' '.join(held.features) or 'no CPU feature'}"
    if held.device == "cpu":
        return [f"  target {held.target} ({held.arch}), {cpu}"]
    major, minor = divmod(held.driver_version // 10, 100)
    return [
        f"  target {held.target} ({held.arch}), precision {held.precision}, {cpu}",
        f"  device {held.device}: {' '.join(held.architectures)}, needs a driver for CUDA {major}.{minor}",
    ]


def describe(source: Graph, grouped: GroupedGraph) -> dict[str, Any]:
    """The model as plain data. Parameters are the elements of the source's constants; FLOPs those of the groups."""
    groups = [_group(group) for group in grouped.groups]
    constants = [node for node in source.nodes if isinstance(node.op, Constant)]
    layers = {n.origin for n in source.nodes if n not in source.inputs and not isinstance(n.op, Constant)}
    return {
        "name": source.name,
        "inputs": _ports([node.name for node in source.inputs], source.inputs),
        "outputs": _ports(source.output_names, source.outputs),
        "layers": len(layers),
        "parameters": sum(node.type.elements for node in constants),
        "parameter_bytes": sum(node.type.bytes for node in constants),
        "flops": sum(group["flops"] for group in groups),
        "activation_bytes": sum(group.output.type.bytes for group in grouped.groups),
        "groups": groups,
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "layers": group.name,
        "operations": [node.op.kind for node in group.nodes],
        "shape": list(group.output.type.shape),
        "parameters": sum(node.type.elements for node in group.inputs if isinstance(node.op, Constant)),
        "flops": sum(node.op.flops(node.type, *(s.type for s in node.inputs)) for node in group.nodes),
    }


def _ports(names: Sequence[str], nodes: Sequence[Node]) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": list(node.type.shape), "dtype": node.type.dtype.value}
        for name, node in zip(names, nodes, strict=True)
    ]
