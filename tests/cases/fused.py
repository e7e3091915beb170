"""Small graphs that the passes fold and fuse: the shapes in which ops follow each other in real networks."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from convc.ir import Array, Graph, Node, Op, Origin, Shape, TensorType, make
from convc.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Gelu,
    HardSilu,
    Input,
    MaxPool,
    Multiply,
    Pad,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Relu,
    ResampleMax,
    ResampleSum,
    Reshape,
    Sigmoid,
    Silu,
    Softmax,
    Standardize,
    Tanh,
    Transpose,
    constant,
)
from convc.ops.window import same_padding


@dataclass
class Builder:
    """Makes nodes with seeded weights, and remembers the feeds of the inputs it made."""

    generator: np.random.Generator
    inputs: list[Node] = field(default_factory=list)
    feeds: dict[str, Array] = field(default_factory=dict)
    count: int = 0

    def input(self, *shape: int) -> Node:
        """A graph input, fed from N(0, 1)."""
        node = make(Input(TensorType(shape)), origin=Origin(f"input{len(self.inputs)}", "Input"))
        self.inputs.append(node)
        self.feeds[node.name] = self.generator.normal(0, 1, shape).astype(np.float32)
        return node

    def apply(self, op: Op, *inputs: Node) -> Node:
        """A node called after its op and its place in the graph."""
        self.count += 1
        return make(op, *inputs, origin=Origin(f"{op.kind.lower()}_{self.count}", op.kind))

    def weights(self, *shape: int, scale: float = 1.0) -> Node:
        """A constant from N(0, scale)."""
        self.count += 1
        return constant(self.generator.normal(0, scale, shape), Origin(f"weights_{self.count}", "Constant"))

    def conv(
        self, x: Node, filters: int, window: int = 3, *, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> Node:
        """A "same" convolution with He-normal weights."""
        shape = x.type.shape
        rank, depth = len(shape) - 2, shape[-1] // groups
        kernel: Shape = (window,) * rank
        ones, strides = (1,) * rank, (stride,) * rank
        padding = same_padding(shape[1:-1], kernel, strides, ones)
        scale = float(np.sqrt(2 / (depth * window**rank)))
        parameters = [self.weights(*kernel, depth, filters, scale=scale)]
        if bias:
            parameters.append(self.weights(filters))
        return self.apply(Conv(strides, padding, ones, groups), x, *parameters)

    def depthwise(self, x: Node, window: int = 3, *, stride: int = 1) -> Node:
        """A depthwise "same" convolution."""
        channels = x.type.shape[-1]
        return self.conv(x, channels, window, stride=stride, groups=channels)

    def dense(self, x: Node, units: int) -> Node:
        """A dense layer with bias."""
        depth = x.type.shape[-1]
        return self.apply(Dense(), x, self.weights(depth, units, scale=float(depth**-0.5)), self.weights(units))

    def batch_norm(self, x: Node) -> Node:
        """A batch normalisation whose statistics are not trivial."""
        channels = x.type.shape[-1]
        gamma, variance = (self.generator.uniform(0.5, 1.5, channels) for _ in range(2))
        beta, mean = (self.generator.normal(0, 0.2, channels) for _ in range(2))
        origin = Origin(f"statistics_{self.count}", "Constant")
        return self.apply(BatchNorm(1e-3), x, *(constant(v, origin) for v in (gamma, beta, mean, variance)))


Recipe = Callable[[Builder], "Node | tuple[Node, ...]"]

RECIPES: dict[str, Recipe] = {}
"""Name to the function that builds the graph's outputs."""


def _recipe(function: Recipe) -> Recipe:
    RECIPES[function.__name__] = function
    return function


def build(name: str) -> tuple[Graph, dict[str, Array]]:
    """The graph of that recipe and its feeds: the same ones at every call. Outputs are "output0", "output1", …"""
    builder = Builder(np.random.default_rng(zlib.crc32(name.encode())))
    made = RECIPES[name](builder)
    outputs = made if isinstance(made, tuple) else (made,)
    names = tuple(f"output{i}" for i in range(len(outputs)))
    return Graph(name, tuple(builder.inputs), outputs, names), builder.feeds


