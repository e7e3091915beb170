"""Folding of batch normalisation and of channelwise arithmetic, and every guard against it."""

from __future__ import annotations

import numpy as np
import pytest

from convc.errors import UnsupportedError
from convc.ir import Origin, make
from convc.ops import Add, BatchNorm, Conv, Multiply, Relu, constant
from convc.passes.affine import FoldBatchNorm, FoldBatchNormForward, FoldChannelwise, SplitBatchNorm
from tests.passes.graphs import Net, apply, assert_applied, assert_refused, assert_same, kinds, values
from tests.tolerances import RELATIVE, relative_error

GROUPS = [(1, 6), (2, 6), (4, 8), (4, 4)]
"""Groups and filters over four input channels: plain, grouped, depthwise with a multiplier, depthwise."""


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("groups", "filters"), GROUPS)
def test_batch_norm_folds_into_the_convolution_before_it(groups: int, filters: int, bias: bool) -> None:
    net = Net()
    conv = net.conv(net.input(2, 6, 5, 4), filters, pad=1, groups=groups, bias=bias)
    after = assert_applied(net.graph(net.norm(conv)), FoldBatchNorm())
    assert kinds(after) == ["Conv"]
    assert after.outputs[0].origin == conv.origin


@pytest.mark.parametrize("rank", [1, 3])
def test_batch_norm_folds_at_every_rank(rank: int) -> None:
    net = Net()
    x = net.input(1, *(5,) * rank, 2)
    assert kinds(assert_applied(net.graph(net.norm(net.conv(x, 3))), FoldBatchNorm())) == ["Conv"]


@pytest.mark.parametrize("bias", [False, True])
def test_batch_norm_folds_into_dense_on_both_sides(bias: bool) -> None:
    net = Net()
    x = net.input(3, 4)
    assert kinds(assert_applied(net.graph(net.norm(net.dense(x, 5, bias=bias))), FoldBatchNorm())) == ["Dense"]
    assert kinds(assert_applied(net.graph(net.dense(net.norm(x), 5, bias=bias)), FoldBatchNormForward())) == ["Dense"]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("groups", "filters"), GROUPS)
def test_batch_norm_folds_into_the_convolution_after_it(groups: int, filters: int, bias: bool) -> None:
    net = Net()
    x = net.norm(net.input(2, 6, 5, 4))
    graph = net.graph(net.conv(x, filters, groups=groups, bias=bias))
    assert kinds(assert_applied(graph, FoldBatchNormForward())) == ["Conv"]


def test_a_scale_alone_folds_into_a_padded_convolution_after_it() -> None:
    net = Net()
    graph = net.graph(net.conv(net.norm(net.input(1, 5, 5, 4), shift=False), 3, pad=1))
    after = assert_applied(graph, FoldBatchNormForward())
    assert len(after.outputs[0].inputs) == 2, "no bias appears"


def test_a_shift_is_not_folded_into_a_padded_convolution() -> None:
    net = Net()
    graph = net.graph(net.conv(net.norm(net.input(1, 5, 5, 4)), 3, pad=1))
    assert_refused(graph, FoldBatchNormForward(), reason="conv pads with 0 what bn has shifted", culprit="conv")


def test_that_refusal_is_needed() -> None:
    net = Net()
    graph = net.graph(net.conv(net.norm(net.input(1, 5, 5, 4)), 3, pad=1))
    rule = FoldBatchNormForward()
    match = rule.pattern(graph.outputs[0], graph)
    assert match is not None
    wrong = rule.rewrite(match, lambda node: node)
    (want,), (got,) = values(graph), values(net.graph(wrong))
    assert relative_error(got, want) > 100 * RELATIVE["reference"]


def test_a_second_consumer_of_the_convolution_is_refused() -> None:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 3)
    graph = net.graph(net.norm(conv), net.op(Relu(), conv))
    assert_refused(graph, FoldBatchNorm(), reason="conv is read by 2 consumers: bn, relu", culprit="relu")


def test_a_second_consumer_of_the_batch_norm_is_refused() -> None:
    net = Net()
    norm = net.norm(net.input(1, 5, 5, 4))
    graph = net.graph(net.conv(norm, 3), net.op(Relu(), norm))
    assert_refused(graph, FoldBatchNormForward(), reason="bn is read by 2 consumers: conv, relu", culprit="relu")


def test_an_output_in_the_middle_is_refused() -> None:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 3)
    assert_refused(net.graph(net.norm(conv), conv), FoldBatchNorm(), reason="an output of the model", culprit="conv")
    net = Net()
    norm = net.norm(net.input(1, 5, 5, 4))
    graph = net.graph(net.conv(norm, 3), norm)
    assert_refused(graph, FoldBatchNormForward(), reason="bn is an output of the model", culprit="bn")


def test_weights_that_are_computed_are_refused() -> None:
    net = Net()
    kernel = net.input(3, 3, 4, 5, name="kernel")
    conv = net.op(Conv((1, 1), ((0, 0), (0, 0)), (1, 1)), net.input(1, 5, 5, 4), kernel)
    assert_refused(net.graph(net.norm(conv)), FoldBatchNorm(), reason="kernel, which conv reads", culprit="kernel")


