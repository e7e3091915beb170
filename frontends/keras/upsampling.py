"""UpSampling: pixels repeated, or images interpolated to a multiple of their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from convc.frontends.keras.broadcast import repeated
from convc.frontends.keras.config import Fields
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.resample import METHODS, Resize
from convc.frontends.keras.window import channels_first, channels_last, check_rank
from convc.ir import Node, Origin, Shape


@dataclass(frozen=True)
class Repeat(Layer):
    """Each pixel `size` times in a row along each spatial axis."""

    size: Shape
    channels_first: bool
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        check_rank(x.type, len(self.size) + 2)
        counts = (1, *self.size, 1)
        if not self.channels_first:
            return repeated(x, counts, origin)
        return channels_first(repeated(channels_last(x, origin), counts, origin), origin)


@dataclass(frozen=True)
class Interpolate(Layer):
    """Images in `size` times their height and width."""

    size: tuple[int, int]
    channels_first: bool
    method: str

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        check_rank(x.type, 4)
        height, width = x.type.shape[2:] if self.channels_first else x.type.shape[1:-1]
        size = (height * self.size[0], width * self.size[1])
        return Resize(size, self.method).apply(x, self.channels_first, origin)


def _parse(fields: Fields, rank: int) -> Layer:
    size = fields.integers("size", rank, 2)
    first = rank > 1 and fields.channels_first()
    method = fields.choice("interpolation", "nearest", METHODS) if rank == 2 else "nearest"
    return Repeat(size, first) if method == "nearest" else Interpolate((size[0], size[1]), first, method)


register("UpSampling1D", partial(_parse, rank=1), "any size")
register("UpSampling2D", partial(_parse, rank=2), f"any size, both data formats; {', '.join(METHODS)}")
register("UpSampling3D", partial(_parse, rank=3), "any size, both data formats")
