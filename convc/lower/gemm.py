"""Which contractions are products of matrices that are read from tensors as they lie in memory."""

from __future__ import annotations

from math import prod
from typing import Any

from convc import ops
from convc.ir.group import Group
from convc.lower.frame import contraction

CONVOLUTION = "gemm"
"""Attribute of a PrimFunc whose block `conv` is such a product with constant weights."""
PRODUCT = "gemm_product"
"""Attribute of a PrimFunc whose block `conv` is a product of two computed tensors."""


def attributes(group: Group) -> dict[str, Any]:
    """The attributes of the group's PrimFunc."""
    if isinstance(group.anchor.op, ops.MatMul):
        return {PRODUCT: _product(group)}
    described = _convolution(group)
    return {CONVOLUTION: described} if described else {}


def _product(group: Group) -> dict[str, Any]:
    """`left` and `right` are numbers of parameters; `labels` has those of the left, of the right operand and of the
    output, as the operation has them."""
    op, (left, right) = group.anchor.op, group.anchor.inputs
    assert isinstance(op, ops.MatMul)
    labels = [list(op.left), list(op.right), list(op.out)]
    return {"left": group.inputs.index(left), "right": group.inputs.index(right), "labels": labels}


def _convolution(group: Group) -> dict[str, Any] | None:
    """None where the anchor is no plain convolution or dense layer of at most two spatial axes.

    `input` and `weights` are numbers of parameters. `image` is batch, height, width and channels of the input, then
    come `window`, `strides`, `dilation`, `padding` (above and left), `positions` (the output's height and width) and
    `filters`. One axis is a height of one; where all positions are alike, they are images of one pixel. `exact`:
    operands must not be rounded.
    """
    anchor = group.anchor
    if not isinstance(anchor.op, ops.Conv | ops.Dense):
        return None
    x, kernel = anchor.inputs[0].type, anchor.inputs[1].type
    op, window = contraction(anchor), kernel.shape[:-2]
    if isinstance(anchor.op, ops.Conv) and (op.groups > 1 or op.is_depthwise(kernel)):
        return None
    common = {
        "input": group.inputs.index(anchor.inputs[0]),
        "weights": group.inputs.index(anchor.inputs[1]),
        "filters": kernel.shape[-1],
        "exact": op.exact,
    }
    flat = not any(width for pair in op.padding for width in pair) and set(op.strides) <= {1}
    if isinstance(anchor.op, ops.Dense) or (flat and prod(window) == 1):
        rows = prod(x.shape[:-1])
        return common | _plane([rows, 1, 1, x.shape[-1]], [1, 1], [1, 1], [1, 1], [0, 0], [1, 1])
    if len(window) > 2:
        return None
    axes = 2 - len(window)
    ones, low = [1] * axes, [0] * axes + [before for before, _ in op.padding]
    return common | _plane(
        [x.shape[0], *ones, *x.shape[1:]],
        [*ones, *window],
        [*ones, *op.strides],
        [*ones, *op.dilation],
        low,
        [*ones, *anchor.type.shape[1:-1]],
    )


def _plane(
    image: list[int],
    window: list[int],
    strides: list[int],
    dilation: list[int],
    padding: list[int],
    positions: list[int],
) -> dict[str, Any]:
    return {
        "image": image,
        "window": window,
        "strides": strides,
        "dilation": dilation,
        "padding": padding,
        "positions": positions,
    }
