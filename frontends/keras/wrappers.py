"""Layers around other layers: Bidirectional and TimeDistributed. Around a model, structure.py knows TimeDistributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.config import Fields, class_of, show
from convc.frontends.keras.conv_lstm import ConvLstm
from convc.frontends.keras.masking import Rule, rule_of
from convc.frontends.keras.recurrent import Recurrent
from convc.frontends.keras.registry import Layer, Masked, Masks, Weight, check_floats, parse_layer, register
from convc.frontends.keras.structure import is_custom
from convc.ir import Node, Origin, TensorType, make

Merge = ops.Add | ops.Multiply | ops.Concat | None
"""How two outputs become one; None: they stay two."""


@dataclass(frozen=True)
class Bidirectional(Masked):
    """Two recurrent layers on the same steps, one from the last to the first; rows are in the order of the input.

    Outputs: theirs merged, and `scaled`, or each; then the final states of both. States at the start are in that order.
    """

    forward: Recurrent | ConvLstm
    backward: Recurrent | ConvLstm
    merge: str | None

    arity: ClassVar = (1, None)
    keywords: ClassVar = ("initial_state",)

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return (*within("forward_layer", self.forward, inputs), *within("backward_layer", self.backward, inputs))

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        x, *states = inputs
        half = len(states) // 2
        forward, *finals = self._one("forward_layer", self.forward, [x, *states[:half]], masks, weights, origin)
        # Keras flips what the backward layer gives, whichever the direction.
        aligned = replace(self.backward, aligned=True)
        backward, *others = self._one("backward_layer", aligned, [x, *states[half:]], masks, weights, origin)
        if self.backward.sequences and not self.backward.backwards:
            shape = backward.type.shape
            backward = make(ops.Slice.along(shape, 1, shape[1] - 1, shape[1], -1), backward, origin=origin)
        mask = masks.first if self.forward.sequences else None
        merged = self._merged(forward, backward, origin)
        return [*((node, mask) for node in merged), *((node, None) for node in (*finals, *others))]

    def _one(
        self,
        name: str,
        layer: Recurrent | ConvLstm,
        inputs: Sequence[Node],
        masks: Masks,
        weights: Mapping[str, Node],
        origin: Origin,
    ) -> list[Node]:
        layer = replace(layer, zero_masked=layer.sequences)
        return [node for node, _ in layer.masked(inputs, masks, of(name, weights), origin)]

    def _merged(self, a: Node, b: Node, origin: Origin) -> list[Node]:
        match self.merge:
            case None:
                return [a, b]
            case "concat":
                return [make(ops.Concat(a.type.rank - 1), a, b, origin=origin)]
            case "mul":
                return [make(ops.Multiply(), a, b, origin=origin)]
        total = make(ops.Add(), a, b, origin=origin)
        if self.merge == "sum":
            return [total]
        return [make(ops.Multiply(), total, ops.constant(np.array([0.5], np.float32), origin), origin=origin)]


@dataclass(frozen=True)
class TimeDistributed(Masked):
    """A layer on every step of x of N, T, …: they are folded into the batch."""

    kind: str
    inner: Layer

    integers: ClassVar[bool] = True

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return within("layer", self.inner, [folded(inputs[0])])

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        (x,) = inputs
        if not self.inner.integers:
            check_floats(inputs)
        if masks.argument is not None and (isinstance(self.inner, Masked) or rule_of(self.kind) is Rule.USES):
            raise UnsupportedError("", f"a mask reaches the {self.kind} in it", remedy="mask nothing before this layer")
        y, *others = self.inner.outputs([fold(x, origin)], of("layer", weights), origin)
        if others:
            raise UnsupportedError("", f"the {self.kind} in it has several outputs", expected="one")
        return [(unfold(y, x, origin), masks.first)]


def folded(x: TensorType) -> TensorType:
    """N, T, … as N * T, …; raises `ShapeError` where there are no steps."""
    if x.rank < 3:
        raise ShapeError("", "the input has no steps", expected="3 axes or more", received=str(x.shape))
    return TensorType((x.shape[0] * x.shape[1], *x.shape[2:]), x.dtype)


def fold(x: Node, origin: Origin) -> Node:
    """The steps of x as a batch."""
    return make(ops.Reshape(folded(x.type).shape), x, origin=origin)


def unfold(y: Node, x: Node, origin: Origin) -> Node:
    """What a layer gave for the steps of x, as N, T, …"""
    return make(ops.Reshape((*x.type.shape[:2], *y.type.shape[1:])), y, origin=origin)


def within(name: str, layer: Layer, inputs: Sequence[TensorType]) -> tuple[Weight, ...]:
    """The variables of a layer that is an attribute, `name`, of another."""
    return tuple(
        replace(weight, name=f"{name}/{weight.name}", path=f"{name}/{weight.path}" if weight.path else name)
        for weight in layer.weights(*inputs)
    )


def of(name: str, weights: Mapping[str, Node]) -> dict[str, Node]:
    """Those of `within` that belong to the layer `name`, by their own names."""
    return {key.removeprefix(f"{name}/"): node for key, node in weights.items() if key.startswith(f"{name}/")}


def inner_layer(entry: object, legacy: bool) -> tuple[str, Layer]:
    """The class and the layer of a config within a config. Raises `ConvcError` with an empty subject."""
    kind = class_of(entry)
    config = entry.get("config") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or kind is None or not isinstance(config, Mapping):
        raise ModelError("", "the layer in it is wrong", expected="the config of a layer", received=show(entry))
    if is_custom(entry):
        raise UnsupportedError("", f"the {kind[:100]} in it is a custom layer", expected="a layer of Keras")
    return kind, parse_layer(kind, Fields(config, legacy))


def _bidirectional(fields: Fields) -> Layer:
    forward = _recurrent(fields.raw("layer"), fields.legacy)
    if fields.raw("backward_layer") is None:
        backward = replace(forward, backwards=True)
    else:
        backward = _recurrent(fields.raw("backward_layer"), fields.legacy)
    names = ("sequences", "states")
    if any(getattr(forward, name) != getattr(backward, name) for name in names):
        raise ModelError("", "the two layers differ", expected="the same return_sequences and return_state")
    if forward.backwards == backward.backwards:
        received = f"go_backwards={forward.backwards} in both"
        raise ModelError("", "the two layers have the same direction", expected="one backwards", received=received)
    merge = fields.raw("merge_mode", "concat")
    if merge is not None:
        merge = fields.choice("merge_mode", "concat", ("concat", "sum", "mul", "ave"))
    return Bidirectional(forward, backward, merge)


def _recurrent(entry: object, legacy: bool) -> Recurrent | ConvLstm:
    kind, layer = inner_layer(entry, legacy)
    if not isinstance(layer, Recurrent | ConvLstm):
        raise UnsupportedError("", f"the {kind} in it is not supported", expected="a recurrent layer")
    return layer


def _time_distributed(fields: Fields) -> Layer:
    return TimeDistributed(*inner_layer(fields.raw("layer"), fields.legacy))


_NOTE = "every merge_mode, a backward_layer; around SimpleRNN, LSTM, GRU, RNN, ConvLSTM"
register("Bidirectional", _bidirectional, _NOTE)
register("TimeDistributed", _time_distributed, "around every layer of one input and one output, and models of them")
