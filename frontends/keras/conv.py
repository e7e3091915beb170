"""Convolutions: plain, grouped, depthwise and separable, of rank 1 to 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.activation import parse_activation
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.keras.window import Window, check_rank
from convc.ir import Array, Node, Origin, TensorType, make
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
        return (kernel, *bias_weights(self.bias, self.filters))

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        y = _plain(self.window, inputs[0], tuple(weights.values()), self.groups, origin)
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
            return (first, *bias_weights(self.bias, wide))
        filters = self.pointwise.filters
        second = Weight("pointwise_kernel", (*(1 for _ in size), wide, filters), self.pointwise.kernel)
        return (first, second, *bias_weights(self.bias, filters))

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        kernel, *rest = weights.values()
        pointwise = None if self.pointwise is None else rest.pop(0)
        y = _channelwise(self.window, inputs[0], kernel, pointwise, rest, origin)
        return self.activation.build([y], {}, origin)


def _plain(window: Window, x: Node, weights: Sequence[Node], groups: int, origin: Origin) -> Node:
    """A convolution of `x` by kernel and maybe bias, in the axis order of the window."""

    def compute(x: Node, padding: Padding) -> Node:
        return make(ops.Conv(window.strides, padding, window.dilation, groups), x, *weights, origin=origin)

    return window.apply(x, origin, compute)


def _channelwise(
    window: Window, x: Node, kernel: Node, pointwise: Node | None, bias: Sequence[Node], origin: Origin
) -> Node:
    """A depthwise convolution of `x` by *spatial, 1, in * multiplier, and maybe a pointwise one, which has the bias."""
    ones = (1,) * len(window.size)

    def compute(x: Node, padding: Padding) -> Node:
        depthwise = ops.Conv(window.strides, padding, window.dilation, groups=x.type.shape[-1])
        if pointwise is None:
            return make(depthwise, x, kernel, *bias, origin=origin)
        y = make(depthwise, x, kernel, origin=origin)
        return make(ops.Conv(ones, ((0, 0),) * len(ones), ones), y, pointwise, *bias, origin=origin)

    return window.apply(x, origin, compute)


def bias_weights(initializer: Initializer | None, filters: int) -> tuple[Weight, ...]:
    """The bias, where there is one."""
    return () if initializer is None else (Weight("bias", (filters,), initializer),)


def bias_initializer(fields: Fields) -> Initializer | None:
    """What draws the bias; None where `use_bias` is false."""
    return parse_initializer(fields, "bias_initializer", "zeros") if fields.flag("use_bias", True) else None


def check_lattice(window: Window) -> None:
    """Raises `ModelError` where Keras refuses strides and dilation_rate above 1 together."""
    if max(window.strides) > 1 and max(window.dilation) > 1:
        raise ModelError(
            "",
            "Keras allows strides or dilation_rate above 1, not both",
            received=f"strides={window.strides} and dilation_rate={window.dilation}",
        )


def _conv(fields: Fields, rank: int) -> Layer:
    window = Window.parse(fields, rank, fields.integers("kernel_size", rank), strides=1, causal=rank == 1)
    check_lattice(window)
    return Conv(
        window,
        fields.integer("filters"),
        fields.integer("groups", 1),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        bias_initializer(fields),
        parse_activation(fields),
    )


def _depthwise(fields: Fields, rank: int, *, separable: bool) -> Layer:
    pointwise = None
    # Keras 2 had a causal SeparableConv1D; Keras 3 has none.
    causal = separable and rank == 1 and fields.legacy
    if separable:
        kernel = parse_initializer(fields, "pointwise_initializer", "glorot_uniform")
        pointwise = Pointwise(fields.integer("filters"), kernel)
    return DepthwiseConv(
        Window.parse(fields, rank, fields.integers("kernel_size", rank), strides=1, causal=causal),
        fields.integer("depth_multiplier", 1),
        parse_initializer(fields, "depthwise_initializer", "glorot_uniform"),
        pointwise,
        bias_initializer(fields),
        parse_activation(fields),
    )


def constant_kernel(call: Arguments, name: str) -> Array:
    """A kernel that a call holds, of as many axes as `inputs`. Raises `ConvcError` with an empty subject."""
    x, kernel = call.tensor("inputs"), call.tensor(name)
    if not isinstance(kernel.op, ops.Constant):
        message = f"'{name}' is computed by the model"
        raise UnsupportedError("", message, expected="a constant", received=f"the output of {kernel.origin}")
    if not 3 <= x.type.rank <= 5:
        raise ShapeError("", "convolution of this rank", expected="an input of 3 to 5 axes", received=str(x.type.shape))
    check_rank(kernel.type, x.type.rank, f"'{name}'")
    return kernel.op.value


def _conv_function(call: Arguments) -> Node:
    kernel = constant_kernel(call, "kernel")
    window = Window.parse(call.fields, kernel.ndim - 2, kernel.shape[:-2], strides=1)
    return _plain(window, call.tensor("inputs"), [ops.constant(kernel, call.origin)], 1, call.origin)


def _depthwise_function(call: Arguments, *, separable: bool) -> Node:
    x = call.tensor("inputs")
    kernel = constant_kernel(call, "depthwise_kernel" if separable else "kernel")
    window = Window.parse(call.fields, kernel.ndim - 2, kernel.shape[:-2], strides=1)
    channels = window.channels(x.type)
    if kernel.shape[-2] != channels:
        message = "the kernel does not fit the input's channels"
        raise ShapeError("", message, expected=f"{channels} input channels", received=str(kernel.shape))
    depthwise = ops.constant(kernel.reshape(*kernel.shape[:-2], 1, -1), call.origin)
    pointwise = None
    if separable:
        second = constant_kernel(call, "pointwise_kernel")
        if any(extent != 1 for extent in second.shape[:-2]):
            message = "'pointwise_kernel' has a window"
            raise ModelError("", message, expected="1 for each spatial axis", received=str(second.shape))
        pointwise = ops.constant(second, call.origin)
    return _channelwise(window, x, depthwise, pointwise, (), call.origin)


for _rank in (1, 2, 3):
    _note = "groups, dilation, both data formats" + (", causal padding" if _rank == 1 else "")
    register(f"Conv{_rank}D", partial(_conv, rank=_rank), _note)
for _rank in (1, 2):
    _note = "depth_multiplier, dilation, both data formats"
    register(f"DepthwiseConv{_rank}D", partial(_depthwise, rank=_rank, separable=False), _note)
    register(f"SeparableConv{_rank}D", partial(_depthwise, rank=_rank, separable=True), _note)
_note = "constant kernels"
register_function("conv", "inputs kernel", _conv_function, _note)
register_function("depthwise_conv", "inputs kernel", partial(_depthwise_function, separable=False), _note)
register_function(
    "separable_conv",
    "inputs depthwise_kernel pointwise_kernel",
    partial(_depthwise_function, separable=True),
    _note,
)
