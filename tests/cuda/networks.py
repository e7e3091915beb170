"""Networks that run whole on GPUs in the tests: small ones that are drawn here, and two of keras.applications."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from benchmarks import models
from benchmarks.__main__ import FOLDER
from convc import api, ops
from convc.ir import Graph, Node
from tests.cases.fused import Builder
from tests.support.kernels import Subject
from tests.support.storage import NETS, Net, masked_attention

FULL: Final = ("mobilenetv2", "resnet50")
"""Models of the benchmarks, whose weights are drawn and whose batch norms are those of their data."""


def residual(b: Builder) -> Node:
    """ResNet's blocks, of few filters; the output is what a softmax would hide."""
    x = _norm_relu(b, b.conv(b.input(1, 64, 64, 3), 16, 7, stride=2))
    x = b.apply(ops.MaxPool((3, 3), (2, 2), ((0, 1), (0, 1))), x)
    for filters, count, first in ((8, 2, 1), (16, 2, 2), (32, 2, 2)):
        for stride in (first,) + (1,) * (count - 1):
            y = _norm_relu(b, b.conv(x, filters, 1, stride=stride))
            y = b.batch_norm(b.conv(_norm_relu(b, b.conv(y, filters)), 4 * filters, 1))
            if y.type != x.type:
                x = b.batch_norm(b.conv(x, 4 * filters, 1, stride=stride))
            x = b.apply(ops.Relu(), b.apply(ops.Add(), y, x))
    return b.dense(b.apply(ops.ReduceMean((1, 2)), x), 10)


def inverted(b: Builder) -> Node:
    """MobileNetV2's blocks, of few filters, for two images."""
    x = _norm_relu(b, b.conv(b.input(2, 48, 48, 3), 8, stride=2))
    for filters, window, stride in ((8, 3, 1), (12, 3, 2), (12, 5, 1), (20, 3, 2), (20, 5, 1)):
        y = _norm_relu(b, b.conv(x, 6 * x.type.shape[-1], 1))
        y = b.batch_norm(b.conv(_norm_relu(b, b.depthwise(y, window, stride=stride)), filters, 1))
        x = b.apply(ops.Add(), y, x) if y.type == x.type else y
    return _classes(b, b.apply(ops.ReduceMean((1, 2)), x))


def wide(b: Builder) -> Node:
    """Products of long sums, with shapes that fill no tiles: few rows, odd numbers of channels."""
    x = b.apply(ops.Relu(), b.conv(b.input(1, 9, 7, 100), 200, bias=True))
    x = b.apply(ops.Silu(), b.conv(b.apply(ops.Relu(), b.conv(x, 130)), 320, 1, bias=True))
    x = b.apply(ops.Relu(), b.conv(x, 320, groups=5))
    return _classes(b, b.apply(ops.Gelu(), b.dense(b.apply(ops.ReduceMean((1, 2)), x), 1001)))


def sequence(b: Builder) -> tuple[Node, ...]:
    """Recurrent layers between dense ones, there and back; all states are outputs too."""
    lstm = ops.Lstm((ops.Tanh(),), (ops.Sigmoid(),))
    x = b.input(3, 12, 20)
    y = b.apply(lstm, b.dense(x, 4 * 24), b.weights(24, 4 * 24, scale=0.2))
    gru = ops.Gru((ops.Tanh(),), (ops.Sigmoid(),), backwards=True)
    z = b.apply(gru, b.dense(y, 3 * 17), b.weights(17, 3 * 17, scale=0.2))
    return b.dense(b.apply(ops.Concat(2), y, z), 7), y


def _norm_relu(b: Builder, x: Node) -> Node:
    return b.apply(ops.Relu(max_value=6.0), b.batch_norm(x))


def _classes(b: Builder, x: Node) -> Node:
    return b.apply(ops.Softmax((1,)), b.dense(x, 10))


def _drawn(recipe: Callable[[Builder], Node | tuple[Node, ...]]) -> Subject:
    b = Builder(np.random.default_rng(5))
    made = recipe(b)
    outputs = made if isinstance(made, tuple) else (made,)
    names = tuple(f"output{index}" for index in range(len(outputs)))
    return Subject(recipe.__name__, Graph(recipe.__name__, tuple(b.inputs), outputs, names), b.feeds)


def _net(net: Callable[[], Net]) -> Subject:
    b, grouped = net()
    return Subject(net.__name__, grouped.graph, b.feeds)


SMALL: Final[dict[str, Callable[[], Subject]]] = {
    **{recipe.__name__: partial(_drawn, recipe) for recipe in (residual, inverted, wide, sequence)},
    **{net.__name__: partial(_net, net) for net in NETS if net is not masked_attention},
}
"""Name to what makes the network. Scores that are all -1e9 (`masked_attention`) differ in float64 only: nothing that
computes in float32 agrees with the reference there."""


def full(name: str) -> Subject:
    """A model of the benchmarks for one image, made by Keras if it is not there yet."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    graph = api.read(models.ensure(name, FOLDER, normed=True))
    (port,) = graph.inputs
    return Subject(name, graph, {port.name: models.sample(name, port.type.shape)})
