"""Small graphs for the tests of the passes, and the judge that says whether two compute the same."""

from __future__ import annotations

import numpy as np

from convc.ir import Array, Graph, Node, Op, Origin, TensorType, make
from convc.ops import BatchNorm, Conv, Dense, Input, constant, evaluate
from convc.passes.report import Decision
from convc.passes.rule import Budget, Outcome, Rule, RulePass
from tests.tolerances import assert_close


class Net:
    """Makes nodes with seeded weights; the name of a node is its layer's."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs: list[Node] = []

    def input(self, *shape: int, name: str = "x") -> Node:
        node = make(Input(TensorType(shape)), origin=Origin(name, "InputLayer"))
        self.inputs.append(node)
        return node

    def weights(self, *shape: int, name: str = "w") -> Node:
        return constant(self.rng.normal(size=shape), Origin(name, "Constant"))

    def op(self, op: Op, *inputs: Node, name: str | None = None) -> Node:
        return make(op, *inputs, origin=Origin(name or op.kind.lower(), op.kind))

    def conv(
        self,
        x: Node,
        filters: int,
        *,
        name: str = "conv",
        kernel: int = 3,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = False,
    ) -> Node:
        rank = x.type.rank - 2
        op = Conv((stride,) * rank, ((pad, pad),) * rank, (1,) * rank, groups)
        operands = [self.weights(*(kernel,) * rank, x.type.shape[-1] // groups, filters, name=name)]
        if bias:
            operands.append(self.weights(filters, name=name))
        return self.op(op, x, *operands, name=name)

    def dense(self, x: Node, units: int, *, name: str = "dense", bias: bool = False) -> Node:
        operands = [self.weights(x.type.shape[-1], units, name=name)]
        if bias:
            operands.append(self.weights(units, name=name))
        return self.op(Dense(), x, *operands, name=name)

    def norm(self, x: Node, *, name: str = "bn", shift: bool = True) -> Node:
        channels = x.type.shape[-1]
        gamma, beta, mean = (self.rng.normal(size=channels) for _ in range(3))
        variance = self.rng.uniform(0.5, 2, channels)
        if not shift:
            beta, mean = np.zeros(channels), np.zeros(channels)
        origin = Origin(name, "BatchNorm")
        return make(BatchNorm(1e-3), x, *(constant(v, origin) for v in (gamma, beta, mean, variance)), origin=origin)

    def graph(self, *outputs: Node) -> Graph:
        return Graph("net", tuple(self.inputs), outputs, tuple(f"y{i}" for i in range(len(outputs))))


def apply(graph: Graph, *rules: Rule) -> Outcome:
    """The rules to their fixpoint."""
    return RulePass("test", rules).run(graph, Budget())


def values(graph: Graph, seed: int = 1) -> list[Array]:
    """The outputs for seeded random inputs."""
    rng = np.random.default_rng(seed)
    result = evaluate(graph, {node.name: rng.normal(size=node.type.shape).astype(np.float32) for node in graph.inputs})
    return [result[node] for node in graph.outputs]


def assert_same(before: Graph, after: Graph) -> None:
    """Both graphs compute the same, to the rounding of their float32 weights."""
    assert before.output_names == after.output_names
    for want, got in zip(values(before), values(after), strict=True):
        assert_close(got, want, "reference")


def assert_applied(graph: Graph, *rules: Rule, times: int = 1) -> Graph:
    """The rules apply that often, refuse nothing, and change no value."""
    outcome = apply(graph, *rules)
    assert [d.applied for d in outcome.decisions] == [True] * times, outcome.decisions
    assert_same(graph, outcome.graph)
    return outcome.graph


def assert_refused(graph: Graph, *rules: Rule, reason: str, culprit: str | None = None) -> Decision:
    """Nothing is applied, and the one refusal says why."""
    outcome = apply(graph, *rules)
    assert outcome.graph is graph
    (decision,) = outcome.decisions
    assert not decision.applied
    assert reason in decision.reason
    assert (decision.culprit.name if decision.culprit else None) == culprit
    return decision


def kinds(graph: Graph) -> list[str]:
    """What is computed, in order: no inputs, no constants."""
    return [node.op.kind for node in graph.nodes if node.op.kind not in ("Input", "Constant")]
