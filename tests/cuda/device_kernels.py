"""Fusion groups on the emulated device, as `tests.support.kernels.Kernels` has them on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from convc import lower, ops
from convc.build.device import DeviceFunction, generate
from convc.build.kernels import Kernels
from convc.ir import Array, DType, Graph, Node
from convc.passes import optimize
from convc.precision import Precision
from convc.target import CudaTarget
from tests.cuda import emulator
from tests.support.kernels import Subject, kernel_groups


def narrowable(graph: Graph) -> bool:
    """Whether all its tensors may be stored in 16 bits."""
    floats = all(node.type.dtype is DType.FLOAT32 for node in graph.nodes)
    return floats and not any(isinstance(node.op, ops.Recurrent) for node in graph.nodes)


class DeviceKernels:
    """The kernels of many graphs, scheduled and generated together.

    With a `precision` of 16 bits all tensors of the graphs, which are `narrowable`, are stored so, inputs and outputs
    included; constants are as in a library.
    """

    def __init__(self, graphs: Iterable[Graph], target: CudaTarget, precision: Precision = Precision.FLOAT32) -> None:
        self.grouped = {graph: optimize(graph).grouped for graph in graphs}
        storage: dict[Node, DType] = {}
        if (narrow := DType(precision.storage)) is not DType.FLOAT32:
            for grouped in self.grouped.values():
                tensors = (node for node in grouped.graph.nodes if not isinstance(node.op, ops.Constant))
                storage |= dict.fromkeys(tensors, narrow) | dict(lower.storage(grouped, precision))
        self.kernels = Kernels(target, False, storage)
        for grouped in self.grouped.values():
            for group in kernel_groups(grouped):
                self.kernels.arguments(group, bounded=True)
        self.source = ""
        self.functions: dict[str, DeviceFunction] = {}
        if self.kernels.functions:
            self.source, self.functions = generate(self.kernels.functions, target)

    @property
    def rules(self) -> set[str]:
        """Those that scheduled them."""
        return {built.rule for built in self.kernels.table.values()}

    @cached_property
    def compiled(self) -> emulator.Kernels:
        """The source for the emulated device."""
        return emulator.Kernels(self.source)

    @property
    def cooperate(self) -> bool:
        """Whether threads of a block wait for each other."""
        return "__syncthreads" in self.source or "__shfl" in self.source

    def run(
        self,
        subject: Subject,
        order: emulator.Order = emulator.Order.FORWARD,
        copies: emulator.Copies = emulator.Copies.LATE,
    ) -> dict[str, Array]:
        """The answers by output name. What kernels write is NaN before."""
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
            name, arguments = self.kernels.arguments(group, bounded=True)
            # Equal signatures may come with other constants: arguments are the group's own, in the kernel's order.
            own = zip(arguments[:-1], group.inputs, strict=True)
            buffers = [_argument(argument, values[node]) for argument, node in own]
            type_ = arguments[-1].type
            nothing = np.full((*type_.shape, type_.dtype.size), 0xFF, np.uint8)
            buffers.append(nothing.view(type_.dtype.numpy)[..., 0])
            self._launch(name, buffers, order, copies)
            values[output] = buffers[-1].reshape(output.type.shape)
        outputs = zip(graph.output_names, graph.outputs, strict=True)
        return {name: values[node].astype(node.type.dtype.numpy) for name, node in outputs}

    def _launch(self, name: str, arguments: list[Array], order: emulator.Order, copies: emulator.Copies) -> None:
        function = self.functions[name]
        buffers = dict(zip(function.parameters, arguments, strict=True))
        buffers |= {scratch: np.full(size, 0xFF, np.uint8) for scratch, size in function.scratch.items()}
        for launch in function.launches:
            given = [buffers[parameter] for parameter in launch.parameters]
            at = launch.geometry
            self.compiled.launch(launch.kernel, at.grid, at.block, at.shared, given, order, copies)


def _argument(argument: lower.Argument, value: Array) -> Array:
    packed = argument.packing.apply(value) if argument.packing else value
    return np.ascontiguousarray(packed.reshape(argument.type.shape), argument.type.dtype.numpy)
