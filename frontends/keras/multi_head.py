"""MultiHeadAttention and GroupedQueryAttention: projections, attention of each head, and a projection of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod, sqrt
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.attention import INPUTS, MASKED, Attends, addend, spread, visible, where
from convc.frontends.keras.calls import Slot
from convc.frontends.keras.config import Fields, is_integer
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.matmul import product, reshaped
from convc.frontends.keras.registry import Layer, Masks, Weight, register
from convc.frontends.keras.truth import truth
from convc.ir import Node, Origin, Shape, TensorType, make

PARAMETERS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")
"""Those of a call that may be tensors, in order."""


@dataclass(frozen=True)
class MultiHead(Attends):
    """Attention of `heads` heads over the axes `axes` (None: all but the batch and the features).

    `groups` heads of keys and values serve the heads of queries, in order, as many each. `shape` replaces the features
    of the query in the output. `window`: keys so many places away, or more, are not read. `gated`: the result of each
    head is multiplied with the sigmoid of a projection of the query. `dropped`: there is dropout in training, which
    makes Keras treat queries without keys otherwise. `grouped`: it is a GroupedQueryAttention.
    """

    heads: int = 1
    groups: int = 1
    key_dim: int = 1
    value_dim: int = 1
    bias: Initializer | None = None
    kernel: Initializer | None = None
    gated: bool = False
    shape: Shape | None = None
    axes: tuple[int, ...] | None = None
    window: int | None = None
    dropped: bool = False
    grouped: bool = False
    keywords: ClassVar[tuple[str, ...]] = PARAMETERS

    @property
    def clears(self) -> bool:
        return not self.grouped

    def placed(self, arguments: Sequence[object], keywords: Mapping[str, object]) -> Layer:
        if len(arguments) > len(PARAMETERS):
            expected, received = f"at most {len(PARAMETERS)}", str(len(arguments))
            raise UnsupportedError("", "too many call arguments", expected=expected, received=received)
        given = {**dict(zip(PARAMETERS, arguments, strict=False)), **keywords}
        names = [name for name, value in zip(PARAMETERS, arguments, strict=False) if isinstance(value, Slot)]
        names += [name for name in PARAMETERS if isinstance(keywords.get(name), Slot)]
        loose = next((name for name, value in given.items() if isinstance(value, list)), None)
        if loose is not None:
            raise UnsupportedError("", f"the call argument {loose[:100]!r} is a list", expected="a tensor")
        return replace(self, names=tuple(names))

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        tensors = self.named(inputs)
        if any(tensors[name].rank < 3 or (self.grouped and tensors[name].rank > 3) for name in INPUTS):
            received = " and ".join(str(tensors[name].shape) for name in INPUTS)
            expected = "3 axes" if self.grouped else "3 axes or more"
            raise ShapeError("", "the inputs are no sequences", expected=expected, received=received)
        query, value, key = (tensors[name].shape[-1] for name in INPUTS)
        made = [
            *self._projection("query", (query,), (self.heads, self.key_dim)),
            *self._projection("key", (key,), (self.groups, self.key_dim)),
        ]
        if self.gated:
            made += self._projection("gate", (query,), (self.heads, self.value_dim), hidden=True)
        made += self._projection("value", (value,), (self.groups, self.value_dim))
        made += self._projection("output", (self.heads, self.value_dim), self.shape or (query,))
        return tuple(made)

    def _projection(self, name: str, depth: Shape, units: Shape, *, hidden: bool = False) -> list[Weight]:
        """`hidden`: the attribute of Keras's layer is a private one, as they all are where it is `grouped`."""
        assert self.kernel is not None
        path = f"{'_' if hidden or self.grouped else ''}{name}_dense"
        made = [Weight(f"{name}/kernel", depth + units, self.kernel, (prod(depth), prod(units)), path=path)]
        if self.bias is not None:
            made.append(Weight(f"{name}/bias", units, self.bias, (prod(units),), path=path))
        return made

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        tensors, carried = self.named(inputs), {"key": None, **dict(zip(self.names, masks.inputs, strict=False))}
        query, value, key = (tensors[name] for name in INPUTS)
        axes = self._axes([x.type for x in (query, key, value)])
        heads = (self.groups,) if self.heads == self.groups else (self.groups, self.heads // self.groups)

        def project(x: Node, name: str) -> Node:
            operands = [weights[f"{name}/{part}"] for part in ("kernel", "bias") if f"{name}/{part}" in weights]
            return make(ops.Dense(), x, *operands, origin=origin)

        def split(x: Node, *heads: int) -> Node:
            """The features by heads, and the axes that are attended over as one where they are neighbours."""
            return reshaped(x, (*_joined(x.type.shape[:-1], axes), *heads, x.type.shape[-1] // prod(heads)), origin)

        scale = ops.constant(np.full(1, 1 / sqrt(self.key_dim)), origin)
        q = split(make(ops.Multiply(), project(query, "query"), scale, origin=origin), *heads)
        k, v = split(project(key, "key"), self.groups), split(project(value, "value"), self.groups)
        front = q.type.rank - 1 - len(heads)
        attended = (axes[0],) if front < query.type.rank - 1 else axes
        batch = [axis for axis in range(front) if axis not in attended]
        grouped, channel = list(range(front, q.type.rank - 1)), q.type.rank - 1
        sources = {axis: q.type.rank + index for index, axis in enumerate(attended)}
        left = list(range(q.type.rank))
        right = [*(sources.get(axis, axis) for axis in range(front)), grouped[0], channel]
        middle = [*batch, *grouped, *attended, *sources.values()]
        scores = product(q, k, left, right, middle, origin)
        own = [carried.get(name) for name in INPUTS]
        scores, mask = self._mask(scores, tensors, own, axes, origin)
        summed = tuple(range(len(middle) - len(attended), len(middle)))
        shares = make(ops.Softmax(summed), scores, origin=origin)
        if mask is not None and (self.scores or self.dropped or query.type.rank != 3):
            shares = where(mask, shares, 0.0, origin)  # a query may have no keys
        result = product(shares, v, middle, right, left, origin)
        if self.gated:
            gate = split(make(ops.Sigmoid(), project(query, "gate"), origin=origin), *heads)
            result = make(ops.Multiply(), result, gate, origin=origin)
        result = project(reshaped(result, (*query.type.shape[:-1], self.heads * self.value_dim), origin), "output")
        result = reshaped(result, (*query.type.shape[:-1], *(self.shape or query.type.shape[-1:])), origin)
        if not self.scores:
            return [(result, own[0])]
        lead = [query.type.shape[axis] for axis in range(query.type.rank - 1) if axis not in axes]
        ends = [x.type.shape[axis] for x in (query, key) for axis in axes]
        return [(result, own[0]), (reshaped(shares, (*lead, self.heads, *ends), origin), None)]

    def _axes(self, inputs: Sequence[TensorType]) -> tuple[int, ...]:
        """The axes that are attended over, counted from the front."""
        query, key, value = inputs
        shapes = " and ".join(str(x.shape) for x in inputs)
        rank = query.rank
        if rank != key.rank or rank != value.rank or key.shape[1:-1] != value.shape[1:-1]:
            expected = "queries, keys and values with as many axes, and as many keys as values"
            raise ShapeError("", "the inputs do not fit", expected=expected, received=shapes)
        if self.axes is None:
            axes = tuple(range(1, rank - 1))
        else:
            axes = tuple(axis if axis >= 0 else rank + axis for axis in self.axes)
        if not axes or len(set(axes)) < len(axes) or not all(1 <= axis < rank - 1 for axis in axes):
            expected = f"distinct axes from 1 to {rank - 2}"
            raise ModelError("", "'attention_axes' is wrong", expected=expected, received=str(self.axes))
        for axis in range(rank - 1):
            if axis not in axes and query.shape[axis] != key.shape[axis]:
                raise ShapeError("", f"the inputs differ in axis {axis}", received=shapes)
        return axes

    def _mask(
        self,
        scores: Node,
        tensors: Mapping[str, Node],
        carried: Sequence[Node | None],
        axes: tuple[int, ...],
        origin: Origin,
    ) -> tuple[Node, Node | None]:
        """The scores that count, the others `MASKED`; and the mask where a query may be left without keys.

        `carried` are the masks of queries, values and keys. The result has as many axes as the scores.
        """
        parts = []
        for place, name, own in zip((-1, -2, -2), ("query_mask", "value_mask", "key_mask"), carried, strict=True):
            given = truth(tensors[name], origin) if name in tensors and (name != "query_mask" or self.grouped) else own
            if given is not None:
                parts.append(spread(given, place, origin))
        if "attention_mask" in tensors:
            parts.append(truth(tensors["attention_mask"], origin))
        static = None
        if self.causal or self.window is not None:
            queries, keys = (tensors[name].type.shape[1] for name in ("query", "value"))
            static = visible(queries, keys, causal=self.causal, window=self.window)
        if (parts or static is not None) and axes != (1,):
            raise UnsupportedError("", "a mask or a sliding window needs attention over axis 1 alone")
        if static is not None and not parts and static.any(axis=1).all():
            return make(ops.Add(), scores, ops.constant(addend(static), origin), origin=origin), None
        if static is not None:
            parts.append(ops.constant(static[None], origin))
        if not parts:
            return scores, None
        mask = reduce(lambda a, b: make(ops.Multiply(), a, b, origin=origin), parts)
        *lead, queries, keys = mask.type.shape
        missing = scores.type.rank - mask.type.rank
        if missing < 0:
            received = str(mask.type.shape)
            raise ShapeError("", "the mask has too many axes", expected=f"{scores.type.rank}", received=received)
        mask = reshaped(mask, (*lead, *(1,) * missing, queries, keys), origin)
        return where(mask, scores, MASKED, origin), mask


def _joined(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """`shape` with `axes` as one axis, where they follow one another."""
    if axes != tuple(range(axes[0], axes[0] + len(axes))):
        return shape
    return (*shape[: axes[0]], prod(shape[axes[0] : axes[-1] + 1]), *shape[axes[-1] + 1 :])


def _initializers(fields: Fields) -> tuple[Initializer, Initializer | None]:
    """Of kernels and of biases."""
    bias = parse_initializer(fields, "bias_initializer", "zeros") if fields.flag("use_bias", True) else None
    return parse_initializer(fields, "kernel_initializer", "glorot_uniform"), bias


def _window(fields: Fields) -> int | None:
    return None if fields.raw("sliding_window") is None else fields.integer("sliding_window")


def _drops(fields: Fields) -> bool:
    return fields.number("dropout", 0.0) > 0


def _multi_head_attention(fields: Fields) -> Layer:
    kernel, bias = _initializers(fields)
    heads, key_dim = fields.integer("num_heads"), fields.integer("key_dim")
    shape, axes = fields.raw("output_shape"), fields.raw("attention_axes")
    return MultiHead(
        heads=heads,
        groups=heads,
        key_dim=key_dim,
        value_dim=key_dim if fields.raw("value_dim") is None else fields.integer("value_dim"),
        kernel=kernel,
        bias=bias,
        gated=fields.flag("use_gate", False),
        shape=fields.integers("output_shape", 1 if is_integer(shape) else None) if shape else None,
        axes=None if axes is None else fields.integers("attention_axes", 1 if is_integer(axes) else None, minimum=None),
        window=_window(fields),
        dropped=_drops(fields),
    )


def _grouped_query_attention(fields: Fields) -> Layer:
    kernel, bias = _initializers(fields)
    heads, groups = fields.integer("num_query_heads"), fields.integer("num_key_value_heads")
    if heads % groups:
        expected = f"a multiple of num_key_value_heads = {groups}"
        raise ModelError("", "'num_query_heads' is wrong", expected=expected, received=str(heads))
    size = fields.integer("head_dim")
    return MultiHead(
        heads=heads,
        groups=groups,
        key_dim=size,
        value_dim=size,
        kernel=kernel,
        bias=bias,
        gated=fields.flag("use_gate", False),
        axes=(1,),
        window=_window(fields),
        dropped=_drops(fields),
        grouped=True,
    )


_NOTE = "any inputs, causal masks and windows, gates, scores as an output; other masks are refused"
register("MultiHeadAttention", _multi_head_attention, f"{_NOTE}; any axes")
register("GroupQueryAttention", _grouped_query_attention, _NOTE)
