"""ConvLSTM1D to 3D: LSTMs whose products are convolutions. Their steps are nodes of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from convc import ops
from convc.errors import ModelError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.conv import bias_initializer, check_lattice
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.recurrent import (
    UnitForgetBias,
    activation,
    chain_of,
    check_stateless,
    check_states,
    check_unrolled,
)
from convc.frontends.keras.registry import Layer, Masked, Masks, Weight, register
from convc.frontends.keras.scan import Gates, Scan
from convc.frontends.keras.window import Window, channels_first, channels_last, check_rank
from convc.ir import Node, Origin, TensorType, make
from convc.ops.window import same_padding

PATH = "cell"
"""Where the layer keeps its variables."""


@dataclass(frozen=True)
class Turned(Layer):
    """A layer for channels that come first, on channels that come last."""

    inner: Layer

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return channels_last(self.inner.build([channels_first(inputs[0], origin)], {}, origin), origin)


@dataclass(frozen=True)
class ConvLstm(Masked):
    """x of N, T, *spatial, C, or N, T, C, *spatial where the window says so; see `Recurrent` for what comes out.

    The recurrent convolution has strides of 1 and "same" padding. Gates are input, forget, candidate, output.
    """

    window: Window
    filters: int
    kernel: Initializer
    recurrent: Initializer
    bias: Initializer | None
    activation: Layer
    recurrent_activation: Layer
    sequences: bool
    states: bool
    backwards: bool
    zero_masked: bool
    unrolled: bool
    aligned: bool = False

    arity: ClassVar = (1, 3)
    keywords: ClassVar = ("initial_state",)

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        check_rank(inputs[0], len(self.window.size) + 3)
        channels = inputs[0].shape[2 if self.window.channels_first else -1]
        width = 4 * self.filters
        made = [
            Weight("kernel", (*self.window.size, channels, width), self.kernel, path=PATH),
            Weight("recurrent_kernel", (*self.window.size, self.filters, width), self.recurrent, path=PATH),
        ]
        return (*made, *([] if self.bias is None else [Weight("bias", (width,), self.bias, path=PATH)]))

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        x, *given = inputs
        mask = masks.argument
        first = self.window.channels_first
        if mask is not None and mask.type.shape != x.type.shape[:2]:
            expected, received = str(x.type.shape[:2]), str(mask.type.shape)
            raise ModelError("", "the mask does not fit the steps", expected=expected, received=received)
        check_unrolled(given, mask, unrolled=self.unrolled)
        if first:
            x = channels_last(x, origin, 2)
        projected = self._projected(x, weights, origin)
        batch, _, *spatial, _ = projected.type.shape
        state = (batch, self.filters, *spatial) if first else (batch, *spatial, self.filters)
        check_states(given, [state] * 2)
        start = [channels_last(node, origin) for node in given] if first else given
        zero_masked = self.zero_masked and not self.unrolled
        scan = Scan(self.sequences, self.states, self.backwards, self.aligned, zero_masked)
        kernel = weights["recurrent_kernel"]
        output, *finals = scan.build(
            projected, start, mask, lambda z, before: self._step(z, before, kernel, origin), origin
        )
        if first:
            output = channels_first(output, origin, 2 if self.sequences else 1)
            finals = [channels_first(node, origin) for node in finals]
        return [(output, masks.first if self.sequences else None), *((node, None) for node in finals)]

    def _projected(self, x: Node, weights: Mapping[str, Node], origin: Origin) -> Node:
        """The convolution of all steps' inputs at once: N, T, *spatial, 4 * filters."""
        batch, steps, *rest = x.type.shape
        folded = make(ops.Reshape((batch * steps, *rest)), x, origin=origin)
        op = ops.Conv(self.window.strides, self.window.padding(tuple(rest[:-1])), self.window.dilation, 1)
        operands = [weights[name] for name in ("kernel", "bias") if name in weights]
        y = make(op, folded, *operands, origin=origin)
        return make(ops.Reshape((batch, steps, *y.type.shape[1:])), y, origin=origin)

    def _step(self, z: Node, before: Sequence[Node], kernel: Node, origin: Origin) -> Sequence[Node]:
        """h and c after a step, from the step's projection and h and c before it."""

        def product(h: Node) -> Node:
            ones = (1,) * len(self.window.size)
            padding = same_padding(h.type.shape[1:-1], self.window.size, ones, ones)
            return make(ops.Conv(ones, padding, ones, 1), h, kernel, origin=origin)

        return Gates(self.filters, *self._functions(), origin).lstm(z, before, product)

    def _functions(self) -> tuple[Layer, Layer]:
        """The activations for gates whose channels are last; those over an axis see it where the layer has it."""
        functions = (self.activation, self.recurrent_activation)
        if not self.window.channels_first:
            return functions
        first, second = (function if chain_of(function) is not None else Turned(function) for function in functions)
        return first, second


def _conv_lstm(fields: Fields, rank: int) -> Layer:
    check_stateless(fields)
    window = Window.parse(fields, rank, fields.integers("kernel_size", rank), strides=1)
    check_lattice(window)
    bias = bias_initializer(fields)
    return ConvLstm(
        window,
        fields.integer("filters"),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        parse_initializer(fields, "recurrent_initializer", "orthogonal"),
        UnitForgetBias(bias) if bias is not None and fields.flag("unit_forget_bias", True) else bias,
        activation(fields, "activation", "tanh"),
        activation(fields, "recurrent_activation", "hard_sigmoid" if fields.legacy else "sigmoid"),
        fields.flag("return_sequences", False),
        fields.flag("return_state", False),
        fields.flag("go_backwards", False),
        fields.flag("zero_output_for_mask", False),
        fields.flag("unroll", False),
    )


for _rank in (1, 2, 3):
    register(f"ConvLSTM{_rank}D", partial(_conv_lstm, rank=_rank), "at most 512 steps; both data formats; not stateful")
