"""Merging and folding of Pads, and every guard against it."""

from __future__ import annotations

import math

import pytest

from convc.ir import Node
from convc.ops import AvgPool, MaxPool, Pad, Relu, Tanh, Transpose
from convc.passes.padding import FoldPadIntoAvgPool, FoldPadIntoConv, FoldPadIntoMaxPool, MergePads
from tests.passes.graphs import Net, apply, assert_applied, assert_refused, assert_same, kinds, values
from tests.tolerances import RELATIVE, relative_error

NONE = ((0, 0), (0, 0))
WIDTHS = ((0, 0), (1, 2), (3, 0), (0, 0))


def pool(
    net: Net, x: Node, cls: type[MaxPool] | type[AvgPool], *, size: int = 3, stride: int = 2, pad: int = 0
) -> Node:
    return net.op(cls((size, size), (stride, stride), ((pad, pad), (pad, pad))), x, name="pool")


def test_pads_of_one_value_merge() -> None:
    net = Net()
    x = net.input(1, 4, 5, 2)
    inner = net.op(Pad(WIDTHS, 2.5), x)
    after = assert_applied(net.graph(net.op(Pad(((1, 0), (0, 1), (1, 1), (0, 2)), 2.5), inner)), MergePads())
    assert after.outputs[0].op == Pad(((1, 0), (1, 3), (4, 1), (0, 2)), 2.5)


def test_a_long_chain_of_pads_merges_to_one() -> None:
    net = Net()
    x = net.input(1, 2)
    for _ in range(9):
        x = net.op(Pad(((0, 0), (1, 0))), x)
    assert kinds(assert_applied(net.graph(x), MergePads(), times=8)) == ["Pad"]


def test_pads_of_different_values_are_refused() -> None:
    net = Net()
    inner = net.op(Pad(WIDTHS, 1.0), net.input(1, 4, 5, 2), name="inner")
    graph = net.graph(net.op(Pad(WIDTHS), inner))
    assert_refused(graph, MergePads(), reason="one pads with 1, the other with 0", culprit="inner")


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("own", [0, 1])
def test_zeros_fold_into_a_convolution(own: int, groups: int) -> None:
    net = Net()
    padded = net.op(Pad(WIDTHS), net.input(2, 4, 5, 4))
    after = assert_applied(
        net.graph(net.conv(padded, 4, stride=2, pad=own, groups=groups, bias=True)), FoldPadIntoConv()
    )
    assert kinds(after) == ["Conv"]


@pytest.mark.parametrize(
    ("pad", "reason"),
    [
        (Pad(WIDTHS, 1.0), "it pads with 1, and conv with 0"),
        (Pad(((0, 1), (1, 1), (1, 1), (0, 0))), "it pads the batch or the channels"),
        (Pad(((0, 0), (1, 1), (1, 1), (0, 2))), "it pads the batch or the channels"),
    ],
)
def test_what_a_convolution_cannot_pad_is_refused(pad: Pad, reason: str) -> None:
    net = Net()
    graph = net.graph(net.conv(net.op(pad, net.input(1, 4, 5, 2)), 3))
    assert_refused(graph, FoldPadIntoConv(), reason=reason)


def test_a_pad_with_two_consumers_is_refused() -> None:
    net = Net()
    pad = net.op(Pad(WIDTHS), net.input(1, 4, 5, 2))
    graph = net.graph(net.conv(pad, 3, name="conv_a"), net.op(Relu(), pad))
    assert_refused(graph, FoldPadIntoConv(), reason="pad is read by 2 consumers: conv_a, relu", culprit="relu")


def test_a_pad_that_is_an_output_is_refused() -> None:
    net = Net()
    pad = net.op(Pad(WIDTHS), net.input(1, 4, 5, 2))
    assert_refused(net.graph(pad, net.conv(pad, 3)), FoldPadIntoConv(), reason="pad is an output", culprit="pad")


@pytest.mark.parametrize("own", [0, 1])
def test_zeros_fold_into_max_pooling_after_relu(own: int) -> None:
    net = Net()
    relu = net.op(Relu(), net.input(1, 6, 7, 3))
    pad = net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), relu)
    after = assert_applied(net.graph(pool(net, pad, MaxPool, pad=own)), FoldPadIntoMaxPool())
    assert kinds(after) == ["Relu", "MaxPool"]


