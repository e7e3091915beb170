"""Runs a graph on the NumPy references: the judge of every later stage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convc.ir import Array, DType, Graph, Node
from convc.ops.source import Constant


def evaluate(graph: Graph, feeds: Mapping[str, Array], *, keep: bool = False) -> dict[Node, Array]:
    """Every output's value in float64, by node; with `keep`, every node's.

    `feeds` maps input names to arrays. Floating point is float64 throughout, so the result is good to float32.
    """
    values: dict[Node, Array] = {}
    pending = {node: len(graph.consumers[node]) for node in graph.nodes}
    for node in graph.nodes:
        if node in graph.inputs:
            values[node] = _wide(feeds[node.name])
        elif isinstance(node.op, Constant):
            values[node] = _wide(node.op.value)
        else:
            values[node] = node.op.reference(*(values[source] for source in node.inputs))
        assert values[node].shape == node.type.shape, f"{node.origin}: reference and inference disagree"
        for source in node.inputs:
            pending[source] -= 1
            if not keep and pending[source] == 0 and source not in graph.outputs:
                values.pop(source, None)
    return values


def _wide(value: Array) -> Array:
    return value.astype(np.float64) if DType(value.dtype.name) is DType.FLOAT32 else value
