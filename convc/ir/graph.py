"""The graph: nodes with one output each, identity equality, typed when they are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

from convc.errors import ConvcError, ShapeError
from convc.ir.types import MAX_ELEMENTS, Array, TensorType


class Op(ABC):
    """What a node computes. Subclasses are frozen dataclasses whose fields are the attributes.

    `arity` is the least and the most number of inputs (None: no limit).
    """

    arity: ClassVar[tuple[int, int | None]]

    @abstractmethod
    def infer(self, *inputs: TensorType) -> TensorType:
        """The output's type. Raises `ShapeError` with an empty subject; `make` fills it in."""

    @abstractmethod
    def reference(self, *inputs: Array) -> Array:
        """The slow, obvious NumPy definition, in the inputs' own precision."""

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        """Floating point operations, a multiply-add counted as two; one per output element unless overridden."""
        return output.elements

    @property
    def kind(self) -> str:
        """The op's name in texts and tables."""
        return type(self).__name__

    def attributes(self) -> dict[str, object]:
        """The attributes by name, in the order of their declaration."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


class Elementwise(Op):
    """An op whose output element depends only on the (broadcast) input elements at the same place.

    These are what an epilogue is made of. `reads` is how often its formula, as kernels have it, has an input's element
    in it at most; of a chain of ops in one kernel these numbers multiply.
    """

    reads: ClassVar[int] = 1


@dataclass(frozen=True)
class Origin:
    """Where a node comes from in the source model; what messages call it."""

    name: str
    kind: str
    word: str = "layer"

    def __str__(self) -> str:
        return f"{self.word} '{self.name}' ({self.kind})"


@dataclass(frozen=True, eq=False)
class Node:
    """One operation and its output tensor. Make nodes with `make`, which infers `type`."""

    op: Op
    inputs: tuple[Node, ...]
    type: TensorType
    origin: Origin

    @property
    def name(self) -> str:
        """The source layer's name."""
        return self.origin.name

    def __repr__(self) -> str:
        return f"<{self.op.kind} {self.name} {self.type}>"


def make(op: Op, *inputs: Node, origin: Origin) -> Node:
    """A node with its type inferred. Raises `ShapeError` that names `origin`."""
    least, most = op.arity
    if len(inputs) < least or (most is not None and len(inputs) > most):
        wanted = f"{least}" if most == least else f"{least} to {most}" if most is not None else f"{least} or more"
        raise ShapeError(str(origin), "wrong number of inputs", expected=wanted, received=str(len(inputs)))
    try:
        type_ = op.infer(*(node.type for node in inputs))
    except ConvcError as error:
        raise error.about(str(origin)) from None
    if any(extent <= 0 for extent in type_.shape):
        raise ShapeError(
            str(origin),
            "the output would be empty",
            expected="positive sizes",
            received=str(type_.shape),
            remedy="the input is smaller than the window; use a larger input or 'same' padding",
        )
    if type_.elements > MAX_ELEMENTS:
        raise ShapeError(
            str(origin),
            "the output is too large",
            expected=f"at most {MAX_ELEMENTS} elements",
            received=str(type_.shape),
        )
    return Node(op, inputs, type_, origin)


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: named outputs computed from `inputs`. Immutable; a pass makes a new one."""

    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    output_names: tuple[str, ...]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that the outputs need, and the inputs, each after what it reads; the order is deterministic."""
        return tuple(_postorder((*self.inputs, *self.outputs)))

    @cached_property
    def consumers(self) -> Mapping[Node, tuple[Node, ...]]:
        """Who reads a node, in order; a node that is read twice by one consumer has it twice."""
        table: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                table[source].append(node)
        return {node: tuple(readers) for node, readers in table.items()}

    def uses(self, node: Node) -> int:
        """How often a node is read, graph outputs included."""
        return len(self.consumers[node]) + self.outputs.count(node)

    def rewrite(self, replace: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
        """A new graph: `replace(node, new_inputs)` gives what stands for each node, called in order.

        Returning `rebuild(node, new_inputs)` keeps the node. Graph inputs are kept as they are.
        """
        new: dict[Node, Node] = {}
        for node in self.nodes:
            inputs = tuple(new[source] for source in node.inputs)
            new[node] = node if node in self.inputs else replace(node, inputs)
        return Graph(self.name, self.inputs, tuple(new[node] for node in self.outputs), self.output_names)


def rebuild(node: Node, inputs: Sequence[Node]) -> Node:
    """`node` over other inputs; the same object where nothing changed."""
    inputs = tuple(inputs)
    return node if inputs == node.inputs else make(node.op, *inputs, origin=node.origin)


def _postorder(roots: Sequence[Node]) -> Iterator[Node]:
    done: set[Node] = set()
    for root in roots:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, position = stack.pop()
            if node in done:
                continue
            if position < len(node.inputs):
                stack.append((node, position + 1))
                if node.inputs[position] not in done:
                    stack.append((node.inputs[position], 0))
            else:
                done.add(node)
                yield node