def test_what_moves_a_relu_keeps_it_non_negative() -> None:
    net = Net()
    relu = net.op(Relu(max_value=6.0), net.input(1, 8, 3, 8))
    moved = pool(net, net.op(Transpose((0, 1, 3, 2)), relu), MaxPool)
    pad = net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), moved)
    assert_applied(net.graph(pool(net, pad, MaxPool)), FoldPadIntoMaxPool())


def test_minus_infinity_folds_into_max_pooling() -> None:
    net = Net()
    pad = net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0)), -math.inf), net.input(1, 6, 7, 3))
    assert_applied(net.graph(pool(net, pad, MaxPool)), FoldPadIntoMaxPool())


@pytest.mark.parametrize(
    "source", [Tanh(), Relu(negative_slope=0.1), Relu(threshold=-1.0), Relu(max_value=-1.0)], ids=str
)
def test_zeros_around_what_is_not_known_to_be_positive_are_refused_by_max_pooling(source: Relu | Tanh) -> None:
    net = Net()
    pad = net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), net.op(source, net.input(1, 6, 7, 3), name="act"))
    graph = net.graph(pool(net, pad, MaxPool))
    assert_refused(graph, FoldPadIntoMaxPool(), reason="act may be negative", culprit="act")


def test_that_refusal_is_needed() -> None:
    net = Net()
    rule = FoldPadIntoMaxPool()
    pad = net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), net.input(1, 6, 7, 3))
    graph = net.graph(pool(net, pad, MaxPool, size=2))
    match = rule.pattern(graph.outputs[0], graph)
    assert match is not None
    wrong = rule.rewrite(match, lambda node: node)
    (want,), (got,) = values(graph), values(net.graph(wrong))
    assert relative_error(got, want) > 100 * RELATIVE["reference"]


@pytest.mark.parametrize("widths", [(3, 0), (0, 4)])
def test_windows_that_would_lie_in_the_padding_are_refused(widths: tuple[int, int]) -> None:
    net = Net()
    pad = net.op(Pad(((0, 0), widths, (0, 0), (0, 0))), net.op(Relu(), net.input(1, 6, 7, 3)))
    graph = net.graph(pool(net, pad, MaxPool, stride=1))
    assert_refused(graph, FoldPadIntoMaxPool(), reason="wholly in the padding", culprit="pool")


def test_average_windows_that_would_lie_in_the_padding_are_refused() -> None:
    net = Net()
    graph = net.graph(pool(net, net.op(Pad(WIDTHS), net.input(1, 6, 7, 3)), AvgPool))
    assert_refused(graph, FoldPadIntoAvgPool(), reason="wholly in the padding", culprit="pool")


def test_other_values_are_refused_by_max_pooling() -> None:
    net = Net()
    pad = net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0)), 2.0), net.op(Relu(), net.input(1, 6, 7, 3)))
    assert_refused(
        net.graph(pool(net, pad, MaxPool)), FoldPadIntoMaxPool(), reason="it pads with 2, and pool with minus"
    )


@pytest.mark.parametrize(("count", "own"), [(False, 0), (True, 0), (True, 1)])
def test_zeros_fold_into_average_pooling(count: bool, own: int) -> None:
    net = Net()
    pad = net.op(Pad(WIDTHS), net.input(1, 6, 7, 3))
    average = AvgPool((4, 5), (2, 1), ((own, own), (own, own)), count_padding=count)
    after = assert_applied(net.graph(net.op(average, pad)), FoldPadIntoAvgPool())
    assert kinds(after) == ["AvgPool"]


def test_zeros_do_not_mix_with_padding_that_is_not_counted() -> None:
    net = Net()
    pad = net.op(Pad(WIDTHS), net.input(1, 6, 7, 3))
    graph = net.graph(pool(net, pad, AvgPool, pad=1))
    assert_refused(graph, FoldPadIntoAvgPool(), reason="does not count its own padding", culprit="pool")


def test_other_values_are_refused_by_average_pooling() -> None:
    net = Net()
    graph = net.graph(pool(net, net.op(Pad(WIDTHS, 1.0), net.input(1, 6, 7, 3)), AvgPool))
    assert_refused(graph, FoldPadIntoAvgPool(), reason="it pads with 1")


def test_only_its_own_reader_matches() -> None:
    net = Net()
    graph = net.graph(net.op(Relu(), net.op(Pad(WIDTHS), net.input(1, 4, 5, 2))))
    outcome = apply(graph, FoldPadIntoConv(), FoldPadIntoMaxPool(), FoldPadIntoAvgPool())
    assert outcome.decisions == ()
    assert_same(graph, outcome.graph)
