"""Runs fusion groups kernel by kernel on NumPy arrays: all kernels of many graphs are one module, built once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import tvm

from convc import lower, ops, schedules
from convc.build import registers
from convc.build.kernels import build, tvm_target
from convc.ir import Array, DType, Graph, Node, Op, TensorType, make
from convc.ir.group import Group, GroupedGraph
from convc.ops.take import missing
from convc.passes import optimize
from convc.schedules.rule import KernelView
from convc.target import Target
from tests.cases import ALL, fused
from tests.cases.case import Case
from tests.tolerances import RELATIVE, relative_error

PART = 48
"""Cases in one module: few enough for some modules per stem, which parallel test workers share."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A graph, its feeds, and the reference's answers by output name."""

    name: str
    graph: Graph
    feeds: Mapping[str, Array]

    @cached_property
    def want(self) -> dict[str, Array]:
        """The reference's answers, in float64."""
        values = ops.evaluate(self.graph, self.feeds)
        return {name: values[node] for name, node in zip(self.graph.output_names, self.graph.outputs, strict=True)}


def of_case(case: Case) -> Subject:
    """A single op."""
    return Subject(case.name, case.graph(), case.feeds())


def of_recipe(name: str) -> Subject:
    """A small graph that the passes fuse."""
    return Subject(name, *fused.build(name))


def parts() -> dict[str, list[Subject]]:
    """All cases and recipes, by stem and part: "conv-0", "conv-1", …"""
    stems = {stem: [of_case(case) for case in cases] for stem, cases in ALL.items()}
    stems["fused"] = [of_recipe(name) for name in fused.RECIPES]
    return {
        f"{stem}-{start // PART}": subjects[start : start + PART]
        for stem, subjects in stems.items()
        for start in range(0, len(subjects), PART)
    }


PARTS = parts()


Schedule = Callable[[Group, Target, bool], lower.Kernel]
"""A kernel for (group, target, bounded), ready for code generation."""


def unscheduled(group: Group, target: Target, bounded: bool) -> lower.Kernel:
    """The tensor expression as it stands."""
    return lower.lower(group, lower.Layout(target.lanes), bounded=bounded)


def scheduled(group: Group, target: Target, bounded: bool, *, exact: bool = False) -> lower.Kernel:
    """As the library has it."""
    made = build(group, target, bounded=bounded, exact=exact)
    return lower.Kernel(made.name, made.func, lower.arguments_of(group, made.layout, bounded=bounded))


def scheduled_by(rule: schedules.Rule[Target]) -> Schedule:
    """By that rule and the knobs it picks, whichever rule would be chosen."""

    def schedule(group: Group, target: Target, bounded: bool) -> lower.Kernel:
        knobs = rule.choose(KernelView(unscheduled(group, target, bounded).func), target)
        layout = lower.Layout(knobs.lanes or target.lanes, knobs.rows, knobs.columns, knobs.winograd, knobs.strassen)
        kernel = lower.lower(group, layout, bounded=bounded)
        return replace(kernel, func=rule.schedule(KernelView(kernel.func), knobs, target))

    return schedule


def check(
    run: Callable[[Subject], Mapping[str, Array]], subjects: Iterable[Subject], tolerance: str = "kernel"
) -> None:
    """Fails with all outputs that are not the reference's; `tolerance` is an entry of the table."""
    wrong, limit = [], RELATIVE[tolerance]
    for subject in subjects:
        got = run(subject)
        for name, want in subject.want.items():
            error = relative_error(got[name], want)
            if error > limit:
                wrong.append(f"{subject.name}, {name}: relative error {error:.3g} is above {limit:.1g}")
    assert not wrong, "\n".join(wrong)


def kernel_groups(grouped: GroupedGraph) -> list[Group]:
    """The groups that have a kernel: a Reshape is a view."""
    return [group for group in grouped.groups if not isinstance(group.anchor.op, ops.Reshape)]


