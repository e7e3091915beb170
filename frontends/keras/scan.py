"""Recurrent layers whose steps are nodes of their own: what no kernel of its own computes as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.keras.registry import Layer
from convc.ir import Node, Op, Origin, make

MAX_STEPS = 512
"""Most steps that are written out; the kernels of each are compiled by themselves."""

Step = Callable[[Node, Sequence[Node]], Sequence[Node]]
"""From a step's input and the states before it, or none for zeros, to the states after it; the first is the output."""

Product = Callable[[Node], Node]
"""A state's part of all gates."""


@dataclass(frozen=True)
class Scan:
    """How a layer goes through its steps. The attributes are those of `Recurrent` in convc/ops/recurrent.py."""

    sequences: bool
    states: bool
    backwards: bool
    aligned: bool
    zero_masked: bool

    def build(self, x: Node, start: Sequence[Node], mask: Node | None, step: Step, origin: Origin) -> list[Node]:
        """The output and, where `states`, the final states; x is N, T, …"""
        batch, count, *rest = x.type.shape
        if count > MAX_STEPS:
            raise UnsupportedError("", "too many steps", expected=f"at most {MAX_STEPS}", received=str(count))
        states, outputs = list(start), []
        for position in reversed(range(count)) if self.backwards else range(count):
            part = make(ops.Slice.along(x.type.shape, 1, position, 1), x, origin=origin)
            new = list(step(make(ops.Reshape((batch, *rest)), part, origin=origin), states))
            output = new[0]
            if mask is not None:
                kept = _kept(mask, position, new[0].type.rank, origin)
                zero = ops.constant(np.zeros(1, np.float32), origin)
                before = states or [zero] * len(new)
                new = [make(ops.Where(), kept, a, b, origin=origin) for a, b in zip(new, before, strict=True)]
                output = make(ops.Where(), kept, new[0], zero, origin=origin) if self.zero_masked else new[0]
            states = new
            outputs.append(output)
        result = outputs[-1]
        if self.sequences:
            rows = outputs[::-1] if self.backwards and self.aligned else outputs
            wide = [make(ops.Reshape((batch, 1, *row.type.shape[1:])), row, origin=origin) for row in rows]
            result = make(ops.Concat(1), *wide, origin=origin)
        return [result, *(states if self.states else [])]


@dataclass(frozen=True)
class Gates:
    """A cell's step: gates side by side along the last axis, and the functions that it applies to them."""

    units: int
    activation: Layer
    recurrent_activation: Layer
    origin: Origin

    def simple(self, x: Node, before: Sequence[Node], product: Product) -> Sequence[Node]:
        """`SimpleRnn` in convc/ops/recurrent.py."""
        z = self._add(product(before[0]), x) if before else x
        return (self.activation.build([z], {}, self.origin),)

    def lstm(self, x: Node, before: Sequence[Node], product: Product) -> Sequence[Node]:
        """`Lstm` in convc/ops/recurrent.py."""
        z = self._add(product(before[0]), x) if before else x
        c = self._multiply(self._recurrent(self._gate(z, 0)), self._active(self._gate(z, 2)))
        if before:
            c = self._add(self._multiply(self._recurrent(self._gate(z, 1)), before[1]), c)
        return self._multiply(self._recurrent(self._gate(z, 3)), self._active(c)), c

    def gru(
        self, x: Node, before: Sequence[Node], product: Product, candidate: Product | None = None
    ) -> Sequence[Node]:
        """`Gru` in convc/ops/recurrent.py; `candidate` is the last gate's product, where the reset comes before."""
        h = before[0] if before else self._zeros(x)
        inner = product(h)
        z = self._recurrent(self._add(self._gate(x, 0), self._gate(inner, 0)))
        r = self._recurrent(self._add(self._gate(x, 1), self._gate(inner, 1)))
        reset = candidate(self._multiply(r, h)) if candidate else self._multiply(r, self._gate(inner, 2))
        new = self._active(self._add(self._gate(x, 2), reset))
        # z * h + (1 - z) * new
        return (self._add(self._multiply(z, self._make(ops.Subtract(), h, new)), new),)

    def _gate(self, z: Node, place: int) -> Node:
        part = ops.Slice.along(z.type.shape, z.type.rank - 1, place * self.units, self.units)
        return self._make(part, z)

    def _zeros(self, x: Node) -> Node:
        zero = ops.constant(np.zeros((1,) * x.type.rank, np.float32), self.origin)
        return self._make(ops.Broadcast((*x.type.shape[:-1], self.units)), zero)

    def _active(self, z: Node) -> Node:
        return self.activation.build([z], {}, self.origin)

    def _recurrent(self, z: Node) -> Node:
        return self.recurrent_activation.build([z], {}, self.origin)

    def _add(self, a: Node, b: Node) -> Node:
        return self._make(ops.Add(), a, b)

    def _multiply(self, a: Node, b: Node) -> Node:
        return self._make(ops.Multiply(), a, b)

    def _make(self, op: Op, *inputs: Node) -> Node:
        return make(op, *inputs, origin=self.origin)


def _kept(mask: Node, position: int, rank: int, origin: Origin) -> Node:
    """Whether the step counts, of N, 1, … 1."""
    column = make(ops.Slice.along(mask.type.shape, 1, position, 1), mask, origin=origin)
    return make(ops.Reshape((mask.type.shape[0], *(1,) * (rank - 1))), column, origin=origin)
