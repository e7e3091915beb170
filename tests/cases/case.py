"""A case: one op on small seeded tensors. It is data, so every stage is tested with the same ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convc.ir import Array, Graph, Node, Op, Origin, Shape, TensorType, make
from convc.ops import BatchNorm, Input, constant


@dataclass(frozen=True)
class Case:
    """One node over fed and constant inputs.

    `inputs()` are float32, drawn from N(0, scale) but for a variance, which is positive; `special` values, if any,
    stand at the start of the first input.
    """

    name: str
    op: Op
    input_types: tuple[TensorType, ...]
    seed: int
    constant_inputs: tuple[int, ...] = ()
    scale: float = 1.0
    special: tuple[float, ...] = ()

    @property
    def origin(self) -> Origin:
        """What messages call the node."""
        return Origin(self.name, self.op.kind)

    def inputs(self) -> tuple[Array, ...]:
        """The input arrays, in order, constants included: the same ones at every call."""
        generator = np.random.default_rng(self.seed)
        arrays = [generator.normal(0, self.scale, type_.shape).astype(np.float32) for type_ in self.input_types]
        if isinstance(self.op, BatchNorm):
            arrays[4] = generator.uniform(0.5, 1.5, arrays[4].shape).astype(np.float32)
        if self.special:
            arrays[0].flat[: len(self.special)] = self.special
        return tuple(arrays)

    def input_name(self, position: int) -> str:
        """What the graph calls that input."""
        return f"input{position}"

    def feeds(self) -> dict[str, Array]:
        """The arrays of the inputs that are not constant, by name."""
        return {self.input_name(i): array for i, array in enumerate(self.inputs()) if i not in self.constant_inputs}

    def graph(self) -> Graph:
        """The node between graph inputs and constants, with one output, "output"."""
        nodes: list[Node] = []
        for i, array in enumerate(self.inputs()):
            origin = Origin(self.input_name(i), "Input")
            fixed = i in self.constant_inputs
            nodes.append(constant(array, origin) if fixed else make(Input(self.input_types[i]), origin=origin))
        output = make(self.op, *nodes, origin=self.origin)
        fed = tuple(node for i, node in enumerate(nodes) if i not in self.constant_inputs)
        return Graph(self.name, fed, (output,), ("output",))


def case(
    name: str,
    op: Op,
    *shapes: Shape,
    constants: Sequence[int] = (),
    scale: float = 1.0,
    special: Sequence[float] = (),
) -> Case:
    """A case over float32 tensors of these shapes, seeded by its name."""
    types = tuple(TensorType(shape) for shape in shapes)
    return Case(name, op, types, zlib.crc32(name.encode()), tuple(constants), scale, tuple(special))
