"""Layers that merge tensors, functions of keras.ops of two tensors, and Rescaling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import ClassVar

import numpy as np

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.keras.cast import as_float
from convc.frontends.keras.config import is_number, plain
from convc.frontends.keras.logic import choice, operands
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Masked, Masks, register
from convc.frontends.keras.truth import is_truth, number
from convc.ir import Array, Node, Origin, make

Function = Callable[[Node, Node, Origin], Node]

MAX_INTEGER_POWER = 8
"""Powers up to this are products; their error grows by half a unit in the last place with each."""


def _by(op: ops.Binary) -> Function:
    return lambda a, b, origin: make(op, a, b, origin=origin)


def add(a: Node, b: Node, origin: Origin) -> Node:
    """a + b; of two truth values, whether one holds."""
    return make(ops.Maximum() if is_truth(a) and is_truth(b) else ops.Add(), a, b, origin=origin)


def subtract(a: Node, b: Node, origin: Origin) -> Node:
    """a - b."""
    if is_truth(a) and is_truth(b):
        raise UnsupportedError("", "truth values have no difference", remedy="use keras.ops.logical_xor")
    return make(ops.Subtract(), a, b, origin=origin)


@dataclass(frozen=True)
class Merge(Layer):
    """A layer that merges tensors from the left; axes of size one are repeated.

    Where the inputs differ in rank, axes of size one are put behind the batch.
    """

    function: Function
    arity: ClassVar[tuple[int, int | None]] = (1, None)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        rank = max(x.type.rank for x in inputs)
        return reduce(lambda a, b: self.function(a, b, origin), (_of_rank(x, rank, origin) for x in inputs))


@dataclass(frozen=True)
class Pair(Merge):
    """A layer that merges two tensors."""

    arity: ClassVar[tuple[int, int | None]] = (2, 2)


@dataclass(frozen=True)
class MaskedMerge(Masked):
    """A product, a maximum or a minimum, into which masked steps do not go.

    In a product they are ones, and zero where no input counts. Otherwise, from the left, the one of two that counts
    stands for both; where neither does, the first.
    """

    function: Function
    is_product: bool = False
    arity: ClassVar[tuple[int, int | None]] = (1, None)

    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        given = list(masks.inputs) or [None] * len(inputs)
        united = None if None in given else reduce(partial(_either, origin=origin), given)
        if not any(given) or len({x.type.rank for x in inputs}) > 1:
            return [(Merge(self.function).build(inputs, weights, origin), united)]
        wide = [
            None if mask is None else make(ops.Reshape((*mask.type.shape, 1)), mask, origin=origin) for mask in given
        ]
        return [
            (self._product(inputs, wide, origin) if self.is_product else self._extremum(inputs, wide, origin), united)
        ]

    def _product(self, inputs: Sequence[Node], masks: Sequence[Node | None], origin: Origin) -> Node:
        one, zero = number(1, origin), number(0, origin)
        factors = [x if mask is None else choice(mask, x, one, origin) for x, mask in zip(inputs, masks, strict=True)]
        result = reduce(lambda a, b: self.function(a, b, origin), factors)
        united = None if None in masks else reduce(partial(_either, origin=origin), masks)
        return result if united is None else choice(united, result, zero, origin)

    def _extremum(self, inputs: Sequence[Node], masks: Sequence[Node | None], origin: Origin) -> Node:
        result, counts = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            other = x if mask is None else choice(mask, x, result, origin)
            if counts is not None:
                result = choice(counts, result, other, origin)
            counts = None if counts is None or mask is None else _either(counts, mask, origin)
            result = self.function(result, other, origin)
        return result


def _either(a: Node | None, b: Node | None, origin: Origin) -> Node:
    """1 where one of two masks is."""
    assert a is not None
    assert b is not None
    return a if a is b else make(ops.Maximum(), a, b, origin=origin)


@dataclass(frozen=True)
class Average(Merge):
    """The mean of all inputs."""

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        total = super().build(inputs, weights, origin)
        return make(ops.Multiply(), total, number(1 / len(inputs), origin), origin=origin)


def _of_rank(x: Node, rank: int, origin: Origin) -> Node:
    missing = rank - x.type.rank
    if not missing:
        return x
    batch, *rest = x.type.shape or (1,)
    return make(ops.Reshape((batch, *(1,) * (rank - 1 - len(rest)), *rest)), x, origin=origin)


@dataclass(frozen=True, eq=False)
class Rescaling(Layer):
    """x * scale + offset; vectors run along the last axis."""

    scale: Array
    offset: Array
    integers: ClassVar[bool] = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        scale, offset = (ops.constant(value, origin) for value in (self.scale, self.offset))
        scaled = make(ops.Multiply(), as_float(inputs[0], origin), scale, origin=origin)
        return make(ops.Add(), scaled, offset, origin=origin)


def _pair(function: Function) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        a, b = operands(call, "x1", "x2")
        return function(a, b, call.origin)

    return build


def _real(function: Function) -> Callable[[Arguments], Node]:
    """Integers are converted: the result has fractions."""

    def build(call: Arguments) -> Node:
        a, b = (as_float(call.tensor(name), call.origin) for name in ("x1", "x2"))
        return function(a, b, call.origin)

    return build


def _power(call: Arguments) -> Node:
    """By products, roots and quotients where the exponent is one number that they give."""
    origin = call.origin
    value = None if call.is_tensor("x2") else plain(call.values.get("x2"))
    if not is_number(value):
        return make(ops.Power(), call.tensor("x1"), call.tensor("x2"), origin=origin)
    assert isinstance(value, (int, float))
    base = call.tensor("x1")
    simple: dict[float, ops.Unary] = {
        -1.0: ops.Reciprocal(), -0.5: ops.Rsqrt(), 0.5: ops.Sqrt(), 2.0: ops.Square()
    }  # fmt: skip
    if value == 1:
        return base
    if value in simple:
        return make(simple[value], base, origin=origin)
    if value == int(value) and abs(value) <= MAX_INTEGER_POWER:
        return make(ops.IntegerPower(int(value)), base, origin=origin)
    return make(ops.Power(), base, call.tensor("x2"), origin=origin)


def _divide_no_nan(a: Node, b: Node, origin: Origin) -> Node:
    """0 where b is."""
    is_zero = make(ops.Equal(), b, number(0, origin), origin=origin)
    return choice(is_zero, number(0, origin), make(ops.Divide(), a, b, origin=origin), origin)


def _heaviside(a: Node, b: Node, origin: Origin) -> Node:
    """0 below zero, b at it, 1 above."""
    step = make(ops.Greater(), a, number(0, origin), origin=origin)
    return choice(make(ops.Equal(), a, number(0, origin), origin=origin), b, step, origin)


def _hypot(a: Node, b: Node, origin: Origin) -> Node:
    """max sqrt(1 + (min / max)**2), which does not overflow; 0 where both are."""
    a, b = (make(ops.Abs(), x, origin=origin) for x in (a, b))
    high, low = (make(op, a, b, origin=origin) for op in (ops.Maximum(), ops.Minimum()))
    square = make(ops.Square(), _divide_no_nan(low, high, origin), origin=origin)
    root = make(ops.Sqrt(), make(ops.Add(), square, number(1, origin), origin=origin), origin=origin)
    return make(ops.Multiply(), high, root, origin=origin)


def _logaddexp(a: Node, b: Node, origin: Origin) -> Node:
    """log(exp(a) + exp(b)) = max + softplus(-|a - b|)."""
    distance = make(ops.Abs(), make(ops.Subtract(), a, b, origin=origin), origin=origin)
    opposite = make(ops.Multiply(), distance, number(-1, origin), origin=origin)
    rest = make(ops.Softplus(), opposite, origin=origin)
    return make(ops.Add(), make(ops.Maximum(), a, b, origin=origin), rest, origin=origin)


def _logaddexp2(a: Node, b: Node, origin: Origin) -> Node:
    """log2(2**a + 2**b)."""
    log2 = number(float(np.log(2)), origin)
    a, b = (make(ops.Multiply(), x, log2, origin=origin) for x in (a, b))
    return make(ops.Multiply(), _logaddexp(a, b, origin), number(float(1 / np.log(2)), origin), origin=origin)


register("Add", lambda fields: Merge(add), "any number of inputs")
register("Multiply", lambda fields: MaskedMerge(_by(ops.Multiply()), True), "any number of inputs")
register("Maximum", lambda fields: MaskedMerge(_by(ops.Maximum())), "any number of inputs")
register("Minimum", lambda fields: MaskedMerge(_by(ops.Minimum())), "any number of inputs")
register("Average", lambda fields: Average(add), "any number of inputs")
register("Subtract", lambda fields: Pair(subtract), "two inputs")
register(
    "Rescaling",
    lambda fields: Rescaling(fields.numbers("scale"), fields.numbers("offset", 0.0)),
    "numbers, or vectors along the last axis",
)
for _name, _function in {
    "add": add, "subtract": subtract, "multiply": _by(ops.Multiply()), "maximum": _by(ops.Maximum()),
    "minimum": _by(ops.Minimum()), "fmax": _by(ops.Maximum()), "fmin": _by(ops.Minimum()),
}.items():  # fmt: skip
    register_function(_name, "x1 x2", _pair(_function), "tensors and constants on either side", integers=True)
for _name, _function in {
    "divide": _by(ops.Divide()), "true_divide": _by(ops.Divide()), "divide_no_nan": _divide_no_nan,
    "arctan2": _by(ops.Atan2()), "hypot": _hypot, "heaviside": _heaviside, "logaddexp": _logaddexp,
    "logaddexp2": _logaddexp2,
}.items():  # fmt: skip
    register_function(_name, "x1 x2", _real(_function), "tensors and constants on either side", integers=True)
for _name, _op in {"floor_divide": ops.FloorDivide(), "mod": ops.Mod(), "fmod": ops.Fmod()}.items():
    register_function(_name, "x1 x2", _pair(_by(_op)), "floating point; exact for quotients below 2**29")
register_function("power", "x1 x2", _power, "any exponents")