@_recipe
def conv_bias_relu(b: Builder) -> Node:
    return b.apply(Relu(), b.conv(b.input(1, 7, 7, 8), 24, bias=True))


@_recipe
def conv_add_relu(b: Builder) -> Node:
    x = b.input(1, 7, 6, 16)
    return b.apply(Relu(), b.apply(Add(), b.conv(x, 16, bias=True), x))


@_recipe
def conv_add_left_relu(b: Builder) -> Node:
    x = b.input(2, 5, 5, 10)
    return b.apply(Relu(), b.apply(Add(), x, b.conv(x, 10, 1)))


@_recipe
def conv_added_to_itself(b: Builder) -> Node:
    y = b.conv(b.input(1, 5, 5, 3), 8)
    return b.apply(Add(), y, y)


@_recipe
def two_convs_added(b: Builder) -> Node:
    x = b.input(1, 6, 6, 8)
    return b.apply(Relu(), b.apply(Add(), b.conv(x, 12), b.conv(x, 12, 1, bias=True)))


@_recipe
def conv_bn_relu6(b: Builder) -> Node:
    return b.apply(Relu(max_value=6.0), b.batch_norm(b.conv(b.input(1, 8, 8, 3), 17, stride=2)))


@_recipe
def bn_conv(b: Builder) -> Node:
    return b.conv(b.batch_norm(b.input(1, 6, 5, 8)), 16, bias=True)


@_recipe
def bn_conv_1x1(b: Builder) -> Node:
    return b.conv(b.batch_norm(b.input(1, 6, 5, 8)), 16, 1)


@_recipe
def bn_relu_conv(b: Builder) -> Node:
    return b.conv(b.apply(Relu(), b.batch_norm(b.input(2, 5, 5, 7))), 9)


@_recipe
def depthwise_bn_hard_silu(b: Builder) -> Node:
    return b.apply(HardSilu(), b.batch_norm(b.depthwise(b.input(1, 7, 7, 20))))


@_recipe
def depthwise_s2_bn_silu(b: Builder) -> Node:
    return b.apply(Silu(), b.batch_norm(b.depthwise(b.input(1, 9, 9, 10), 5, stride=2)))


@_recipe
def grouped_bn_relu(b: Builder) -> Node:
    return b.apply(Relu(), b.batch_norm(b.conv(b.input(1, 6, 6, 12), 24, groups=3)))


@_recipe
def separable(b: Builder) -> Node:
    return b.apply(Relu(), b.batch_norm(b.conv(b.depthwise(b.input(1, 7, 7, 8)), 20, 1)))


@_recipe
def inverted_residual(b: Builder) -> Node:
    x = b.input(1, 7, 7, 8)
    wide = b.apply(Relu(max_value=6.0), b.batch_norm(b.conv(x, 48, 1)))
    deep = b.apply(Relu(max_value=6.0), b.batch_norm(b.depthwise(wide)))
    return b.apply(Add(), b.batch_norm(b.conv(deep, 8, 1)), x)


@_recipe
def bottleneck(b: Builder) -> Node:
    x = b.input(1, 7, 7, 16)
    y = b.apply(Relu(), b.batch_norm(b.conv(x, 8, 1, stride=2)))
    y = b.apply(Relu(), b.batch_norm(b.conv(y, 8)))
    y = b.batch_norm(b.conv(y, 32, 1))
    return b.apply(Relu(), b.apply(Add(), y, b.batch_norm(b.conv(x, 32, 1, stride=2))))


@_recipe
def bn_alone(b: Builder) -> Node:
    return b.batch_norm(b.input(1, 4, 5, 6))


@_recipe
def bn_of_an_output(b: Builder) -> tuple[Node, ...]:
    y = b.conv(b.input(1, 4, 5, 6), 7)
    return y, b.batch_norm(y)


