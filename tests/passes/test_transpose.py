"""Transposes: merging, sinking, absorbing, and when they stay."""

from __future__ import annotations

import pytest

from convc.ir import Node, Op, Shape
from convc.ops import (
    Add,
    BatchNorm,
    Concat,
    Dense,
    Multiply,
    Pad,
    ReduceMax,
    ReduceMean,
    Relu,
    Reshape,
    Sigmoid,
    Softmax,
    Standardize,
    Tanh,
    Transpose,
)
from convc.passes.transpose import (
    AbsorbTransposeIntoReduce,
    FoldTransposeIntoDense,
    MergeTransposes,
    SinkTranspose,
    TransposeToReshape,
)
from tests.passes.graphs import Net, apply, assert_applied, assert_refused, assert_same, kinds

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def transpose(net: Net, x: Node, permutation: Shape = TO_FIRST, name: str = "t") -> Node:
    return net.op(Transpose(permutation), x, name=name)


def test_inverse_transposes_cancel() -> None:
    net = Net()
    x = net.op(Tanh(), net.input(2, 3, 4, 5))
    after = assert_applied(net.graph(transpose(net, transpose(net, x), TO_LAST)), MergeTransposes())
    assert kinds(after) == ["Tanh"]


def test_transposes_compose() -> None:
    net = Net()
    graph = net.graph(transpose(net, transpose(net, net.input(2, 3, 4, 5)), (3, 1, 0, 2)))
    assert kinds(assert_applied(graph, MergeTransposes())) == ["Transpose"]


def test_a_transpose_that_others_read_stays_for_them() -> None:
    net = Net()
    inner = transpose(net, net.input(2, 3, 4, 5))
    graph = net.graph(net.op(Reshape((2, 60)), inner), transpose(net, inner, TO_LAST))
    assert kinds(assert_applied(graph, MergeTransposes())) == ["Transpose", "Reshape"]


@pytest.mark.parametrize(
    "op",
    [
        Relu(),
        Softmax((1,)),
        Softmax((1, 2)),
        Standardize((1, 3), 0.1),
        Pad(((0, 0), (1, 2), (0, 3), (4, 0)), 1.5),
        Concat(2),
    ],
    ids=str,
)
def test_sinks_through_ops_of_one_input(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(op, transpose(net, net.input(2, 3, 4, 5))))
    after = assert_applied(graph, SinkTranspose())
    assert kinds(after) == [op.kind, "Transpose"]


def test_groups_stay_along_the_last_axis() -> None:
    net = Net()
    op = Standardize((1, 3), 0.1, groups=2)
    graph = net.graph(net.op(op, transpose(net, net.input(2, 3, 4, 5)), name="norm"))
    assert_refused(graph, SinkTranspose(), reason="norm has groups along another axis", culprit="norm")


def test_groups_let_other_axes_move() -> None:
    net = Net()
    op = Standardize((1, 3), 0.1, groups=2)
    graph = net.graph(net.op(op, transpose(net, net.input(2, 5, 3, 4), (0, 2, 1, 3))))
    assert kinds(assert_applied(graph, SinkTranspose())) == ["Standardize", "Transpose"]


@pytest.mark.parametrize("op", [Add(), Multiply(), Concat(0), Concat(1), Concat(3)], ids=str)
def test_sinks_through_ops_of_two_inputs(op: Op) -> None:
    net = Net()
    a, b = (transpose(net, net.input(2, 3, 4, 5, name=name)) for name in "ab")
    assert kinds(assert_applied(net.graph(net.op(op, a, b)), SinkTranspose())) == [op.kind, "Transpose"]


def test_sinks_through_broadcasting() -> None:
    net = Net()
    a, b = transpose(net, net.input(2, 3, 4, 5, name="a")), transpose(net, net.input(1, 3, 1, 5, name="b"))
    assert kinds(assert_applied(net.graph(net.op(Add(), a, b)), SinkTranspose())) == ["Add", "Transpose"]


@pytest.mark.parametrize("shape", [(), (4,), (5, 1, 1), (2, 5, 3, 4), (1, 1, 3, 1)])
def test_constants_are_transposed_at_compile_time(shape: Shape) -> None:
    net = Net()
    graph = net.graph(net.op(Add(), net.weights(*shape), transpose(net, net.input(2, 3, 4, 5))))
    assert kinds(assert_applied(graph, SinkTranspose())) == ["Add", "Transpose"]


