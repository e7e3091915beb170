"""From fusion groups to the library: kernels, memory plan, packed weights, link."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from convc import lower, ops
from convc.build import interrupts
from convc.build.kernels import Kernels
from convc.build.link import find_compiler, link
from convc.build.memory import Lifetime, plan, round_up
from convc.build.program import Buffer, Launch, Port, Program, Storage, identifier
from convc.build.weights import place
from convc.ir import Node
from convc.ir.group import Group, GroupedGraph
from convc.target import Target

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class EmitReport:
    """What was built. Sizes are in bytes."""

    kernels: int
    arena_bytes: int
    activation_bytes: int
    weights_bytes: int


@dataclass(frozen=True)
class _Call:
    """A launch before memory is planned."""

    group: Group
    kernel: str
    arguments: tuple[lower.Argument, ...]


def emit(
    grouped: GroupedGraph, *, target: Target, output: Path, header: Path | None, exact: bool, progress: Progress
) -> EmitReport:
    """Writes the library, and its header unless None; `exact` excludes what trades rounding errors for speed.

    Raises `TargetError`, `UnsupportedError`, `ArtifactError`."""
    find_compiler(target)  # A missing one is said before minutes of compiling.
    groups = [group for group in grouped.groups if not isinstance(group.anchor.op, ops.Reshape)]
    total = len(groups) + 2
    roots = _roots(grouped)
    ports = _ports(grouped, roots)
    kernels = Kernels(target, exact)
    calls = []
    with interrupts.kept():
        for done, group in enumerate(groups):
            progress(done, total, group.name)
            source = roots[group.anchor.inputs[0]] if group.anchor.inputs else group.anchor
            bounded = source in ports or isinstance(source.op, ops.Constant)
            calls.append(_Call(group, *kernels.arguments(group, bounded=bounded)))
        program = _program(grouped, calls, roots, ports)
        with tempfile.TemporaryDirectory() as folder:
            code = Path(folder) / "kernels.o"
            progress(total - 2, total, "generating code")
            kernels.write(code)
            progress(total - 1, total, "linking")
            link(program, code, target, output, header)
        progress(total, total, "done")
    return EmitReport(len(kernels.table), program.arena_bytes, program.activation_bytes, program.weights_bytes)


def _roots(grouped: GroupedGraph) -> dict[Node, Node]:
    """For each tensor, the one whose memory it is: a Reshape is a view of its input."""
    roots: dict[Node, Node] = {}
    for node in grouped.graph.nodes:
        roots[node] = roots[node.inputs[0]] if isinstance(node.op, ops.Reshape) else node
    return roots


def _ports(grouped: GroupedGraph, roots: Mapping[Node, Node]) -> dict[Node, tuple[Storage, int]]:
    """Tensors that live in the caller's memory."""
    ports = {node: (Storage.INPUT, index) for index, node in enumerate(grouped.graph.inputs)}
    ports |= {roots[node]: (Storage.OUTPUT, index) for index, node in enumerate(grouped.graph.outputs)}
    return ports


def _program(
    grouped: GroupedGraph,
    calls: list[_Call],
    roots: Mapping[Node, Node],
    ports: Mapping[Node, tuple[Storage, int]],
) -> Program:
    offsets, arena_bytes, activation_bytes = _arena(calls, roots, ports)
    read = [(roots[argument.node], argument.packing) for call in calls for argument in call.arguments]
    weights = place([key for key in read if isinstance(key[0].op, ops.Constant)])

    def buffer(argument: lower.Argument) -> Buffer:
        node = roots[argument.node]
        if isinstance(node.op, ops.Constant):
            return Buffer(*weights.places[node, argument.packing], argument.type)
        storage, position = ports.get(node) or (Storage.ARENA, offsets[node])
        return Buffer(storage, position, argument.type)

    launches = []
    for call in calls:
        arguments = tuple(buffer(argument) for argument in call.arguments)
        nodes = call.group.nodes
        flops = sum(node.op.flops(node.type, *(source.type for source in node.inputs)) for node in nodes)
        moved = sum(argument.type.bytes for argument in arguments)
        launches.append(Launch(call.kernel, call.group.name, arguments, flops, moved))
    graph = grouped.graph
    return Program(
        name=identifier(graph.name),
        inputs=tuple(Port(node.name, node.type) for node in graph.inputs),
        outputs=tuple(Port(name, node.type) for name, node in zip(graph.output_names, graph.outputs, strict=True)),
        launches=tuple(launches),
        arena_bytes=arena_bytes,
        activation_bytes=activation_bytes,
        weights=weights.data,
        weights_bytes=weights.file_bytes,
        expansions=weights.expansions,
    )


def _arena(
    calls: list[_Call], roots: Mapping[Node, Node], ports: Mapping[Node, tuple[Storage, int]]
) -> tuple[dict[Node, int], int, int]:
    """Offsets of the tensors between kernels, the arena's size with room for over-reads, and the sum of all."""
    first: dict[Node, int] = {}
    last: dict[Node, int] = {}
    overread: dict[Node, int] = {}
    for index, call in enumerate(calls):
        first[call.group.output] = last[call.group.output] = index
        for argument in call.arguments[:-1]:
            node = roots[argument.node]
            if node in first:
                last[node] = index
                overread[node] = max(overread.get(node, 0), argument.overread)
    nodes = [node for node in first if node not in ports]
    planned = plan([Lifetime(node.type.bytes, first[node], last[node]) for node in nodes])
    offsets = dict(zip(nodes, planned.offsets, strict=True))
    ends = [offsets[node] + node.type.bytes + overread.get(node, 0) for node in nodes]
    return offsets, round_up(max([planned.arena_bytes, *ends])), planned.activation_bytes
