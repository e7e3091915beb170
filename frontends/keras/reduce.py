"""Functions of keras.ops that reduce whole axes: sums, means, extremes, norms, moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import Fields, axis_in, is_integer, is_number, show
from convc.frontends.keras.operator import Arguments, register_function
from convc.ir import DType, Node, Op, Origin, make

MAX_ORDER = 1e6
"""Orders of norms beyond this, and below its inverse, are not told from infinite ones and from 0."""


def given_axes(fields: Fields, key: str = "axis", default: int = -1) -> tuple[int, ...]:
    """One axis or a list of them, as they are written. Raises `ModelError`."""
    if key not in fields.values or is_integer(fields.raw(key)):
        return (fields.integer(key, default, minimum=None),)
    return fields.integers(key, None, minimum=None)


def axes_in(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in order. Raises `ModelError` where one is outside, or there twice, or none is."""
    found = tuple(sorted(axis_in(axis, rank) for axis in axes))
    if not found or len(set(found)) < len(found):
        raise ModelError("", "'axis' is wrong", expected="different axes, one at least", received=str(list(axes)))
    return found


def reduced_axes(call: Arguments, rank: int, key: str = "axis") -> tuple[int, ...]:
    """The axes that a call reduces; None means all."""
    if call.fields.raw(key) is None:
        return tuple(range(rank))
    return axes_in(given_axes(call.fields, key), rank)


def variance(x: Node, axes: tuple[int, ...], keepdims: bool, origin: Origin) -> Node:
    """The mean square of what is left of x without its mean."""
    mean = make(ops.ReduceMean(axes, keepdims=True), x, origin=origin)
    square = make(ops.Square(), make(ops.Subtract(), x, mean, origin=origin), origin=origin)
    return make(ops.ReduceMean(axes, keepdims), square, origin=origin)


def _reduction(op: type[ops.Reduce]) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        return _reduced(op, call.tensor("x"), call)

    return build


def _reduced(op: type[ops.Reduce], x: Node, call: Arguments) -> Node:
    """`x` reduced as the call's `axis` and `keepdims` say."""
    if x.type.rank == 0:
        return x
    axes = reduced_axes(call, x.type.rank)
    return make(op(axes, call.fields.flag("keepdims", False)), x, origin=call.origin)


def _extreme(op: type[ops.Reduce], combine: Op) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        result = _reduced(op, call.tensor("x"), call)
        if call.fields.raw("initial") is None:
            return result
        return make(combine, result, _number(call.fields.number("initial"), call), origin=call.origin)

    return build


def _prod(call: Arguments) -> Node:
    if call.fields.raw("dtype") not in (None, "float32"):
        received = show(call.fields.raw("dtype"))
        raise UnsupportedError("", "'dtype' is not supported", expected="float32", received=received)
    return _reduced(ops.ReduceProd, call.tensor("x"), call)


def _var(call: Arguments) -> Node:
    x = call.tensor("x")
    return variance(x, reduced_axes(call, x.type.rank), call.fields.flag("keepdims", False), call.origin)


def _std(call: Arguments) -> Node:
    return make(ops.Sqrt(), _var(call), origin=call.origin)


def _truth(op: type[ops.Reduce]) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        x = make(ops.NotEqual(), call.tensor("x"), _number(0.0, call), origin=call.origin)
        return _reduced(op, x, call)

    return build


def _logsumexp(call: Arguments) -> Node:
    """The largest element is taken out before, so that nothing overflows."""
    x, origin = call.tensor("x"), call.origin
    axes = reduced_axes(call, x.type.rank)
    largest = make(ops.ReduceMax(axes, keepdims=True), x, origin=origin)
    powers = make(ops.Exp(), make(ops.Subtract(), x, largest, origin=origin), origin=origin)
    total = make(ops.Log(), make(ops.ReduceSum(axes, keepdims=True), powers, origin=origin), origin=origin)
    return _squeezed(make(ops.Add(), total, largest, origin=origin), axes, call)


def _moments(call: Arguments) -> tuple[Node, Node]:
    if call.fields.flag("synchronized", False):
        raise UnsupportedError("", "'synchronized' is not supported", expected="false", received="true")
    x, origin = call.tensor("x"), call.origin
    axes, kept = axes_in(given_axes(call.fields, "axes"), x.type.rank), call.fields.flag("keepdims", False)
    return make(ops.ReduceMean(axes, kept), x, origin=origin), variance(x, axes, kept, origin)


