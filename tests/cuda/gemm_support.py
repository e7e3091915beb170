"""Products of matrices for the emulator: subjects whose numbers are exact in a precision, and how their kernels run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from convc import lower, ops
from convc.build.device import DeviceFunction, generate
from convc.ir import Array, DType, Graph, Node, Origin
from convc.passes import optimize
from convc.precision import Precision
from convc.schedules.cuda import prepared
from convc.schedules.cuda.gemm_plan import GemmKnobs
from convc.schedules.cuda.gemm_product import ProductRule
from convc.schedules.cuda.gemm_tiles import BFLOAT16, FLOAT16, TFLOAT32, Cut, tiles
from convc.schedules.cuda.implicit_gemm import ImplicitGemmRule
from convc.schedules.rule import KernelView
from convc.target import CudaTarget, named
from tests.cases import fused
from tests.cuda import emulator
from tests.tolerances import RELATIVE, relative_error


def target_for(precision: Precision) -> CudaTarget:
    """GPUs from 8.0 on."""
    target = named("cuda:sm_80,sm_90")
    assert isinstance(target, CudaTarget)
    return replace(target, tf32=precision is Precision.TF32)


def rounded(value: Array, precision: Precision) -> Array:
    """The float32 numbers of `precision` that are nearest to those of `value`."""
    if precision is Precision.TF32:
        bits = value.astype(np.float32).view(np.uint32) + np.uint32(1 << 12)
        return np.asarray((bits & ~np.uint32((1 << 13) - 1)).view(np.float32))
    return value.astype(DType(precision.storage).numpy).astype(np.float32)


class Builder(fused.Builder):
    """Draws weights and feeds that are numbers of a precision, so that only sums and outputs are rounded."""

    def __init__(self, precision: Precision, seed: int) -> None:
        super().__init__(np.random.default_rng(seed))
        self.precision = precision

    def input(self, *shape: int) -> Node:
        node = super().input(*shape)
        self.feeds[node.name] = rounded(self.feeds[node.name], self.precision)
        return node

    def weights(self, *shape: int, scale: float = 1.0) -> Node:
        self.count += 1
        value = self.generator.normal(0, scale, shape).astype(np.float32)
        return ops.constant(rounded(value, self.precision), Origin(f"weights_{self.count}", "Constant"))


@dataclass(frozen=True, eq=False)
class Subject:
    """A graph of one kernel and its feeds, all in numbers of `precision`. `stored`: the tensors that are stored as
    `precision` says, by default all of them."""

    graph: Graph
    feeds: Mapping[str, Array]
    precision: Precision
    wide: tuple[str, ...] = ()
    """The inputs, and "out", that are stored in float32 all the same."""

    @cached_property
    def want(self) -> Array:
        """The reference's answer, in float64."""
        return np.asarray(ops.evaluate(self.graph, self.feeds)[self.graph.outputs[0]])


class Compiled:
    """A subject's kernel: as the rule chooses it, or with a cut."""

    def __init__(self, subject: Subject, cut: Cut | None = None) -> None:
        self.subject = subject
        (group,) = (g for g in optimize(subject.graph).grouped.groups if not isinstance(g.anchor.op, ops.Reshape))
        storage = {}
        narrow = DType(subject.precision.storage)
        if narrow is not DType.FLOAT32:
            nodes = [*group.inputs, group.output]
            names = [*(node.name for node in group.inputs), "out"]
            storage = {node: narrow for node, name in zip(nodes, names, strict=True) if name not in subject.wide}
        kernel = lower.lower(group, lower.Layout(1, threads=True), bounded=True, storage=storage)
        target, func = target_for(subject.precision), prepared(kernel.func)
        rule = next(rule for rule in (ImplicitGemmRule(), ProductRule()) if rule.applies(KernelView(func), target))
        self.knobs: GemmKnobs = rule.choose(KernelView(func), target)
        assert self.knobs.size is not None
        self.tiles = tiles(self.knobs.element, self.knobs.size)
        """Those that the rule may choose."""
        if cut is not None:
            self.knobs = replace(self.knobs, cut=cut)
        self.arguments = kernel.arguments
        self.depth = group.anchor.op.flops(group.anchor.type, *(x.type for x in group.anchor.inputs[:2]))
        self.depth //= 2 * group.anchor.type.elements
        """Products of a sum."""
        self.scheduled = rule.schedule(KernelView(func), self.knobs, target)
        self.source, functions = generate({kernel.name: self.scheduled}, target)
        self.function: DeviceFunction = functions[kernel.name]

    def run(
        self,
        order: emulator.Order = emulator.Order.FORWARD,
        copies: emulator.Copies = emulator.Copies.LATE,
    ) -> Array:
        """The answer in float32."""
        kernels = emulator.Kernels(self.source)
        buffers = {name: np.full(size, 255, np.uint8) for name, size in self.function.scratch.items()}
        for name, argument in zip(self.function.parameters, self.arguments, strict=True):
            dtype, shape = argument.type.dtype.numpy, argument.type.shape
            if argument is self.arguments[-1]:
                buffers[name] = np.full(shape, np.nan, dtype)
                continue
            node = argument.node
            value = node.op.value if isinstance(node.op, ops.Constant) else self.subject.feeds[node.name]
            value = argument.packing.apply(value) if argument.packing else value
            buffers[name] = np.ascontiguousarray(value.reshape(shape).astype(dtype))
        for launch in self.function.launches:
            arrays = [buffers[name].view(np.uint8) for name in launch.parameters]
            grid, block, shared = launch.geometry.grid, launch.geometry.block, launch.geometry.shared
            kernels.launch(launch.kernel, grid, block, shared, arrays, order, copies, 7)
        out = buffers[self.function.parameters[-1]]
        return np.asarray(out.astype(np.float32).reshape(self.subject.want.shape))


STEPS = {FLOAT16: 16, BFLOAT16: 16, TFLOAT32: 8}
"""Products that tensor cores add up at once."""


def check(subject: Subject, compiled: Compiled, got: Array) -> None:
    """Sums have the error of float32 sums; tensor cores cut each sum of a step's products off, half a unit on average.
    An output in 16 bits is rounded once: by a third of half a unit squared, in the mean of squares."""
    allowed = RELATIVE["kernel"]
    if compiled.knobs.element in STEPS:
        allowed += compiled.depth / STEPS[compiled.knobs.element] * 2.0**-24
    stored = compiled.arguments[-1].type.dtype
    if stored is not DType.FLOAT32:
        allowed += stored.epsilon / 2 / np.sqrt(3)
    error = relative_error(got, subject.want)
    assert error <= allowed, f"relative error {error:.3g} is above {allowed:.3g} ({compiled.knobs.cut})"
