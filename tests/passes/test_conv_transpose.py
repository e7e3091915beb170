"""Transposed convolutions as ordinary ones: the windows, the phases, what follows them, and every refusal."""

from __future__ import annotations

import numpy as np
import pytest

from convc.errors import UnsupportedError
from convc.ir import Graph, Node
from convc.ops import (
    Add,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Multiply,
    Relu,
    Reshape,
    Sigmoid,
    Softmax,
)
from convc.ops.window import Padding
from convc.passes import optimize
from convc.passes.affine import FoldBatchNorm, FoldBatchNormForward, FoldChannelwise
from convc.passes.conv_transpose import DepthToSpaceToReshape, HoistUnary, RewriteConvTranspose
from tests.passes.graphs import Net, apply, assert_applied, assert_refused, assert_same, kinds


def transposed(
    net: Net,
    x: Node,
    filters: int = 5,
    *,
    kernel: int = 3,
    stride: int = 2,
    dilation: int = 1,
    crop: tuple[int, int] = (0, 0),
    bias: bool = True,
    name: str = "up",
) -> Node:
    rank = x.type.rank - 2
    op = ConvTranspose((stride,) * rank, (dilation,) * rank, (crop,) * rank)
    operands = [net.weights(*(kernel,) * rank, filters, x.type.shape[-1], name=name)]
    if bias:
        operands.append(net.weights(filters, name=name))
    return net.op(op, x, *operands, name=name)


def rewritten(*, size: int = 5, **attributes: int | tuple[int, int]) -> tuple[Graph, Node]:
    """The rewritten graph of one rank 2 layer, and its convolution."""
    net = Net()
    x = net.input(2, size, size + 1, 3)
    after = assert_applied(net.graph(transposed(net, x, **attributes)), RewriteConvTranspose())  # type: ignore[arg-type]
    (conv,) = (node for node in after.nodes if isinstance(node.op, Conv))
    return after, conv


@pytest.mark.parametrize(
    ("kernel", "stride", "crop", "window", "spread"),
    [
        (2, 2, (0, 0), 1, (0, 0)),
        (1, 2, (0, -1), 1, (0, 0)),
        (3, 2, (0, 1), 2, (0, 0)),
        (3, 2, (0, 0), 2, (0, 1)),
        (3, 2, (1, 0), 2, (0, 0)),
        (4, 2, (1, 1), 2, (1, 1)),
        (5, 2, (1, 2), 3, (0, 0)),
        (4, 4, (0, 0), 1, (0, 0)),
        (8, 4, (2, 2), 2, (2, 2)),
        (2, 5, (0, -3), 1, (0, 0)),
    ],
)
def test_the_window_is_as_small_as_its_phases_allow(
    kernel: int, stride: int, crop: tuple[int, int], window: int, spread: tuple[int, int]
) -> None:
    """ceil(kernel / stride) elements, all phases at once; a crop at the start only where it saves an element."""
    after, conv = rewritten(kernel=kernel, stride=stride, crop=crop)
    assert conv.inputs[1].type.shape == (window, window, 3, stride * stride * 5)
    assert conv.inputs[2].type.shape == (stride * stride * 5,)
    (output,) = after.outputs
    assert output.op == DepthToSpace((stride, stride), (spread, spread))
    assert output.origin == conv.origin
    assert output.name == "up"


def test_no_crop_where_one_block_more_costs_what_it_saves() -> None:
    after, conv = rewritten(size=2, kernel=4, crop=(1, 1))
    assert conv.inputs[1].type.shape[:2] == (3, 2)
    assert after.outputs[0].op == DepthToSpace((2, 2), ((0, 0), (1, 1)))


@pytest.mark.parametrize(("dilation", "crop"), [(1, (0, 0)), (1, (1, 2)), (2, (3, 1)), (3, (6, 4)), (2, (0, -4))])
def test_without_strides_it_is_one_convolution_with_the_mirrored_kernel(dilation: int, crop: tuple[int, int]) -> None:
    after, conv = rewritten(stride=1, kernel=3, dilation=dilation, crop=crop)
    assert kinds(after) == ["Conv"]
    reach = 2 * dilation
    padding: Padding = ((reach - crop[0], reach - crop[1]),) * 2
    assert conv.op == Conv((1, 1), padding, (dilation, dilation))


def test_strides_and_dilation_leave_zeros_in_the_window() -> None:
    after, conv = rewritten(kernel=3, stride=2, dilation=3)
    assert conv.inputs[1].type.shape == (4, 4, 3, 20)
    assert kinds(after) == ["Conv", "DepthToSpace"]


