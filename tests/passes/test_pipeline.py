"""The whole list of passes: structure that comes out, values that stay, dumps and bisection."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convc.errors import ConvcError
from convc.ir import Graph, Node
from convc.ops import (
    Add,
    AvgPool,
    Concat,
    MaxPool,
    Multiply,
    Pad,
    ReduceMax,
    ReduceMean,
    Relu,
    Reshape,
    Sigmoid,
    Silu,
    Softmax,
    Tanh,
    Transpose,
)
from convc.passes import PIPELINE, optimize
from convc.passes.pipeline import grouped_text
from convc.passes.rule import Budget, Outcome
from convc.settings import Settings
from tests.passes.graphs import Net, assert_same

PLAIN = Settings(dump=None, stop_after=None, compiler=None)
SPATIAL = ((0, 0), (1, 1), (1, 1), (0, 0))


def mini_resnet() -> Graph:
    """ResNet50's stem, one block with a projection, one without, and its head; small."""
    net = Net()

    def unit(x: Node, name: str, filters: int, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> Node:
        conv = net.conv(x, filters, name=f"{name}_conv", kernel=kernel, stride=stride, pad=kernel // 2, bias=True)
        norm = net.norm(conv, name=f"{name}_bn")
        return net.op(Relu(), norm, name=f"{name}_relu") if relu else norm

    x = net.op(Pad(SPATIAL), net.input(1, 17, 17, 3, name="image"), name="conv1_pad")
    x = net.op(Relu(), net.norm(net.conv(x, 4, name="conv1", stride=2), name="bn1"), name="relu1")
    x = net.op(Pad(SPATIAL), x, name="pool1_pad")
    x = net.op(MaxPool((3, 3), (2, 2), ((0, 0), (0, 0))), x, name="pool1")
    for block, projected in (("a", True), ("b", False)):
        shortcut = unit(x, f"{block}0", 8, kernel=1, relu=False) if projected else x
        y = unit(unit(x, f"{block}1", 4, kernel=1), f"{block}2", 4)
        y = unit(y, f"{block}3", 8, kernel=1, relu=False)
        x = net.op(Relu(), net.op(Add(), shortcut, y, name=f"{block}_add"), name=f"{block}_out")
    x = net.op(ReduceMean((1, 2)), x, name="avg_pool")
    return net.graph(net.op(Softmax((1,)), net.dense(x, 5, name="predictions", bias=True), name="softmax"))


def test_a_small_resnet_has_exactly_these_groups(golden: Callable[[str, str], None]) -> None:
    graph = mini_resnet()
    result = optimize(graph, settings=PLAIN)
    assert len(result.grouped.groups) == 12  # 2 + (1 + 3) + 3 + 3
    assert_same(graph, result.grouped.graph)
    golden("passes_mini_resnet_groups.txt", grouped_text(result.grouped))
    golden("passes_mini_resnet_explain.txt", result.report.to_text())


def test_the_pipeline_is_a_fixpoint() -> None:
    once = optimize(mini_resnet(), settings=PLAIN).grouped.graph
    twice = optimize(once, settings=PLAIN)
    assert twice.grouped.graph is once


def test_passes_have_distinct_names() -> None:
    assert len({step.name for step in PIPELINE}) == len(PIPELINE)


def test_dumps_after_each_pass(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dump"
    optimize(mini_resnet(), settings=Settings(folder, None, None))
    names = ["parsed", *(step.name for step in PIPELINE), "group"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:03}_{name}.txt" for i, name in enumerate(names)]
    text = (folder / "005_fold_batch_norm.txt").read_text(encoding="utf-8")
    assert text.startswith("graph net\n")
    assert "# fold_batch_norm: bn1 folded into conv1\n" in text
    assert "BatchNorm" not in text


def test_dumps_are_the_same_every_time(tmp_path: Path) -> None:
    for name in "ab":
        optimize(mini_resnet(), settings=Settings(tmp_path / name, None, None))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_dump_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvcError, match="CONVC_DUMP: cannot write"):
        optimize(mini_resnet(), settings=Settings(tmp_path / "file", None, None))


def test_every_prefix_of_the_rewrites_computes_the_same() -> None:
    graph = mini_resnet()
    everything = len([d for d in optimize(graph, settings=PLAIN).report.decisions if d.applied])
    groups = []
    for count in range(0, everything + 1, 3):
        result = optimize(graph, settings=Settings(None, count, None))
        assert_same(graph, result.grouped.graph)
        groups.append(len(result.grouped.groups))
    assert groups == sorted(groups, reverse=True)
    assert groups[0] > 2 * groups[-1]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVC_DUMP", str(tmp_path))
    monkeypatch.setenv("CONVC_STOP_AFTER", "0")
    result = optimize(mini_resnet())
    assert not [d for d in result.report.decisions if d.applied and d.rule != "split_batch_norm"]
    assert (tmp_path / "000_parsed.txt").exists()


def test_batch_norm_that_nothing_can_take_is_split() -> None:
    net = Net()
    graph = net.graph(net.op(Relu(), net.norm(net.op(Concat(3), *(net.input(1, 3, 3, 2, name=n) for n in "ab")))))
    result = optimize(graph, settings=PLAIN)
    assert_same(graph, result.grouped.graph)
    assert [member.name for member in result.grouped.groups] == ["concat+bn+relu"]


def test_outputs_of_nothing_are_copies() -> None:
    net = Net()
    x = net.input(2, 3)
    result = optimize(net.graph(x, net.op(Reshape((6,)), net.op(Relu(), x))), settings=PLAIN)
    assert [member.anchor.op.kind for member in result.grouped.groups] == ["Transpose", "Relu", "Reshape"]


class _Liar:
    """A pass whose claim is not what it did."""

    name = "liar"

    def __init__(self, change: Callable[[Graph], Graph]) -> None:
        self.change = change

    def run(self, graph: Graph, budget: Budget) -> Outcome:
        return Outcome(self.change(graph), ())


@pytest.mark.parametrize(
    "change",
    [
        lambda g: Graph(g.name, g.inputs, g.outputs, g.output_names),
        lambda g: Graph(g.name, g.inputs, g.outputs, ("other",)),
        lambda g: Graph(g.name, (), g.outputs, g.output_names),
    ],
)
def test_a_pass_that_hides_a_change_is_caught(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Graph], Graph]
) -> None:
    monkeypatch.setattr("convc.passes.pipeline.PIPELINE", (_Liar(change),))
    with pytest.raises(AssertionError, match="liar changed the graph and does not say so"):
        optimize(mini_resnet(), settings=PLAIN)


