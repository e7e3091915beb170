"""Values of the model's inputs that are given when it is compiled, and of what is computed from them alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from convc import ops
from convc.ir import Array, DType, Graph, Node

MAX_ELEMENTS = 1 << 16
"""Elements of all tensors on the way to a value: axes, sizes and the like are small."""


class Known:
    """`node in known` says whether a node's value can be told, `known[node]` tells it.

    `given` has values by the input's name, and is asked for those only whose value is wanted.
    """

    def __init__(self, given: Mapping[str, Array]) -> None:
        self._given = given

    def __contains__(self, node: Node) -> bool:
        return self._leaves(node) is not None

    def __getitem__(self, node: Node) -> Array:
        if isinstance(node.op, ops.Input):
            return self._given[node.name]
        leaves = self._leaves(node)
        if leaves is None:
            raise KeyError(node)
        feeds = {leaf.name: _narrow(self._given[leaf.name], leaf) for leaf in leaves}
        value = ops.evaluate(Graph("known", leaves, (node,), ("known",)), feeds)[node]
        return value.astype(node.type.dtype.numpy)

    def _leaves(self, node: Node) -> tuple[Node, ...] | None:
        """The inputs that a node is computed from; None where one of them is not given, or too much would be done."""
        seen, stack, elements = {node: None}, [node], 0
        while stack:
            met = stack.pop()
            elements += met.type.elements
            if elements > MAX_ELEMENTS or (isinstance(met.op, ops.Input) and met.name not in self._given):
                return None
            fresh = dict.fromkeys(source for source in met.inputs if source not in seen)
            seen |= fresh
            stack += fresh
        return tuple(met for met in seen if isinstance(met.op, ops.Input))


def _narrow(value: Array, node: Node) -> Array:
    """The value as the input holds it; integers beyond 32 bits are as far as they go."""
    if node.type.dtype is DType.INT32:
        info = np.iinfo(np.int32)
        return np.asarray(np.clip(value, info.min, info.max), np.int32)
    return np.asarray(value, np.float32)