@pytest.mark.parametrize("crop", [(0, 7), (1, 9), (2, 10)])
def test_inputs_that_the_output_does_not_need(crop: tuple[int, int]) -> None:
    rewritten(kernel=3, stride=2, crop=crop, size=6)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_every_rank(rank: int, bias: bool) -> None:
    net = Net()
    x = net.input(2, *range(3, 3 + rank), 3)
    graph = net.graph(transposed(net, x, kernel=4, crop=(1, 1), bias=bias))
    after = assert_applied(graph, RewriteConvTranspose())
    conv = after.outputs[0].inputs[0]
    assert len(conv.inputs) == 2 + bias
    assert conv.inputs[1].type.shape == (*(2,) * rank, 3, 5 * 2**rank)


def test_the_report_says_what_became_of_it() -> None:
    net = Net()
    graph = net.graph(transposed(net, net.input(1, 4, 4, 3), kernel=4, crop=(1, 1)))
    (decision,) = apply(graph, RewriteConvTranspose()).decisions
    assert decision.reason == "turned into a convolution 2x2 with 5 filters for each phase of 2x2, which are spread"
    graph = net.graph(transposed(net, net.inputs[0], stride=1))
    (decision,) = apply(graph, RewriteConvTranspose()).decisions
    assert decision.reason == "turned into a convolution with the mirrored kernel, 3x3"


def test_computed_weights_are_an_error_for_the_user() -> None:
    net = Net()
    kernel = net.input(3, 3, 5, 4, name="kernel")
    node = net.op(ConvTranspose((2, 2), (1, 1), ((0, 0), (0, 0))), net.input(1, 4, 4, 4), kernel, name="up_7")
    with pytest.raises(UnsupportedError, match=r"up_7.*computed weights: expected constants, got Input"):
        apply(net.graph(node), RewriteConvTranspose())


def test_strides_that_make_too_many_weights_are_an_error_for_the_user() -> None:
    net = Net()
    node = transposed(net, net.input(1, 2, 2, 4), kernel=2, stride=4096, name="up_7")
    with pytest.raises(UnsupportedError, match=r"up_7.*at most 268435456 weights in all of them, got 335544320"):
        apply(net.graph(node), RewriteConvTranspose())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 1)])
def test_batch_norm_folds_into_it(kernel: int, stride: int, bias: bool) -> None:
    net = Net()
    up = transposed(net, net.input(2, 4, 5, 3), kernel=kernel, stride=stride, bias=bias)
    after = assert_applied(net.graph(net.norm(up)), FoldBatchNorm())
    assert kinds(after) == ["ConvTranspose"]
    assert after.outputs[0].origin == up.origin


@pytest.mark.parametrize("op", [Add(), Multiply()])
def test_channelwise_constants_fold_into_it(op: Add | Multiply) -> None:
    net = Net()
    graph = net.graph(net.op(op, transposed(net, net.input(2, 4, 5, 3)), net.weights(5)))
    assert kinds(assert_applied(graph, FoldChannelwise())) == ["ConvTranspose"]


def test_a_scale_before_it_folds() -> None:
    net = Net()
    graph = net.graph(transposed(net, net.norm(net.input(1, 4, 5, 3), shift=False)))
    assert kinds(assert_applied(graph, FoldBatchNormForward())) == ["ConvTranspose"]


def test_a_shift_before_it_does_not() -> None:
    net = Net()
    graph = net.graph(transposed(net, net.norm(net.input(1, 4, 5, 3))))
    reason = "not every element of up sums as many of those that bn has shifted"
    assert_refused(graph, FoldBatchNormForward(), reason=reason, culprit="up")


def test_batch_norm_that_others_bypass_is_refused() -> None:
    net = Net()
    up = transposed(net, net.input(2, 4, 5, 3))
    graph = net.graph(net.norm(up), net.op(Relu(), up))
    assert_refused(graph, FoldBatchNorm(), reason="up is read by 2 consumers: bn, relu", culprit="relu")


def test_unary_ops_move_before_the_phases_are_spread() -> None:
    net = Net()
    spread = net.op(DepthToSpace((2, 2), ((1, 0), (0, 1))), net.input(1, 3, 4, 12), name="up")
    after = assert_applied(net.graph(net.op(Sigmoid(), net.op(Relu(), spread))), HoistUnary(), times=2)
    assert kinds(after) == ["Relu", "Sigmoid", "DepthToSpace"]
    assert after.outputs[0].name == "up"


