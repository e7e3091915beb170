"""What holds at each stage of the IR, as a list of rules that are checked: a violation is convc's own fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from convc.errors import ConvcError
from convc.ir.graph import Elementwise, Graph, Node
from convc.ir.group import GroupedGraph
from convc.ir.types import MODEL_TYPES
from convc.ops import BatchNorm, Constant, ConvTranspose, Input, Recurrent, Reshape, Softmax, Transpose

Stage = Literal["parsed", "optimized"]

Violation = tuple["Node | None", str]
"""The node that breaks a rule, where it is one node's fault, and how."""


class SpecError(AssertionError):
    """A stage handed on what its spec forbids: the rule's name, the node, and what is wrong."""

    def __init__(self, rule: str, node: Node | None, detail: str) -> None:
        super().__init__(f"{rule}: {node!r}: {detail}" if node is not None else f"{rule}: {detail}")
        self.rule = rule
        self.node = node


@dataclass(frozen=True)
class SpecRule:
    """A rule by name, and what finds its violations."""

    name: str
    violations: Callable[[Graph], Iterator[Violation]]


@dataclass(frozen=True)
class GroupRule:
    """A rule of grouped graphs."""

    name: str
    violations: Callable[[GroupedGraph], Iterator[Violation]]


def verify(graph: Graph, stage: Stage) -> None:
    """Checks the rules of `stage` and of the stages before it. Raises `SpecError` at the first violation."""
    for rule in PARSED if stage == "parsed" else (*PARSED, *OPTIMIZED):
        for node, detail in rule.violations(graph):
            raise SpecError(rule.name, node, detail)


def verify_grouped(grouped: GroupedGraph) -> None:
    """Checks the rules of all stages, grouped last. Raises `SpecError` at the first violation."""
    verify(grouped.graph, "optimized")
    for rule in GROUPED:
        for node, detail in rule.violations(grouped):
            raise SpecError(rule.name, node, detail)


def _inputs_declared(graph: Graph) -> Iterator[Violation]:
    declared = set(graph.inputs)
    if len({node.name for node in graph.inputs}) < len(graph.inputs):
        yield None, f"inputs share a name: {[node.name for node in graph.inputs]}"
    for node in graph.nodes:
        if isinstance(node.op, Input) != (node in declared):
            yield node, "an Input that is not an input of the graph, or the reverse"


def _outputs_named(graph: Graph) -> Iterator[Violation]:
    names = graph.output_names
    if not names or len(names) != len(graph.outputs) or len(set(names)) < len(names) or not all(names):
        yield None, f"{len(graph.outputs)} outputs with the names {names}"


def _arity(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        least, most = node.op.arity
        if len(node.inputs) < least or (most is not None and len(node.inputs) > most):
            yield node, f"{len(node.inputs)} inputs"


def _types(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        try:
            inferred = node.op.infer(*(source.type for source in node.inputs))
        except ConvcError as error:
            yield node, str(error)
            continue
        if inferred != node.type:
            yield node, f"its op infers {inferred}"
        if any(extent <= 0 for extent in node.type.shape):
            yield node, "it is empty"


def _model_types(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        if node.type.dtype not in MODEL_TYPES:
            yield node, f"a tensor of {node.type.dtype.value}, which is for storage only"


def _attributes_hashable(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        try:
            hash(node.op)
        except TypeError as error:
            yield node, str(error)


def _constants_dense(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        if isinstance(node.op, Constant):
            value = node.op.value
            if not value.flags.c_contiguous or value.dtype != node.type.dtype.numpy:
                yield node, f"a value of {value.dtype} with strides {value.strides}"


def _no_batch_norm(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm):
            yield node, "no kernel computes it"


def _no_conv_transpose(graph: Graph) -> Iterator[Violation]:
    for node in graph.nodes:
        if isinstance(node.op, ConvTranspose):
            yield node, "no kernel computes it"


def _outputs_own_tensors(graph: Graph) -> Iterator[Violation]:
    owners: set[Node] = set()
    for output in graph.outputs:
        base = output
        while isinstance(base.op, Reshape):
            base = base.inputs[0]
        if isinstance(base.op, Input | Constant):
            yield output, "no kernel writes this output"
        if base in owners:
            yield output, "two outputs share a tensor"
        owners.add(base)


def _covered_once(grouped: GroupedGraph) -> Iterator[Violation]:
    seen: set[Node] = set()
    for group in grouped.groups:
        for node in group.nodes:
            if node in seen or isinstance(node.op, Input | Constant):
                yield node, "in two groups, or not to be computed"
            seen.add(node)
    for node in grouped.graph.nodes:
        if node not in seen and not isinstance(node.op, Input | Constant):
            yield node, "in no group"
    for node in seen - set(grouped.graph.nodes):
        yield node, "not in the graph"


def _runnable(grouped: GroupedGraph) -> Iterator[Violation]:
    ready = {node for node in grouped.graph.nodes if isinstance(node.op, Input | Constant)}
    for group in grouped.groups:
        for source in group.inputs:
            if source not in ready:
                yield source, f"read by {group.name} before a group has written it"
        ready.add(group.output)


def _interior_private(grouped: GroupedGraph) -> Iterator[Violation]:
    for group in grouped.groups:
        for node, follower in zip(group.nodes, group.nodes[1:], strict=False):
            if grouped.graph.uses(node) != 1 or node not in follower.inputs:
                yield node, "inside a group, and read by another node than the next"


def _epilogue(grouped: GroupedGraph) -> Iterator[Violation]:
    for group in grouped.groups:
        if group.anchor is not group.nodes[0]:
            yield group.anchor, "an anchor that is not the first of its group"
        if len(group.nodes) > 1 and isinstance(group.anchor.op, Recurrent | Reshape | Softmax | Transpose):
            yield group.anchor, "an anchor that takes no epilogue has one"
        for node in group.nodes[1:]:
            if not isinstance(node.op, Elementwise) or node.type != group.anchor.type:
                yield node, "in an epilogue, and not elementwise or of another type than its anchor"


PARSED: Final = (
    SpecRule("inputs_declared", _inputs_declared),
    SpecRule("outputs_named", _outputs_named),
    SpecRule("arity", _arity),
    SpecRule("types", _types),
    SpecRule("model_types", _model_types),
    SpecRule("attributes_hashable", _attributes_hashable),
    SpecRule("constants_dense", _constants_dense),
)
"""What holds from the frontends on."""

OPTIMIZED: Final = (
    SpecRule("no_batch_norm", _no_batch_norm),
    SpecRule("no_conv_transpose", _no_conv_transpose),
    SpecRule("outputs_own_tensors", _outputs_own_tensors),
)
"""What holds after the passes as well."""

GROUPED: Final = (
    GroupRule("covered_once", _covered_once),
    GroupRule("interior_private", _interior_private),
    GroupRule("runnable", _runnable),
    GroupRule("epilogue", _epilogue),
)
"""What holds of fusion groups as well."""
