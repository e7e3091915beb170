"""Pooling over windows and over whole planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc import ops
from convc.errors import ShapeError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import Window, check_rank
from convc.ir import Node, Origin, make
from convc.ops.window import Padding

Windowed = type[ops.MaxPool] | type[ops.AvgPool]
Whole = type[ops.ReduceMax] | type[ops.ReduceMean]


@dataclass(frozen=True)
class Pool(Layer):
    """The maximum or mean of each window. Padding counts for neither."""

    op: Windowed
    window: Window

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        check_rank(inputs[0].type, len(self.window.size) + 2)

        def compute(x: Node, padding: Padding) -> Node:
            return make(self.op(self.window.size, self.window.strides, padding), x, origin=origin)

        return self.window.apply(inputs[0], origin, compute)


@dataclass(frozen=True)
class GlobalPool(Layer):
    """The maximum or mean over all spatial axes."""

    op: Whole
    rank: int
    keepdims: bool
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        check_rank(inputs[0].type, self.rank + 2)
        first = 2 if self.channels_first else 1
        return make(self.op(tuple(range(first, first + self.rank)), self.keepdims), *inputs, origin=origin)


def pooled_rank(x: Node) -> int:
    """The spatial axes of `x`, one to three. Raises `ShapeError` with an empty subject for other numbers."""
    if not 3 <= x.type.rank <= 5:
        expected = "3 to 5 axes: the batch, one to three of space, channels"
        raise ShapeError("", "the input has the wrong number of axes", expected=expected, received=str(x.type.shape))
    return x.type.rank - 2


def _pool(fields: Fields, rank: int, op: Windowed) -> Layer:
    return Pool(op, Window.parse(fields, rank, fields.integers("pool_size", rank, 2)))


def _global_pool(fields: Fields, rank: int, op: Whole) -> Layer:
    return GlobalPool(op, rank, fields.flag("keepdims", False), fields.channels_first())


def _call(call: Arguments, op: Windowed) -> Node:
    """A window without a default, on as many axes as the input has."""
    x, fields = call.tensor("inputs"), call.fields
    rank = pooled_rank(x)
    layer = Pool(op, Window.parse(fields, rank, fields.integers("pool_size", rank)))
    return layer.build((x,), {}, call.origin)


_WINDOWED: dict[str, Windowed] = {"Max": ops.MaxPool, "Average": ops.AvgPool}
_WHOLE: dict[str, Whole] = {"Max": ops.ReduceMax, "Average": ops.ReduceMean}

for _name in _WINDOWED:
    for _rank in (1, 2, 3):
        _parse = partial(_pool, rank=_rank, op=_WINDOWED[_name])
        register(f"{_name}Pooling{_rank}D", _parse, "every argument")
        _parse = partial(_global_pool, rank=_rank, op=_WHOLE[_name])
        register(f"Global{_name}Pooling{_rank}D", _parse, "every argument")
    _function = f"{_name.lower()}_pool"
    register_function(_function, "inputs", partial(_call, op=_WINDOWED[_name]), "one to three spatial axes")
