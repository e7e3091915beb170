"""The functions of keras.ops that are products of tensors: matmul, dot, tensordot, inner, outer, vdot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convc import ops
from convc.errors import ModelError
from convc.frontends.keras.config import axis_in, is_integer, is_number, plain, show
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.product import matmul, product, reshaped, tensordot, total, transposed
from convc.ir import Node, Origin, make

__all__ = ["matmul", "product", "reshaped", "tensordot", "total", "transposed"]


def _dot(a: Node, b: Node, origin: Origin) -> Node:
    """NumPy's dot: the last axis by the one before the last; no axis is shared."""
    return tensordot(a, b, [a.type.rank - 1], [max(b.type.rank - 2, 0)], origin)


def _inner(a: Node, b: Node, origin: Origin) -> Node:
    return tensordot(a, b, [a.type.rank - 1], [b.type.rank - 1], origin)


def _outer(a: Node, b: Node, origin: Origin) -> Node:
    return tensordot(_flat(a, origin), _flat(b, origin), [], [], origin)


def _vdot(a: Node, b: Node, origin: Origin) -> Node:
    return tensordot(_flat(a, origin), _flat(b, origin), [0], [0], origin)


def _flat(x: Node, origin: Origin) -> Node:
    return reshaped(x, (x.type.elements,), origin)


def _tensordot(call: Arguments) -> Node:
    a, b = call.tensor("x1"), call.tensor("x2")
    axes = plain(call.values.get("axes", 2))
    if is_integer(axes, 0):
        assert isinstance(axes, int)
        count = axis_in(axes, min(a.type.rank, b.type.rank) + 1)
        pairs = list(range(a.type.rank - count, a.type.rank)), list(range(count))
    else:
        both = [plain(item) for item in axes] if isinstance(axes, Sequence) and not isinstance(axes, str) else []
        if len(both) != 2 or not all(_is_axes(item) for item in both) or len(both[0]) != len(both[1]):  # type: ignore[arg-type]
            raise ModelError(
                "", "'axes' is wrong", expected="a number, or two lists of as many axes", received=show(axes)
            )
        pairs = tuple([axis_in(axis, x.type.rank) for axis in item] for item, x in zip(both, (a, b), strict=True))  # type: ignore[attr-defined,assignment]
        if any(len(set(item)) < len(item) for item in pairs):
            raise ModelError("", "'axes' is wrong", expected="different axes", received=show(axes))
    return tensordot(a, b, *pairs, call.origin)


def _is_axes(item: object) -> bool:
    return isinstance(item, Sequence) and not isinstance(item, str) and all(is_integer(axis) for axis in item)


def _two(function: Callable[[Node, Node, Origin], Node]) -> Callable[[Arguments], Node]:
    return lambda call: function(call.tensor("x1"), call.tensor("x2"), call.origin)


def _or_scaled(function: Callable[[Node, Node, Origin], Node]) -> Callable[[Arguments], Node]:
    """Where one operand is a number, both are multiplied."""

    def build(call: Arguments) -> Node:
        a, b = call.tensor("x1"), call.tensor("x2")
        numbers = [is_number(plain(call.values.get(name))) for name in ("x1", "x2")]
        if any(numbers) or a.type.rank == 0 or b.type.rank == 0:
            return make(ops.Multiply(), a, b, origin=call.origin)
        return function(a, b, call.origin)

    return build


_NOTE = "tensors and constants on either side"
for _name, _function in (("matmul", matmul), ("outer", _outer), ("vdot", _vdot)):
    register_function(_name, "x1 x2", _two(_function), _NOTE)
for _name, _function in (("dot", _dot), ("inner", _inner)):
    register_function(_name, "x1 x2", _or_scaled(_function), _NOTE)
register_function("tensordot", "x1 x2", _tensordot, f"{_NOTE}; axes as a number or two lists")
