"""Adaptive pooling: windows that divide an axis into a given number of parts, as evenly as integers allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from convc import ops
from convc.frontends.keras.config import Fields
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.pool import pooled_rank
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.window import channels_first, channels_last, check_rank
from convc.frontends.tables import check_table, resample
from convc.ir import Array, Node, Origin, Shape, make


@dataclass(frozen=True)
class AdaptivePool(Layer):
    """The maximum or mean of each part of the spatial axes, which are divided into `size` parts."""

    largest: bool
    size: Shape
    channels_first: bool

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        check_rank(x.type, len(self.size) + 2)
        if self.channels_first:
            return channels_first(self._pool(channels_last(x, origin), origin), origin)
        return self._pool(x, origin)

    def _pool(self, x: Node, origin: Origin) -> Node:
        extents = x.type.shape[1:-1]
        if all(extent % out == 0 for extent, out in zip(extents, self.size, strict=True)):
            window = tuple(extent // out for extent, out in zip(extents, self.size, strict=True))
            if set(self.size) == {1}:
                axes = tuple(range(1, x.type.rank - 1))
                return make((ops.ReduceMax if self.largest else ops.ReduceMean)(axes, True), x, origin=origin)
            pool = ops.MaxPool if self.largest else ops.AvgPool
            return make(pool(window, window, ((0, 0),) * len(window)), x, origin=origin)
        tables = {
            axis: parts(extent, out, largest=self.largest)
            for axis, (extent, out) in enumerate(zip(extents, self.size, strict=True), 1)
        }
        return resample(x, tables, origin)


def parts(extent: int, out: int, *, largest: bool) -> tuple[Array, Array | None]:
    """The elements floor(i * extent / out) up to ceil((i + 1) * extent / out) of part i, and what each weighs.

    The `largest` element needs no weights: where parts are shorter than others, their last element stands twice.
    """
    taps = -(-extent // out) + (1 if extent % out else 0)
    check_table(out * taps, extent)
    number = np.arange(out, dtype=np.int64)[:, None]
    start, end = number * extent // out, -(-(number + 1) * extent // out)
    places = start + np.arange(taps)
    indices = np.minimum(places, end - 1).astype(np.int32)
    if largest:
        return indices, None
    return indices, np.where(places < end, 1 / (end - start), 0.0).astype(np.float32)


def _parse(fields: Fields, rank: int, largest: bool) -> Layer:
    return AdaptivePool(largest, fields.integers("output_size", rank), fields.channels_first())


def _call(call: Arguments, largest: bool) -> Node:
    x = call.tensor("inputs")
    return _parse(call.fields, pooled_rank(x), largest).build((x,), {}, call.origin)


for _largest, _name in ((False, "Average"), (True, "Max")):
    for _rank in (1, 2, 3):
        _note = "windows as Keras defines them, also where its jax backend rounds them wrongly and answers NaN"
        register(f"Adaptive{_name}Pooling{_rank}D", partial(_parse, rank=_rank, largest=_largest), _note)
    _function = f"adaptive_{_name.lower()}_pool"
    register_function(_function, "inputs", partial(_call, largest=_largest), "one to three spatial axes")
