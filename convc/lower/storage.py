"""Which tensors are stored in 16 bits: what lies between kernels, and the weights of products.

Kernels compute in float32 whatever they read and write; only memory is narrow. What the model is given and what it
gives keep their types, and so does what 16 bits would falsify: see `storage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from convc import ops
from convc.ir import DType, Elementwise, Graph, Node
from convc.ir.group import Group, GroupedGraph
from convc.precision import Precision

StoredTypes = Mapping[Node, DType]
"""The types of tensors that are stored in another type than they have in the graph."""

AS_TYPED: Final[StoredTypes] = MappingProxyType({})
"""Every tensor is stored in its own type."""

MOVES = (
    ops.Broadcast | ops.Concat | ops.DepthToSpace | ops.Pad | ops.Reshape | ops.Slice | ops.Take | ops.TakeAlong
    | ops.Transpose
)  # fmt: skip
"""What hands elements on as they are."""


def storage(grouped: GroupedGraph, precision: Precision) -> StoredTypes:
    """The tensors that are stored in the precision's type, views of them included.

    Those are float32 tensors that a kernel writes, and constants of float32 that are nothing but weights of Conv and
    Dense or operands of MatMul. All others keep their type:

    - inputs and outputs of the model;
    - what recurrent kernels read and write, whose steps feed rounding errors back;
    - what kernels of integers read and write, through any moves: indices, ranks, and integers held in float32;
    - in a type of less range than float32, what holds numbers that are out of it, as scores of attention do where a
      mask has put -1e9: they would become infinite, and a Softmax of nothing else NaN;
    - weights so small that they would lose more digits than others do.
    """
    narrow = DType(precision.storage)
    if narrow is DType.FLOAT32:
        return AS_TYPED
    roots = grouped.roots
    groups = [group for group in grouped.groups if not isinstance(group.anchor.op, ops.Reshape)]
    kept = {roots[node] for node in (*grouped.graph.inputs, *grouped.graph.outputs)}
    kept |= _exact(groups, roots)
    kept |= {roots[node] for node in _beyond(grouped.graph, narrow.largest)}
    for group in groups:
        if isinstance(group.anchor.op, ops.Recurrent):
            kept |= _touched(group, roots)
        kept |= {roots[node] for node in _not_weights(group) if isinstance(roots[node].op, ops.Constant)}
    kept |= {node for node in grouped.graph.nodes if isinstance(node.op, ops.Constant) and _is_lost(node.op, narrow)}
    stored = set().union(*(_touched(group, roots) for group in groups)) - kept
    return {node: narrow for node, root in roots.items() if root in stored}


def _touched(group: Group, roots: Mapping[Node, Node]) -> set[Node]:
    """The float32 tensors that the group's kernel reads and writes."""
    return {roots[node] for node in (*group.inputs, group.output) if node.type.dtype is DType.FLOAT32}


def _exact(groups: Sequence[Group], roots: Mapping[Node, Node]) -> set[Node]:
    """What kernels of integers read and write, and what only moves these."""
    exact: set[Node] = set()
    left, found = list(groups), True
    while found:
        found = False
        for group in tuple(left):
            touched = _touched(group, roots)
            if _is_exact(group) or (isinstance(group.output.op, MOVES) and touched & exact):
                exact |= touched
                left.remove(group)
                found = True
    # Weights of sums of whole numbers are whole numbers too.
    for group in left:
        if roots[group.output] in exact:
            exact |= {node for node in _touched(group, roots) if isinstance(node.op, ops.Constant)}
    return exact


def _is_exact(group: Group) -> bool:
    return any(
        node.type.dtype is DType.INT32
        or isinstance(node.op, ops.Cast)
        or (isinstance(node.op, ops.Conv) and node.op.exact)
        for node in group.nodes
    )


def _beyond(graph: Graph, largest: float) -> Iterator[Node]:
    """Computed tensors with elements that come from a number beyond `largest`, through elementwise ops and moves."""
    beyond: set[Node] = set()
    for node in graph.nodes:
        op = node.op
        if isinstance(op, ops.Constant):
            if (np.isfinite(op.value) & (np.abs(op.value) > largest)).any():
                beyond.add(node)
            continue
        padded = isinstance(op, ops.Pad) and largest < abs(op.value) < float("inf")
        hands_on = isinstance(op, Elementwise | MOVES) and not isinstance(op, ops.Comparison)
        if padded or (hands_on and not beyond.isdisjoint(node.inputs)):
            beyond.add(node)
            yield node


def _not_weights(group: Group) -> Iterator[Node]:
    """What the group reads otherwise than as weights: biases, factors, tables, and what it computes with."""
    for node in group.nodes:
        for place, source in enumerate(node.inputs):
            weights = isinstance(node.op, ops.MatMul) or (place == 1 and isinstance(node.op, ops.Conv | ops.Dense))
            if not weights:
                yield source


def _is_lost(constant: ops.Constant, narrow: DType) -> bool:
    """Whether rounding changes more of the constant's norm than half a unit in the last place: numbers near the least
    of the type have fewer digits. What overflows is not meant."""
    if constant.value.dtype != DType.FLOAT32.numpy:
        return False
    value = np.clip(constant.value, -narrow.largest, narrow.largest)
    exact = value.astype(np.float64)
    error = float(np.linalg.norm(exact - value.astype(narrow.numpy).astype(np.float64)))
    return error > narrow.epsilon / 2 * float(np.linalg.norm(exact))
