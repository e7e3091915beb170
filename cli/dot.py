"""A grouped graph as Graphviz text: `dot -Tsvg model.dot -o model.svg` draws it."""

from __future__ import annotations

from convc.ir import Node
from convc.ir.group import GroupedGraph


def to_dot(grouped: GroupedGraph) -> str:
    """One box per group, with its layers, operations and output; an edge per tensor that a group reads."""
    graph = grouped.graph
    number = {node: place for place, node in enumerate((*graph.inputs, *(g.output for g in grouped.groups)))}
    lines = [f"digraph {_quoted(graph.name)} {{", "  node [shape=box, fontname=sans, fontsize=10];"]
    for node in graph.inputs:
        lines.append(f"  n{number[node]} [label={_label(node.name, 'input', node)}, shape=ellipse];")
    for group in grouped.groups:
        kinds = " ".join(node.op.kind for node in group.nodes)
        lines.append(f"  n{number[group.output]} [label={_label(group.name, kinds, group.output)}];")
        lines += [f"  n{number[s]} -> n{number[group.output]};" for s in group.inputs if s in number]
    for place, (name, node) in enumerate(zip(graph.output_names, graph.outputs, strict=True)):
        lines.append(f"  o{place} [label={_quoted(name)}, shape=ellipse];")
        if node in number:
            lines.append(f"  n{number[node]} -> o{place};")
    return "\n".join((*lines, "}")) + "\n"


def _label(name: str, kinds: str, node: Node) -> str:
    return _quoted(f"{name}\n{kinds}\n{node.type}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
