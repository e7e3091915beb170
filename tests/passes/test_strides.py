"""Strides that move towards the inputs: what becomes thinner, what stays and why, and values that never change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.ir import Graph, Node, Op
from convc.ops import Add, AvgPool, Concat, Conv, MaxPool, Multiply, Pad, Relu, Slice, Subtract, Tanh, Where
from convc.passes import optimize
from convc.passes.group import group
from convc.passes.report import Decision
from convc.passes.rule import Budget, Outcome
from convc.passes.strides import PropagateStrides
from convc.settings import Settings
from tests.passes.graphs import Net, assert_same, kinds

PLAIN = Settings(dump=None, stop_after=None, compiler=None)


def propagated(graph: Graph, budget: Budget | None = None) -> Outcome:
    """What the pass makes; it computes the same, and running the pass again finds nothing more to do."""
    outcome = PropagateStrides().run(graph, budget or Budget())
    assert_same(graph, outcome.graph)
    if budget is None:
        assert PropagateStrides().run(outcome.graph, Budget()).graph is outcome.graph
    return outcome


def moved(graph: Graph) -> Graph:
    """What the pass makes where it refuses nothing."""
    outcome = propagated(graph)
    assert outcome.decisions
    assert all(decision.applied for decision in outcome.decisions), outcome.decisions
    return outcome.graph


def refusal(graph: Graph, layer: str) -> Decision:
    """Why the stride of a layer is not moved; nothing else is, either."""
    outcome = propagated(graph)
    assert outcome.graph is graph
    (decision,) = [d for d in outcome.decisions if d.origin.name == layer]
    return decision


def strides(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {node.name: node.op.strides for node in graph.nodes if isinstance(node.op, Conv | MaxPool | AvgPool)}


def steps(graph: Graph) -> list[tuple[int, ...]]:
    return [node.op.steps for node in graph.nodes if isinstance(node.op, Slice)]


def stage(net: Net, x: Node, *, stride: int = 2, swapped: bool = False, op: Op | None = None) -> Graph:
    """The end of a stage of ResNet50, and the two strided convolutions with which the next one starts."""
    y = net.op(Relu(), net.conv(x, 3, name="c1", kernel=1, bias=True), name="r1")
    y = net.op(Relu(), net.conv(y, 3, name="c2", pad=1, bias=True), name="r2")
    y = net.conv(y, x.type.shape[-1], name="c3", kernel=1, bias=True)
    total = net.op(op or Add(), *((y, x) if swapped else (x, y)), name="sum")
    out = net.op(Relu(), total, name="out")
    short = net.conv(out, 6, name="n0", kernel=1, stride=stride)
    long = net.op(Relu(), net.conv(out, 4, name="n1", kernel=1, stride=stride), name="nr")
    return net.graph(short, net.conv(long, 6, name="n2", pad=1))


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("shape", [(1, 8, 8, 4), (2, 7, 9, 4), (1, 11, 4), (1, 6, 5, 8, 4), (1, 2, 3, 4)], ids=str)
def test_the_last_block_of_a_stage_is_computed_where_it_is_read(shape: tuple[int, ...], stride: int) -> None:
    net = Net()
    x = net.op(Tanh(), net.input(*shape), name="x1")
    after = moved(stage(net, x, stride=stride))
    one, more = (1,) * (len(shape) - 2), (stride,) * (len(shape) - 2)
    assert strides(after) == {"c1": one, "c2": more, "c3": one, "n0": one, "n1": one, "n2": one}
    assert steps(after) == [(1, *more, 1)]
    (sliced,) = [node for node in after.nodes if isinstance(node.op, Slice)]
    assert sliced.inputs[0].name == "x1"


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("op", [Add(), Subtract()], ids=lambda op: op.kind)
def test_the_sum_stays_in_the_kernel_of_its_convolution(op: Op, swapped: bool) -> None:
    net = Net()
    graph = stage(net, net.op(Tanh(), net.input(1, 8, 8, 4), name="x1"), swapped=swapped, op=op)
    grouped, _ = group(moved(graph), Budget())
    names = [member.name for member in grouped.groups]
    assert "c3+sum+out" in names
    assert len(names) == 8  # x1, c1, c2, the slice, c3, n0, n1, n2


def test_the_report_says_what_became_thinner_and_what_is_sliced() -> None:
    net = Net()
    result = optimize(stage(net, net.op(Tanh(), net.input(1, 8, 8, 4), name="x1")), settings=PLAIN)
    said = {d.origin.name: d.reason for d in result.report.decisions if d.rule == "propagate_strides"}
    assert list(said) == ["c2", "r2", "c3", "sum", "out"]
    assert said["c2"] == "computed with a stride of 2x2: r2 reads no other positions"
    assert said["sum"].endswith("out reads no other positions; x1 is sliced for it")
    assert said["out"] == "computed with a stride of 2x2: n0, n1 read no other positions"


def test_a_second_run_of_the_passes_changes_nothing() -> None:
    net = Net()
    once = optimize(stage(net, net.op(Tanh(), net.input(1, 9, 9, 4))), settings=PLAIN).grouped.graph
    assert optimize(once, settings=PLAIN).grouped.graph is once


WINDOWS: dict[str, Callable[[Net, Node], Node]] = {
    "conv": lambda net, x: net.conv(x, 6, kernel=3, pad=1, bias=True),
    "strided": lambda net, x: net.conv(x, 6, kernel=3, stride=2),
    "dilated": lambda net, x: net.op(Conv((1, 2), ((2, 1), (0, 3)), (2, 3)), x, net.weights(3, 2, 4, 6), name="conv"),
    "depthwise": lambda net, x: net.conv(x, 4, kernel=3, pad=1, groups=4),
    "grouped": lambda net, x: net.conv(x, 6, kernel=3, stride=2, groups=2),
    "pointwise": lambda net, x: net.conv(x, 6, kernel=1),
    "max": lambda net, x: net.op(MaxPool((3, 2), (1, 2), ((1, 1), (0, 1))), x, name="conv"),
    "mean": lambda net, x: net.op(AvgPool((3, 3), (1, 1), ((1, 1), (1, 2))), x, name="conv"),
    "mean_of_all": lambda net, x: net.op(AvgPool((3, 3), (2, 1), ((0, 1), (1, 1)), count_padding=True), x, name="conv"),
}


@pytest.mark.parametrize("extent", [9, 10, 11, 12])
@pytest.mark.parametrize("window", WINDOWS)
def test_windows_take_the_stride_of_what_reads_them(window: str, extent: int) -> None:
    net = Net()
    x = WINDOWS[window](net, net.input(1, extent, extent + 2, 4))
    reader = Conv((2, 3), ((0, 0), (0, 0)), (1, 1))
    graph = net.graph(net.op(reader, x, net.weights(1, 1, x.type.shape[-1], 3), name="reader"))
    before, outcome = strides(graph), propagated(graph)
    after = strides(outcome.graph)
    assert after["reader"] == (1, 1)
    assert after["conv"] == (2 * before["conv"][0], 3 * before["conv"][1])
    assert kinds(outcome.graph) == kinds(graph)


def test_a_stride_passes_through_pointwise_layers_to_the_window_below() -> None:
    net = Net()
    x = net.conv(net.input(1, 13, 13, 3), 4, name="window")
    x = net.conv(net.op(Relu(), x), 4, name="a", kernel=1, stride=2)
    x = net.op(MaxPool((1, 1), (2, 2), ((0, 0), (0, 0))), net.conv(x, 5, name="b", kernel=1), name="pick")
    assert strides(moved(net.graph(x))) == {"window": (4, 4), "a": (1, 1), "b": (1, 1), "pick": (1, 1)}


def test_different_strides_share_what_divides_both() -> None:
    net = Net()
    x = net.conv(net.input(1, 13, 13, 3), 4, name="x1")
    readers = [net.conv(x, 2, name=f"by{n}", kernel=1, stride=n) for n in (4, 6)]
    assert strides(moved(net.graph(*readers))) == {"x1": (2, 2), "by4": (2, 2), "by6": (3, 3)}


def test_each_axis_has_its_own_stride() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 8, 3), 4, name="x1")
    graph = net.graph(net.op(MaxPool((1, 2), (2, 2), ((0, 0), (0, 0))), x, name="pool"))
    assert strides(moved(graph)) == {"x1": (2, 1), "pool": (1, 2)}


@pytest.mark.parametrize("side", [(4,), (1, 1, 1, 4), (7, 1), (1, 6, 1, 4), (6, 7, 4), (2, 6, 7, 4)], ids=str)
@pytest.mark.parametrize("known", [False, True])
def test_what_broadcasts_is_sliced_where_it_has_positions(side: tuple[int, ...], known: bool) -> None:
    net = Net()
    x = net.conv(net.input(2, 6, 7, 4), 4, name="x1", kernel=3, pad=1)
    other = net.weights(*side) if known else net.input(*side, name="side")
    total = net.op(Multiply(), net.op(Add(), x, other), other)
    after = moved(net.graph(net.conv(total, 3, name="reader", kernel=1, stride=2)))
    assert strides(after) == {"x1": (2, 2), "reader": (1, 1)}
    assert len(steps(after)) == int(max(side[-3:-1], default=1) > 1)


def test_three_inputs_are_thinned_alike() -> None:
    net = Net()
    images = [net.conv(net.input(1, 6, 7, 4, name=f"i{n}"), 4, name=f"c{n}", kernel=1) for n in range(3)]
    graph = net.graph(net.conv(net.op(Where(), *images), 2, name="reader", kernel=1, stride=2))
    after = moved(graph)
    assert strides(after) == {"c0": (2, 2), "c1": (2, 2), "c2": (2, 2), "reader": (1, 1)}
    assert not steps(after)


@pytest.mark.parametrize(
    ("starts", "sizes", "distances", "left"),
    [
        ((0, 0, 0, 0), (1, 4, 4, 4), (1, 2, 2, 1), (0, 0, 0, 0)),
        ((0, 2, 4, 0), (1, 2, 2, 4), (1, 2, 2, 1), (0, 1, 2, 0)),
        ((0, 6, 4, 3), (1, 4, 3, 2), (1, -2, -2, -1), (0, 3, 2, 3)),
    ],
)
def test_slices_hand_their_steps_on(
    starts: tuple[int, ...], sizes: tuple[int, ...], distances: tuple[int, ...], left: tuple[int, ...]
) -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 8, 3), 4, name="x1", pad=1)
    after = moved(net.graph(net.op(Slice(starts, sizes, distances), x)))
    assert strides(after) == {"x1": (2, 2)}
    assert after.outputs[0].op == Slice(left, sizes, tuple(n // 2 if abs(n) == 2 else n for n in distances))


def test_a_slice_takes_a_stride_itself() -> None:
    net = Net()
    x = net.op(Slice((0, 1, 0, 0), (1, 9, 5, 4), (1, 1, 2, 1)), net.input(1, 10, 10, 4))
    graph = net.graph(net.conv(x, 2, name="reader", kernel=1, stride=2))
    after = moved(graph)
    assert steps(after) == [(1, 2, 4, 1)]
    assert strides(after) == {"reader": (1, 1)}


def test_an_input_that_an_elementwise_op_reads_is_sliced_first() -> None:
    net = Net()
    act = net.op(Relu(), net.input(1, 8, 8, 4, name="image"), name="act")
    after = moved(net.graph(net.conv(act, 3, name="reader", kernel=1, stride=2)))
    assert kinds(after) == ["Slice", "Relu", "Conv"]


def test_a_tensor_that_is_an_output_stays() -> None:
    net = Net()
    x = net.conv(net.input(1, 8, 8, 4), 4, name="x1")
    decision = refusal(net.graph(x, net.conv(x, 3, name="reader", kernel=1, stride=2)), "reader")
    assert decision.reason == "its stride is not moved to x1: x1 is an output of the model"
    assert decision.culprit is not None


READERS: dict[str, Callable[[Net, Node], Node]] = {
    "window": lambda net, x: net.conv(x, 3, name="other", kernel=3, stride=2),
    "padded": lambda net, x: net.conv(x, 3, name="other", kernel=1, stride=2, pad=1),
    "stride": lambda net, x: net.conv(x, 3, name="other", kernel=1, stride=3),
    "offset": lambda net, x: net.op(Slice((0, 1, 1, 0), (1, 4, 4, 4), (1, 2, 2, 1)), x, name="other"),
    "pad": lambda net, x: net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), x, name="other"),
    "concat": lambda net, x: net.op(Concat(3), x, x, name="other"),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_tensor_that_another_reads_elsewhere_stays(reader: str) -> None:
    net = Net()
    x = net.conv(net.input(1, 10, 10, 4), 4, name="x1")
    graph = net.graph(READERS[reader](net, x), net.conv(x, 3, name="reader", kernel=1, stride=2))
    decision = refusal(graph, "reader")
    assert decision.reason == "its stride is not moved to x1: other reads other positions of it too"
    assert decision.culprit is not None
    assert decision.culprit.name == "other"


def test_what_cannot_be_thinner_stays_with_its_epilogue() -> None:
    net = Net()
    dense = net.dense(net.input(1, 8, 8, 4), 4, name="dense")
    act = net.op(Relu(), net.op(Add(), dense, net.conv(net.input(1, 8, 8, 4, name="y"), 4, kernel=1)), name="act")
    decision = refusal(net.graph(net.conv(act, 3, name="reader", kernel=1, stride=2)), "reader")
    assert decision.reason == "its stride is not moved to act: act is fused with what computes all positions"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (lambda net: net.input(1, 8, 8, 4, name="image"), "image is an input of the model"),
        (lambda net: net.op(Concat(3), *[net.input(1, 8, 8, 2, name="image")] * 2), "a Concat computes all positions"),
    ],
    ids=["input", "concat"],
)
def test_nothing_is_sliced_for_a_convolution(source: Callable[[Net], Node], reason: str) -> None:
    net = Net()
    decision = refusal(net.graph(net.conv(source(net), 3, name="reader", kernel=1, stride=2)), "reader")
    assert decision.reason.endswith(reason)


def test_axes_of_one_position_have_nothing_to_skip() -> None:
    net = Net()
    x = net.conv(net.input(1, 3, 3, 4), 4, name="x1")
    graph = net.graph(net.conv(x, 3, name="reader", kernel=1, stride=2))
    outcome = propagated(graph)
    assert outcome.graph is graph
    assert outcome.decisions == ()


def test_channels_and_batch_are_no_positions() -> None:
    net = Net()
    x = net.conv(net.input(4, 8, 8, 4), 4, name="x1")
    graph = net.graph(net.op(Slice((0, 0, 0, 0), (2, 6, 6, 2), (2, 1, 1, 2)), x))
    assert propagated(graph).graph is graph


def test_a_budget_counts_what_hands_strides_on_as_one() -> None:
    net = Net()
    outputs = []
    for name in "ab":
        x = net.op(Relu(), net.conv(net.input(1, 8, 8, 4, name=f"in_{name}"), 4, name=name), name=f"relu_{name}")
        outputs.append(net.conv(x, 2, name=f"reader_{name}", kernel=1, stride=2))
    graph = net.graph(*outputs)
    assert propagated(graph, Budget(0)).graph is graph
    assert strides(propagated(graph, Budget(1)).graph) == {
        "a": (2, 2), "reader_a": (1, 1), "b": (1, 1), "reader_b": (2, 2)
    }  # fmt: skip


def random_graph(seed: int) -> Graph:
    """Windows, pointwise layers and elementwise ops of random strides, where most have one reader."""
    rng = np.random.default_rng(seed)
    net = Net(seed)
    nodes = [net.input(int(rng.integers(1, 3)), *(int(n) for n in rng.integers(7, 20, 2)), 4)]

    def pair(low: int, high: int) -> tuple[int, int]:
        return int(rng.integers(low, high)), int(rng.integers(low, high))

    def conv(x: Node) -> Node:
        kernel, groups = pair(1, 4), int(rng.choice([1, 2, 4]))
        op = Conv(pair(1, 3), (pair(0, 2), pair(0, 2)), pair(1, 3), groups)
        return net.op(op, x, net.weights(*kernel, 4 // groups, 4), net.weights(4), name=name)

    def pool(x: Node) -> Node:
        kind = [MaxPool, AvgPool][int(rng.integers(2))]
        return net.op(kind(pair(2, 4), pair(1, 3), (pair(0, 2), pair(0, 2))), x, name=name)

    def cut(x: Node) -> Node:
        start, step = (int(n) for n in rng.integers(0, 3, 2))
        extent = x.type.shape[1]
        size = -(-(extent - start) // (step + 1))
        return net.op(Slice.along(x.type.shape, 1, start, size, step + 1), x, name=name)

    def both(x: Node) -> Node:
        alike = [node for node in nodes if node.type == x.type]
        return net.op([Add(), Multiply()][int(rng.integers(2))], x, alike[int(rng.integers(len(alike)))], name=name)

    makers: list[Callable[[Node], Node]] = [
        conv, pool, cut, both, both,
        lambda x: net.conv(x, 4, kernel=1, name=name, bias=True),
        lambda x: net.conv(x, 4, kernel=1, stride=2, name=name),
        lambda x: net.conv(x, 4, kernel=1, stride=2, name=name),
        lambda x: net.op(Relu(), x, name=name),
        lambda x: net.op(Add(), x, net.weights(*x.type.shape[2:], name=name), name=name),
        lambda x: net.dense(x, 4, name=name),
    ]  # fmt: skip
    for number in range(int(rng.integers(5, 14))):
        name = f"n{number}"
        x = nodes[-1 - int(min(rng.geometric(0.6), len(nodes)) - 1)]
        if min(x.type.shape[1:3]) > 6:
            nodes.append(makers[int(rng.integers(len(makers)))](x))
    return net.graph(nodes[-1], *(node for node in nodes[:-1] if rng.random() < 0.05))


def check_random(seed: int) -> bool:
    graph = random_graph(seed)
    after = propagated(graph).graph
    assert flops(after) <= flops(graph)
    result = optimize(graph, settings=PLAIN)
    assert_same(graph, result.grouped.graph)
    return after is not graph


def flops(graph: Graph) -> int:
    return sum(node.op.flops(node.type, *(source.type for source in node.inputs)) for node in graph.nodes)


@pytest.mark.parametrize("block", range(4))
def test_random_graphs_keep_their_values(block: int) -> None:
    changed = [check_random(seed) for seed in range(40 * block, 40 * (block + 1))]
    assert sum(changed) > 4


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_random_graphs_keep_their_values(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check_random(seed)
