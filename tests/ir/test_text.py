"""The text form: stable, one line per node, no values."""

from __future__ import annotations

from collections.abc import Callable

from convc.ir import Graph
from convc.ir.text import to_text
from convc.ops import Add, MaxPool, Relu, Reshape
from tests.passes.graphs import Net


def example(seed: int = 0) -> Graph:
    net = Net(seed)
    x = net.input(1, 8, 8, 3, name="image")
    y = net.op(Relu(max_value=6.0), net.norm(net.conv(x, 4, name="conv1", stride=2, pad=1)), name="relu1")
    y = net.op(Add(), y, net.conv(y, 4, name="conv2", pad=1, groups=2, bias=True), name="add")
    y = net.op(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0))), y, name="pool")
    return net.graph(net.op(Reshape((1, 16)), y, name="flatten"), y)


def test_text_is_what_it_was(golden: Callable[[str, str], None]) -> None:
    golden("ir_text.txt", to_text(example()))


def test_values_do_not_show() -> None:
    assert to_text(example(0)) == to_text(example(1))


def test_attributes_show() -> None:
    net = Net()
    texts = {to_text(net.graph(net.op(Relu(max_value=value), net.input(2)))) for value in (None, 6.0)}
    assert len(texts) == 2
