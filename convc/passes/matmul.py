"""Rules that make products of computed tensors read and write in any order of axes, which costs them nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from convc.ir import Graph, Node, Shape, make
from convc.ops import MatMul, Transpose
from convc.passes.rule import Match, Refusal, Rule, shared


class FoldTransposeIntoMatMul(Rule):
    """MatMul(Transpose(x), …) reads x in its own order; the Transpose stays for others that read it."""

    name: ClassVar[str] = "fold_transpose_into_matmul"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, MatMul):
            for source in root.inputs:
                if isinstance(source.op, Transpose):
                    return Match((source, root), source, f"folded into {root.name}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        transpose, root = match.nodes
        assert isinstance(root.op, MatMul)
        assert isinstance(transpose.op, Transpose)
        labels, operands = [root.op.left, root.op.right], list(root.inputs)
        for position, source in enumerate(root.inputs):
            if source is transpose:
                labels[position] = _before(labels[position], transpose.op.permutation)
                operands[position] = transpose.inputs[0]
        op = MatMul(labels[0], labels[1], root.op.out)
        return make(op, *(new(operand) for operand in operands), origin=root.origin)


class FoldTransposeOfMatMul(Rule):
    """Transpose(MatMul(…)) is a MatMul that writes its result in that order."""

    name: ClassVar[str] = "fold_transpose_of_matmul"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Transpose) and isinstance(root.inputs[0].op, MatMul):
            return Match((root.inputs[0], root), root, f"folded into {root.inputs[0].name}")
        return None

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        product, root = match.nodes
        assert isinstance(product.op, MatMul)
        last = _after(product, root)[-1]
        if last in product.op.left and last in product.op.right:
            return Refusal(f"both operands of {product.name} have what would be the last axis", product)
        return shared(product, graph)

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        product, root = match.nodes
        assert isinstance(product.op, MatMul)
        a, b = product.inputs
        left, right, out = product.op.left, product.op.right, _after(product, root)
        if out[-1] in left:
            a, b, left, right = b, a, right, left
        return make(MatMul(left, right, out), new(a), new(b), origin=product.origin)


def _before(labels: Shape, permutation: Shape) -> Shape:
    """The labels of what is transposed, by those of the result."""
    return tuple(labels[permutation.index(axis)] for axis in range(len(labels)))


def _after(product: Node, transpose: Node) -> Shape:
    assert isinstance(product.op, MatMul)
    assert isinstance(transpose.op, Transpose)
    return tuple(product.op.out[axis] for axis in transpose.op.permutation)