@_recipe
def bn_of_two_consumers(b: Builder) -> Node:
    y = b.conv(b.input(1, 5, 5, 4), 8)
    return b.apply(Add(), b.batch_norm(y), b.apply(Relu(), y))


@_recipe
def dense_gelu(b: Builder) -> Node:
    return b.apply(Gelu(), b.dense(b.input(3, 17), 10))


@_recipe
def dense_bn_relu(b: Builder) -> Node:
    return b.apply(Relu(), b.batch_norm(b.dense(b.input(2, 12), 20)))


@_recipe
def multilayer_perceptron(b: Builder) -> Node:
    y = b.apply(Tanh(), b.dense(b.input(1, 20), 33))
    return b.apply(Softmax((1,)), b.dense(b.apply(Sigmoid(), b.dense(y, 16)), 10))


@_recipe
def pool_after_relu(b: Builder) -> Node:
    y = b.apply(Relu(), b.conv(b.input(1, 8, 8, 3), 16))
    return b.apply(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0))), y)


@_recipe
def relu_after_pool(b: Builder) -> Node:
    return b.apply(Relu(), b.apply(AvgPool((3, 3), (1, 1), ((1, 1), (1, 1))), b.input(1, 5, 6, 7)))


@_recipe
def squeeze_excite(b: Builder) -> Node:
    x = b.apply(Silu(), b.conv(b.input(2, 5, 5, 8), 16))
    gate = b.apply(ReduceMean((1, 2), keepdims=True), x)
    gate = b.apply(Relu(), b.dense(gate, 4))
    return b.apply(Multiply(), x, b.apply(Sigmoid(), b.dense(gate, 16)))


@_recipe
def squeeze_excite_convs(b: Builder) -> Node:
    x = b.batch_norm(b.depthwise(b.input(1, 7, 7, 12)))
    gate = b.apply(ReduceMean((1, 2), keepdims=True), x)
    gate = b.apply(HardSilu(), b.conv(gate, 5, 1, bias=True))
    return b.conv(b.apply(Multiply(), b.apply(Sigmoid(), b.conv(gate, 12, 1, bias=True)), x), 10, 1)


@_recipe
def conv_with_broadcast_side_inputs(b: Builder) -> Node:
    y = b.conv(b.input(2, 5, 6, 8), 12)
    y = b.apply(Multiply(), y, b.input(2, 1, 1, 12))
    y = b.apply(Add(), b.input(1, 5, 6, 1), y)
    return b.apply(Relu(), b.apply(Multiply(), y, b.input(12)))


@_recipe
def conv_that_broadcasts(b: Builder) -> Node:
    """The sum is larger than the convolution, so it cannot be its epilogue."""
    return b.apply(Add(), b.conv(b.input(1, 1, 1, 8), 6, 1), b.input(2, 4, 4, 6))


@_recipe
def padded_conv(b: Builder) -> Node:
    x = b.apply(Pad(((0, 0), (3, 3), (3, 3), (0, 0))), b.input(1, 12, 12, 3))
    return b.apply(Relu(), b.apply(Conv((2, 2), ((0, 0), (0, 0)), (1, 1)), x, b.weights(7, 7, 3, 8), b.weights(8)))


@_recipe
def pad_of_another_value(b: Builder) -> Node:
    return b.conv(b.apply(Pad(((0, 0), (1, 1), (1, 1), (0, 0)), 1.0), b.input(1, 5, 5, 3)), 8)


@_recipe
def pad_of_two_consumers(b: Builder) -> Node:
    x = b.apply(Pad(((0, 0), (1, 0), (0, 1), (0, 0))), b.input(1, 5, 5, 3))
    return b.apply(Concat(3), b.conv(x, 8), b.apply(Relu(), x))


