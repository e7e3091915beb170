"""Arguments that many functions of keras.ops that move elements have: axes, sizes, and constants of integers."""

from __future__ import annotations

import math

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import array, axis_in, is_integer, plain, show
from convc.frontends.keras.operator import Arguments
from convc.ir import Array, Node, make


def sizes(call: Arguments, key: str, *, minimum: int | None) -> tuple[int, ...]:
    """An integer, or a list of them; a constant is one too. Raises `ModelError`."""
    value = plain(call.values.get(key))
    if is_integer(value):
        value = [value]
    if not isinstance(value, list) or not all(is_integer(item, minimum) for item in value):
        least = "" if minimum is None else f" from {minimum} up"
        expected = f"an integer{least}, or a list of them"
        raise ModelError("", f"'{key}' is wrong", expected=expected, received=show(value))
    return tuple(value)


def axis_of(call: Arguments, rank: int, key: str = "axis", default: int | None = None) -> int:
    """An axis of a tensor of `rank` axes, counted from the front. Raises `ModelError`."""
    return axis_in(call.fields.integer(key, default, minimum=None), rank)


def axes_of(call: Arguments, rank: int, key: str = "axis") -> tuple[int, ...]:
    """Different axes, counted from the front; None where there are none given. Raises `ModelError`."""
    given = sizes(call, key, minimum=None)
    axes = tuple(axis_in(axis, rank) for axis in given)
    if len(set(axes)) < len(axes):
        raise ModelError("", f"'{key}' is wrong", expected="different axes", received=str(given))
    return axes


def flat(call: Arguments, name: str) -> tuple[Node, int]:
    """The tensor and its `axis`; without one, the tensor as a vector."""
    x = call.tensor(name)
    if call.values.get("axis") is not None:
        return x, axis_of(call, x.type.rank)
    return (x, 0) if x.type.rank == 1 else (vector(x, call), 0)


def vector(x: Node, call: Arguments) -> Node:
    """All elements in a row."""
    return make(ops.Reshape((math.prod(x.type.shape),)), x, origin=call.origin)


def integers(call: Arguments, name: str) -> Array | None:
    """Integers in lists of lists, or one alone, as int64; None where the argument is a tensor that is computed.

    Raises `ModelError` where it is neither.
    """
    if call.is_tensor(name):
        return None
    value = plain(call.values.get(name))
    values = array(value)
    if values is None or not np.array_equal(values, np.trunc(values)) or np.abs(values).max(initial=0) >= 1 << 31:
        raise ModelError("", f"'{name}' is wrong", expected="integers, or a tensor of them", received=show(value))
    return values.astype(np.int64)


def refuse(call: Arguments, key: str, expected: str) -> UnsupportedError:
    """The error for a value of an argument that is not supported."""
    value = "a tensor" if call.is_tensor(key) else show(plain(call.values.get(key)))
    return UnsupportedError("", f"'{key}' is not supported", expected=expected, received=value)
