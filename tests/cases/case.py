"""A case: one op on small seeded tensors. It is data, so every stage is tested with the same ones."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.ir import Array, DType, Graph, Node, Op, Origin, Shape, TensorType, make
from convc.ops import BatchNorm, Input, Recurrent, constant


@dataclass(frozen=True)
class Case:
    """One node over fed and constant inputs.

    `inputs()` are drawn from N(0, scale) but for a variance, which is positive, and a mask, of 0 and 1; `special`
    values, if any, stand at the start of the first input. Those that are INT32 lie in [low, high), which `integers` has
    for them as (low, high).
    """

    name: str
    op: Op
    input_types: tuple[TensorType, ...]
    seed: int
    constant_inputs: tuple[int, ...] = ()
    scale: float = 1.0
    special: tuple[float, ...] = ()
    integers: tuple[tuple[int, int] | None, ...] = ()

    @property
    def origin(self) -> Origin:
        """What messages call the node."""
        return Origin(self.name, self.op.kind)

    def inputs(self) -> tuple[Array, ...]:
        """The input arrays, in order, constants included: the same ones at every call."""
        generator = np.random.default_rng(self.seed)
        arrays = [generator.normal(0, self.scale, type_.shape).astype(np.float32) for type_ in self.input_types]
        for position, bounds in enumerate(self.integers):
            if bounds is not None:
                arrays[position] = generator.integers(*bounds, arrays[position].shape).astype(np.int32)
        if isinstance(self.op, BatchNorm):
            arrays[4] = generator.uniform(0.5, 1.5, arrays[4].shape).astype(np.float32)
        if isinstance(self.op, Recurrent) and self.op.has_mask:
            arrays[-1] = generator.integers(0, 2, arrays[-1].shape).astype(np.float32)
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
    integers: Mapping[int, tuple[int, int]] | None = None,
) -> Case:
    """A case over float32 tensors of these shapes, seeded by its name; those in `integers` are INT32 in [low, high)."""
    bounds = integers or {}
    dtypes = (DType.INT32 if i in bounds else DType.FLOAT32 for i in range(len(shapes)))
    types = tuple(TensorType(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    drawn = tuple(map(bounds.get, range(len(shapes))))
    return Case(name, op, types, zlib.crc32(name.encode()), tuple(constants), scale, tuple(special), drawn)
