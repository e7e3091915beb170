"""Products: Gemm, MatMul and Einsum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends import einsum as sums
from convc.frontends.onnx.arithmetic import floats, integers, is_integer
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.product import matmul as product
from convc.ir import Node


@handler("Gemm")
def gemm(
    call: Call,
    a: Node,
    b: Node,
    c: Node | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: bool = False,  # noqa: N803
    transB: bool = False,  # noqa: N803
) -> Node:
    """alpha * a @ b + beta * c."""
    shapes = (a.type.shape, b.type.shape)
    if any(len(shape) != 2 for shape in shapes):
        raise ShapeError("", "the operands are not matrices", expected="two axes each", received=str(shapes))
    x = call.make(ops.Transpose((1, 0)), a) if transA else a
    if isinstance(b.op, ops.Constant) and not is_integer(a):
        kernel = np.ascontiguousarray(b.op.value.T if transB else b.op.value)
        y = call.make(ops.Dense(), x, call.constant(kernel if alpha == 1 else kernel * np.float32(alpha)))
    else:
        y = product_of(call, x, call.make(ops.Transpose((1, 0)), b) if transB else b)
        y = y if alpha == 1 else call.make(ops.Multiply(), y, call.constant(alpha))
    if c is None:
        return y
    scaled = c if beta == 1 else call.make(ops.Multiply(), c, call.constant(beta))
    return call.make(ops.Add(), y, scaled)


@handler("MatMul")
def matmul(call: Call, a: Node, b: Node) -> Node:
    """Products of matrices, or of a vector with them, batched as in NumPy."""
    if not a.type.rank or not b.type.rank:
        raise ShapeError("", "an operand has no axes", received=f"{a.type.shape} and {b.type.shape}")
    return product_of(call, a, b)


def product_of(call: Call, a: Node, b: Node) -> Node:
    """NumPy's matmul; of integers it is exact as long as its sums are below 2**24."""
    y = product(floats(call, a), floats(call, b), call.origin)
    return integers(call, y) if is_integer(a) else y


@handler("Einsum")
def einsum(call: Call, *inputs: Node, equation: str) -> Node:
    """Sums of products by an equation; a letter twice in one operand is its diagonal."""
    if not inputs:
        raise ModelError("", "the inputs are missing")
    text = "".join(equation.split())
    operands, arrow, out = text.partition("->")
    if not arrow:
        letters = operands.replace("...", "").replace(",", "")
        once = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
        out = ("..." if "..." in operands else "") + once
    parts = operands.split(",")
    nodes = [floats(call, x) for x in inputs]
    if len(parts) == len(nodes):
        pairs = [_without_doubles(call, part, x) for part, x in zip(parts, nodes, strict=True)]
        parts, nodes = [part for part, _ in pairs], [x for _, x in pairs]
    y = sums.einsum(sums.Equation.parse(f"{','.join(parts)}->{out}"), nodes, call.origin)
    return integers(call, y) if is_integer(inputs[0]) else y


def _without_doubles(call: Call, part: str, x: Node) -> tuple[str, Node]:
    """The operand with one axis, its diagonal, for two that have the same letter."""
    front, dots, behind = part.partition("...")
    hidden = x.type.rank - len(front) - len(behind)
    labels: list[str] = [*front, *("." for _ in range(hidden if dots else 0)), *behind]
    if len(labels) != x.type.rank:
        raise ShapeError("", f"a tensor does not fit '{part[:100]}'", received=str(x.type.shape))
    for letter in sorted(set(labels) - {"."}):
        while labels.count(letter) > 1:
            first = labels.index(letter)
            second = labels.index(letter, first + 1)
            x = _diagonal(call, x, first, second)
            del labels[second]
            labels.append(labels.pop(first))
    # The diagonals are the last axes now, those of "..." still side by side.
    text = "".join(labels)
    return text.replace("." * hidden, "...", 1) if dots and hidden else (dots + text if dots else text), x


def _diagonal(call: Call, x: Node, first: int, second: int) -> Node:
    """The elements whose indices in two axes are equal, along a last axis."""
    rest: Sequence[int] = [axis for axis in range(x.type.rank) if axis not in (first, second)]
    extent = x.type.shape[first]
    if x.type.shape[second] != extent:
        raise ShapeError("", "the axes of a diagonal differ in size", received=str(x.type.shape))
    moved = call.make(ops.Transpose((*rest, first, second)), x)
    kept = tuple(x.type.shape[axis] for axis in rest)
    flat = call.make(ops.Reshape((*kept, extent * extent)), moved)
    return call.make(ops.Slice.along(flat.type.shape, len(kept), 0, extent, extent + 1 if extent > 1 else 1), flat)
