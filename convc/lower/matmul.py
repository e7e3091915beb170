"""Products of two computed tensors: the right one is packed into vectors first, then it is a dense layer's kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from tvm import te

from convc import ops
from convc.ir import Shape
from convc.lower.anchor import Anchor
from convc.lower.contraction import contract, whole_blocks
from convc.lower.layout import Layout, round_up
from convc.lower.math import Expr, f32

ATTRIBUTE = "product"
"""Of a PrimFunc whose block `conv` is a product of two computed tensors."""
PACKED_READS = 512
"""Times that each element of the right operand is read, from which on packing it first pays: measured."""


@dataclass(frozen=True)
class Roles:
    """What the labels of a MatMul are to its kernel: `row` and `column` span the register tile, `summed` are in the
    order of the left operand. None: there is no label that only the left operand has."""

    batch: Shape
    row: int | None
    column: int
    summed: Shape
    sizes: Mapping[int, int]


def roles(op: ops.MatMul, left: Shape, right: Shape) -> Roles:
    """The column is the last label of the output, the row the largest that only the left operand has."""
    sizes = dict(zip(op.left + op.right, left + right, strict=True))
    column = op.out[-1]
    free = [label for label in reversed(op.out) if label not in op.right]
    row = max(free, key=lambda label: sizes[label]) if free else None
    batch = tuple(label for label in op.out if label not in (row, column))
    return Roles(batch, row, column, op.summed, sizes)


def overread(op: ops.MatMul, left: Shape, right: Shape, layout: Layout) -> int:
    """Elements behind the left operand's end that the kernel reads, and whose products it drops."""
    row = roles(op, left, right).row
    if row is None:
        return 0
    axis = op.left.index(row)
    return (round_up(left[axis], layout.columns) - left[axis]) * prod(left[axis + 1 :])


def matmul(op: ops.MatMul, left: te.Tensor, right: te.Tensor, layout: Layout, *, bounded: bool) -> Anchor:
    """A block `pack` that brings `right` into vectors where it pays, and the blocks of `contract` over the domain
    *batch, row, block, lane, at least four axes of it.

    Rows are rounded up to the layout's tile. The rows behind the last are read all the same and their results dropped:
    the memory plan owes those bytes. Where it cannot (`bounded`), a block `extend` copies the rows first. So it does
    for a sum whose length has no divisor that makes good partial sums: zeros make it longer.
    """
    role = roles(op, _shape(left), _shape(right))
    rows = 1 if role.row is None else role.sizes[role.row]
    rounded = round_up(rows, layout.columns)
    extents = tuple(role.sizes[label] for label in role.summed)
    depths = (whole_blocks(extents[-1]),) if len(extents) == 1 and not layout.threads else extents
    longer = {} if depths == extents else {role.summed[0]: depths[0]}
    taller = {role.row: rounded} if role.row is not None and rounded > rows and (bounded or longer) else {}
    source = _extended(left, op.left, {**longer, **taller})
    packed, lanes = _packed(right, op, role, depths, layout)
    blocks = -(-role.sizes[role.column] // lanes)
    batch = tuple(role.sizes[label] for label in role.batch) or (1,)

    def product(indices: list[Expr], taps: list[Expr], channel: Expr) -> Expr:
        *outer, row, block, lane = indices
        where = dict(zip(role.batch, outer, strict=False)) | dict(zip(role.summed, [*taps, channel], strict=False))
        fixed = [where[label] for label in op.right if label in role.batch]
        where |= {role.row: row, role.column: block * lanes + lane}  # type: ignore[dict-item]
        kernel = packed(*fixed, block, *(where[label] for label in role.summed), lane)
        return source(*(where[label] for label in op.left)) * kernel

    result = contract((*batch, rounded, blocks, lanes), depths[:-1], depths[-1] if depths else 1, product, layout)

    def read(*indices: Expr) -> Expr:
        where = dict(zip(op.out, indices, strict=True))
        outer = [where[label] for label in role.batch] or [0]
        o = where[role.column]
        return result(*outer, 0 if role.row is None else where[role.row], o // lanes, o % lanes)

    return read


def _packed(
    right: te.Tensor, op: ops.MatMul, role: Roles, depths: Shape, layout: Layout
) -> tuple[Callable[..., Expr], int]:
    """`right` read at *batch, block, *summed, lane, and the number of lanes.

    Lanes behind the last column repeat it, as nobody reads their sums; summands behind the last are zero. Where the
    left operand has the column too, vectors of it are read as well: lanes then divide the column. What consists of
    whole vectors already, and is read few times, is not packed; threads have one vector of all columns, and no copy.
    """
    size = role.sizes[role.column]
    lanes = size if layout.threads else min(layout.lanes, 1 << (size - 1).bit_length())
    while role.column in op.left and size % lanes:
        lanes //= 2
    fixed = [label for label in op.right if label in role.batch]
    extents = tuple(role.sizes[label] for label in role.summed)

    def where(indices: Sequence[Expr]) -> dict[int, Expr]:
        *outer, block = indices[: len(fixed) + 1]
        summed = dict(zip(role.summed, indices[len(fixed) + 1 :], strict=False))
        return dict(zip(fixed, outer, strict=True)) | summed | {role.column: block * lanes + indices[-1]}

    blocks = -(-size // lanes)
    reads = prod(role.sizes[label] for label in op.out if label not in op.right)
    few = op.right[-1] == role.column and size % lanes == 0 and depths == extents and reads < PACKED_READS
    if few or layout.threads:

        def direct(*indices: Expr) -> Expr:
            return right(*(where(indices)[label] for label in op.right))

        return direct, lanes
    shape = (*(role.sizes[label] for label in fixed), blocks, *depths, lanes)

    grown = list(zip(role.summed, depths, strict=True))

    def element(*indices: Expr) -> Expr:
        at = where(indices)
        inside = [at[label] < role.sizes[label] for label, extent in grown if extent > role.sizes[label]]
        if blocks * lanes > size:
            at[role.column] = te.min(at[role.column], size - 1)
        value = right(*(at[label] for label in op.right))
        return te.if_then_else(te.all(*inside), value, f32(0.0)) if inside else value

    return te.compute(shape, element, name="pack"), lanes


def _extended(x: te.Tensor, labels: Shape, sizes: Mapping[int, int]) -> te.Tensor:
    """`x` with zeros behind the axes that `sizes` makes longer; `x` itself where there are none."""
    if not sizes:
        return x
    shape = tuple(sizes.get(label, extent) for label, extent in zip(labels, _shape(x), strict=True))
    grown = [axis for axis, extent in enumerate(_shape(x)) if shape[axis] > extent]

    def element(*indices: Expr) -> Expr:
        inside = te.all(*(indices[axis] < _shape(x)[axis] for axis in grown))
        return te.if_then_else(inside, x(*indices), f32(0.0))

    return te.compute(shape, element, name="extend")


def _shape(x: te.Tensor) -> Shape:
    return tuple(int(extent) for extent in x.shape)
