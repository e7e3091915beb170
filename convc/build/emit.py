"""From fusion groups to the library: kernels, memory plan, packed weights, link."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convc import lower, ops
from convc.build import interrupts, nvcc
from convc.build.device import DeviceFunction, generate
from convc.build.kernels import Kernels, write_object
from convc.build.link import find_compiler, link
from convc.build.memory import Lifetime, plan, round_up
from convc.build.program import Buffer, Launch, Port, Program, Storage, identifier
from convc.build.weights import Key, place
from convc.errors import UnsupportedError
from convc.ir import Node, TensorType
from convc.ir.group import Group, GroupedGraph
from convc.precision import Precision
from convc.target import AnyTarget, CudaTarget

Progress = Callable[[int, int, str], None]


MAX_ELEMENTS = (1 << 31) - 1
"""Of a tensor: kernels count in 32 bits."""


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
    grouped: GroupedGraph,
    *,
    target: AnyTarget,
    output: Path,
    header: Path | None,
    exact: bool,
    progress: Progress,
    precision: Precision = Precision.FLOAT32,
) -> EmitReport:
    """Writes the library, and its header unless None; `exact` excludes what trades rounding errors for speed.
    `precision` is float32 on a CPU.

    Raises `TargetError`, `UnsupportedError`, `ArtifactError`."""
    find_compiler(target)  # What is missing is said before minutes of compiling.
    on_gpu, driver_version = isinstance(target, CudaTarget), 0
    if isinstance(target, CudaTarget):
        driver_version = nvcc.driver_version(nvcc.find())
        target = replace(target, tf32=precision is Precision.TF32)
    groups = [group for group in grouped.groups if not isinstance(group.anchor.op, ops.Reshape)]
    total = len(groups) + 3
    roots = grouped.roots
    ports = _ports(grouped, roots)
    kernels = Kernels(target, exact, lower.storage(grouped, precision))
    calls = []
    with interrupts.kept():
        for done, group in enumerate(groups):
            progress(done, total, group.name)
            source = roots[group.anchor.inputs[0]] if group.anchor.inputs else group.anchor
            bounded = on_gpu or source in ports or isinstance(source.op, ops.Constant)
            calls.append(_checked(_Call(group, *kernels.arguments(group, bounded=bounded))))
        progress(total - 3, total, "generating code")
        code = _code(kernels, target)
        program = _program(grouped, calls, roots, ports, code.device)
        program = replace(program, precision=precision.value, driver_version=driver_version)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernels.o"
            progress(total - 2, total, f"compiling for {target.name}")
            code.write(path)
            progress(total - 1, total, "linking")
            link(program, path, target, output, header)
        progress(total, total, "done")
    return EmitReport(len(kernels.table), program.arena_bytes, program.activation_bytes, program.weights_bytes)


def _checked(call: _Call) -> _Call:
    largest = max(call.arguments, key=lambda argument: argument.type.elements).type
    if largest.elements > MAX_ELEMENTS:
        raise UnsupportedError(
            call.group.name,
            "a tensor is too large for one kernel",
            expected=f"at most {MAX_ELEMENTS} elements",
            received=str(largest),
            remedy="compile with a smaller batch or a smaller input",
        )
    return call


@dataclass(frozen=True)
class _Code:
    """The kernels of a model: what compiles them to a file, and how those of a GPU are launched."""

    write: Callable[[Path], object]
    device: Mapping[str, DeviceFunction]


def _code(kernels: Kernels, target: AnyTarget) -> _Code:
    if isinstance(target, CudaTarget):
        source, device = generate(kernels.functions, target)
        return _Code(lambda path: path.write_bytes(nvcc.fatbin(source, target)), device)
    return _Code(lambda path: write_object(kernels.functions, target, path), {})


def _constant(root: Node, argument: lower.Argument) -> Key:
    return Key(root, argument.packing, argument.type.dtype)


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
    device: Mapping[str, DeviceFunction],
) -> Program:
    arena = _arena(calls, roots, ports, device)
    read = [_constant(roots[argument.node], argument) for call in calls for argument in call.arguments]
    weights = place([key for key in read if isinstance(key.node.op, ops.Constant)])

    def buffer(argument: lower.Argument) -> Buffer:
        node = roots[argument.node]
        if isinstance(node.op, ops.Constant):
            return Buffer(*weights.places[_constant(node, argument)], argument.type)
        storage, position = ports.get(node) or (Storage.ARENA, arena.tensors[node])
        return Buffer(storage, position, argument.type)

    launches: list[Launch] = []
    for index, call in enumerate(calls):
        arguments = tuple(buffer(argument) for argument in call.arguments)
        nodes = call.group.nodes
        flops = sum(node.op.flops(node.type, *(source.type for source in node.inputs)) for node in nodes)
        if device:
            launches.extend(_device_launches(call, device[call.kernel], arguments, arena.scratch[index], flops))
        else:
            moved = sum(argument.type.bytes for argument in arguments)
            launches.append(Launch(call.kernel, call.group.name, arguments, flops, moved))
    graph = grouped.graph
    return Program(
        name=identifier(graph.name),
        inputs=tuple(Port(node.name, node.type) for node in graph.inputs),
        outputs=tuple(Port(name, node.type) for name, node in zip(graph.output_names, graph.outputs, strict=True)),
        launches=tuple(launches),
        arena_bytes=arena.bytes,
        activation_bytes=arena.activation_bytes,
        weights=weights.data,
        weights_bytes=weights.file_bytes,
        expansions=weights.expansions,
    )


def _device_launches(
    call: _Call, function: DeviceFunction, arguments: tuple[Buffer, ...], scratch: Mapping[str, int], flops: int
) -> list[Launch]:
    """The kernels of a group. Its operations are counted at the one that reads its weights, or at the last one."""
    buffers = dict(zip(function.parameters, arguments, strict=True))
    for name, size in function.scratch.items():
        buffers[name] = Buffer(Storage.ARENA, scratch[name], TensorType((size // 4,)))
    weights = {name for name, argument in zip(function.parameters, call.arguments, strict=True) if argument.packing}
    readers = [step for step in function.launches if weights.intersection(step.parameters)]
    counted = (readers or function.launches)[-1]
    result = []
    for step in function.launches:
        own = tuple(buffers[name] for name in step.parameters)
        moved = sum(buffer.type.bytes for buffer in own)
        work = flops if step is counted else 0
        result.append(Launch(step.kernel, call.group.name, own, work, moved, step.geometry))
    return result


@dataclass(frozen=True)
class _Arena:
    """Byte offsets of the tensors between kernels, and of each call's scratch by name; sizes in bytes."""

    tensors: Mapping[Node, int]
    scratch: Sequence[Mapping[str, int]]
    bytes: int
    activation_bytes: int
    """Sum of all tensors."""


