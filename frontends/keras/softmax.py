"""Softmax, its logarithm and sparsemax, as layers, activations and functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc import ops
from convc.errors import ShapeError, UnsupportedError
from convc.frontends.keras.cast import as_float
from convc.frontends.keras.config import Fields, axis_in
from convc.frontends.keras.logic import choice
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, register
from convc.frontends.keras.truth import is_truth, number
from convc.ir import Node, Op, Origin, make

MAX_COMPARISONS = 1 << 24
"""Most comparisons that sparsemax makes: each element with each other one of its axis."""
MASKED = -1e9
"""What Keras puts in place of masked elements."""


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax, or its logarithm, over one or several axes, which may count from the end; None: over all.

    A second tensor is a mask: elements where it is false, or not above 1/2, are left out, and zero in the result.
    """

    axes: tuple[int, ...] | None
    op: type[ops.Softmax] = ops.Softmax
    arity: ClassVar = (1, 2)
    keywords: ClassVar = ("mask",)
    integers: ClassVar = True

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        x, *masks = inputs
        x = as_float(x, origin)
        axes = range(x.type.rank) if self.axes is None else {axis_in(axis, x.type.rank) for axis in self.axes}
        op = self.op(tuple(sorted(axes)))
        if not masks:
            return make(op, x, origin=origin)
        kept = _kept(masks[0], x, origin)
        result = make(op, choice(kept, x, number(MASKED, origin), origin), origin=origin)
        return choice(kept, result, number(0, origin), origin)


def _kept(mask: Node, x: Node, origin: Origin) -> Node:
    """1 where the mask keeps. It broadcasts to `x`, and not the other way round."""
    ours = x.type.shape[x.type.rank - mask.type.rank :] if mask.type.rank <= x.type.rank else ()
    if mask.type.rank > x.type.rank or any(m not in (1, n) for m, n in zip(mask.type.shape, ours, strict=True)):
        received = str(mask.type.shape)
        raise ShapeError("", "the mask does not broadcast to the input", expected=str(x.type.shape), received=received)
    if is_truth(mask):
        return mask
    return make(ops.Greater(), as_float(mask, origin), number(0.5, origin), origin=origin)


@dataclass(frozen=True)
class Sparsemax(Layer):
    """max(x - t, 0) as Keras computes it.

    The k largest elements of the axis are above the t of Martins and Astudillo 2016: those which the others exceed by
    less than 1 in all. Keras's own t is (the sum of their k running sums, the largest first - 1) / k, where the paper
    has the last of these sums only. Nothing is sorted: the rank of an element is counted.
    """

    axis: int = -1

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        axis = axis_in(self.axis, x.type.rank)
        before, extent, after = x.type.shape[:axis], x.type.shape[axis], x.type.shape[axis + 1 :]
        if x.type.elements * extent > MAX_COMPARISONS:
            raise UnsupportedError(
                "",
                "the axis of sparsemax is too long: its elements are compared in pairs",
                expected=f"at most {MAX_COMPARISONS} pairs",
                received=str(x.type.elements * extent),
            )

        def apply(op: Op, *nodes: Node) -> Node:
            return make(op, *nodes, origin=origin)

        def total(node: Node, *, keepdims: bool = False) -> Node:
            return apply(ops.ReduceSum((axis,), keepdims), node)

        rows, columns = (apply(ops.Reshape((*before, *pair, *after)), x) for pair in ((extent, 1), (1, extent)))
        excess = total(apply(ops.Relu(), apply(ops.Subtract(), rows, columns)))
        above = apply(ops.Greater(), number(1, origin), excess)
        # Twice the number of larger elements, and once that of equal ones, itself among them: 2 rank - 1.
        counts = (total(apply(op, rows, columns)) for op in (ops.Greater(), ops.GreaterEqual()))
        rank = apply(ops.Multiply(), apply(ops.Add(), *counts), number(0.5, origin))
        size = total(above, keepdims=True)
        sums = apply(ops.Subtract(), apply(ops.Add(), size, number(0.5, origin)), rank)
        part = total(apply(ops.Multiply(), apply(ops.Multiply(), sums, above), x), keepdims=True)
        limit = apply(ops.Divide(), apply(ops.Subtract(), part, number(1, origin)), size)
        return apply(ops.Relu(), apply(ops.Subtract(), x, limit))


def parse_softmax(fields: Fields, op: type[ops.Softmax] = ops.Softmax) -> Layer:
    """By `axis`: one, several, or None for all."""
    if "axis" in fields.values and fields.raw("axis") is None:
        return Softmax(None, op)
    if isinstance(fields.raw("axis"), Sequence):
        return Softmax(fields.integers("axis", None, minimum=None), op)
    return Softmax((fields.integer("axis", -1, minimum=None),), op)


def _softmax(call: Arguments) -> Node:
    return parse_softmax(call.fields).build([call.tensor("x")], {}, call.origin)


def _log_softmax(call: Arguments) -> Node:
    return parse_softmax(call.fields, ops.LogSoftmax).build([call.tensor("x")], {}, call.origin)


def _sparsemax(call: Arguments) -> Node:
    return Sparsemax(call.fields.integer("axis", -1, minimum=None)).build([call.tensor("x")], {}, call.origin)


register("Softmax", parse_softmax, "over one axis or several, with a mask")
register_function("softmax", "x", _softmax, "over one axis, several or all")
register_function("log_softmax", "x", _log_softmax, "over one axis, several or all")
register_function("sparsemax", "x", _sparsemax, "along short axes: elements are compared in pairs")
