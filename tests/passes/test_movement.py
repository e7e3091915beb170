"""Slices, broadcasts and casts that vanish or merge."""

from __future__ import annotations

import pytest

from convc.ir import DType, Node, Op
from convc.ops import Add, Broadcast, Cast, Concat, Multiply, Relu, Slice, Take, Tanh, Transpose, constant
from convc.passes.movement import MAX_PIECES, DropBroadcast, DropIdleMove, MergeConcats, MergeSlices
from convc.passes.transpose import MergeTransposes, SinkTranspose
from tests.passes.graphs import Net, apply, assert_applied, assert_refused, kinds

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@pytest.mark.parametrize(
    "op", [Slice((0, 0), (2, 3), (1, 1)), Broadcast((2, 3)), Cast(DType.FLOAT32)], ids=lambda op: op.kind
)
def test_what_moves_nothing_is_dropped(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(Tanh(), net.op(op, net.input(2, 3))))
    assert kinds(assert_applied(graph, DropIdleMove())) == ["Tanh"]


@pytest.mark.parametrize(
    "op",
    [Slice((0, 2), (2, 3), (1, -1)), Slice((0, 1), (2, 2), (1, 1)), Broadcast((1, 2, 3)), Cast(DType.INT32)],
    ids=str,
)
def test_what_moves_something_stays(op: Op) -> None:
    net = Net()
    graph = net.graph(net.op(op, net.input(2, 3)))
    assert apply(graph, DropIdleMove()).graph is graph


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (Slice((0, 1), (2, 5), (1, 1)), Slice((0, 2), (1, 3), (1, 1))),
        (Slice((0, 1), (2, 3), (1, 2)), Slice((1, 2), (1, 2), (1, -2))),
        (Slice((1, 6), (2, 7), (-1, -1)), Slice((0, 0), (2, 3), (1, 3))),
    ],
)
def test_slices_merge(first: Slice, then: Slice) -> None:
    net = Net()
    graph = net.graph(net.op(then, net.op(first, net.input(2, 7))))
    assert kinds(assert_applied(graph, MergeSlices())) == ["Slice"]


def test_a_slice_that_others_read_stays_for_them() -> None:
    net = Net()
    inner = net.op(Slice((0, 1), (2, 5), (1, 1)), net.input(2, 7))
    graph = net.graph(inner, net.op(Slice((0, 1), (2, 2), (1, 1)), inner))
    assert kinds(assert_applied(graph, MergeSlices())) == ["Slice", "Slice"]


@pytest.mark.parametrize("again", [False, True])
def test_concats_merge(again: bool) -> None:
    net = Net()
    x, y, z = (net.input(2, 3, name=name) for name in "xyz")
    inner = net.op(Concat(1), x, y)
    graph = net.graph(net.op(Concat(1), z, inner, *([inner] if again else [])))
    merged = assert_applied(graph, MergeConcats())
    assert kinds(merged) == ["Concat"]
    assert len(merged.outputs[0].inputs) == (5 if again else 3)


def test_a_concat_that_others_read_stays_for_them() -> None:
    net = Net()
    x, y, z = (net.input(2, 3, name=name) for name in "xyz")
    inner = net.op(Concat(1), x, y)
    graph = net.graph(net.op(Tanh(), inner), net.op(Concat(1), inner, z))
    assert kinds(assert_applied(graph, MergeConcats())) == ["Concat", "Tanh", "Concat"]


def test_concats_along_other_axes_do_not_merge() -> None:
    net = Net()
    x, y = net.input(2, 3, name="x"), net.input(2, 3, name="y")
    graph = net.graph(net.op(Concat(0), net.op(Concat(1), x, y), net.op(Concat(1), y, x)))
    assert apply(graph, MergeConcats()).graph is graph


def test_a_concat_of_too_many_does_not_merge() -> None:
    net = Net()
    x, y = net.input(1, name="x"), net.input(1, name="y")
    graph = net.graph(net.op(Concat(0), net.op(Concat(0), *[x] * MAX_PIECES), y))
    assert apply(graph, MergeConcats()).graph is graph