def _index(op: type[ops.Reduce]) -> Callable[[Arguments], Node]:
    """The first place of the largest or smallest element, along one axis or among all."""

    def build(call: Arguments) -> Node:
        x, origin, kept = call.tensor("x"), call.origin, call.fields.flag("keepdims", False)
        shape = tuple(1 for _ in x.type.shape) if kept else ()
        axis = 0
        if call.fields.raw("axis") is None:
            x = make(ops.Reshape((x.type.elements,)), x, origin=origin)
        else:
            axis = axis_in(call.fields.integer("axis", None, minimum=None), x.type.rank)
            shape = tuple(1 if kept and i == axis else e for i, e in enumerate(x.type.shape) if kept or i != axis)
        extent = x.type.shape[axis]
        if extent > 1 << 24:
            raise UnsupportedError("", "the axis is too long", expected=f"at most {1 << 24}", received=str(extent))
        along = tuple(extent if i == axis else 1 for i in range(x.type.rank))
        places = ops.constant(np.arange(extent, dtype=np.float32).reshape(along), origin)
        best = make(op((axis,), keepdims=True), x, origin=origin)
        found = make(ops.Equal(), x, best, origin=origin)
        candidates = make(ops.Where(), found, places, _number(extent - 1, call), origin=origin)
        first = make(ops.ReduceMin((axis,)), candidates, origin=origin)
        integer = make(ops.Cast(DType.INT32), first, origin=origin)
        return integer if integer.type.shape == shape else make(ops.Reshape(shape), integer, origin=origin)

    return build


def vector_norm(x: Node, order: float, axes: tuple[int, ...], origin: Origin) -> Node:
    """(sum of |x|^order)^(1 / order) over `axes`, which are kept; its limits for infinite orders and for 0."""

    def reduced(op: type[ops.Reduce], y: Node) -> Node:
        return make(op(axes, keepdims=True), y, origin=origin)

    if order == 2:
        return make(ops.Sqrt(), reduced(ops.ReduceSum, make(ops.Square(), x, origin=origin)), origin=origin)
    if order == 0:
        zero = ops.constant(np.zeros(1, np.float32), origin)
        return reduced(ops.ReduceSum, make(ops.NotEqual(), x, zero, origin=origin))
    size = make(ops.Abs(), x, origin=origin)
    if math.isinf(order):
        return reduced(ops.ReduceMax if order > 0 else ops.ReduceMin, size)
    if order == 1:
        return reduced(ops.ReduceSum, size)
    exponent, root = (ops.constant(np.full(1, value, np.float32), origin) for value in (order, 1 / order))
    total = reduced(ops.ReduceSum, make(ops.Power(), size, exponent, origin=origin))
    return make(ops.Power(), total, root, origin=origin)


def _norm(call: Arguments) -> Node:
    x, origin, given = call.tensor("x"), call.origin, call.values.get("ord")
    axes = reduced_axes(call, x.type.rank)
    if call.fields.raw("axis") is None and given is not None and x.type.rank > 2:
        raise ModelError("", "'axis' is missing", expected="one axis or two", received=f"ord {show(given)}")
    if given is None or (given == "fro" and len(axes) == 2):
        return _squeezed(vector_norm(x, 2, axes, origin), axes, call)
    infinite = isinstance(given, float) and math.isinf(given)
    order = float(given) if infinite or is_number(given) else math.nan  # type: ignore[arg-type]
    if len(axes) == 1 and (infinite or order == 0 or 1 / MAX_ORDER <= abs(order) <= MAX_ORDER):
        return _squeezed(vector_norm(x, order, axes, origin), axes, call)
    if len(axes) == 2 and (infinite or abs(order) == 1):
        return _squeezed(_matrix_norm(x, order, call), axes, call)
    expected = "None, a number for one axis, 'fro', 1, -1, inf or -inf for two"
    raise UnsupportedError("", "'ord' is not supported", expected=expected, received=show(given))


