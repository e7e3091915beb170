"""Windows as Keras describes them, and the axis order around them. Shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from convc.errors import ShapeError
from convc.frontends.keras.config import Fields
from convc.ir import Node, Origin, Shape, TensorType, make
from convc.ops import Transpose
from convc.ops.window import Padding, same_padding


class Border(Enum):
    """What happens at the border; the value is Keras's name."""

    VALID = "valid"
    SAME = "same"
    CAUSAL = "causal"


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes of x: N, *spatial, C, or N, C, *spatial where `channels_first`."""

    size: Shape
    strides: Shape
    dilation: Shape
    border: Border
    channels_first: bool

    @classmethod
    def parse(
        cls, fields: Fields, rank: int, size: Shape, *, strides: int | None = None, causal: bool = False
    ) -> Window:
        """Reads strides, dilation_rate, padding and data_format; absent strides are `strides`, or else the size.

        `causal`: whether padding may be that.
        """
        borders = [border.value for border in Border if causal or border is not Border.CAUSAL]
        absent = fields.raw("strides") is None and strides is None
        return cls(
            size,
            size if absent else fields.integers("strides", rank, strides),
            fields.integers("dilation_rate", rank, 1),
            Border(fields.choice("padding", "valid", borders)),
            fields.channels_first(),
        )

    def padding(self, spatial: Shape) -> Padding:
        """The explicit padding for an input of these spatial extents."""
        if self.border is Border.SAME:
            return same_padding(spatial, self.size, self.strides, self.dilation)
        if self.border is Border.CAUSAL:
            return tuple(((k - 1) * d, 0) for k, d in zip(self.size, self.dilation, strict=True))
        return ((0, 0),) * len(self.size)

    def channels(self, x: TensorType) -> int:
        """How many channels `x` has. Raises `ShapeError` where its rank does not suit the window."""
        check_rank(x, len(self.size) + 2)
        return x.shape[1 if self.channels_first else -1]

    def apply(self, x: Node, origin: Origin, compute: Callable[[Node, Padding], Node]) -> Node:
        """`compute(x, padding)` on channels-last `x`, in the axis order of the layer."""
        return self.ordered(x, origin, lambda last: compute(last, self.padding(last.type.shape[1:-1])))

    def ordered(self, x: Node, origin: Origin, compute: Callable[[Node], Node]) -> Node:
        """`compute(x)` on channels-last `x`, in the axis order of the layer."""
        if not self.channels_first:
            return compute(x)
        return channels_first(compute(channels_last(x, origin)), origin)


def channels_last(x: Node, origin: Origin, axis: int = 1) -> Node:
    """`x` with its channels moved from `axis` to the end."""
    rest = [i for i in range(x.type.rank) if i != axis]
    return make(Transpose((*rest, axis)), x, origin=origin)


def channels_first(x: Node, origin: Origin, axis: int = 1) -> Node:
    """`x` with its channels moved from the end to `axis`."""
    order = list(range(x.type.rank - 1))
    order.insert(axis, x.type.rank - 1)
    return make(Transpose(tuple(order)), x, origin=origin)


def check_rank(x: TensorType, rank: int, what: str = "the input") -> None:
    """Raises `ShapeError` with an empty subject where `x` has not `rank` axes."""
    if x.rank != rank:
        raise ShapeError("", f"{what} has the wrong number of axes", expected=str(rank), received=str(x.shape))
