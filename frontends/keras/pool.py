"""Pooling over windows and over whole planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc import ops
from convc.frontends.keras.config import Fields
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import Window, check_rank
from convc.ir import Node, Origin, make
from convc.ops.window import Padding


@dataclass(frozen=True)
class Pool(Layer):
    """The maximum or mean of each window. Padding counts for neither."""

    op: type[ops.MaxPool] | type[ops.AvgPool]
    window: Window

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        check_rank(inputs[0].type, len(self.window.size) + 2)

        def compute(x: Node, padding: Padding) -> Node:
            return make(self.op(self.window.size, self.window.strides, padding), x, origin=origin)

        return self.window.apply(inputs[0], origin, compute)


@dataclass(frozen=True)
class GlobalPool(Layer):
    """The maximum or mean over all spatial axes."""

    op: type[ops.ReduceMax] | type[ops.ReduceMean]
    rank: int
    keepdims: bool
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        check_rank(inputs[0].type, self.rank + 2)
        first = 2 if self.channels_first else 1
        return make(self.op(tuple(range(first, first + self.rank)), self.keepdims), *inputs, origin=origin)


def _pool(fields: Fields, rank: int, op: type[ops.MaxPool] | type[ops.AvgPool]) -> Layer:
    return Pool(op, Window.parse(fields, rank, fields.integers("pool_size", rank, 2)))


def _global_pool(fields: Fields, rank: int, op: type[ops.ReduceMax] | type[ops.ReduceMean]) -> Layer:
    return GlobalPool(op, rank, fields.flag("keepdims", False), fields.channels_first())


for _rank in (1, 2, 3):
    register(f"MaxPooling{_rank}D", partial(_pool, rank=_rank, op=ops.MaxPool), "valid, same; both data formats")
    register(f"AveragePooling{_rank}D", partial(_pool, rank=_rank, op=ops.AvgPool), "valid, same; both data formats")
    _note = "keepdims; both data formats"
    register(f"GlobalMaxPooling{_rank}D", partial(_global_pool, rank=_rank, op=ops.ReduceMax), _note)
    register(f"GlobalAveragePooling{_rank}D", partial(_global_pool, rank=_rank, op=ops.ReduceMean), _note)
