"""Seeded random inputs: for verifying, timing and trying out a library without data at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from convc.artifact import TensorSpec
from convc.ir import Array, DType, Graph, Node
from convc.ops import Broadcast, Cast, Concat, Pad, Pick, Reshape, Slice, Transpose

INTEGERS = 2
"""Random integer inputs lie in [0, INTEGERS) where no graph says more: even the smallest tables have so many rows."""

Moves = Broadcast | Cast | Concat | Pad | Reshape | Slice | Transpose
"""Ops whose elements are those of their inputs, but for fractions."""


def random_array(spec: TensorSpec, seed: int, limit: int | None = None) -> Array:
    """Standard normal values, or integers in [0, INTEGERS). Inputs of different names differ.

    With a `limit`, whole numbers in [0, limit), whatever the type.
    """
    generator = np.random.default_rng((seed, *spec.name.encode()))
    if limit is None and not np.issubdtype(spec.dtype, np.integer):
        return generator.standard_normal(spec.shape).astype(spec.dtype)
    return generator.integers(0, limit or INTEGERS, spec.shape).astype(spec.dtype)


def random_feeds(specs: Iterable[TensorSpec], seed: int, limits: Mapping[str, int] | None = None) -> dict[str, Array]:
    """A random array for each input; `limits` by input name are those of `random_array`."""
    limits = limits or {}
    return {spec.name: random_array(spec, seed, limits.get(spec.name)) for spec in specs}


def index_limits(graph: Graph) -> dict[str, int]:
    """How many elements the tensors have that inputs pick from: an index of such an input is below its number."""
    limits: dict[str, int] = {}
    for source in graph.inputs:
        found = [_picked(reader) for node in _copies(source, graph) for reader in _pickers(node, graph)]
        if found:
            limits[source.name] = min(found)
    return limits


def _copies(source: Node, graph: Graph) -> Iterable[Node]:
    """`source`, and the nodes that hold its elements as integers or hand them on."""
    reached = {source: None}
    for node in graph.nodes:
        moved = isinstance(node.op, Moves | Pick) and node.inputs[0] in reached
        if moved or (node.type.dtype is DType.INT32 and any(read in reached for read in node.inputs)):
            reached[node] = None
    return reached


def _pickers(node: Node, graph: Graph) -> Iterable[Node]:
    return (reader for reader in graph.consumers[node] if isinstance(reader.op, Pick) and reader.inputs[1] is node)


def _picked(node: Node) -> int:
    assert isinstance(node.op, Pick)
    return node.inputs[0].type.shape[node.op.axis]
