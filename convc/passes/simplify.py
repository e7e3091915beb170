"""Rules that compute what is constant, drop what does nothing at inference, and write one thing in one way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convc.ir import Array, DType, Graph, Node, make
from convc.ops import (
    Abs,
    Add,
    Cast,
    Ceil,
    Concat,
    Constant,
    Divide,
    Exp,
    Floor,
    HardSigmoid,
    Multiply,
    Pad,
    Pool,
    Relu,
    Reshape,
    Round,
    Sigmoid,
    Softplus,
    Square,
    Subtract,
    Transpose,
    Trunc,
    constant,
)
from convc.passes.rule import Match, Refusal, Rule

MAX_FOLDED_ELEMENTS = 1 << 24
"""A constant expression with a larger result is left to the run: it would only make the library larger."""
STEPS = Cast | Ceil | Floor | Round | Trunc
"""Ops whose result jumps where their input changes least."""
MAX_FOLDED_FLOPS = 1 << 30
"""A constant expression that costs more than this is left to the run: the references are slow."""


class FoldConstant(Rule):
    """A node that reads constants only becomes a constant."""

    name = "fold_constant"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if root.inputs and all(isinstance(source.op, Constant) for source in root.inputs):
            return Match((root,), root, "computed at compile time")
        return None

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        root = match.nodes[-1]
        if root.type.elements > MAX_FOLDED_ELEMENTS:
            return Refusal(f"its result has {root.type.elements} elements, more than {MAX_FOLDED_ELEMENTS}")
        flops = root.op.flops(root.type, *(source.type for source in root.inputs))
        if flops > MAX_FOLDED_FLOPS:
            return Refusal(f"it takes {flops} operations, more than {MAX_FOLDED_FLOPS}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        with np.errstate(all="ignore"):
            value = root.op.reference(*(_wide(value_of(source)) for source in root.inputs))
            return make(Constant(np.asarray(value, root.type.dtype.numpy, order="C")), origin=root.origin)


class DropIdentity(Rule):
    """A node that hands one of its inputs on as it is."""

    name = "drop_identity"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        return Match((root,), root, "dropped: it does nothing") if _same_as(root) else None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        source = _same_as(match.nodes[-1])
        assert source is not None
        return new(source)


class MergeReshape(Rule):
    """A Reshape of a Reshape is one Reshape; the inner one stays for others that read it."""

    name = "merge_reshape"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Reshape) and isinstance(root.inputs[0].op, Reshape):
            return Match((root.inputs[0], root), root, f"merged with {root.inputs[0].name}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        inner, root = match.nodes
        return make(root.op, new(inner.inputs[0]), origin=root.origin)


class SubtractToAdd(Rule):
    """x - c is x + -c, which other rules know."""

    name = "subtract_to_add"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Subtract) and root.type.dtype is DType.FLOAT32 and _has_constant(root):
            return Match((root,), root, "turned into an addition")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        x, other = root.inputs
        return make(Add(), new(x), constant(-value_of(other), other.origin), origin=root.origin)


class DivideToMultiply(Rule):
    """x / c is x * (1 / c), which is faster, and which other rules know."""

    name = "divide_to_multiply"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Divide) and _has_constant(root):
            return Match((root,), root, "turned into a multiplication")
        return None

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        size = np.abs(_inverse(match))
        if not np.all((size >= np.finfo(np.float32).tiny) & (size <= np.finfo(np.float32).max)):
            return Refusal("float32 has no precise inverse of what it divides by", match.nodes[-1].inputs[1])
        steps = [reader for reader in graph.consumers[match.nodes[-1]] if isinstance(reader.op, STEPS)]
        if steps:
            return Refusal(f"{steps[0].name} rounds the quotient, whose last bit decides where to", steps[0])
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        x, other = root.inputs
        return make(Multiply(), new(x), constant(_inverse(match), other.origin), origin=root.origin)


def _has_constant(root: Node) -> bool:
    """Whether the second operand alone is constant."""
    x, other = root.inputs
    return isinstance(other.op, Constant) and not isinstance(x.op, Constant)


def _inverse(match: Match) -> Array:
    with np.errstate(all="ignore"):
        result: Array = 1 / value_of(match.nodes[-1].inputs[1]).astype(np.float64)
        return result


def value_of(node: Node) -> Array:
    """The value of a node that is known to be a constant."""
    assert isinstance(node.op, Constant), f"{node!r} is not a constant"
    return node.op.value


def is_non_negative(node: Node) -> bool:
    """Whether `node` can be shown to hold no negative element: a ReLU and the like, or what only moves or selects its
    elements."""
    while isinstance(node.op, Pool | Reshape | Transpose) or (isinstance(node.op, Pad) and node.op.value >= 0):
        node = node.inputs[0]
    op = node.op
    if not isinstance(op, Relu):
        return isinstance(op, Abs | Exp | HardSigmoid | Sigmoid | Softplus | Square)
    return op.negative_slope == 0 and (op.max_value is None or op.max_value >= 0) and op.threshold >= 0


def _same_as(node: Node) -> Node | None:
    """The input that `node` is equal to."""
    op = node.op
    if isinstance(op, Add | Multiply):
        neutral = 0 if isinstance(op, Add) else 1
        for kept, other in (node.inputs, node.inputs[::-1]):
            if kept.type == node.type and isinstance(other.op, Constant) and np.all(other.op.value == neutral):
                return kept
        return None
    same = False
    if isinstance(op, Reshape):
        same = node.type == node.inputs[0].type
    elif isinstance(op, Transpose):
        same = op.permutation == tuple(range(node.type.rank))
    elif isinstance(op, Pad):
        same = not np.any(op.widths)
    elif isinstance(op, Concat):
        same = len(node.inputs) == 1
    elif isinstance(op, Pool):
        ones = (1,) * len(op.window)
        same = op.window == op.strides == ones and not np.any(op.padding)
    elif isinstance(op, Relu):
        same = _keeps(op, node.inputs[0])
    return node.inputs[0] if same else None


def _keeps(outer: Relu, source: Node) -> bool:
    """Whether `outer` changes nothing in what `source` holds."""
    if outer.threshold > 0 or not is_non_negative(source):
        return False
    if outer.max_value is None:
        return True
    inner = source.op
    return isinstance(inner, Relu) and inner.max_value is not None and inner.max_value <= outer.max_value


def _wide(value: Array) -> Array:
    return value.astype(np.float64) if DType(value.dtype.name) is DType.FLOAT32 else value
