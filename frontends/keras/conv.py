"""Convolutions: plain, grouped, depthwise and separable, of rank 1 to 3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.activation import parse_activation
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.keras.window import Window
from convc.ir import Node, Origin, TensorType, make
from convc.ops.window import Padding


@dataclass(frozen=True)
class Conv(Layer):
    """Conv1D to Conv3D. The kernel is *spatial, in / groups, filters for both data formats."""

    window: Window
    filters: int
    groups: int
    kernel: Initializer
    bias: Initializer | None
    activation: Layer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        channels = self.window.channels(inputs[0])
        for what, count in (("input channels", channels), ("filters", self.filters)):
            if count % self.groups:
                raise ShapeError(
                    "",
                    f"{what} are not divisible by groups",
                    expected=f"a multiple of {self.groups}",
                    received=str(count),
                )
        kernel = Weight("kernel", (*self.window.size, channels // self.groups, self.filters), self.kernel)
        return (kernel, *_bias(self.bias, self.filters))

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        def compute(x: Node, padding: Padding) -> Node:
            op = ops.Conv(self.window.strides, padding, self.window.dilation, self.groups)
            return make(op, x, *weights.values(), origin=origin)

        y = self.window.apply(inputs[0], origin, compute)
        return self.activation.build([y], {}, origin)


@dataclass(frozen=True)
class Pointwise:
    """The second half of a separable convolution: a kernel of 1…, in * multiplier, filters."""

    filters: int
    kernel: Initializer


@dataclass(frozen=True)
class DepthwiseConv(Layer):
    """DepthwiseConv1D and 2D, and, with `pointwise`, SeparableConv1D and 2D.

    Keras's depthwise kernel is *spatial, in, multiplier; output channel c * multiplier + m reads input channel c.
    Bias and activation come last.
    """

    window: Window
    multiplier: int
    depthwise: Initializer
    pointwise: Pointwise | None
    bias: Initializer | None
    activation: Layer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        size, channels = self.window.size, self.window.channels(inputs[0])
        wide = channels * self.multiplier
        first = Weight("depthwise_kernel", (*size, channels, self.multiplier), self.depthwise, layout=(*size, 1, wide))
        if self.pointwise is None:
            return (first, *_bias(self.bias, wide))
        filters = self.pointwise.filters
        second = Weight("pointwise_kernel", (*(1 for _ in size), wide, filters), self.pointwise.kernel)
        return (first, second, *_bias(self.bias, filters))

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        kernel, *rest = weights.values()
        window, ones = self.window, (1,) * len(self.window.size)

        def compute(x: Node, padding: Padding) -> Node:
            depthwise = ops.Conv(window.strides, padding, window.dilation, groups=x.type.shape[-1])
            if self.pointwise is None:
                return make(depthwise, x, kernel, *rest, origin=origin)
            y = make(depthwise, x, kernel, origin=origin)
            return make(ops.Conv(ones, ((0, 0),) * len(ones), ones), y, *rest, origin=origin)

        y = window.apply(inputs[0], origin, compute)
        return self.activation.build([y], {}, origin)


def _bias(initializer: Initializer | None, filters: int) -> tuple[Weight, ...]:
    return () if initializer is None else (Weight("bias", (filters,), initializer),)


def _bias_initializer(fields: Fields) -> Initializer | None:
    return parse_initializer(fields, "bias_initializer", "zeros") if fields.flag("use_bias", True) else None


def _window(fields: Fields, rank: int) -> Window:
    return Window.parse(fields, rank, fields.integers("kernel_size", rank), strides=1)


def _conv(fields: Fields, rank: int) -> Layer:
    window = _window(fields, rank)
    if math.prod(window.strides) > 1 and math.prod(window.dilation) > 1:
        raise ModelError(
            "",
            "Keras allows strides or dilation_rate above 1, not both",
            received=f"strides={window.strides} and dilation_rate={window.dilation}",
        )
    return Conv(
        window,
        fields.integer("filters"),
        fields.integer("groups", 1),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        _bias_initializer(fields),
        parse_activation(fields),
    )


def _depthwise(fields: Fields, rank: int, *, separable: bool) -> Layer:
    pointwise = None
    if separable:
        kernel = parse_initializer(fields, "pointwise_initializer", "glorot_uniform")
        pointwise = Pointwise(fields.integer("filters"), kernel)
    return DepthwiseConv(
        _window(fields, rank),
        fields.integer("depth_multiplier", 1),
        parse_initializer(fields, "depthwise_initializer", "glorot_uniform"),
        pointwise,
        _bias_initializer(fields),
        parse_activation(fields),
    )


for _rank in (1, 2, 3):
    _note = "groups, dilation, both data formats" + (", causal padding" if _rank == 1 else "")
    register(f"Conv{_rank}D", partial(_conv, rank=_rank), _note)
for _rank in (1, 2):
    _note = "depth_multiplier, dilation, both data formats"
    register(f"DepthwiseConv{_rank}D", partial(_depthwise, rank=_rank, separable=False), _note)
    register(f"SeparableConv{_rank}D", partial(_depthwise, rank=_rank, separable=True), _note)