def test_a_unary_op_beside_another_reader_stays() -> None:
    net = Net()
    spread = net.op(DepthToSpace((2, 2), ((0, 0), (0, 0))), net.input(1, 3, 4, 12), name="up")
    graph = net.graph(net.op(Add(), net.op(Relu(), spread), spread))
    assert_refused(graph, HoistUnary(), reason="up is read by 2 consumers: relu, add", culprit="add")
    graph = net.graph(net.op(Relu(), spread), spread)
    assert_refused(graph, HoistUnary(), reason="up is an output of the model", culprit="up")


@pytest.mark.parametrize(
    ("shape", "block"), [((2, 5, 12), (4,)), ((2, 5, 4, 12), (1, 3)), ((2, 3, 2, 2, 8), (1, 1, 2))]
)
def test_blocks_along_the_last_axis_move_nothing(shape: tuple[int, ...], block: tuple[int, ...]) -> None:
    net = Net()
    graph = net.graph(net.op(DepthToSpace(block, ((0, 0),) * len(block)), net.input(*shape)))
    assert kinds(assert_applied(graph, DepthToSpaceToReshape())) == ["Reshape"]


@pytest.mark.parametrize(("block", "crop"), [((2, 1), ((0, 0), (0, 0))), ((1, 2), ((0, 0), (0, 1)))])
def test_other_blocks_and_crops_do(block: tuple[int, ...], crop: Padding) -> None:
    net = Net()
    graph = net.graph(net.op(DepthToSpace(block, crop), net.input(2, 4, 5, 6)))
    assert apply(graph, DepthToSpaceToReshape()).decisions == ()


def groups(graph: Graph) -> list[list[str]]:
    return [[node.op.kind for node in group.nodes] for group in optimize(graph).grouped.groups]


def test_the_pipeline_leaves_two_kernels_of_a_block() -> None:
    net = Net()
    y = net.op(Relu(), net.norm(transposed(net, net.input(1, 6, 6, 3), kernel=4, crop=(1, 1), bias=False)))
    assert groups(net.graph(y)) == [["Conv", "Relu"], ["DepthToSpace"]]


def test_sums_with_other_tensors_are_fused_into_the_spreading() -> None:
    net = Net()
    x = net.input(1, 6, 6, 3)
    y = net.op(Add(), transposed(net, x, crop=(0, 1)), net.input(1, 12, 12, 5, name="skip"))
    assert groups(net.graph(net.op(Relu(), y))) == [["Conv"], ["DepthToSpace", "Add", "Relu"]]


def test_a_layer_of_rank_1_is_one_kernel_and_a_view() -> None:
    net = Net()
    y = net.op(Relu(), transposed(net, net.input(2, 7, 3), kernel=2))
    assert groups(net.graph(y)) == [["Conv", "Relu"], ["Reshape"]]


def test_a_softmax_behind_it_reads_it() -> None:
    net = Net()
    y = net.op(Softmax((3,)), transposed(net, net.input(1, 3, 3, 4), kernel=2))
    assert groups(net.graph(y)) == [["Conv"], ["DepthToSpace"], ["Softmax"]]


def test_layers_that_share_their_weights_share_them_still() -> None:
    net = Net()
    first = transposed(net, net.input(1, 4, 4, 3), kernel=2)
    second = net.op(first.op, net.input(1, 5, 4, 3, name="other"), *first.inputs[1:], name="again")
    grouped = optimize(net.graph(first, second)).grouped
    one, other = (node for node in grouped.graph.nodes if isinstance(node.op, Conv))
    assert one.inputs[1:] == other.inputs[1:]


def test_the_pipeline_keeps_the_values() -> None:
    net = Net()
    x = net.input(2, 5, 4, 3)
    y = net.norm(transposed(net, x, 6, kernel=4, crop=(1, 1), name="a"), name="bn_a")
    z = net.op(Relu(), transposed(net, y, 4, kernel=3, crop=(0, 1), name="b"))
    graph = net.graph(net.norm(transposed(net, z, 3, stride=1, crop=(1, 1), name="c"), name="bn_c"))
    after = optimize(graph).grouped.graph
    assert_same(graph, after)
    assert kinds(after) == ["Conv", "DepthToSpace", "Conv", "Relu", "DepthToSpace", "Conv"]
    assert not np.any([isinstance(node.op, ConvTranspose | Reshape) for node in after.nodes])