def _matrix_norm(x: Node, order: float, call: Arguments) -> Node:
    """The largest or smallest sum of the sizes of a column (order 1 and -1) or a row (infinite orders)."""
    given = (0, 1) if call.fields.raw("axis") is None else given_axes(call.fields)
    row, column = (axis_in(axis, x.type.rank) for axis in given)
    summed, other = (column, row) if math.isinf(order) else (row, column)
    sums = vector_norm(x, 1, (summed,), call.origin)
    op = ops.ReduceMax if order > 0 else ops.ReduceMin
    return make(op((other,), keepdims=True), sums, origin=call.origin)


def _normalize(call: Arguments) -> Node:
    x, origin = call.tensor("x"), call.origin
    order, axes = call.fields.integer("order", 2), reduced_axes(call, x.type.rank)
    epsilon = 1e-7 if call.fields.raw("epsilon") is None else call.fields.number("epsilon")
    if order == 2:
        return unit(x, axes, epsilon, origin)
    if len(axes) != 1:
        raise UnsupportedError("", "'order' is not supported", expected="2 over several axes", received=str(order))
    least = _number(epsilon, call)
    size = make(ops.Maximum(), vector_norm(x, order, axes, origin), least, origin=origin)
    return make(ops.Divide(), x, size, origin=origin)


def unit(x: Node, axes: tuple[int, ...], epsilon: float, origin: Origin) -> Node:
    """x * min(1 / sqrt(sum of x^2), 1 / epsilon)."""
    if epsilon <= 0:
        raise ModelError("", "'epsilon' is wrong", expected="a positive number", received=str(epsilon))
    square = make(ops.Square(), x, origin=origin)
    inverse = make(ops.Rsqrt(), make(ops.ReduceSum(axes, keepdims=True), square, origin=origin), origin=origin)
    limit = np.full(1, min(1 / epsilon, float(np.finfo(np.float32).max)), np.float32)
    inverse = make(ops.Minimum(), inverse, ops.constant(limit, origin), origin=origin)
    return make(ops.Multiply(), x, inverse, origin=origin)


def _squeezed(x: Node, axes: Sequence[int], call: Arguments) -> Node:
    """`x` without `axes`, of one element each, unless the call keeps them."""
    if call.fields.flag("keepdims", False):
        return x
    shape = tuple(extent for axis, extent in enumerate(x.type.shape) if axis not in axes)
    return make(ops.Reshape(shape), x, origin=call.origin)


def _number(value: float, call: Arguments) -> Node:
    if not is_number(value) or abs(value) > float(np.finfo(np.float32).max):
        raise ModelError("", "a number is too large", expected="one that float32 can hold", received=show(value))
    return ops.constant(np.full((), value, np.float32), call.origin)


_AXES = "any axes, or all; keepdims"
_FUNCTIONS: dict[str, tuple[Callable[[Arguments], Node | tuple[Node, ...]], str]] = {
    "mean": (_reduction(ops.ReduceMean), _AXES),
    "sum": (_reduction(ops.ReduceSum), _AXES),
    "amax": (_reduction(ops.ReduceMax), _AXES),
    "amin": (_reduction(ops.ReduceMin), _AXES),
    "max": (_extreme(ops.ReduceMax, ops.Maximum()), _AXES + ", initial"),
    "min": (_extreme(ops.ReduceMin, ops.Minimum()), _AXES + ", initial"),
    "prod": (_prod, _AXES),
    "var": (_var, _AXES),
    "std": (_std, _AXES),
    "all": (_truth(ops.ReduceMin), _AXES + "; 1.0 for true"),
    "any": (_truth(ops.ReduceMax), _AXES + "; 1.0 for true"),
    "argmax": (_index(ops.ReduceMax), "one axis, or all; keepdims"),
    "argmin": (_index(ops.ReduceMin), "one axis, or all; keepdims"),
    "logsumexp": (_logsumexp, _AXES),
    "moments": (_moments, "any axes; keepdims"),
    "norm": (_norm, "any order of vectors; of matrices 'fro', 1, -1, inf and -inf; keepdims"),
    "normalize": (_normalize, "any order over one axis, 2 over several; epsilon"),
}
for _name, (_build, _note) in _FUNCTIONS.items():
    register_function(_name, "x", _build, _note)
