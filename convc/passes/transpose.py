"""Rules that move Transposes towards the outputs until they meet their inverse and cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from convc.ir import Array, Elementwise, Graph, Node, Op, Shape, make
from convc.ops import (
    BatchNorm,
    Concat,
    Constant,
    Dense,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Standardize,
    Take,
    Transpose,
    Unary,
    constant,
)
from convc.passes.rule import Match, Refusal, Rule, shared
from convc.passes.simplify import value_of


class MergeTransposes(Rule):
    """A Transpose of a Transpose is one Transpose, or nothing; the inner one stays for others that read it."""

    name = "merge_transposes"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Transpose) and isinstance(root.inputs[0].op, Transpose):
            return Match((root.inputs[0], root), root, f"merged with {root.inputs[0].name}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        inner, outer = match.nodes
        first, then = _permutation(inner), _permutation(outer)
        permutation = tuple(first[axis] for axis in then)
        source = new(inner.inputs[0])
        if permutation == tuple(range(len(permutation))):
            return source
        return make(Transpose(permutation), source, origin=outer.origin)


class SinkTranspose(Rule):
    """Elementwise(Transpose(x)) is Transpose(Elementwise(x)); so for Softmax, Standardize, Pad, Slice, Concat,
    last-axis BatchNorm, and a Take of one element for each of a vector of indices.

    Every input has to be transposed by the same permutation, through unary ops or not, or be a constant, or be free to
    transpose because its axes of more than one element keep their order. Where one of the Transposes has no other
    readers, or all readers of the result transpose it back, this never makes their number larger; and the ops meet the
    anchor that they can be fused with.
    """

    name = "sink_transpose"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, Elementwise | Softmax | Standardize | Pad | Slice | Concat | BatchNorm | Take):
            return None
        if isinstance(root.op, Unary) and graph.uses(root) == 1:
            reader = next(iter(graph.consumers[root]), None)
            if reader is not None and isinstance(reader.op, Unary):
                return None  # the last of a chain of unary ops moves the Transpose behind all of them
        found = _operands(root, graph)
        if found is None:
            return None
        nodes = dict.fromkeys(node for operand in found.paths for node in operand)
        return Match((*nodes, root), found.first, f"moved behind {root.name}")

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        root, permutation = match.nodes[-1], _permutation(match.subject)
        if isinstance(root.op, Take) and root.type.elements > root.inputs[0].type.elements:
            return Refusal(f"{root.name} makes it larger", root)
        if isinstance(root.op, BatchNorm) and permutation[-1] != root.type.rank - 1:
            return Refusal(f"{root.name} normalises another axis", root)
        if isinstance(root.op, Standardize) and root.op.groups > 1 and permutation[-1] != root.type.rank - 1:
            return Refusal(f"{root.name} has groups along another axis", root)
        undone = Transpose(_inverse(permutation))
        if root not in graph.outputs and all(reader.op == undone for reader in graph.consumers[root]):
            return None
        inside = set(match.nodes)
        blocked = None
        for node in match.nodes[:-1]:
            outside = next((reader for reader in graph.consumers[node] if reader not in inside), None)
            if node in graph.outputs:
                blocked = blocked or Refusal(f"{node.name} is an output of the model", node)
            elif outside is not None:
                blocked = blocked or Refusal(f"{node.name} is read by {outside.name} too", outside)
            elif isinstance(node.op, Transpose):
                return None
        return blocked

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root, permutation = match.nodes[-1], _permutation(match.subject)
        moved: dict[Node, Node] = {}
        for node in match.nodes[:-1]:
            moved[node] = (
                new(node.inputs[0])
                if isinstance(node.op, Transpose)
                else make(node.op, moved[node.inputs[0]], origin=node.origin)
            )
        operands = []
        for position, source in enumerate(root.inputs):
            if source in moved:
                operands.append(moved[source])
            elif isinstance(root.op, BatchNorm | Take) and position:
                operands.append(new(source))
            else:
                operands.append(_untransposed(source, permutation, new))
        core = make(_permuted(root.op, permutation), *operands, origin=root.origin)
        return make(Transpose(permutation), core, origin=match.subject.origin)


class AbsorbTransposeIntoReduce(Rule):
    """A reduction reduces other axes instead of reading transposed ones; what is left is transposed where need be."""

    name = "absorb_transpose"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Reduce) and isinstance(root.inputs[0].op, Transpose):
            return Match((root.inputs[0], root), root.inputs[0], f"absorbed by {root.name}")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        transpose, root = match.nodes
        assert isinstance(root.op, Reduce)
        permutation = _permutation(transpose)
        op = replace(root.op, axes=_source_axes(root.op.axes, permutation))
        reduced = make(op, new(transpose.inputs[0]), origin=root.origin)
        if not op.keepdims:
            kept = [source for axis, source in enumerate(permutation) if axis not in root.op.axes]
            permutation = tuple(sorted(kept).index(source) for source in kept)
        if permutation == tuple(range(len(permutation))):
            return reduced
        return make(Transpose(permutation), reduced, origin=transpose.origin)


class FoldTransposeIntoDense(Rule):
    """Dense(Flatten(Transpose(x))): the kernel's rows take x's own order."""

    name = "fold_transpose"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, Dense):
            return None
        flat = root.inputs[0]
        if not isinstance(flat.op, Reshape) or not isinstance(flat.inputs[0].op, Transpose):
            return None
        transpose = flat.inputs[0]
        batch = transpose.type.shape[0]
        if _permutation(transpose)[0] != 0 or flat.type.shape != (batch, transpose.type.elements // batch):
            return None
        return Match((transpose, flat, root), transpose, f"folded into {root.name}")

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        transpose, flat, root = match.nodes
        kernel = root.inputs[1]
        if not isinstance(kernel.op, Constant):
            return Refusal(f"{kernel.name}, which {root.name} reads as a weight, is not constant", kernel)
        return shared(flat, graph) or shared(transpose, graph)

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        transpose, flat, root = match.nodes
        kernel, inverse = root.inputs[1], _inverse(_permutation(transpose))
        rows = value_of(kernel).reshape(*transpose.type.shape[1:], -1)
        moved = rows.transpose(*(axis - 1 for axis in inverse[1:]), len(inverse) - 1)
        x = make(flat.op, new(transpose.inputs[0]), origin=flat.origin)
        folded = constant(moved.reshape(kernel.type.shape), kernel.origin)
        return make(root.op, x, folded, *(new(bias) for bias in root.inputs[2:]), origin=root.origin)


class TransposeToReshape(Rule):
    """A Transpose that moves only axes of one element moves no element: it is a Reshape."""

    name = "transpose_to_reshape"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Transpose) and _is_free(root.inputs[0].type.shape, root.op.permutation):
            return Match((root,), root, "turned into a reshape: it moves no element")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        return make(Reshape(root.type.shape), new(root.inputs[0]), origin=root.origin)


@dataclass(frozen=True)
class _Operands:
    """For each transposed input of a node, the Transpose and the unary ops behind it; and the first Transpose."""

    paths: tuple[tuple[Node, ...], ...]
    first: Node


def _operands(root: Node, graph: Graph) -> _Operands | None:
    if isinstance(root.op, Take) and root.inputs[1].type.rank != 1:
        return None
    sources = root.inputs[:1] if isinstance(root.op, BatchNorm | Take) else root.inputs
    paths, others = [], []
    for source in sources:
        path = _path(source, graph)
        if path:
            paths.append(path)
        else:
            others.append(source)
    if not paths:
        return None
    first = paths[0][0]
    permutation = _permutation(first)
    if len(permutation) != root.type.rank or any(_permutation(path[0]) != permutation for path in paths):
        return None
    for other in others:
        free = other.type.rank == root.type.rank and _is_free(other.type.shape, _inverse(permutation))
        if not free and not isinstance(other.op, Constant):
            return None
    return _Operands(tuple(paths), first)


def _path(source: Node, graph: Graph) -> tuple[Node, ...]:
    """The Transpose that `source` is, or is computed from by unary ops that nobody else reads; then those ops."""
    path = [source]
    while isinstance(path[-1].op, Unary) and graph.uses(path[-1]) == 1:
        path.append(path[-1].inputs[0])
    return tuple(reversed(path)) if isinstance(path[-1].op, Transpose) else ()


def _untransposed(source: Node, permutation: Shape, new: Callable[[Node], Node]) -> Node:
    """What gives `source`, or what it broadcasts to, when it is transposed by `permutation`."""
    inverse = _inverse(permutation)
    if isinstance(source.op, Constant):
        value: Array = value_of(source)
        full = value.reshape((1,) * (len(permutation) - value.ndim) + value.shape)
        return constant(full.transpose(inverse), source.origin)
    shape = tuple(source.type.shape[axis] for axis in inverse)
    return make(Reshape(shape), new(source), origin=source.origin)


def _permuted(op: Op, permutation: Shape) -> Op:
    """`op` for an input that has not been transposed by `permutation` yet."""
    if isinstance(op, Softmax | Standardize):
        return replace(op, axes=_source_axes(op.axes, permutation))
    if isinstance(op, Concat | Take):
        return replace(op, axis=permutation[op.axis])
    if isinstance(op, Slice):
        inverse = _inverse(permutation)
        return Slice(*(tuple(part[axis] for axis in inverse) for part in (op.starts, op.sizes, op.steps)))
    if isinstance(op, Pad):
        return replace(op, widths=tuple(op.widths[axis] for axis in _inverse(permutation)))
    return op


def _source_axes(axes: Shape, permutation: Shape) -> Shape:
    return tuple(sorted(permutation[axis] for axis in axes))


def _is_free(shape: Shape, permutation: Shape) -> bool:
    """Whether the axes with more than one element keep their order."""
    moved = [axis for axis in permutation if shape[axis] > 1]
    return moved == sorted(moved)


def _inverse(permutation: Shape) -> Shape:
    return tuple(int(axis) for axis in np.argsort(permutation))


def _permutation(node: Node) -> Shape:
    assert isinstance(node.op, Transpose)
    return node.op.permutation
