"""Attention and AdditiveAttention: values weighted by how well their keys fit the queries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.calls import Slot, slots
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.matmul import product, reshaped
from convc.frontends.keras.registry import Layer, Masked, Masks, Weight, register
from convc.frontends.keras.truth import truth
from convc.ir import Array, Node, Origin, TensorType, make

T = TypeVar("T")

INPUTS = ("query", "value", "key")
MASKS = ("query_mask", "value_mask", "key_mask")
MAX_MASK = 1 << 24
"""Elements of a mask that is stored in the library."""
MASKED = -1e9
"""The scores that do not count: their exponentials are 0."""


@dataclass(frozen=True)
class Attends(Masked):
    """How attention layers are called. `causal`: no query reads what stands behind its own place. `scores`: the weights
    of the values are a second output. `names` are those of the tensors of a call, in order."""

    causal: bool = False
    scores: bool = False
    names: tuple[str, ...] = INPUTS
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def called(self, arguments: Fields) -> Layer:
        layer = self
        for key in arguments.values:
            if key == "use_causal_mask":
                layer = replace(layer, causal=arguments.flag(key, False))
            elif key == "return_attention_scores":
                layer = replace(layer, scores=arguments.flag(key, False))
            elif not _is_empty(arguments.raw(key)):
                raise UnsupportedError("", f"the call argument {key[:100]!r} is not supported")
        return layer

    def named(self, tensors: Sequence[T]) -> dict[str, T]:
        """The tensors of a call, or what belongs to them, by name. Raises `ModelError` where one is missing."""
        found = dict(zip(self.names, tensors, strict=False))
        if "query" not in found or "value" not in found or len(tensors) > len(self.names):
            received = ", ".join(found) if len(tensors) <= len(self.names) else f"{len(tensors)} tensors"
            raise ModelError("", "wrong inputs", expected="a query, a value and maybe a key", received=received)
        return {"key": found["value"], **found}


@dataclass(frozen=True)
class PlainAttention(Attends):
    """Queries of ..., T, D, values of ..., S, V and keys of ..., S, D, which are the values unless given.

    Masks of ..., T and ..., S, from the tensors or by name, are of queries and of values.
    """

    keywords: ClassVar[tuple[str, ...]] = ("mask",)

    def placed(self, arguments: Sequence[object], keywords: Mapping[str, object]) -> Layer:
        masks = keywords.get("mask")
        items = masks if isinstance(masks, list) else [masks]
        if not 2 <= len(items) <= 3 and any(isinstance(item, Slot) for item in items):
            raise UnsupportedError("", "the call argument 'mask' is wrong", expected="a list of two or three masks")
        given = [name for name, item in zip(MASKS, items, strict=False) if isinstance(item, Slot)]
        count = sum(1 for _ in slots(list(arguments)))
        return replace(self, names=(*INPUTS[:count], *given))

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        tensors = self.named(inputs)
        query, value, key = (tensors[name] for name in INPUTS)
        if any(name in tensors for name in MASKS):
            hidden = [truth(tensors[name], origin) if name in tensors else None for name in MASKS[:2]]
        else:
            hidden = [*masks.inputs[:2], None, None][:2]
        shapes = " and ".join(str(x.type.shape) for x in (query, key, value))
        if any(x.type.rank < 2 for x in (query, key, value)):
            raise ShapeError("", "the inputs are no sequences", expected="2 axes or more", received=shapes)
        if query.type.shape[-1] != key.type.shape[-1] or key.type.shape[-2] != value.type.shape[-2]:
            expected = "queries as long as keys, and as many keys as values"
            raise ShapeError("", "the inputs do not fit", expected=expected, received=shapes)
        scores = self.compare(query, key, weights, origin)
        if self.causal:
            mask = addend(visible(*scores.type.shape[-2:], causal=True))
            scores = make(ops.Add(), scores, ops.constant(mask, origin), origin=origin)
        if hidden[1] is not None:
            scores = where(spread(hidden[1], -2, origin), scores, MASKED, origin)
        shares = make(ops.Softmax((scores.type.rank - 1,)), scores, origin=origin)
        t, s, d, *lead = range(3 + max(shares.type.rank, value.type.rank) - 2)
        left, right = [*_front(shares, lead), t, s], [*_front(value, lead), s, d]
        result = product(shares, value, left, right, [*lead, t, d], origin)
        if hidden[0] is not None:
            result = where(spread(hidden[0], -1, origin), result, 0.0, origin)
        return [(result, hidden[0]), *([(shares, None)] if self.scores else [])]

    @abstractmethod
    def compare(self, query: Node, key: Node, weights: Mapping[str, Node], origin: Origin) -> Node:
        """Scores of ..., T, S."""


@dataclass(frozen=True)
class DotAttention(PlainAttention):
    """Scores are products of queries and keys, times a scale."""

    scale: Initializer | None = None

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return () if self.scale is None else (Weight("scale", (), self.scale, layout=(1,)),)

    def compare(self, query: Node, key: Node, weights: Mapping[str, Node], origin: Origin) -> Node:
        t, s, d, *lead = range(3 + max(query.type.rank, key.type.rank) - 2)
        left, right = [*_front(query, lead), t, d], [*_front(key, lead), s, d]
        scores = product(query, key, left, right, [*lead, t, s], origin)
        return scores if self.scale is None else make(ops.Multiply(), scores, weights["scale"], origin=origin)


@dataclass(frozen=True)
class ConcatAttention(DotAttention):
    """Scores are sums of tanh(scale * (query + key)), times a weight."""

    weight: Initializer | None = None

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        assert self.weight is not None
        return (*super().weights(*inputs), Weight("concat_score_weight", (), self.weight, layout=(1,)))

    def compare(self, query: Node, key: Node, weights: Mapping[str, Node], origin: Origin) -> Node:
        terms = _sums(query, key, origin)
        if self.scale is not None:
            terms = make(ops.Multiply(), terms, weights["scale"], origin=origin)
        terms = make(ops.Tanh(), terms, origin=origin)
        total = make(ops.ReduceSum((terms.type.rank - 1,)), terms, origin=origin)
        return make(ops.Multiply(), total, weights["concat_score_weight"], origin=origin)


@dataclass(frozen=True)
class AdditiveAttention(PlainAttention):
    """Scores are sums of scale * tanh(query + key), with a scale for each feature."""

    scale: Initializer | None = None

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        return () if self.scale is None else (Weight("scale", inputs[0].shape[-1:], self.scale),)

    def compare(self, query: Node, key: Node, weights: Mapping[str, Node], origin: Origin) -> Node:
        terms = make(ops.Tanh(), _sums(query, key, origin), origin=origin)
        if self.scale is not None:
            terms = make(ops.Multiply(), terms, weights["scale"], origin=origin)
        return make(ops.ReduceSum((terms.type.rank - 1,)), terms, origin=origin)


def visible(queries: int, keys: int, *, causal: bool, window: int | None = None) -> Array:
    """1 where a query reads a key, else 0, places counted from 0 in both: no key that is `window` places or more away,
    and where `causal` none behind the query. Raises `UnsupportedError` where that is too large to be stored."""
    if queries * keys > MAX_MASK:
        expected = f"at most {MAX_MASK} pairs of queries and keys"
        raise UnsupportedError("", "the mask is too large", expected=expected, received=f"{queries} by {keys}")
    distance = np.arange(queries, dtype=np.int32)[:, None] - np.arange(keys, dtype=np.int32)
    seen = np.abs(distance) < (max(queries, keys) if window is None else window)
    if causal:
        seen &= distance >= 0
    result: Array = seen.astype(np.float32)
    return result


def addend(seen: Array) -> Array:
    """What makes those scores `MASKED` that are not seen when it is added to them."""
    mask: Array = np.where(seen != 0, np.float32(0), np.float32(MASKED))
    return mask


def where(mask: Node, x: Node, otherwise: float, origin: Origin) -> Node:
    """`x` where the mask is 1, a number elsewhere."""
    return make(ops.Where(), mask, x, ops.constant(np.full(1, otherwise, np.float32), origin), origin=origin)


def spread(mask: Node, axis: int, origin: Origin) -> Node:
    """The mask with an axis of one element more, counted from the end of the result."""
    shape = list(mask.type.shape)
    shape.insert(len(shape) + 1 + axis, 1)
    return reshaped(mask, tuple(shape), origin)


def _sums(query: Node, key: Node, origin: Origin) -> Node:
    """query + key for each pair of them: ..., T, S, D."""
    *lead, t, d = query.type.shape
    *others, s, _ = key.type.shape
    query, key = reshaped(query, (*lead, t, 1, d), origin), reshaped(key, (*others, 1, s, d), origin)
    return make(ops.Add(), query, key, origin=origin)


def _front(x: Node, lead: Sequence[int]) -> Sequence[int]:
    """The labels of the axes in front of the last two."""
    return lead[len(lead) - (x.type.rank - 2) :]


def _is_empty(value: object) -> bool:
    """Whether a mask, or a list of them, is not there."""
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return all(item is None for item in items)


def _attention(fields: Fields) -> Layer:
    ones = parse_initializer(Fields({}), "scale", "ones")
    scale = ones if fields.flag("use_scale", False) else None
    if fields.choice("score_mode", "dot", ("dot", "concat")) == "dot":
        return DotAttention(scale=scale)
    return ConcatAttention(scale=scale, weight=ones)


def _additive_attention(fields: Fields) -> Layer:
    uniform = parse_initializer(Fields({}), "scale", "glorot_uniform")
    return AdditiveAttention(scale=uniform if fields.flag("use_scale", True) else None)


_NOTE = "two or three inputs, masks of queries and values, causal masks, scores as an output"
register("Attention", _attention, _NOTE)
register("AdditiveAttention", _additive_attention, _NOTE)
