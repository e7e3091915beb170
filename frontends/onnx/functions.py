"""Functions that a model brings along: their calls are replaced by their nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import FunctionProto, ModelProto, NodeProto

from convc.errors import ModelError
from convc.frontends.onnx.reader import subgraphs

MAX_NODES = 50_000
"""Nodes of a model after all calls are replaced."""

_Key = tuple[str, str, str]


def inlined(model: ModelProto) -> ModelProto:
    """The model without functions. Raises `ModelError` where they call each other in a circle, or grow too large."""
    total = _Counter(model.functions).total(model.graph.node)
    if total > MAX_NODES:
        received = str(total)[:20]
        raise ModelError("the model", "it has too many nodes", expected=f"at most {MAX_NODES}", received=received)
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the inliner meets damage with errors of any class
        raise ModelError("the model", "its functions cannot be inlined", received=str(error)[:200]) from None


class _Counter:
    """Counts nodes after inlining, without doing it: calls of calls multiply."""

    def __init__(self, functions: Iterable[FunctionProto]) -> None:
        self._functions: dict[_Key, FunctionProto] = {}
        for function in functions:
            if self._functions.setdefault((function.domain, function.name, function.overload), function) != function:
                raise ModelError(f"function '{function.name[:100]}'", "it is defined twice")
        self._totals: dict[_Key, int] = {}
        self._open: list[_Key] = []

    def total(self, nodes: Iterable[NodeProto]) -> int:
        return sum(1 + self._of(node) for node in _all(nodes))

    def _of(self, node: NodeProto) -> int:
        key = (node.domain, node.op_type, node.overload)
        if key not in self._functions:
            return 0
        if key in self._open:
            raise ModelError(f"function '{node.op_type[:100]}'", "it calls itself")
        if len(self._open) > 100:
            raise ModelError(f"function '{node.op_type[:100]}'", "functions call each other too deeply")
        if key not in self._totals:
            self._open.append(key)
            self._totals[key] = self.total(self._functions[key].node)
            self._open.pop()
        return self._totals[key]


def _all(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those of the graphs within them: protobuf bounds their depth."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _all(graph.node)
