"""Kernels that read and write 16 bits, one after the other, each judged on what it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from convc import lower, ops
from convc.ir import Array, DType, Graph, Node, Origin, TensorType
from convc.ir.group import GroupedGraph
from convc.passes import optimize
from tests.cases import fused
from tests.support.kernels import kernel_groups
from tests.tolerances import RELATIVE

Net = tuple[fused.Builder, GroupedGraph]
"""A graph after the passes, and what made it, which knows its feeds."""

Runner = Callable[[lower.Kernel, Sequence[Array]], Array]
"""The output of a kernel, of its stored type, for its inputs in order."""


def builder() -> fused.Builder:
    """Of the same numbers each time."""
    return fused.Builder(np.random.default_rng(1))


def grouped(b: fused.Builder, *outputs: Node) -> GroupedGraph:
    """The optimized graph of `outputs`."""
    names = tuple(f"y{index}" for index in range(len(outputs)))
    return optimize(Graph("net", tuple(b.inputs), outputs, names)).grouped


def attention(mask: Array | None = None) -> Net:
    """One head, a residual and a normalisation; `mask` is added to the scores of 4 queries and 4 keys."""
    b = builder()
    x = b.dense(b.input(1, 4, 6), 8)
    scores = b.apply(ops.MatMul((0, 1, 3), (0, 2, 3), (0, 1, 2)), b.dense(x, 8), b.dense(x, 8))
    if mask is not None:
        scores = b.apply(ops.Add(), scores, ops.constant(mask, Origin("mask", "Constant")))
    shares = b.apply(ops.Softmax((2,)), scores)
    y = b.apply(ops.Add(), b.apply(ops.MatMul((0, 1, 2), (0, 2, 3), (0, 1, 3)), shares, x), x)
    return b, grouped(b, b.dense(b.apply(ops.Standardize((2,), 1e-3), y), 5))


def masked_attention() -> Net:
    """The first query sees nothing."""
    return attention(np.where(np.tri(4, k=-1), 0, -1e9))


def moves() -> Net:
    """What hands elements on, between two convolutions."""
    b = builder()
    x = b.conv(b.input(1, 6, 6, 3), 8)
    x = b.apply(ops.MaxPool((2, 2), (1, 1), ((0, 1), (0, 1))), x)
    y = b.apply(ops.Concat(3), x, b.conv(x, 5))
    y = b.apply(ops.Slice((0, 1, 0, 2), (1, 4, 6, 9), (1, 1, 1, 1)), y)
    y = b.apply(ops.Transpose((0, 2, 1, 3)), b.apply(ops.Pad(((0, 0), (1, 0), (0, 0), (0, 0)), 0.7), y))
    return b, grouped(b, b.conv(y, 3))


def layers() -> Net:
    """Convolutions of all kinds with a residual, pooling and a dense layer over a view."""
    b = builder()
    x = b.apply(ops.Relu(), b.conv(b.input(1, 6, 6, 3), 8, bias=True))
    y = b.apply(ops.Silu(), b.depthwise(x))
    y = b.apply(ops.Add(), b.conv(y, 8, 1, bias=True), x)
    y = b.conv(y, 8, groups=2)
    y = b.apply(ops.ReduceMean((1, 2)), b.apply(ops.Sigmoid(), y))
    return b, grouped(b, b.dense(y, 5))


NETS: tuple[Callable[[], Net], ...] = (layers, attention, masked_attention, moves)
"""Graphs that have all ways to store and to read 16 bits between them."""


def assert_rounded_once(
    graph: GroupedGraph,
    feeds: Mapping[str, Array],
    types: lower.StoredTypes,
    kernels: Sequence[lower.Kernel],
    run: Runner,
    operands: Mapping[str, DType] = MappingProxyType({}),
) -> dict[Node, Array]:
    """Runs `kernels`, those of the groups in order, and gives what they wrote. `operands` says, by the name of a
    kernel, the type that it rounds both operands of its product to.

    Each element must be what its stored type makes of a number near the reference's: the references run in float64 on
    the very numbers that the kernel read. A sum that is itself rounded to 16 bits on its way fails, and so does an
    input that is rounded again.
    """
    values: dict[Node, Array] = {node: feeds[node.name] for node in graph.graph.inputs}
    for node in graph.graph.nodes:
        if isinstance(node.op, ops.Constant):
            values[node] = node.op.value.astype(types.get(node, node.type.dtype).numpy)
    ready = iter(kernels)
    for group in graph.groups:
        output = group.output
        if isinstance(output.op, ops.Reshape):
            values[output] = values[output.inputs[0]].reshape(output.type.shape)
            continue
        kernel = next(ready)
        # Equal signatures may come with other constants: arguments are the group's own, in the kernel's order.
        own = zip(kernel.arguments[:-1], group.inputs, strict=True)
        got = run(kernel, [_packed(argument, values[node]) for argument, node in own]).reshape(output.type.shape)
        exact = {node: values[node].astype(np.float64) for node in group.inputs}
        if kernel.name in operands:
            for node in group.anchor.inputs[:2]:
                exact[node] = values[node].astype(operands[kernel.name].numpy).astype(np.float64)
        for node in group.nodes:
            exact[node] = node.op.reference(*(exact[source] for source in node.inputs))
        _assert_rounding_of(got, exact[output], kernel.arguments[-1].type, group.name)
        values[output] = got
    assert len(kernel_groups(graph)) == len(kernels)
    return values


def _packed(argument: lower.Argument, value: Array) -> Array:
    packed = argument.packing.apply(value) if argument.packing else value
    assert packed.dtype == argument.type.dtype.numpy
    return np.ascontiguousarray(packed.reshape(argument.type.shape))


def _assert_rounding_of(got: Array, exact: Array, stored: TensorType, name: str) -> None:
    """Rounding is monotonic: a number at most `near` from the exact one becomes one between what its ends become."""
    assert got.dtype == stored.dtype.numpy, name
    near = 4 * RELATIVE["kernel"] * (np.abs(exact) + float(np.sqrt(np.mean(exact**2))))
    low, high = ((exact + end).astype(got.dtype).astype(np.float64) for end in (-near, near))
    wide = got.astype(np.float64)
    wrong = ~((low <= wide) & (wide <= high))
    assert not wrong.any(), f"{name}: {wrong.sum()} of {wrong.size} elements, {wide[wrong][:3]}, {exact[wrong][:3]}"