def test_a_constant_of_more_axes_is_no_match() -> None:
    net = Net()
    graph = net.graph(net.op(Add(), net.weights(2, 1, 1, 1, 1), transpose(net, net.input(2, 3, 4, 5))))
    assert apply(graph, SinkTranspose()).decisions == ()


def test_concat_with_a_constant() -> None:
    net = Net()
    graph = net.graph(net.op(Concat(1), transpose(net, net.input(2, 3, 4, 5)), net.weights(2, 1, 3, 4)))
    assert kinds(assert_applied(graph, SinkTranspose())) == ["Concat", "Transpose"]


def test_what_moves_no_element_becomes_a_reshape() -> None:
    net = Net()
    scale = net.op(Sigmoid(), net.input(2, 5, 1, 1, name="scale"))
    graph = net.graph(net.op(Multiply(), transpose(net, net.input(2, 3, 4, 5)), scale))
    assert kinds(assert_applied(graph, SinkTranspose())) == ["Sigmoid", "Reshape", "Multiply", "Transpose"]


def test_an_input_in_another_order_is_no_match() -> None:
    net = Net()
    other = net.op(Sigmoid(), net.input(2, 5, 3, 4, name="other"))
    graph = net.graph(net.op(Multiply(), transpose(net, net.input(2, 3, 4, 5)), other))
    assert apply(graph, SinkTranspose()).decisions == ()


def test_different_permutations_are_no_match() -> None:
    net = Net()
    a, b = transpose(net, net.input(2, 3, 3, 3, name="a")), transpose(net, net.input(2, 3, 3, 3, name="b"), TO_LAST)
    assert apply(net.graph(net.op(Add(), a, b)), SinkTranspose()).decisions == ()


def test_sinks_through_swish_made_of_two_ops() -> None:
    net = Net()
    t = transpose(net, net.input(2, 3, 4, 5))
    after = assert_applied(net.graph(net.op(Multiply(), t, net.op(Sigmoid(), t))), SinkTranspose())
    assert kinds(after) == ["Sigmoid", "Multiply", "Transpose"]


def test_sinks_behind_a_chain_in_one_step() -> None:
    net = Net()
    x = transpose(net, net.input(2, 3, 4, 5))
    for _ in range(20):
        x = net.op(Tanh(), x)
    assert kinds(assert_applied(net.graph(x), SinkTranspose())) == ["Tanh"] * 20 + ["Transpose"]


def test_a_second_consumer_is_refused() -> None:
    net = Net()
    t = transpose(net, net.input(2, 3, 4, 5))
    graph = net.graph(net.op(Relu(), t), net.op(Reshape((2, 60)), t))
    assert_refused(graph, SinkTranspose(), reason="t is read by reshape too", culprit="reshape")


def test_an_output_in_the_middle_is_refused() -> None:
    net = Net()
    t = transpose(net, net.input(2, 3, 4, 5))
    assert_refused(net.graph(net.op(Relu(), t), t), SinkTranspose(), reason="t is an output", culprit="t")


def test_one_transpose_that_only_this_op_reads_is_enough() -> None:
    net = Net()
    a, b = (transpose(net, net.input(2, 3, 4, 5, name=name), name=f"t_{name}") for name in "ab")
    total = net.op(Add(), a, b)
    after = assert_applied(net.graph(net.op(Concat(1), total, b)), SinkTranspose(), times=2)
    assert kinds(after) == ["Add", "Concat", "Transpose"]


def test_batch_norm_over_the_axis_that_stays_last() -> None:
    net = Net()
    graph = net.graph(net.norm(transpose(net, net.input(2, 3, 4, 5), (0, 2, 1, 3))))
    assert kinds(assert_applied(graph, SinkTranspose())) == ["BatchNorm", "Transpose"]


def test_batch_norm_over_another_axis_is_refused() -> None:
    net = Net()
    graph = net.graph(net.norm(transpose(net, net.input(2, 3, 4, 5))))
    assert_refused(graph, SinkTranspose(), reason="bn normalises another axis", culprit="bn")
    assert any(isinstance(node.op, BatchNorm) for node in graph.nodes)


