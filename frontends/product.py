"""Products of tensors, summed over the axes that they share, as the ops that compute them best."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from convc import ops
from convc.errors import ShapeError
from convc.ir import Node, Op, Origin, Shape, make

Labels = Sequence[int]
"""A number for each axis; equal numbers stand for one axis of several tensors."""


def product(
    a: Node, b: Node, left: Labels, right: Labels, out: Labels, origin: Origin, bias: Node | None = None
) -> Node:
    """The sum of a * b over the labels that `out` lacks, plus `bias`, which broadcasts to the result.

    `left` and `right` label the axes of `a` and `b`. Axes of one element are repeated. A Dense where one operand is a
    constant matrix, elementwise ops where nothing is summed or nothing is free, else a MatMul. Raises `ShapeError`.
    """
    a, left = _source(a, left)
    b, right = _source(b, right)
    a, left, b, right = _fitting(a, left, b, right)
    a, left = total(a, left, {*right, *out}, origin)
    b, right = total(b, right, {*left, *out}, origin)
    shared = set(left) & set(right)
    if shared <= set(out):
        y = make(ops.Multiply(), *(_aligned(x, labels, out, origin) for x, labels in ((a, left), (b, right))),
                 origin=origin)  # fmt: skip
    elif isinstance(b.op, ops.Constant) and _is_dense(left, right, out):
        return _dense(a, b, left, right, out, origin, bias)
    elif isinstance(a.op, ops.Constant) and _is_dense(right, left, out):
        return _dense(b, a, right, left, out, origin, bias)
    elif set(left) == set(right):
        terms = make(ops.Multiply(), a, transposed(b, right, left, origin), origin=origin)
        y, kept = total(terms, left, set(out), origin)
        y = transposed(y, kept, out, origin)
    else:
        y = _matmul(a, b, left, right, out, origin)
    return y if bias is None else make(ops.Add(), y, bias, origin=origin)


def total(x: Node, labels: Labels, kept: set[int], origin: Origin) -> tuple[Node, list[int]]:
    """`x` summed over the axes whose labels are not in `kept`, and the labels that are left."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in kept)
    if axes:
        x = make(ops.ReduceSum(axes), x, origin=origin)
    return x, [label for label in labels if label in kept]


def transposed(x: Node, labels: Labels, order: Labels, origin: Origin) -> Node:
    """`x` with its axes in another order; a constant is transposed here."""
    permutation = tuple(list(labels).index(label) for label in order)
    if permutation == tuple(range(len(permutation))):
        return x
    return _moved(ops.Transpose(permutation), x, origin)


def reshaped(x: Node, shape: Shape, origin: Origin) -> Node:
    """`x` under another shape; a constant stays one."""
    return x if x.type.shape == shape else _moved(ops.Reshape(shape), x, origin)


def _moved(op: Op, x: Node, origin: Origin) -> Node:
    if isinstance(x.op, ops.Constant):
        return ops.constant(np.ascontiguousarray(op.reference(x.op.value)), x.origin)
    return make(op, x, origin=origin)


def _source(x: Node, labels: Labels) -> tuple[Node, Labels]:
    """What `x` is a Transpose of, and its labels: their order costs nothing."""
    while isinstance(x.op, ops.Transpose):
        order = x.op.permutation
        x, labels = x.inputs[0], [labels[order.index(axis)] for axis in range(len(order))]
    return x, labels


def _fitting(a: Node, left: Labels, b: Node, right: Labels) -> tuple[Node, list[int], Node, list[int]]:
    """The operands without axes of one element that the other operand has too."""
    sizes = [dict(zip(labels, x.type.shape, strict=True)) for labels, x in ((left, a), (right, b))]
    dropped: tuple[set[int], set[int]] = (set(), set())
    for label in set(left) & set(right):
        first, second = (size[label] for size in sizes)
        if first == 1 or second == 1:
            fixed = second == 1 and (first > 1 or isinstance(b.op, ops.Constant))
            dropped[fixed].add(label)
        elif first != second:
            received = f"{a.type.shape} and {b.type.shape}"
            raise ShapeError("", "the tensors differ in the size of an axis that they share", received=received)
    return (*_without(a, left, dropped[0]), *_without(b, right, dropped[1]))


def _without(x: Node, labels: Labels, dropped: set[int]) -> tuple[Node, list[int]]:
    kept = [(label, extent) for label, extent in zip(labels, x.type.shape, strict=True) if label not in dropped]
    return reshaped(x, tuple(extent for _, extent in kept), x.origin), [label for label, _ in kept]