@pytest.mark.parametrize("swapped", [False, True])
def test_a_binary_op_repeats_by_itself(swapped: bool) -> None:
    net = Net()
    x, y = net.input(2, 3, 4), net.op(Broadcast((2, 3, 4)), net.input(3, 1, name="y"))
    graph = net.graph(net.op(Add(), *((y, x) if swapped else (x, y))))
    assert kinds(assert_applied(graph, DropBroadcast())) == ["Add"]


def test_a_broadcast_that_others_read_stays_for_them() -> None:
    net = Net()
    wide = net.op(Broadcast((2, 3)), net.input(1, 3))
    graph = net.graph(wide, net.op(Multiply(), wide, net.input(2, 3, name="y")))
    assert kinds(assert_applied(graph, DropBroadcast())) == ["Broadcast", "Multiply"]


@pytest.mark.parametrize("op", [Relu(), Add()], ids=str)
def test_a_broadcast_that_gives_the_shape_stays(op: Op) -> None:
    net = Net()
    wide = net.op(Broadcast((2, 3)), net.input(1, 3))
    other: list[Node] = [] if isinstance(op, Relu) else [net.input(3, name="y")]
    graph = net.graph(net.op(op, wide, *other))
    assert apply(graph, DropBroadcast()).graph is graph


def test_one_of_two_broadcasts_stays() -> None:
    net = Net()
    wide = net.op(Broadcast((2, 3)), net.input(1, 3))
    graph = net.graph(net.op(Add(), wide, wide))
    assert kinds(assert_applied(graph, DropBroadcast())) == ["Broadcast", "Add"]


@pytest.mark.parametrize(
    "op",
    [Slice((0, 1, 0, 3), (2, 2, 3, 2), (1, 1, 1, -1)), Slice.along((2, 5, 3, 4), 3, 3, 4, -1)],
    ids=["box", "backwards"],
)
def test_transposes_move_behind_slices(op: Slice) -> None:
    net = Net()
    first = net.op(Transpose(TO_FIRST), net.input(2, 3, 4, 5), name="t")
    graph = net.graph(net.op(Transpose(TO_LAST), net.op(op, first)))
    assert kinds(assert_applied(graph, SinkTranspose(), MergeTransposes(), times=2)) == ["Slice"]


def test_transposes_move_behind_a_take_of_a_vector_of_indices() -> None:
    net = Net()
    first = net.op(Transpose(TO_FIRST), net.input(2, 3, 4, 5), name="t")
    indices = constant(net.rng.integers(0, 5, 3), first.origin)
    graph = net.graph(net.op(Transpose(TO_LAST), net.op(Take(1), first, indices)))
    after = assert_applied(graph, SinkTranspose(), MergeTransposes(), times=2)
    assert kinds(after) == ["Take"]
    assert [node.op.axis for node in after.nodes if isinstance(node.op, Take)] == [3]


def test_a_take_that_makes_the_tensor_larger_is_not_passed() -> None:
    net = Net()
    first = net.op(Transpose(TO_FIRST), net.input(2, 3, 4, 5), name="t")
    indices = constant(net.rng.integers(0, 5, 6), first.origin)
    graph = net.graph(net.op(Transpose(TO_LAST), net.op(Take(1), first, indices)))
    assert_refused(graph, SinkTranspose(), reason="take makes it larger", culprit="take")


def test_a_take_of_a_matrix_of_indices_is_not_passed() -> None:
    net = Net()
    first = net.op(Transpose((1, 0)), net.input(3, 4), name="t")
    graph = net.graph(net.op(Take(0), first, constant(net.rng.integers(0, 4, (1, 2)), first.origin)))
    assert apply(graph, SinkTranspose()).graph is graph


def test_the_indices_of_a_take_are_not_taken_for_its_input() -> None:
    net = Net()
    table = net.weights(6, 2)
    cast = net.op(Cast(DType.INT32), net.input(3), name="cast")
    graph = net.graph(net.op(Take(0), table, net.op(Transpose((0,)), cast)), net.op(Concat(0), cast))
    assert apply(graph, SinkTranspose()).graph is graph