def test_a_channels_first_residual_block_keeps_only_the_border() -> None:
    net = Net()
    x = transpose(net, net.input(1, 4, 6, 6), TO_LAST)
    first = transpose(net, net.conv(x, 4, pad=1))
    second = transpose(net, net.conv(transpose(net, net.op(Relu(), first), TO_LAST), 4, pad=1))
    total = net.op(Relu(), net.op(Add(), first, second))
    graph = net.graph(transpose(net, net.conv(transpose(net, total, TO_LAST), 3)))
    outcome = apply(graph, MergeTransposes(), SinkTranspose())
    assert_same(graph, outcome.graph)
    assert kinds(outcome.graph).count("Transpose") == 2
    assert kinds(outcome.graph)[0] == kinds(outcome.graph)[-1] == "Transpose"


@pytest.mark.parametrize("op", [ReduceMean((2, 3)), ReduceMax((3, 2)), ReduceMean((1, 2, 3))], ids=str)
def test_reductions_absorb(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(op, transpose(net, net.input(2, 3, 4, 5))))
    assert kinds(assert_applied(graph, AbsorbTransposeIntoReduce())) == [op.kind]


@pytest.mark.parametrize("op", [ReduceMean((0,)), ReduceMean((2, 3), keepdims=True), ReduceMax((2,))], ids=str)
def test_reductions_that_keep_moved_axes_transpose_what_is_left(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(op, transpose(net, net.input(2, 3, 4, 5))))
    assert kinds(assert_applied(graph, AbsorbTransposeIntoReduce())) == [op.kind, "Transpose"]


@pytest.mark.parametrize("permutation", [TO_FIRST, TO_LAST, (0, 2, 1, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_dense_takes_the_order_of_what_was_flattened(bias: bool, permutation: Shape) -> None:
    net = Net()
    flat = net.op(Reshape((2, 60)), transpose(net, net.input(2, 3, 4, 5), permutation))
    after = assert_applied(net.graph(net.dense(flat, 7, bias=bias)), FoldTransposeIntoDense())
    assert kinds(after) == ["Reshape", "Dense"]


def test_dense_does_not_take_what_is_no_flattening() -> None:
    net = Net()
    x = net.input(2, 3, 4, 5)
    for permutation, shape in ((TO_FIRST, (2, 5, 12)), (TO_FIRST, (6, 20)), ((3, 0, 1, 2), (5, 24))):
        graph = net.graph(net.dense(net.op(Reshape(shape), transpose(net, x, permutation)), 7))
        assert apply(graph, FoldTransposeIntoDense()).decisions == ()


def test_dense_guards() -> None:
    net = Net()
    t = transpose(net, net.input(2, 3, 4, 5))
    flat = net.op(Reshape((2, 60)), t, name="flat")
    dense = net.dense(flat, 7)
    rule = FoldTransposeIntoDense()
    assert_refused(net.graph(dense, net.op(Relu(), flat)), rule, reason="flat is read by 2 consumers", culprit="relu")
    assert_refused(net.graph(dense, flat), rule, reason="flat is an output", culprit="flat")
    assert_refused(net.graph(dense, net.op(Tanh(), t)), rule, reason="t is read by 2 consumers", culprit="tanh")
    computed = net.op(Dense(), flat, net.input(60, 7, name="kernel"))
    assert_refused(net.graph(computed), rule, reason="kernel, which dense reads as a weight", culprit="kernel")


@pytest.mark.parametrize(
    ("shape", "permutation", "free"),
    [
        ((2, 1, 1, 5), TO_FIRST, True),
        ((1, 4, 1, 5), (2, 1, 0, 3), True),
        ((2, 1, 3, 5), TO_FIRST, False),
        ((2, 3, 1), (1, 0, 2), False),
    ],
)
def test_a_transpose_of_single_elements_is_a_reshape(shape: Shape, permutation: Shape, free: bool) -> None:
    net = Net()
    graph = net.graph(transpose(net, net.input(*shape), permutation))
    if free:
        after = assert_applied(graph, TransposeToReshape())
        assert kinds(after) == ["Reshape"]
    else:
        assert apply(graph, TransposeToReshape()).decisions == ()
