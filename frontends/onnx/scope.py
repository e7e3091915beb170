"""Names of a graph and of those around it: what gives them, and what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from onnx import GraphProto, NodeProto

from convc.errors import ConvcError, ModelError
from convc.frontends.onnx.registry import Value
from convc.ir import Origin


class Scope:
    """One graph: the model's, or a branch within it. `values` holds None for what could not be had."""

    def __init__(self, graph: GraphProto, outer: Scope | None = None) -> None:
        self.graph = graph
        self.outer = outer
        self.nodes = list(graph.node)
        self.values: dict[str, Value | None] = {}
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}
        self.absent: dict[str, ConvcError] = {}
        """Outputs of nodes that are not supported, of which nothing is said until someone reads them."""
        self._inputs = {item.name for item in graph.input}

    def home(self, name: str) -> Scope | None:
        """The innermost graph that defines a name."""
        scope: Scope | None = self
        while scope is not None and not scope.defines(name):
            scope = scope.outer
        return scope

    def defines(self, name: str) -> bool:
        """Whether the name is of this graph itself."""
        return name in self.producer or name in self.initializers or name in self._inputs

    def problems(self) -> Iterator[ConvcError]:
        """Names that are defined twice or never."""
        graph = self.graph
        for what, names in (
            ("inputs", [item.name for item in graph.input]),
            ("initializers", [item.name for item in graph.initializer]),
            ("outputs", [item.name for item in graph.output]),
        ):
            for name, count in Counter(names).items():
                if not name:
                    yield ModelError("the model", f"one of its {what} has no name")
                elif count > 1:
                    yield ModelError("the model", f"two {what} have the name '{name[:100]}'")
        defined = self._inputs | set(self.initializers)
        for node in self.nodes:
            for name in node.output:
                if name and name in defined:
                    yield ModelError(str(origin_of(node)), f"'{name[:100]}' is defined twice")
                defined.add(name)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                if name and self.home(name) is None:
                    yield ModelError(str(origin_of(node)), f"nothing gives its input '{name[:100]}'")
        for item in graph.output:
            if item.name and self.home(item.name) is None:
                yield ModelError("the model", f"nothing gives its output '{item.name[:100]}'")


def origin_of(node: NodeProto) -> Origin:
    """What messages call a node: its name, or else that of its first output."""
    name = node.name or next((output for output in node.output if output), "")
    return Origin(name[:100], node.op_type[:100], word="node")