@_recipe
def stem_with_padded_max_pool(b: Builder) -> Node:
    """As in ResNet: the zeros around a pool of what ReLU left are not minus infinity."""
    y = b.apply(Relu(), b.batch_norm(b.conv(b.input(1, 16, 16, 3), 8, 7, stride=2)))
    y = b.apply(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), y)
    return b.apply(MaxPool((3, 3), (2, 2), ((0, 0), (0, 0))), y)


@_recipe
def inception(b: Builder) -> Node:
    x = b.input(1, 6, 6, 8)
    pooled = b.apply(MaxPool((3, 3), (1, 1), ((1, 1), (1, 1))), x)
    branches = b.conv(x, 5, 1, bias=True), b.conv(x, 7, bias=True), b.conv(pooled, 3, 1, bias=True)
    return b.apply(Concat(3), *(b.apply(Relu(), branch) for branch in branches))


@_recipe
def dense_block(b: Builder) -> Node:
    x = b.input(1, 5, 5, 6)
    for _ in range(3):
        y = b.conv(b.apply(Relu(), b.batch_norm(x)), 4)
        x = b.apply(Concat(3), x, y)
    return x


@_recipe
def classifier(b: Builder) -> Node:
    y = b.apply(Relu(), b.conv(b.input(3, 8, 8, 1), 12))
    return b.apply(Softmax((1,)), b.dense(b.apply(ReduceMean((1, 2)), y), 10))


@_recipe
def flattened_classifier(b: Builder) -> Node:
    y = b.apply(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0))), b.conv(b.input(2, 6, 6, 3), 8, bias=True))
    return b.apply(Softmax((1,)), b.dense(b.apply(Reshape((2, 72)), y), 5))


@_recipe
def channels_first(b: Builder) -> Node:
    x = b.apply(Transpose((0, 2, 3, 1)), b.input(1, 3, 8, 9))
    y = b.apply(Relu(), b.batch_norm(b.conv(x, 10)))
    y = b.apply(Transpose((0, 2, 3, 1)), b.apply(Transpose((0, 3, 1, 2)), y))
    return b.apply(Transpose((0, 3, 1, 2)), b.conv(y, 6, 1))


@_recipe
def several_outputs(b: Builder) -> tuple[Node, ...]:
    x = b.input(1, 6, 6, 4)
    y = b.apply(Relu(), b.conv(x, 8))
    return y, b.apply(ReduceMax((1, 2)), y), b.apply(Sigmoid(), x)


@_recipe
def an_output_inside_a_group(b: Builder) -> tuple[Node, ...]:
    y = b.conv(b.input(1, 6, 6, 4), 8)
    return y, b.apply(Relu(), y)


@_recipe
def same_node_twice(b: Builder) -> tuple[Node, ...]:
    y = b.apply(Relu(), b.conv(b.input(1, 4, 4, 3), 8))
    return y, y


@_recipe
def shared_weights(b: Builder) -> Node:
    """One layer called twice: folding into the one must not change the other."""
    kernel, bias = b.weights(3, 3, 6, 6, scale=0.2), b.weights(6)
    op = Conv((1, 1), ((1, 1), (1, 1)), (1, 1))
    y = b.apply(Relu(), b.batch_norm(b.apply(op, b.input(1, 5, 5, 6), kernel, bias)))
    return b.apply(op, y, kernel, bias)


@_recipe
def elementwise_only(b: Builder) -> Node:
    x = b.input(2, 3, 4, 5)
    return b.apply(Tanh(), b.apply(Add(), b.apply(Multiply(), x, b.input(5)), b.weights(2, 3, 4, 5)))


@_recipe
def input_is_output(b: Builder) -> tuple[Node, ...]:
    x = b.input(1, 3, 3, 2)
    return x, b.apply(Relu(), x)


@_recipe
def reshape_is_output(b: Builder) -> tuple[Node, ...]:
    y = b.apply(Relu(), b.conv(b.input(1, 4, 4, 3), 8))
    return b.apply(Reshape((1, 128)), y), b.conv(y, 5, 1)


@_recipe
def chain_1d(b: Builder) -> Node:
    return b.apply(Relu(), b.batch_norm(b.conv(b.input(2, 12, 5), 9, stride=2)))