def random_graph(seed: int) -> Graph:
    """Channels-last images through a random network of every op that the passes know, with several outputs."""
    net = Net(seed)
    rng = np.random.default_rng(seed)
    images = [net.input(1, 6, 6, 4)]

    def pick() -> Node:
        return images[int(rng.integers(max(0, len(images) - 4), len(images)))]

    def alike(x: Node) -> Node:
        return [y for y in images if y.type == x.type][int(rng.integers(sum(y.type == x.type for y in images)))]

    def pool(x: Node) -> Node:
        op = [MaxPool, AvgPool][int(rng.integers(2))]((2, 3), (1, 1), ((0, 1), (int(rng.integers(2)), 1)))
        return net.op(op, x, name=name) if min(x.type.shape[1:3]) > 2 else x

    def conv(x: Node) -> Node:
        groups, kernel = int(rng.choice([1, 2, 4])), int(rng.choice([1, 3]))
        pad, stride = int(rng.integers(2)), 2 if min(x.type.shape[1:3]) > 6 else 1
        if x.type.shape[-1] % groups or min(x.type.shape[1:3]) < 3:
            return x
        return net.conv(x, 4, name=name, kernel=kernel, stride=stride, pad=pad, groups=groups, bias=rng.random() < 0.5)

    def pad(x: Node) -> Node:
        widths = rng.integers(0, 2, (4, 2)) * np.array([[0], [1], [1], [rng.random() < 0.2]])
        if max(x.type.shape[1:3]) > 12:
            return x
        return net.op(
            Pad(tuple((int(lo), int(hi)) for lo, hi in widths), float(rng.choice([0, 0, 0, 1]))), x, name=name
        )

    def squeeze(x: Node) -> Node:
        mean = net.op(ReduceMean((1, 2)) if rng.random() < 0.5 else ReduceMax((1, 2)), x, name=name)
        gate = net.op(Sigmoid(), net.dense(mean, x.type.shape[-1], name=name, bias=True), name=name)
        return net.op(Multiply(), x, net.op(Reshape((1, 1, 1, x.type.shape[-1])), gate, name=name), name=name)

    def first(x: Node) -> Node:
        y = net.op(Transpose((0, 3, 1, 2)), x, name=name)
        kind = int(rng.integers(5))
        if kind == 0:
            y = net.op(Multiply(), y, net.op(Sigmoid(), y, name=name), name=name)
        elif kind == 1:
            y = net.op(Add(), y, net.op(Transpose((0, 3, 1, 2)), alike(x), name=name), name=name)
        elif kind == 2:
            y = net.op(Concat(1), y, net.op(Relu(), y, name=name), name=name)
        elif kind == 3:
            y = net.op(Add(), y, net.weights(y.type.shape[1], 1, 1, name=name), name=name)
        return net.op(Transpose((0, 2, 3, 1)), y, name=name)

    makers: list[Callable[[Node], Node]] = [
        conv, conv, conv, pool, pad, pad, squeeze, first, first,
        lambda x: net.norm(x, name=name, shift=rng.random() < 0.7),
        lambda x: net.norm(x, name=name),
        lambda x: net.op([Relu(), Relu(6.0), Tanh(), Silu(), Softmax((3,))][int(rng.integers(5))], x, name=name),
        lambda x: net.op(Relu(), x, name=name),
        lambda x: net.op(Add(), x, alike(x), name=name),
        lambda x: net.op(Concat(3), x, alike(x), name=name) if x.type.shape[-1] <= 8 else x,
        lambda x: net.op(Add(), x, net.weights(x.type.shape[-1], name=name), name=name),
        lambda x: net.op(Multiply(), x, net.weights(x.type.shape[-1], name=name), name=name),
        lambda x: net.op(Add(), x, net.op(Tanh(), net.weights(name=name), name=name), name=name),
        lambda x: net.op(Reshape(x.type.shape), net.op(Reshape((x.type.elements,)), x, name=name), name=name),
    ]  # fmt: skip
    for step in range(int(rng.integers(4, 14))):
        name = f"n{step}"
        images.append(makers[int(rng.integers(len(makers)))](pick()))
    outputs = [images[-1], *(node for node in images[:-1] if rng.random() < 0.1)]
    return net.graph(*outputs)


def check_random(seed: int) -> None:
    graph = random_graph(seed)
    result = optimize(graph, settings=PLAIN)
    assert_same(graph, result.grouped.graph)
    assert math.prod(result.grouped.graph.outputs[0].type.shape) == graph.outputs[0].type.elements


@pytest.mark.parametrize("block", range(10))
def test_random_graphs_keep_their_values(block: int) -> None:
    for seed in range(30 * block, 30 * (block + 1)):
        check_random(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(100))
def test_many_random_graphs_keep_their_values(block: int) -> None:
    for seed in range(1000 + 40 * block, 1000 + 40 * (block + 1)):
        check_random(seed)
