"""Arithmetic on tensors that broadcast. Integers of every width are computed in 32 bits, and truncated where NumPy is.

What a narrower type would wrap around inside of a model is not: 200 + 100 is 300 for uint8 too, until it is cast.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np

from convc import ops
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.ir import DType, Node, Op

MOST_SQUARINGS = 64
"""The largest constant exponent that is written out as a product."""

_BINARY: Mapping[str, tuple[Op, Op]] = {
    "Add": (ops.Add(), ops.Add()),
    "Sub": (ops.Subtract(), ops.Subtract()),
    "Mul": (ops.Multiply(), ops.Multiply()),
    "Div": (ops.Divide(), ops.Quotient()),
}
"""The ops for floating point and for integers."""

_VARIADIC: Mapping[str, Op] = {"Max": ops.Maximum(), "Min": ops.Minimum(), "Sum": ops.Add()}


def is_integer(x: Node) -> bool:
    """Whether `x` holds integers; truth values are floating point."""
    return x.type.dtype is DType.INT32


def number(call: Call, value: float, like: Node) -> Node:
    """A constant scalar of the dtype of `like`."""
    return call.constant(np.asarray(value, like.type.dtype.numpy))


def floats(call: Call, x: Node) -> Node:
    """`x` in floating point."""
    return call.make(ops.Cast(DType.FLOAT32), x) if is_integer(x) else x


def integers(call: Call, x: Node) -> Node:
    """`x` as integers, its fractions cut off."""
    return x if is_integer(x) else call.make(ops.Cast(DType.INT32), x)


def magnitude(call: Call, x: Node) -> Node:
    """The absolute value."""
    if is_integer(x):
        return call.make(ops.Maximum(), x, call.make(ops.Subtract(), number(call, 0, x), x))
    return call.make(ops.Abs(), x)


def _binary(real: Op, integer: Op) -> Handler:
    def build(call: Call, a: Node, b: Node) -> Node:
        return call.make(integer if is_integer(a) else real, a, b)

    return build


def _variadic(op: Op) -> Handler:
    def build(call: Call, *inputs: Node) -> Node:
        return reduce(lambda a, b: call.make(op, a, b), inputs)

    return build


for _name, _ops in _BINARY.items():
    handler(_name)(_binary(*_ops))
for _name, _op in _VARIADIC.items():
    handler(_name)(_variadic(_op))


@handler("Abs")
def abs_(call: Call, x: Node) -> Node:
    """The absolute value."""
    return magnitude(call, x)


@handler("Neg")
def neg(call: Call, x: Node) -> Node:
    """-x."""
    return call.make(ops.Multiply(), x, number(call, -1, x))


@handler("Sign")
def sign(call: Call, x: Node) -> Node:
    """-1 below zero, 0 at it, 1 above."""
    if not is_integer(x):
        return call.make(ops.Sign(), x)
    return call.make(ops.Minimum(), call.make(ops.Maximum(), x, number(call, -1, x)), number(call, 1, x))


@handler("Mean")
def mean(call: Call, *inputs: Node) -> Node:
    """The mean of all inputs."""
    total = reduce(lambda a, b: call.make(ops.Add(), a, b), inputs)
    return total if len(inputs) == 1 else call.make(ops.Multiply(), total, call.constant(1 / len(inputs)))


@handler("Mod")
def mod(call: Call, a: Node, b: Node, *, fmod: bool = False) -> Node:
    """The remainder with the sign of b, or of a where `fmod`."""
    if is_integer(a):
        return call.make(ops.Remainder() if fmod else ops.Modulo(), a, b)
    return call.make(ops.Fmod() if fmod else ops.Mod(), a, b)


@handler("Pow")
def pow_(call: Call, x: Node, y: Node) -> Node:
    """x to the y, in the type of x; of integers it is rounded to 24 bits unless y is a small constant."""
    exponent = _scalar(y)
    whole = exponent is not None and exponent == int(exponent) and abs(exponent) <= MOST_SQUARINGS
    if exponent is not None and whole and (exponent >= 1 or not is_integer(x)):
        return _whole_power(call, x, int(exponent))
    if exponent == 0.5 and not is_integer(x):
        return call.make(ops.Sqrt(), x)
    power = call.make(ops.Power(), floats(call, x), floats(call, y))
    if not is_integer(x):
        return power
    return integers(call, call.make(ops.Round(), power) if is_integer(y) else power)


def _scalar(x: Node) -> float | None:
    """The one value of a constant; NaN and infinities are none."""
    if not isinstance(x.op, ops.Constant) or x.type.elements != 1 or x.type.rank > 1:
        return None
    value = float(x.op.value.reshape(-1)[0])
    return value if np.isfinite(value) else None


def _whole_power(call: Call, x: Node, exponent: int) -> Node:
    if exponent == 1:
        return x
    if not is_integer(x):
        return call.make(ops.Square() if exponent == 2 else ops.IntegerPower(exponent), x)
    half = _whole_power(call, x, exponent // 2)
    square = call.make(ops.Multiply(), half, half)
    return call.make(ops.Multiply(), square, x) if exponent % 2 else square