class Kernels:
    """The kernels of many graphs, built together."""

    def __init__(self, graphs: Iterable[Graph], target: Target, schedule: Schedule, *, bounded: bool = True) -> None:
        self.grouped = {graph: optimize(graph).grouped for graph in graphs}
        self.bounded = bounded
        self.kernels: dict[str, lower.Kernel] = {}
        for group in (group for grouped in self.grouped.values() for group in kernel_groups(grouped)):
            key = lower.signature(group, bounded=bounded)
            if key not in self.kernels:
                self.kernels[key] = schedule(group, target, bounded)
        functions = {kernel.name: kernel.func for kernel in self.kernels.values()}
        assert len(functions) == len(self.kernels), "kernels of different signatures have different names"
        self.module: Any = None
        if functions:
            self.module = tvm.tirx.build(tvm.IRModule(functions), tvm_target(target), registers.PIPELINE)

    def run(self, subject: Subject) -> dict[str, Array]:
        """The answers of the kernels by output name. What they write is NaN before, so is what they over-read."""
        grouped = self.grouped[subject.graph]
        graph = grouped.graph
        values: dict[Node, Array] = {node: subject.feeds[node.name] for node in graph.inputs}
        for group in grouped.groups:
            for node in group.inputs:
                if isinstance(node.op, ops.Constant):
                    values[node] = node.op.value
            output = group.output
            if isinstance(group.anchor.op, ops.Reshape):
                values[output] = values[output.inputs[0]].reshape(output.type.shape)
                continue
            kernel = self.kernels[lower.signature(group, bounded=self.bounded)]
            # Equal signatures may come with other constants: arguments are the group's own, in the kernel's order.
            own = zip(kernel.arguments[:-1], group.inputs, strict=True)
            arguments = [_argument(argument, values[node]) for argument, node in own]
            out = aligned(_unwritten(kernel.arguments[-1].type))
            self.module[kernel.name](*(tvm.runtime.from_dlpack(array) for array in (*arguments, out)))
            values[output] = out.reshape(output.type.shape)
        return {name: values[node] for name, node in zip(graph.output_names, graph.outputs, strict=True)}


def _argument(argument: lower.Argument, value: Array) -> Array:
    packed = argument.packing.apply(value) if argument.packing else value
    return aligned(packed.reshape(argument.type.shape), argument.overread)


def _unwritten(type_: TensorType) -> Array:
    return np.full(type_.shape, missing(type_.dtype), type_.dtype.numpy)


def aligned(value: Array, behind: int = 0) -> Array:
    """A copy that begins at a multiple of 64 bytes, with `behind` bytes of NaN after it, or of far integers."""
    dtype = DType.INT32 if np.issubdtype(value.dtype, np.integer) else DType.FLOAT32
    memory = _unwritten(TensorType((value.size + 32 + behind // 4,), dtype))
    start = -memory.ctypes.data % 64 // 4
    view = memory[start : start + prod(value.shape)].reshape(value.shape)
    view[...] = value
    return view


def renamed(graph: Graph, prefix: str) -> Graph:
    """The graph with `prefix` before all names, so that it can stand beside others."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        op: Op = node.op
        origin = replace(node.origin, name=f"{prefix}{node.origin.name}")
        new[node] = make(op, *(new[source] for source in node.inputs), origin=origin)
    inputs, outputs = (tuple(new[node] for node in nodes) for nodes in (graph.inputs, graph.outputs))
    return Graph(graph.name, inputs, outputs, tuple(f"{prefix}{name}" for name in graph.output_names))


def joined(subjects: Iterable[Subject]) -> Subject:
    """All subjects side by side in one graph; names are "<subject>/<name>"."""
    made = [(subject, renamed(subject.graph, f"{subject.name}/")) for subject in subjects]
    graph = Graph(
        "joined",
        tuple(node for _, graph in made for node in graph.inputs),
        tuple(node for _, graph in made for node in graph.outputs),
        tuple(name for _, graph in made for name in graph.output_names),
    )
    feeds = {f"{subject.name}/{name}": array for subject, _ in made for name, array in subject.feeds.items()}
    return Subject("joined", graph, feeds)
