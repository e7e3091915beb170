"""Transposed convolutions of rank 1 to 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.activation import parse_activation
from convc.frontends.keras.config import Fields
from convc.frontends.keras.conv import bias_initializer, bias_weights, check_lattice, constant_kernel
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.keras.window import Border, Window
from convc.ir import Node, Origin, Shape, TensorType, make
from convc.ops.window import Padding, effective


@dataclass(frozen=True)
class TransposedWindow:
    """The window of a transposed convolution, and what Keras's `output_padding` adds; None lets Keras choose."""

    window: Window
    output_padding: Shape | None

    @classmethod
    def parse(cls, fields: Fields, rank: int, size: Shape) -> TransposedWindow:
        """Reads strides, dilation_rate, padding, output_padding and data_format."""
        window = Window.parse(fields, rank, size, strides=1)
        if fields.raw("output_padding") is None:
            return cls(window, None)
        added = fields.integers("output_padding", rank, minimum=0)
        if any(extra >= stride for extra, stride in zip(added, window.strides, strict=True)):
            raise ModelError(
                "",
                "'output_padding' is wrong",
                expected=f"less than the strides {window.strides}",
                received=str(added),
            )
        return cls(window, added)

    def crop(self) -> Padding:
        """What is cut off the full result of (in - 1) * stride + k' elements, k' = (k - 1) * dilation + 1.

        Keras, on JAX, pads the input between whose elements it has put zeros, by `total` elements: "valid" gives the
        full result and `output_padding`, or as many zeros as make in * stride. "same" gives in * stride elements, or
        (in - 1) * stride + k' % 2 + `output_padding`; the odd element of the padding comes first. Padding by k' - 1 on
        either side is the full result.
        """
        window = self.window
        added = self.output_padding or (None,) * len(window.size)
        result = []
        for k, s, d, extra in zip(window.size, window.strides, window.dilation, added, strict=True):
            full = effective(k, d) - 1
            if window.border is Border.VALID:
                result.append((0, -max(s - full - 1, 0) if extra is None else -extra))
                continue
            total = full + s - 1 if extra is None else full - 1 + (full + 1) % 2 + extra
            start = min(total - total // 2, full)
            result.append((full - start, full - (total - start)))
        return tuple(result)

    def apply(self, x: Node, kernel: Node, bias: Sequence[Node], origin: Origin) -> Node:
        """The transposed convolution of `x`, in the axis order of the layer."""

        def compute(x: Node) -> Node:
            op = ops.ConvTranspose(self.window.strides, self.window.dilation, self.crop())
            return make(op, x, kernel, *bias, origin=origin)

        return self.window.ordered(x, origin, compute)


@dataclass(frozen=True)
class ConvTranspose(Layer):
    """Conv1DTranspose to Conv3DTranspose. The kernel is *spatial, filters, in for both data formats."""

    window: TransposedWindow
    filters: int
    kernel: Initializer
    bias: Initializer | None
    activation: Layer

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        window = self.window.window
        kernel = Weight("kernel", (*window.size, self.filters, window.channels(inputs[0])), self.kernel)
        return (kernel, *bias_weights(self.bias, self.filters))

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        kernel, *bias = weights.values()
        y = self.window.apply(inputs[0], kernel, bias, origin)
        return self.activation.build([y], {}, origin)


def _conv_transpose(fields: Fields, rank: int) -> Layer:
    if fields.integer("groups", 1) > 1:
        raise UnsupportedError("", "transposed convolutions with groups are not supported", expected="groups=1")
    window = TransposedWindow.parse(fields, rank, fields.integers("kernel_size", rank))
    check_lattice(window.window)
    return ConvTranspose(
        window,
        fields.integer("filters"),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        bias_initializer(fields),
        parse_activation(fields),
    )


def _function(call: Arguments) -> Node:
    kernel = constant_kernel(call, "kernel")
    window = TransposedWindow.parse(call.fields, kernel.ndim - 2, kernel.shape[:-2])
    return window.apply(call.tensor("inputs"), ops.constant(kernel, call.origin), (), call.origin)


for _rank in (1, 2, 3):
    _note = "output_padding, dilation, both data formats"
    register(f"Conv{_rank}DTranspose", partial(_conv_transpose, rank=_rank), _note)
register_function("conv_transpose", "inputs kernel", _function, "constant kernels")
