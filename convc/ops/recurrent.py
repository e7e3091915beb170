"""Recurrent layers over whole sequences: the part of their steps that depends on the step before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.errors import ShapeError
from convc.ir import Array, Op, TensorType
from convc.ops.activation import Unary
from convc.ops.check import check_dtypes

Chain = tuple[Unary, ...]
"""Functions applied one after the other; none at all is the identity."""


@dataclass(frozen=True)
class Recurrent(Op):
    """A cell that is applied to one step after the other. U: units, G: gates of the cell.

    Inputs, in this order: the steps' projection x @ W + b of N, T, G * U; the recurrent kernel of U, G * U; a recurrent
    bias of G * U where the cell has one; where `has_state`, each state at the start, of N, U (zero else); where
    `has_mask`, N, T with 0 for the steps that are passed over: they leave all states as they are.

    The output is N, rows, U. Its rows are, where `sequences`, the hidden state after each step, else that after the
    last step alone; then, where `states`, the final states. A step that is passed over has the hidden state before it
    as its row, or 0 where `zero_masked`. Where `backwards`, the last step comes first; the rows are in the order in
    which the steps are taken, or in that of the input where `aligned`.
    """

    activation: Chain
    recurrent_activation: Chain
    sequences: bool = True
    states: bool = False
    backwards: bool = False
    aligned: bool = False
    has_state: bool = False
    has_mask: bool = False
    zero_masked: bool = False

    arity: ClassVar = (2, 6)
    gates: ClassVar[int]
    state_count: ClassVar[int] = 1

    @property
    def has_bias(self) -> bool:
        """Whether there is a recurrent bias."""
        return False

    def split(self, inputs: Sequence[object]) -> dict[str, int]:
        """The places of the inputs behind the kernel, by name: "bias", "h", "c", "mask"."""
        names = ["bias"] * self.has_bias + ["h", "c"][: self.state_count] * self.has_state + ["mask"] * self.has_mask
        if len(names) + 2 != len(inputs):
            expected = ", ".join(["the projection", "the kernel", *names])
            raise ShapeError("", "wrong number of inputs", expected=expected, received=str(len(inputs)))
        return {name: place for place, name in enumerate(names, 2)}

    def infer(self, *inputs: TensorType) -> TensorType:
        check_dtypes(inputs)
        x = inputs[0]
        width = x.shape[-1] if x.rank == 3 else 0
        units = width // self.gates
        if width == 0 or width % self.gates:
            message = "not a sequence of projected steps"
            raise ShapeError("", message, expected=f"N, T, {self.gates} * units", received=str(x.shape))
        wanted = {"kernel": (units, width), "bias": (width,), "mask": x.shape[:2]}
        for name, place in {"kernel": 1, **self.split(inputs)}.items():
            expected = wanted.get(name, (x.shape[0], units))
            if inputs[place].shape != expected:
                received = str(inputs[place].shape)
                raise ShapeError("", f"the recurrent {name} does not fit", expected=str(expected), received=received)
        rows = (x.shape[1] if self.sequences else 1) + (self.state_count if self.states else 0)
        return TensorType((x.shape[0], rows, units), x.dtype)

    def reference(self, *inputs: Array) -> Array:
        x, kernel = inputs[:2]
        behind = {name: inputs[place] for name, place in self.split(inputs).items()}
        batch, steps, units = x.shape[0], x.shape[1], kernel.shape[0]
        zero = np.zeros((batch, units), np.result_type(*inputs))
        state = [behind.get(name, zero) for name in ("h", "c")[: self.state_count]]
        rows = []
        for step in reversed(range(steps)) if self.backwards else range(steps):
            new = self.step(x[:, step], kernel, behind.get("bias"), *state)
            kept = behind["mask"][:, step, np.newaxis] != 0 if self.has_mask else np.True_
            state = [np.where(kept, after, before) for after, before in zip(new, state, strict=True)]
            rows.append(np.where(kept, state[0], 0) if self.zero_masked else state[0])
        ordered = rows[::-1] if self.backwards and self.aligned else rows
        return np.stack([*(ordered if self.sequences else rows[-1:]), *(state if self.states else [])], axis=1)

    @abstractmethod
    def step(self, x: Array, kernel: Array, bias: Array | None, *state: Array) -> tuple[Array, ...]:
        """The states after one step; `x` is its projection."""

    def flops(self, output: TensorType, *inputs: TensorType) -> int:
        batch, steps, width = inputs[0].shape
        return batch * steps * width * (2 * inputs[1].shape[0] + 1)


@dataclass(frozen=True)
class SimpleRnn(Recurrent):
    """h = activation(x + h @ kernel)."""

    gates: ClassVar = 1

    def step(self, x: Array, kernel: Array, bias: Array | None, *state: Array) -> tuple[Array, ...]:
        return (apply(self.activation, x + state[0] @ kernel),)


@dataclass(frozen=True)
class Lstm(Recurrent):
    """Hochreiter and Schmidhuber 1997, with a forget gate; gates in the order input, forget, candidate, output."""

    gates: ClassVar = 4
    state_count: ClassVar = 2

    def step(self, x: Array, kernel: Array, bias: Array | None, *state: Array) -> tuple[Array, ...]:
        h, c = state
        i, f, g, o = np.split(x + h @ kernel, 4, axis=-1)
        c = apply(self.recurrent_activation, f) * c + apply(self.recurrent_activation, i) * apply(self.activation, g)
        return apply(self.recurrent_activation, o) * apply(self.activation, c), c


@dataclass(frozen=True)
class Gru(Recurrent):
    """Cho et al. 2014; gates in the order update, reset, candidate.

    The reset gate is applied to h before its product with the candidate's kernel, or, where `reset_after`, to the
    product and its bias. Only then there may be a recurrent bias, `biased`.
    """

    reset_after: bool = True
    biased: bool = False

    gates: ClassVar = 3

    @property
    def has_bias(self) -> bool:
        return self.biased

    def step(self, x: Array, kernel: Array, bias: Array | None, *state: Array) -> tuple[Array, ...]:
        (h,) = state
        units = kernel.shape[0]
        shared = units * (3 if self.reset_after else 2)
        product = h @ kernel[:, :shared] + (0 if bias is None else bias)
        z, r = (
            apply(self.recurrent_activation, (x + np.pad(product, ((0, 0), (0, 3 * units - shared))))[:, part])
            for part in (slice(units), slice(units, 2 * units))
        )
        inner = r * product[:, 2 * units :] if self.reset_after else (r * h) @ kernel[:, 2 * units :]
        return (z * h + (1 - z) * apply(self.activation, x[:, 2 * units :] + inner),)


def apply(chain: Chain, x: Array) -> Array:
    """The functions of `chain` in turn."""
    for op in chain:
        x = op.reference(x)
    return x