@_recipe
def chain_3d(b: Builder) -> Node:
    x = b.input(1, 4, 5, 4, 3)
    return b.apply(Relu(), b.apply(Add(), b.conv(x, 7), b.conv(x, 7, 1, bias=True)))


@_recipe
def resample_add_relu(b: Builder) -> Node:
    """A feature pyramid's step: the coarse map, twice as large, and the fine one."""
    tables = []
    for extent in (3, 4):
        after = np.arange(2 * extent) // 2
        indices = np.stack([np.maximum(after - 1, 0), after], axis=1)
        tables += [constant(indices, b.weights(1).origin), b.weights(2 * extent, 2)]
    x = b.apply(ResampleSum((1, 2)), b.input(1, 3, 4, 10), *tables)
    return b.apply(Relu(), b.apply(Add(), x, b.conv(b.input(1, 6, 8, 5), 10, 1)))


@_recipe
def resample_max_and_sum(b: Builder) -> tuple[Node, ...]:
    """Two results of one input: one with many taps and an epilogue, one by its largest elements."""
    x = b.input(2, 15, 6)
    indices = constant(b.generator.integers(0, 15, (4, 13)), b.weights(1).origin)
    total = b.apply(ResampleSum((1,)), x, indices, b.weights(4, 13))
    return b.apply(Tanh(), total), b.apply(Relu(), b.apply(ResampleMax((1,)), x, indices))


@_recipe
def layer_norm(b: Builder) -> Node:
    """As in ConvNeXt: over the channels of an image, with a scale and an offset behind it."""
    y = b.apply(Standardize((3,), 1e-6), b.conv(b.input(2, 5, 4, 3), 40))
    return b.apply(Add(), b.apply(Multiply(), y, b.weights(40)), b.weights(40))


@_recipe
def group_norm(b: Builder) -> Node:
    """With an activation, and a scale that tells channels apart, so that not all axes can be merged."""
    y = b.apply(Standardize((1, 2, 3), 1e-3, groups=3), b.input(2, 5, 4, 18))
    return b.apply(Silu(), b.apply(Add(), b.apply(Multiply(), y, b.weights(18)), b.weights(18)))


@_recipe
def norm_of_everything(b: Builder) -> Node:
    """The scale has all of the axes that are normalised, the offset one of them, a third tensor none."""
    y = b.apply(Standardize((1, 2, 3), 1e-3), b.input(2, 3, 4, 9))
    y = b.apply(Add(), b.apply(Multiply(), y, b.weights(3, 4, 9)), b.weights(4, 1))
    return b.apply(Multiply(), y, b.input(2, 1, 1, 1))


@_recipe
def norm_channels_first(b: Builder) -> Node:
    """Over axis 1, scaled along it."""
    y = b.apply(Standardize((1,), 1e-3), b.input(2, 7, 4, 19))
    return b.apply(Relu(), b.apply(Multiply(), y, b.weights(7, 1, 1)))


@_recipe
def norm_plus_itself(b: Builder) -> Node:
    """A residual around a normalisation: its input is read by the epilogue too."""
    x = b.input(3, 6, 20)
    return b.apply(Add(), b.apply(Standardize((2,), 1e-3), x), x)


@_recipe
def sums_with_an_epilogue(b: Builder) -> tuple[Node, ...]:
    """Of rows, of columns, of both; an epilogue with a vector, one that reads what is summed, one with all kept."""
    x, one = b.input(9, 4, 5, 33), b.input(1, 6, 1, 3)
    return (
        b.apply(Multiply(), b.apply(ReduceSum((3,)), x), b.weights(5)),
        b.apply(Add(), b.apply(ReduceSum((1, 2), True), x), b.weights(33)),
        b.apply(Relu(), b.apply(ReduceMean((0, 1, 2, 3)), x)),
        b.apply(Add(), b.apply(ReduceMax((2,), True), one), one),
    )
