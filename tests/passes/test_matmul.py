"""Products that read and write transposed."""

from __future__ import annotations

from convc.ops import MatMul, Relu, Reshape, Softmax, Transpose
from convc.passes import optimize
from convc.passes.matmul import FoldTransposeIntoMatMul, FoldTransposeOfMatMul
from tests.passes.graphs import Net, assert_applied, assert_refused, kinds

PLAIN = MatMul((0, 1), (1, 2), (0, 2))
BATCH = MatMul((0, 1, 2), (0, 2, 3), (0, 1, 3))


def test_transposed_operands_are_read_in_their_own_order() -> None:
    net = Net()
    a = net.op(Transpose((2, 0, 1)), net.input(4, 5, 3, name="a"))
    b = net.op(Transpose((1, 2, 0)), net.input(6, 3, 5, name="b"))
    after = assert_applied(net.graph(net.op(BATCH, a, b)), FoldTransposeIntoMatMul(), times=2)
    assert kinds(after) == ["MatMul"]


def test_both_operands_may_be_one_transpose() -> None:
    net = Net()
    a = net.op(Transpose((1, 0)), net.input(4, 4))
    assert kinds(assert_applied(net.graph(net.op(PLAIN, a, a)), FoldTransposeIntoMatMul())) == ["MatMul"]


def test_a_transpose_stays_for_others() -> None:
    net = Net()
    a = net.op(Transpose((1, 0)), net.input(4, 3, name="a"))
    graph = net.graph(net.op(PLAIN, a, net.input(4, 5, name="b")), net.op(Relu(), a))
    assert sorted(kinds(assert_applied(graph, FoldTransposeIntoMatMul()))) == ["MatMul", "Relu", "Transpose"]


def test_the_result_is_written_transposed() -> None:
    net = Net()
    y = net.op(BATCH, net.input(2, 4, 3, name="a"), net.input(2, 3, 5, name="b"))
    after = assert_applied(net.graph(net.op(Transpose((1, 0, 2)), y)), FoldTransposeOfMatMul())
    assert kinds(after) == ["MatMul"]


def test_the_operands_change_places_where_rows_come_last() -> None:
    net = Net()
    y = net.op(PLAIN, net.input(4, 3, name="a"), net.input(3, 5, name="b"))
    after = assert_applied(net.graph(net.op(Transpose((1, 0)), y)), FoldTransposeOfMatMul())
    assert [node.name for node in after.outputs[0].inputs] == ["b", "a"]


def test_a_batch_axis_does_not_come_last() -> None:
    net = Net()
    y = net.op(BATCH, net.input(2, 4, 3, name="a"), net.input(2, 3, 5, name="b"))
    graph = net.graph(net.op(Transpose((1, 2, 0)), y))
    assert_refused(graph, FoldTransposeOfMatMul(), reason="what would be the last axis", culprit="matmul")


def test_a_product_that_others_read_is_not_written_transposed() -> None:
    net = Net()
    y = net.op(PLAIN, net.input(4, 3, name="a"), net.input(3, 5, name="b"))
    graph = net.graph(net.op(Transpose((1, 0)), y), net.op(Relu(), y))
    assert_refused(graph, FoldTransposeOfMatMul(), reason="is read by 2 consumers", culprit="relu")


def test_attention_by_hand_has_no_transposes() -> None:
    """(B, T, N, H) brought into (B, N, T, H) and back, as it is written with matmul."""
    net = Net()
    heads = [net.op(Reshape((2, 5, 3, 4)), net.input(2, 5, 12, name=name)) for name in "qkv"]
    q, k, v = (net.op(Transpose((0, 2, 1, 3)), head) for head in heads)
    scores = net.op(MatMul((0, 1, 2, 3), (0, 1, 3, 4), (0, 1, 2, 4)), q, net.op(Transpose((0, 1, 3, 2)), k))
    result = net.op(MatMul((0, 1, 2, 3), (0, 1, 3, 4), (0, 1, 2, 4)), net.op(Softmax((3,)), scores), v)
    graph = net.graph(net.op(Reshape((2, 5, 12)), net.op(Transpose((0, 2, 1, 3)), result)))
    grouped = optimize(graph).grouped
    assert [group.anchor.op.kind for group in grouped.groups if group.anchor.op.kind != "Reshape"] == [
        "MatMul", "Softmax", "MatMul",
    ]  # fmt: skip