def _arena(
    calls: Sequence[_Call],
    roots: Mapping[Node, Node],
    ports: Mapping[Node, tuple[Storage, int]],
    device: Mapping[str, DeviceFunction],
) -> _Arena:
    """The arena, with room for over-reads."""
    first: dict[Node, int] = {}
    last: dict[Node, int] = {}
    size: dict[Node, int] = {}
    overread: dict[Node, int] = {}
    for index, call in enumerate(calls):
        first[call.group.output] = last[call.group.output] = index
        size[call.group.output] = call.arguments[-1].type.bytes
        for argument in call.arguments[:-1]:
            node = roots[argument.node]
            if node in first:
                last[node] = index
                overread[node] = max(overread.get(node, 0), argument.overread)
    nodes = [node for node in first if node not in ports]
    functions = [device[call.kernel] for call in calls] if device else []
    scratch = [(index, name, size_) for index, f in enumerate(functions) for name, size_ in f.scratch.items()]
    planned = plan(
        [Lifetime(size[node], first[node], last[node]) for node in nodes]
        + [Lifetime(bytes_, index, index) for index, _, bytes_ in scratch]
    )
    offsets = dict(zip(nodes, planned.offsets, strict=False))
    places: list[dict[str, int]] = [{} for _ in calls]
    for (index, name, _), offset in zip(scratch, planned.offsets[len(nodes) :], strict=True):
        places[index][name] = offset
    ends = [offsets[node] + size[node] + overread.get(node, 0) for node in nodes]
    return _Arena(offsets, places, round_up(max([planned.arena_bytes, *ends])), planned.activation_bytes)
