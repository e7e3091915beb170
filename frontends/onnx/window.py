"""Windows as ONNX describes them, and the axis order around them. Shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Callable

from convc.errors import ModelError, ShapeError
from convc.frontends.onnx.registry import Call
from convc.ir import Node, Shape
from convc.ops import Transpose
from convc.ops.window import Padding, same_padding

Ints = tuple[int, ...]


def each(values: Ints | None, rank: int, name: str, default: int = 1) -> Shape:
    """One positive value for each spatial axis. Raises `ModelError` with an empty subject."""
    if values is None:
        return (default,) * rank
    if len(values) != rank or any(value < 1 for value in values):
        raise ModelError("", f"'{name}' is wrong", expected=f"{rank} positive integers", received=str(values))
    return values


def padding(
    auto_pad: str, pads: Ints | None, extents: Shape, window: Shape, strides: Shape, dilation: Shape
) -> Padding:
    """The explicit padding for an input of these extents. Raises `ModelError` with an empty subject."""
    rank = len(extents)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        upper = same_padding(extents, window, strides, dilation)
        return upper if auto_pad == "SAME_UPPER" else tuple((high, low) for low, high in upper)
    if auto_pad == "VALID" or (auto_pad == "NOTSET" and pads is None):
        return ((0, 0),) * rank
    if auto_pad != "NOTSET":
        expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER"
        raise ModelError("", "'auto_pad' is wrong", expected=expected, received=auto_pad[:100])
    assert pads is not None
    if len(pads) != 2 * rank or any(pad < 0 for pad in pads):
        raise ModelError("", "'pads' is wrong", expected=f"{2 * rank} integers from 0 up", received=str(pads))
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def spatial(x: Node) -> Shape:
    """The spatial extents of x of N, C, *spatial. Raises `ShapeError` with an empty subject."""
    if not 3 <= x.type.rank <= 5:
        raise ShapeError("", "the input's rank is not supported", expected="3 to 5 axes", received=str(x.type.shape))
    return x.type.shape[2:]


def channels_last(call: Call, x: Node, compute: Callable[[Node], Node]) -> Node:
    """`compute` on x with its channels moved from axis 1 to the end, and back."""
    rank = x.type.rank
    last = call.make(Transpose((0, *range(2, rank), 1)), x)
    y = compute(last)
    rank = y.type.rank
    return call.make(Transpose((0, rank - 1, *range(1, rank - 1))), y)
