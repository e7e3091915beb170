"""The graph as text: stable, diffable, one line per node. Constants show their type, not their values."""

from __future__ import annotations

import numpy as np

from convc.ir.graph import Graph, Node


def to_text(graph: Graph) -> str:
    """One line per node: `%3 = Conv(%0, %1) strides=(1, 1) … : float32[1, 8, 8, 4]  # conv2d_3`."""
    number: dict[Node, int] = {}
    lines = [f"graph {graph.name}"]
    for node in graph.nodes:
        number[node] = len(number)
        sources = ", ".join(f"%{number[source]}" for source in node.inputs)
        attributes = "".join(
            f" {name}={value}"
            for name, value in node.op.attributes().items()
            if not isinstance(value, np.ndarray) and value != node.type
        )
        lines.append(f"  %{number[node]} = {node.op.kind}({sources}){attributes} : {node.type}  # {node.name}")
    for name, node in zip(graph.output_names, graph.outputs, strict=True):
        lines.append(f"  return {name} = %{number[node]}")
    return "\n".join(lines) + "\n"
