"""Which tensors are stored in 16 bits, and kernels that read and write them: each rounds where it is said to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tvm

from convc import lower, ops
from convc.build import registers
from convc.build.kernels import tvm_target
from convc.ir import Array, DType, Node, Origin, TensorType, make
from convc.ir.group import GroupedGraph
from convc.lower import Layout, storage
from convc.precision import Precision
from convc.target import native
from tests.cases import fused
from tests.support.kernels import kernel_groups
from tests.support.storage import NETS, Net, assert_rounded_once, builder, grouped

NARROW = [Precision.FLOAT16, Precision.BFLOAT16]
SCORES = 1e9


def stored(graph: GroupedGraph, precision: Precision = Precision.FLOAT16) -> set[str]:
    """The kinds of ops whose tensors are narrow; weights by the op that reads them."""
    names = set()
    for node in storage(graph, precision):
        readers = graph.graph.consumers[node]
        is_constant = isinstance(node.op, ops.Constant)
        names.add(f"weights of {readers[0].op.kind}" if is_constant else node.op.kind)
    return names


def chain() -> GroupedGraph:
    """A convolution, a depthwise and a pointwise one, and a dense layer over a view: all with biases."""
    b = builder()
    x = b.apply(ops.Relu(), b.conv(b.input(1, 6, 6, 3), 8, bias=True))
    x = b.apply(ops.Silu(), b.depthwise(x))
    x = b.apply(ops.Tanh(), b.conv(x, 4, 1, bias=True))
    return grouped(b, b.dense(b.apply(ops.Reshape((1, 144)), x), 5))


def test_what_lies_between_kernels_and_weights_are_narrow() -> None:
    graph = chain()
    found = storage(graph, Precision.FLOAT16)
    assert set(found.values()) == {DType.FLOAT16}
    between = {group.output for group in graph.groups[:-1]}
    weights = {group.anchor.inputs[1] for group in kernel_groups(graph)}
    assert {node.op.kind for node in between} == {"Relu", "Silu", "Tanh", "Reshape"}
    assert set(found) == between | weights


def test_the_type_is_the_precisions() -> None:
    assert set(storage(chain(), Precision.BFLOAT16).values()) == {DType.BFLOAT16}
    for precision in (Precision.FLOAT32, Precision.TF32):
        assert dict(storage(chain(), precision)) == {}


def test_views_of_what_the_model_is_given_and_gives_keep_their_type() -> None:
    b = builder()
    x = b.apply(ops.Reshape((1, 4, 4, 3)), b.input(1, 48))
    y = b.apply(ops.Reshape((1, 128)), b.conv(x, 8))
    assert stored(grouped(b, y)) == {"weights of Conv"}


def test_an_output_that_is_read_again_keeps_its_type() -> None:
    b = builder()
    x = b.conv(b.input(1, 4, 4, 3), 8)
    assert stored(grouped(b, x, b.conv(x, 4))) == {"weights of Conv"}


def test_interiors_of_groups_have_no_storage() -> None:
    b = builder()
    x = b.conv(b.input(1, 4, 4, 3), 8)
    assert stored(grouped(b, b.conv(b.apply(ops.Relu(), x), 4))) == {"weights of Conv", "Relu"}


def test_recurrent_kernels_read_and_write_as_typed() -> None:
    b = builder()
    x = b.dense(b.dense(b.input(2, 5, 6), 7), 12)
    y = b.apply(ops.Lstm((ops.Tanh(),), (ops.Sigmoid(),)), x, b.weights(3, 12))
    found = storage(grouped(b, b.dense(y, 4)), Precision.FLOAT16)
    kinds = [node.op.kind for node in found]
    assert kinds.count("Dense") == 1
    assert "Lstm" not in kinds
    assert kinds.count("Constant") == 3


def test_ranks_are_of_what_is_not_rounded() -> None:
    b = builder()
    x = b.dense(b.dense(b.input(2, 6), 8), 16)
    best = b.apply(ops.TopK(3), x)
    y = b.apply(ops.TakeAlong(1), x, best)
    graph = grouped(b, b.dense(y, 4))
    found = storage(graph, Precision.FLOAT16)
    first, ranked, *_ = (group.output for group in graph.groups if isinstance(group.anchor.op, ops.Dense))
    assert first in found
    assert ranked not in found


def test_integers_in_floating_point_keep_their_digits() -> None:
    """A sum of whole numbers, moved on its way to a cast, and its operands, moved on theirs from one."""
    b = builder()
    (left, right) = (b.input(1, 6, 6), b.input(1, 6, 6))
    whole = [b.apply(ops.Cast(DType.FLOAT32), b.apply(ops.Cast(DType.INT32), x)) for x in (left, right)]
    turned = b.apply(ops.Transpose((0, 2, 1)), whole[0])
    total = b.apply(ops.MatMul((0, 1, 3), (0, 2, 3), (0, 1, 2)), turned, whole[1])
    moved = b.apply(ops.Transpose((0, 2, 1)), total)
    again = b.apply(ops.Cast(DType.FLOAT32), b.apply(ops.Cast(DType.INT32), moved))
    assert stored(grouped(b, b.dense(again, 4))) == {"weights of Dense"}


def test_exact_sums_keep_their_type_and_that_of_their_operands() -> None:
    b = builder()
    x = b.conv(b.input(1, 4, 4, 3), 8)
    assert isinstance(x.op, ops.Conv)
    y = b.apply(replace(x.op, exact=True), x, b.weights(3, 3, 8, 4))
    graph = grouped(b, b.conv(y, 4, 1))
    assert set(storage(graph, Precision.BFLOAT16)) == {graph.groups[-1].anchor.inputs[1]}


def looked_up(b: fused.Builder) -> Node:
    """An embedding of four tokens."""
    tokens = make(ops.Input(TensorType((1, 4), DType.INT32)), origin=Origin("tokens", "Input"))
    b.inputs.append(tokens)
    return b.apply(ops.Take(0), b.weights(10, 8), tokens)


def test_a_lookup_is_no_computation_with_integers() -> None:
    """What it gives is narrow, the table is not."""
    b = builder()
    assert stored(grouped(b, b.dense(looked_up(b), 4))) == {"Take", "weights of Dense"}


def masked(b: fused.Builder, mask: Callable[[Node], Node]) -> GroupedGraph:
    """Attention of one head, with a mask on its scores."""
    x = looked_up(b)
    scores = mask(b.apply(ops.MatMul((0, 1, 3), (0, 2, 3), (0, 1, 2)), b.dense(x, 8), b.dense(x, 8)))
    shares = b.apply(ops.Softmax((2,)), scores)
    return grouped(b, b.dense(b.apply(ops.MatMul((0, 1, 2), (0, 2, 3), (0, 1, 3)), shares, x), 4))


def numbers(b: fused.Builder, value: Array) -> Node:
    return ops.constant(value.astype(np.float32), Origin("mask", "Constant"))


@pytest.mark.parametrize("form", ["added", "chosen"])
def test_numbers_out_of_range_keep_their_type_up_to_the_softmax(form: str) -> None:
    b = builder()
    causal = np.triu(np.ones((4, 4)), 1)

    def mask(scores: Node) -> Node:
        if form == "added":
            return b.apply(ops.Add(), scores, numbers(b, -SCORES * causal))
        return b.apply(ops.Where(), numbers(b, causal), numbers(b, np.full(1, -SCORES)), scores)

    graph = masked(b, mask)
    kinds = {"Take", "Dense", "Softmax", "MatMul", "weights of Dense"}
    top = {"added": "Add", "chosen": "Where"}[form]
    assert stored(graph) == kinds
    assert stored(graph, Precision.BFLOAT16) == kinds | {top}


def test_infinities_are_not_out_of_range() -> None:
    b = builder()
    causal = np.where(np.triu(np.ones((4, 4)), 1) > 0, -np.inf, 0)
    assert "Add" in stored(masked(b, lambda scores: b.apply(ops.Add(), scores, numbers(b, causal))))


def test_padding_out_of_range_keeps_its_type() -> None:
    def padded(value: float) -> set[str]:
        b = builder()
        x = b.apply(ops.Pad(((0, 0), (1, 1), (1, 1), (0, 0)), value), b.conv(b.input(1, 4, 4, 3), 8))
        return stored(grouped(b, b.apply(ops.Softmax((3,)), b.apply(ops.MaxPool((2, 2), (1, 1), ((0, 0),) * 2), x))))

    assert "Pad" in padded(6e4)
    assert "Pad" not in padded(7e4)


def test_a_constant_that_is_not_only_weights_keeps_its_type() -> None:
    b = builder()
    w = b.weights(6, 6)
    x = b.apply(ops.Add(), b.apply(ops.Dense(), b.input(6, 6), w), w)
    assert stored(grouped(b, b.apply(ops.Softmax((1,)), x))) == {"Add"}


def test_constant_operands_of_products_are_weights() -> None:
    b = builder()
    x = b.apply(ops.MatMul((0, 1), (0, 1, 2), (0, 2)), b.input(3, 4), b.weights(3, 4, 5))
    assert stored(grouped(b, x)) == {"weights of MatMul"}


@pytest.mark.parametrize(("scale", "narrow"), [(1e-3, True), (1e-6, False), (1e-9, False)])
def test_weights_that_would_lose_digits_keep_their_type(scale: float, narrow: bool) -> None:
    b = builder()
    x = b.apply(ops.Dense(), b.input(1, 30), b.weights(30, 20, scale=scale))
    graph = grouped(b, x)
    assert bool(stored(graph)) == narrow
    assert stored(graph, Precision.BFLOAT16) == {"weights of Dense"}


def test_few_small_weights_are_not_missed() -> None:
    b = builder()
    w = np.random.default_rng(2).normal(0, 1, (30, 20))
    w[:, :5] *= 1e-7
    x = b.apply(ops.Dense(), b.input(1, 30), numbers(b, w))
    assert stored(grouped(b, x)) == {"weights of Dense"}


def test_storage_is_in_the_signature_and_the_name() -> None:
    graph = chain()
    group = graph.groups[1]
    types = [lower.AS_TYPED, *(storage(graph, precision) for precision in NARROW)]
    types.append({group.output: DType.FLOAT16})
    signatures = {lower.signature(group, bounded=True, storage=stored) for stored in types}
    names = {lower.lower(group, Layout(8), bounded=True, storage=stored).name for stored in types}
    assert len(signatures) == len(names) == len(types)


@pytest.mark.parametrize("precision", NARROW)
def test_arguments_are_of_the_stored_types(precision: Precision) -> None:
    graph = chain()
    first, *_, last = kernel_groups(graph)
    narrow = DType(precision.storage)
    types = storage(graph, precision)

    def dtypes(group: Any) -> list[DType]:
        arguments = lower.arguments_of(group, Layout(1, threads=True), bounded=True, storage=types)
        kernel = lower.lower(group, Layout(1, threads=True), bounded=True, storage=types)
        assert kernel.arguments == arguments
        assert [str(p.dtype) for p in kernel.func.params] == [a.type.dtype.value for a in arguments]
        for argument in arguments:
            assert argument.type.bytes == argument.type.elements * (4 if argument.type.dtype is DType.FLOAT32 else 2)
        return [argument.type.dtype for argument in arguments]

    assert dtypes(first) == [DType.FLOAT32, narrow, DType.FLOAT32, narrow]
    assert dtypes(last) == [narrow, narrow, DType.FLOAT32, DType.FLOAT32]


def test_kernels_of_float32_have_no_casts() -> None:
    group = chain().groups[0]
    assert "wide" not in lower.lower(group, Layout(8), bounded=True).func.script()


def on_cpu(kernel: lower.Kernel, inputs: Sequence[Array]) -> Array:
    """The unscheduled kernel on this machine."""
    module = tvm.tirx.build(tvm.IRModule({kernel.name: kernel.func}), tvm_target(native()), registers.PIPELINE)
    out = kernel.arguments[-1].type
    result = tvm.runtime.empty(out.shape, out.dtype.value)
    module[kernel.name](*map(tvm.runtime.tensor, inputs), result)
    written: Array = result.numpy()
    return written


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_kernels_round_what_they_store_and_nothing_else(net: Callable[[], Net], precision: Precision) -> None:
    b, graph = net()
    types = storage(graph, precision)
    layout = Layout(1, threads=True)
    kernels = [lower.lower(group, layout, bounded=True, storage=types) for group in kernel_groups(graph)]
    assert sum(kernel.arguments[-1].type.dtype is DType(precision.storage) for kernel in kernels) >= len(kernels) - 2
    assert_rounded_once(graph, b.feeds, types, kernels, on_cpu)
