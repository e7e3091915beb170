"""What a run must hold at least, from the graph alone: independent of how the library plans its memory."""

from __future__ import annotations

from convc import ops
from convc.ir import Node
from convc.ir.group import GroupedGraph


def largest_live_set(grouped: GroupedGraph) -> int:
    """Bytes of the tensors between kernels that are alive during one of them, at most. A Reshape is a view; the model's
    inputs and outputs are the caller's memory."""
    roots: dict[Node, Node] = {}
    for node in grouped.graph.nodes:
        roots[node] = roots[node.inputs[0]] if isinstance(node.op, ops.Reshape) else node
    outside = {roots[node] for node in (*grouped.graph.inputs, *grouped.graph.outputs)}
    first: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for place, group in enumerate(grouped.groups):
        for node in (roots[node] for node in (*group.inputs, group.output)):
            if node not in outside and not isinstance(node.op, ops.Constant):
                first.setdefault(node, place)
                last[node] = place
    alive = (
        sum(node.type.bytes for node in first if first[node] <= place <= last[node])
        for place in range(len(grouped.groups))
    )
    return max(alive, default=0)
