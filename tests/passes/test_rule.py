"""The driver: sweeps, overlaps, budgets, and what it does with a rule that lies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from convc.ir import Graph, Node, make
from convc.ops import Add, Exp, Multiply, Relu, Reshape, Tanh
from convc.passes.rule import Budget, Match, Rule, RulePass, shared
from tests.passes.graphs import Net, apply, kinds


class ReluToTanh(Rule):
    """A rewrite whose effect is easy to see (and not exact)."""

    name = "relu_to_tanh"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        return Match((root,), root, "replaced") if isinstance(root.op, Relu) else None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        (root,) = match.nodes
        return make(Tanh(), new(root.inputs[0]), origin=root.origin)


class ChangesType(ReluToTanh):
    name = "changes_type"

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        (root,) = match.nodes
        return make(Reshape((root.type.elements,)), new(root.inputs[0]), origin=root.origin)


class NeverDone(ReluToTanh):
    name = "never_done"

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        (root,) = match.nodes
        return make(Relu(), new(root.inputs[0]), origin=root.origin)


class MergeExp(Rule):
    """exp(exp(x)) to tanh(x): overlapping matches in a chain."""

    name = "merge_exp"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Exp) and isinstance(root.inputs[0].op, Exp):
            return Match((root.inputs[0], root), root, "merged")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        inner, root = match.nodes
        return make(Tanh(), new(inner.inputs[0]), origin=root.origin)


def chain(net: Net, length: int, op: type[Relu] | type[Exp] = Relu) -> Graph:
    x = net.input(2, 3)
    for number in range(length):
        x = net.op(op(), x, name=f"layer_{number}")
    return net.graph(x)


def test_a_graph_that_no_rule_matches_is_the_same_object() -> None:
    graph = chain(Net(), 3, Exp)
    outcome = apply(graph, ReluToTanh())
    assert outcome.graph is graph
    assert outcome.decisions == ()


def test_one_decision_per_rewrite_in_order() -> None:
    outcome = apply(chain(Net(), 3), ReluToTanh())
    assert kinds(outcome.graph) == ["Tanh"] * 3
    assert [d.origin.name for d in outcome.decisions] == ["layer_0", "layer_1", "layer_2"]


def test_matches_that_overlap_are_not_both_rewritten() -> None:
    outcome = apply(chain(Net(), 5, Exp), MergeExp())
    assert kinds(outcome.graph) == ["Tanh", "Tanh", "Exp"]
    assert len(outcome.decisions) == 2


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
def test_a_budget_stops_after_that_many_rewrites(limit: int) -> None:
    budget = Budget(limit)
    outcome = RulePass("test", (ReluToTanh(),)).run(chain(Net(), 3), budget)
    done = min(limit, 3)
    assert kinds(outcome.graph) == ["Tanh"] * done + ["Relu"] * (3 - done)
    assert len(outcome.decisions) == done
    assert budget.left is not None
    assert not RulePass("test", (ReluToTanh(),)).run(chain(Net(), 3), Budget(0)).decisions


def test_a_required_pass_ignores_the_budget() -> None:
    outcome = RulePass("test", (ReluToTanh(),), required=True).run(chain(Net(), 3), Budget(0))
    assert kinds(outcome.graph) == ["Tanh"] * 3


def test_a_rule_that_changes_a_type_is_caught() -> None:
    with pytest.raises(AssertionError, match="changes_type changed"):
        apply(chain(Net(), 1), ChangesType())


def test_rules_that_never_come_to_an_end_are_caught() -> None:
    with pytest.raises(AssertionError, match="no fixpoint"):
        apply(chain(Net(), 1), NeverDone())


def test_a_deep_graph_is_no_recursion() -> None:
    assert len(apply(chain(Net(), 3000), ReluToTanh()).decisions) == 3000


def test_shared_names_the_readers_and_blames_the_last() -> None:
    net = Net()
    x = net.op(Exp(), net.input(2), name="x1")
    readers = [net.op(Tanh(), x, name=f"tanh_{i}") for i in range(5)]
    total = readers[0]
    for reader in readers[1:]:
        total = net.op(Add(), total, reader)
    refusal = shared(x, net.graph(total))
    assert refusal is not None
    assert refusal.reason == "x1 is read by 5 consumers: tanh_0, tanh_1, tanh_2, tanh_3, …"
    assert refusal.culprit is readers[-1]


def test_shared_counts_a_node_that_is_read_twice_by_one() -> None:
    net = Net()
    x = net.op(Exp(), net.input(2))
    assert shared(x, net.graph(net.op(Multiply(), x, x))) is not None
    assert shared(x, net.graph(net.op(Tanh(), x))) is None
