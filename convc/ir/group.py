"""Fusion groups: the nodes that one kernel computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from convc.ir.graph import Graph, Node
from convc.ops import Reshape


@dataclass(frozen=True, eq=False)
class Group:
    """Nodes that become one kernel: an anchor, and the elementwise epilogue that follows it.

    `nodes` are in order of computation, the last one is the output; every other one is read inside the group only.
    Constants are never members: they are inputs.
    """

    nodes: tuple[Node, ...]
    anchor: Node

    @property
    def output(self) -> Node:
        """The node whose tensor the kernel writes."""
        return self.nodes[-1]

    @property
    def name(self) -> str:
        """The names of the source layers, joined: "conv1+bn1+relu1"."""
        return "+".join(dict.fromkeys(node.name for node in self.nodes))

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """What the group reads from outside, constants included, each once, in order of first use."""
        members = set(self.nodes)
        return tuple(dict.fromkeys(s for node in self.nodes for s in node.inputs if s not in members))


@dataclass(frozen=True, eq=False)
class GroupedGraph:
    """A graph and the groups that cover all its nodes but inputs and constants, in an order that can be run."""

    graph: Graph
    groups: tuple[Group, ...]

    @cached_property
    def producer(self) -> Mapping[Node, Group]:
        """The group that writes a node's tensor."""
        return {group.output: group for group in self.groups}

    @cached_property
    def roots(self) -> Mapping[Node, Node]:
        """For each tensor, the one whose memory it is: a Reshape is a view of its input."""
        roots: dict[Node, Node] = {}
        for node in self.graph.nodes:
            roots[node] = roots[node.inputs[0]] if isinstance(node.op, Reshape) else node
        return roots