def test_weights_that_another_convolution_shares_stay_as_they_are() -> None:
    net = Net()
    first = net.conv(net.input(1, 5, 5, 4), 4, name="first")
    second = make(first.op, net.norm(first), first.inputs[1], origin=Origin("second", "Conv"))
    after = assert_applied(net.graph(second), FoldBatchNorm())
    assert after.outputs[0].inputs[1] is first.inputs[1]
    assert after.outputs[0].inputs[0].inputs[1] is not first.inputs[1]


def test_weights_that_would_overflow_are_refused() -> None:
    net = Net()
    origin = Origin("bn", "BatchNorm")
    conv = net.conv(net.input(1, 5, 5, 4), 2)
    gamma, zero, variance = (np.array([value] * 2) for value in (1e38, 0.0, 1e-12))
    norm = make(BatchNorm(0.0), conv, *(constant(v, origin) for v in (gamma, zero, zero, variance)), origin=origin)
    assert_refused(net.graph(norm), FoldBatchNorm(), reason="would not be finite in float32")


def test_before_is_preferred_to_after() -> None:
    net = Net()
    norm = net.norm(net.conv(net.input(1, 7, 7, 4), 4, name="first"))
    graph = net.graph(net.conv(norm, 3, name="second", bias=True))
    outcome = apply(graph, FoldBatchNorm(), FoldBatchNormForward())
    assert [d.reason for d in outcome.decisions] == ["folded into first"]
    assert_same(graph, outcome.graph)


def test_after_is_taken_where_before_is_refused() -> None:
    net = Net()
    first = net.conv(net.input(1, 7, 7, 4), 4, name="first")
    graph = net.graph(net.conv(net.norm(first), 3, name="second"), net.op(Relu(), first))
    outcome = apply(graph, FoldBatchNorm(), FoldBatchNormForward())
    assert [(d.applied, d.reason) for d in outcome.decisions] == [(True, "folded into second")]
    assert_same(graph, outcome.graph)


@pytest.mark.parametrize("constant_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1, 3), (1, 1, 1, 1)])
@pytest.mark.parametrize("op", [Add(), Multiply()])
def test_channelwise_constants_fold(
    op: Add | Multiply, shape: tuple[int, ...], bias: bool, constant_first: bool
) -> None:
    net = Net()
    operands = [net.conv(net.input(1, 5, 5, 4), 3, bias=bias), net.weights(*shape)]
    graph = net.graph(net.op(op, *(reversed(operands) if constant_first else operands)))
    assert kinds(assert_applied(graph, FoldChannelwise())) == ["Conv"]


def test_a_bias_of_its_own_node_does_not_keep_batch_norm_from_folding() -> None:
    net = Net()
    biased = net.op(Add(), net.dense(net.input(2, 4), 5), net.weights(5))
    after = assert_applied(net.graph(net.norm(biased)), FoldBatchNorm(), FoldChannelwise(), times=2)
    assert kinds(after) == ["Dense"]


@pytest.mark.parametrize("shape", [(3, 1), (1, 3, 3, 3), (2, 1, 1, 3)])
def test_constants_that_vary_in_space_or_batch_are_no_match(shape: tuple[int, ...]) -> None:
    net = Net()
    graph = net.graph(net.op(Add(), net.conv(net.input(1, 5, 5, 4), 3), net.weights(*shape)))
    assert apply(graph, FoldChannelwise()).decisions == ()


def test_channelwise_on_a_shared_convolution_is_refused() -> None:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 3)
    graph = net.graph(net.op(Add(), conv, net.weights(3)), net.op(Relu(), conv))
    assert_refused(graph, FoldChannelwise(), reason="conv is read by 2 consumers: add, relu", culprit="relu")


def test_what_is_left_of_batch_norm_is_split() -> None:
    net = Net()
    after = assert_applied(net.graph(net.norm(net.input(2, 4))), SplitBatchNorm())
    assert kinds(after) == ["Multiply", "Add"]
    assert {node.name for node in after.nodes if node.inputs} == {"bn"}


@pytest.mark.parametrize(
    ("gamma", "beta", "left"), [(1.0, 0.5, ["Add"]), (2.0, 0.0, ["Multiply"]), (1.0, 0.0, ["Relu"])]
)
def test_neutral_halves_of_a_split_are_left_out(gamma: float, beta: float, left: list[str]) -> None:
    net = Net()
    x = net.op(Relu(), net.input(2, 4))
    origin = Origin("bn", "BatchNorm")
    vectors = [constant(np.full(4, value), origin) for value in (gamma, beta, 0.0, 1.0)]
    graph = net.graph(make(BatchNorm(0.0), x, *vectors, origin=origin))
    assert kinds(assert_applied(graph, SplitBatchNorm()))[-1:] == left


def test_computed_statistics_are_an_error_for_the_user() -> None:
    net = Net()
    x, vector = net.input(2, 4), net.input(4, name="mean")
    norm = net.op(BatchNorm(1e-3), x, vector, vector, vector, vector, name="bn_7")
    with pytest.raises(UnsupportedError, match=r"bn_7.*computed statistics"):
        apply(net.graph(norm), SplitBatchNorm())
