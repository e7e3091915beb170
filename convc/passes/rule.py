"""Rewrite rules and the driver that runs them to a fixpoint.

A rule finds a pattern that ends in a node, says why it may not be rewritten, and makes what stands in the node's place.
Every replacement computes the value of the node that it replaces; so one sweep may rewrite many places, and a place
that overlaps with one that is already rewritten waits for the next sweep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from convc.ir import Graph, Node, rebuild
from convc.ops import Constant, Input
from convc.passes.report import Decision


@dataclass(frozen=True, eq=False)
class Match:
    """A place where a rule could apply."""

    nodes: tuple[Node, ...]
    """In order of computation. The last one is replaced, and then no longer reads the others."""
    subject: Node
    """The node that the decision is about."""
    action: str
    """What rewriting means, as a participle: "folded into conv_2"."""


@dataclass(frozen=True, eq=False)
class Refusal:
    """Why a match may not be rewritten, and the node that stands in the way."""

    reason: str
    culprit: Node | None = None


class Rule(ABC):
    """A rewrite that is exact up to rounding. Rules hold no state."""

    name: ClassVar[str]

    @abstractmethod
    def pattern(self, root: Node, graph: Graph) -> Match | None:
        """The match that ends in `root`, if its shape is there at all."""

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        """What forbids the rewrite; None where it is exact and worth it."""
        return None

    @abstractmethod
    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        """What replaces the match's last node, of the same type. `new` maps what the match reads into the new graph."""


@dataclass
class Budget:
    """How many optional rewrites may still be made; None: any number."""

    left: int | None = None

    def take(self) -> bool:
        """Whether one more may be made, and counts it."""
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """A pass's new graph, and its claim: what it changed and what it refused."""

    graph: Graph
    decisions: tuple[Decision, ...]


class Pass(Protocol):
    """A named step from graph to graph."""

    @property
    def name(self) -> str:
        """The name in dumps."""

    def run(self, graph: Graph, budget: Budget) -> Outcome:
        """The new graph; the same object where nothing was applied."""


@dataclass(frozen=True)
class RulePass:
    """Rules that are run together, to their common fixpoint; at one node, the first that applies wins.

    A `required` pass makes graphs that later stages can handle; no budget stops it.
    """

    name: str
    rules: tuple[Rule, ...]
    required: bool = False

    def run(self, graph: Graph, budget: Budget) -> Outcome:
        """Sweeps until nothing applies; the refusals are those of the last sweep."""
        budget = Budget() if self.required else budget
        applied: list[Decision] = []
        limit = 2 * len(graph.nodes) + 16
        for _ in range(limit):
            swept, done, refused = _sweep(self.rules, graph, budget)
            if not done:
                return Outcome(graph, (*applied, *refused))
            graph = swept
            applied += done
        raise AssertionError(f"pass {self.name}: no fixpoint after {limit} sweeps; last was {applied[-1]}")


def _sweep(rules: Sequence[Rule], graph: Graph, budget: Budget) -> tuple[Graph, list[Decision], list[Decision]]:
    applied: list[Decision] = []
    refused: list[Decision] = []
    taken: set[Node] = set()
    table: dict[Node, Node] = {}

    def replacement(root: Node) -> Node | None:
        for rule in rules:
            match = rule.pattern(root, graph)
            if match is None:
                continue
            refusal = rule.why_not(match, graph)
            if refusal is not None:
                culprit = refusal.culprit.origin if refusal.culprit else None
                reason = f"not {match.action}: {refusal.reason}"
                refused.append(Decision(rule.name, match.subject.origin, False, reason, culprit))
            elif taken.isdisjoint(match.nodes) and budget.take():
                node = rule.rewrite(match, table.__getitem__)
                assert node.type == root.type, f"rule {rule.name} changed {root!r} into {node!r}"
                taken.update(match.nodes)
                applied.append(Decision(rule.name, match.subject.origin, True, match.action))
                return node
        return None

    for node in graph.nodes:
        if isinstance(node.op, Input | Constant):
            table[node] = node
        else:
            table[node] = replacement(node) or rebuild(node, [table[source] for source in node.inputs])
    outputs = tuple(table[node] for node in graph.outputs)
    return Graph(graph.name, graph.inputs, outputs, graph.output_names), applied, refused


def shared(node: Node, graph: Graph) -> Refusal | None:
    """Refuses where `node` has any use but one read by one consumer."""
    if node in graph.outputs:
        return Refusal(f"{node.name} is an output of the model", node)
    readers = graph.consumers[node]
    if len(readers) <= 1:
        return None
    names = [reader.name for reader in readers]
    text = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return Refusal(f"{node.name} is read by {len(names)} consumers: {text}", readers[-1])