def _aligned(x: Node, labels: Labels, out: Labels, origin: Origin) -> Node:
    """`x` in the order of `out`, with axes of one element where it has none."""
    order = [label for label in out if label in labels]
    y = transposed(x, labels, order, origin)
    sizes = dict(zip(order, y.type.shape, strict=True))
    return reshaped(y, tuple(sizes.get(label, 1) for label in out), origin)


def _is_dense(left: Labels, right: Labels, out: Labels) -> bool:
    """Whether `right` is a matrix for all of `left`, which need not be transposed both before and after."""
    if set(left) & set(right) & set(out):
        return False
    free, units = [label for label in left if label in out], [label for label in out if label in right]
    return list(left[: len(free)]) == free or [*free, *units] == list(out)


def _dense(x: Node, kernel: Node, left: Labels, right: Labels, out: Labels, origin: Origin, bias: Node | None) -> Node:
    """The summed axes of `x` become its last one, the others of the kernel the units."""
    free, summed = ([label for label in left if (label in out) is kept] for kept in (True, False))
    units = [label for label in out if label in right]
    x = transposed(x, left, [*free, *summed], origin)
    kernel = transposed(kernel, right, [*summed, *units], origin)
    lead, sizes = x.type.shape[: len(free)], kernel.type.shape[len(summed) :]
    depth, width = prod(x.type.shape[len(free) :]), prod(sizes)
    operands = [reshaped(x, (*lead, depth), origin), reshaped(kernel, (depth, width), origin)]
    behind = bias
    if bias is not None and isinstance(bias.op, ops.Constant) and [*free, *units] == list(out):
        full = bias.type.shape
        if all(extent == 1 for extent in full[: -len(sizes)]) if sizes else prod(full) == 1:
            own = np.broadcast_to(bias.op.value.reshape(full[len(full) - len(sizes) :] if sizes else ()), sizes)
            operands.append(ops.constant(np.ascontiguousarray(own).reshape(width), bias.origin))
            behind = None
    y = reshaped(make(ops.Dense(), *operands, origin=origin), (*lead, *sizes), origin)
    y = transposed(y, [*free, *units], out, origin)
    return y if behind is None else make(ops.Add(), y, behind, origin=origin)


def _matmul(a: Node, b: Node, left: Labels, right: Labels, out: Labels, origin: Origin) -> Node:
    """Vectors run along the last axis of the output, or the longest that only one operand has."""
    sizes = dict(zip([*left, *right], [*a.type.shape, *b.type.shape], strict=True))
    free = [label for label in out if (label in left) is not (label in right)]
    column = out[-1]
    if column not in free or sizes[column] == 1:
        column = max(free, key=lambda label: sizes[label])
    if column in left:
        a, b, left, right = b, a, right, left
    order = [*(label for label in out if label != column), column]
    number = {label: index for index, label in enumerate(sizes)}
    op = ops.MatMul(*(tuple(number[label] for label in labels) for labels in (left, right, order)))
    return transposed(make(op, a, b, origin=origin), order, out, origin)


def matmul(a: Node, b: Node, origin: Origin) -> Node:
    """NumPy's: the last axis by the one before the last; those in front broadcast, and a vector's one axis vanishes."""
    depths = [x.type.shape[-1:] for x in (a, b)]
    if a.type.rank and b.type.rank:
        depths[1] = b.type.shape[-2:][:1]
    if not all(depths) or depths[0] != depths[1]:
        expected = "the last axis of the first as long as the last but one of the second"
        received = f"{a.type.shape} and {b.type.shape}"
        raise ShapeError("", "the tensors have no product", expected=expected, received=received)
    k, i, j = 0, 1, 2
    left, right = ([k] if a.type.rank == 1 else [i, k]), ([k] if b.type.rank == 1 else [k, j])
    fronts = [[*range(3 + x.type.rank - 2, 3, -1)] for x in (a, b)]
    batch = max(fronts, key=len)
    out = [*batch, *left[:-1], *right[1:]]
    return product(a, b, [*fronts[0], *left], [*fronts[1], *right], out, origin)


def tensordot(a: Node, b: Node, first: Sequence[int], second: Sequence[int], origin: Origin) -> Node:
    """The sum over pairs of axes, one of `a` and one of `b`; what is left of `a` comes first."""
    left = list(range(a.type.rank))
    right = list(range(a.type.rank, a.type.rank + b.type.rank))
    for axis, other in zip(first, second, strict=True):
        if a.type.shape[axis] != b.type.shape[other]:
            received = f"{a.type.shape} and {b.type.shape}"
            raise ShapeError("", f"axis {axis} of the first tensor and axis {other} of the second differ in size",
                             received=received)  # fmt: skip
        right[other] = left[axis]
    out = [label for label in (*left, *right) if (label in left) is not (label in right)]
    return product(a, b, left, right, out, origin)
