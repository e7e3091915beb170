"""Masking, and what becomes of masks in layers that know nothing of them here.

A mask is a tensor of N, T (or of all axes but the last): 1 where a step counts, 0 where it does not. In Keras it hangs
on a tensor; the graph of a model keeps them by node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.keras.pool import GlobalPool
from convc.frontends.keras.registry import Layer, Masked, Masks, register
from convc.frontends.keras.window import check_rank
from convc.ir import Node, Origin, make


class Rule(Enum):
    """What a layer of Keras does with a mask."""

    PASSES = "hands it on and computes the same"
    STOPS = "drops it and computes the same"
    USES = "computes something else"
    UNITES = "hands on where any of its inputs counts"
    JOINS = "puts masks side by side"


_PASSING = """
    Activation ActivityRegularization AlphaDropout BatchNormalization Dense Dropout ELU GaussianDropout GaussianNoise
    GroupNormalization Identity LayerNormalization LeakyReLU Normalization PReLU ReLU Rescaling SpatialDropout1D
    SpatialDropout2D SpatialDropout3D UnitNormalization
"""
_USING = """
    AdditiveAttention Attention GlobalAveragePooling1D GroupQueryAttention GroupedQueryAttention Lambda
    MultiHeadAttention Softmax
"""
_UNITING = "Add Average Maximum Minimum Multiply Subtract"
_RULES = {
    **dict.fromkeys(_PASSING.split(), Rule.PASSES),
    **dict.fromkeys(_USING.split(), Rule.USES),
    **dict.fromkeys(_UNITING.split(), Rule.UNITES),
    "Concatenate": Rule.JOINS,
}


def rule_of(kind: str) -> Rule:
    """What the class does with masks, where it is no `Masked` layer. Most know nothing of them, and drop them."""
    return _RULES.get(kind, Rule.STOPS)


def passed_on(kind: str, layer: Layer, inputs: Sequence[Node], masks: Masks, origin: Origin) -> Node | None:
    """The mask of the first output of a layer that is no `Masked` one.

    Raises `UnsupportedError` with an empty subject where a mask would change what it computes.
    """
    match rule_of(kind):
        case Rule.PASSES:
            return masks.first
        case Rule.USES:
            for mask in (masks.argument, *masks.inputs):
                if mask is not None:
                    raise UnsupportedError(
                        "",
                        f"the mask of {mask.origin} reaches it, and would change what it computes",
                        remedy="make the mask's part explicit in the model, or leave the mask out",
                    )
        case Rule.UNITES:
            united = masks.inputs[0]
            for other in masks.inputs[1:]:
                if united is None or other is None:
                    return None
                united = united if other is united else make(ops.Maximum(), united, other, origin=origin)
            return united
        case Rule.JOINS:
            return _joined(layer, inputs, masks, origin)
    return None


def _joined(layer: Layer, inputs: Sequence[Node], masks: Masks, origin: Origin) -> Node | None:
    """A Concatenate's: side by side too, or, along the last axis, where any counts; all steps of unmasked inputs do."""
    axis = layer.axis % inputs[0].type.rank  # type: ignore[attr-defined]
    if all(mask is None for mask in masks.inputs):
        return None
    rank = inputs[0].type.rank - 1
    if any(mask is not None and mask.type.rank != rank for mask in masks.inputs):
        raise UnsupportedError("", "masks of fewer axes are not supported", expected=str(rank))
    if axis == rank:
        united = masks.inputs[0]
        for other in masks.inputs[1:]:
            if united is None or other is None:
                return None
            united = united if other is united else make(ops.Maximum(), united, other, origin=origin)
        return united
    parts = [
        ops.constant(np.ones(node.type.shape[:-1], np.float32), origin) if mask is None else mask
        for node, mask in zip(inputs, masks.inputs, strict=True)
    ]
    return make(ops.Concat(axis), *parts, origin=origin)


def where_not(x: Node, values: Sequence[float], origin: Origin) -> Node:
    """1 where an element of x, whatever its dtype, is not that of `values`, which broadcast; else 0."""
    other = ops.constant(np.array(values, x.type.dtype.numpy), origin)
    return make(ops.NotEqual(), x, other, origin=origin)


def computed(
    layer: Layer, inputs: Sequence[Node], masks: Masks, origin: Origin
) -> Sequence[tuple[Node, Node | None]] | None:
    """What a layer that uses masks gives for one: GlobalAveragePooling1D; None for all others, and without a mask."""
    mask = masks.argument
    if mask is None or not isinstance(layer, GlobalPool) or layer.op is not ops.ReduceMean or layer.rank != 1:
        return None
    (x,) = inputs
    check_rank(x.type, 3)
    axis = 2 if layer.channels_first else 1
    steps = tuple(extent if place in (0, axis) else 1 for place, extent in enumerate(x.type.shape))
    kept = make(ops.Reshape(steps), mask, origin=origin)
    zero = ops.constant(np.zeros(1, np.float32), origin)
    chosen = make(ops.Where(), kept, x, zero, origin=origin)
    total, count = (make(ops.ReduceSum((axis,), layer.keepdims), node, origin=origin) for node in (chosen, kept))
    return [(make(ops.Divide(), total, count, origin=origin), None)]


@dataclass(frozen=True)
class Masking(Masked):
    """Steps whose features all equal `values`, one for all or one for each, become 0 and do not count."""

    values: tuple[float, ...]

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        (x,) = inputs
        last = x.type.rank - 1
        differs = where_not(x, self.values, origin)
        mask = make(ops.ReduceMax((last,), False), differs, origin=origin)
        if not any(self.values):
            # Another node than x, which may be read elsewhere without a mask.
            return [(make(ops.Reshape(x.type.shape), x, origin=origin), mask)]
        kept = make(ops.Reshape((*mask.type.shape, 1)), mask, origin=origin)
        zero = ops.constant(np.zeros(1, np.float32), origin)
        return [(make(ops.Where(), kept, x, zero, origin=origin), mask)]


register("Masking", lambda fields: Masking(tuple(fields.numbers("mask_value", 0.0).tolist())), "any mask_value")
