"""ZeroPadding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc import ops
from convc.errors import ModelError
from convc.frontends.keras.config import Fields, is_integer, plain, show
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import check_rank
from convc.ir import Node, Origin, make
from convc.ops.window import Padding


@dataclass(frozen=True)
class ZeroPadding(Layer):
    """Zeros around the spatial axes."""

    widths: Padding
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        check_rank(inputs[0].type, len(self.widths) + 2)
        none = ((0, 0),)
        widths = (*none * 2, *self.widths) if self.channels_first else (*none, *self.widths, *none)
        return make(ops.Pad(widths), *inputs, origin=origin)


def _parse(fields: Fields, rank: int) -> Layer:
    """`padding` is a number, or one or a pair for each axis; at rank 1 a pair alone is (low, high)."""
    value = fields.raw("padding", 1)
    if is_integer(value, 0):
        items: object = [value] * rank
    else:
        items = [value] if rank == 1 else value
    widths = [_pair(item) for item in items] if isinstance(items, Sequence) else []
    pairs = tuple(pair for pair in widths if pair is not None)
    if len(widths) != rank or len(pairs) != rank:
        expected = (
            "an integer from 0 up, or two of them" if rank == 1 else f"{rank} integers from 0 up, or {rank} pairs"
        )
        raise ModelError("", "'padding' is wrong", expected=expected, received=show(value))
    return ZeroPadding(pairs, fields.channels_first())


def _pair(value: object) -> tuple[int, int] | None:
    value = plain(value)
    if isinstance(value, int) and is_integer(value, 0):
        return (value, value)
    if isinstance(value, Sequence) and len(value) == 2 and all(is_integer(item, 0) for item in value):
        return (value[0], value[1])
    return None


for _rank in (1, 2, 3):
    register(f"ZeroPadding{_rank}D", partial(_parse, rank=_rank), "every form of padding, those of Keras 1 included")
