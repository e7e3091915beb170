"""keras.ops.pad: constants or elements of the tensor itself around it."""

from __future__ import annotations

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.keras.arguments import refuse
from convc.frontends.keras.config import is_integer, is_number, plain, show
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.slice import MAX_SELECTED, select
from convc.ir import Node, make
from convc.ops.window import Padding

MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def _pad(call: Arguments) -> Node:
    x = call.tensor("x")
    widths = _widths(call, x.type.rank)
    mode = call.fields.choice("mode", "constant", MODES)
    if mode == "constant":
        return make(ops.Pad(widths, _value(call)), x, origin=call.origin)
    if call.values.get("constant_values") is not None:
        raise ModelError("", "'constant_values' is wrong", expected="none in this mode", received=repr(mode))
    for axis, (low, high) in enumerate(widths):
        if low or high:
            x = _extended(x, axis, low, high, mode, call)
    return x


def _extended(x: Node, axis: int, low: int, high: int, mode: str, call: Arguments) -> Node:
    """NumPy says which elements the border repeats."""
    extent = x.type.shape[axis]
    if low + extent + high > MAX_SELECTED:
        expected = f"at most {MAX_SELECTED} elements along axis {axis}"
        raise ShapeError("", "the padding is too wide", expected=expected, received=f"{low} + {extent} + {high}")
    indices = np.pad(np.arange(extent), (low, high), mode=mode)  # type: ignore[call-overload]
    return select(x, axis, indices.tolist(), call.origin)


def _widths(call: Arguments, rank: int) -> Padding:
    """(low, high) of every axis: one number, one pair, or a pair or number for each axis."""
    value = plain(call.values.get("pad_width"))
    items = value if isinstance(value, list) else [value]
    if len(items) == 2 and all(is_integer(item) for item in items):
        items = [items]
    pairs = [_pair(plain(item)) for item in items]
    if len(pairs) == 1:
        pairs *= rank
    widths = tuple(pair for pair in pairs if pair is not None)
    if len(widths) != rank or len(pairs) != rank:
        expected = f"a number or a pair from 0 up, for all of {rank} axes or for each"
        raise ModelError("", "'pad_width' is wrong", expected=expected, received=show(value))
    return widths


def _pair(item: object) -> tuple[int, int] | None:
    numbers = item if isinstance(item, list) else [item]
    if len(numbers) not in (1, 2) or not all(is_integer(number, 0) for number in numbers):
        return None
    low, high = numbers[0], numbers[-1]
    return int(low), int(high)  # type: ignore[arg-type]


def _value(call: Arguments) -> float:
    value = plain(call.values.get("constant_values"))
    if value is None:
        return 0.0
    if not is_number(value):
        raise refuse(call, "constant_values", "one number")
    return float(value)  # type: ignore[arg-type]


register_function("pad", "x constant_values", _pad, f"a number, or the modes {', '.join(MODES[1:])}", integers=True)
