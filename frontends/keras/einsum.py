"""Einsum: keras.ops.einsum, and EinsumDense."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from convc import ops
from convc.errors import ModelError, ShapeError
from convc.frontends.einsum import MAX_LETTERS, Equation, einsum
from convc.frontends.keras.activation import parse_activation
from convc.frontends.keras.config import Fields, extents, is_integer, show
from convc.frontends.keras.initializers import Initializer, parse_initializer
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.registry import Layer, Weight, register
from convc.frontends.product import product, reshaped
from convc.ir import Node, Origin, TensorType

MAX_OPERANDS = 16
"""Tensors of one einsum."""
_X = "[a-zA-Z]+"
FORM = re.compile(rf"{_X},{_X}->{_X}|\.\.\.{_X},{_X}->\.\.\.{_X}|{_X}\.\.\.,{_X}->{_X}\.\.\.")
"""What EinsumDense takes."""


def _einsum(call: Arguments) -> Node:
    names = [name for name in _NAMES if name in call.values]
    return einsum(Equation.parse(call.values.get("subscripts")), [call.tensor(name) for name in names], call.origin)


_NAMES = tuple(f"x{index}" for index in range(MAX_OPERANDS))
register_function("einsum", " ".join(_NAMES), _einsum, "any number of operands; no letter twice in one of them")


@dataclass(frozen=True)
class EinsumDense(Layer):
    """A product with a kernel by an equation: "ab,bc->ac", with "..." in front of, or behind, both sides' letters.

    `sizes` are those of the output without the batch and without what "..." stands for; None: as in the input.
    """

    text: str
    sizes: tuple[int | None, ...]
    bias_axes: str | None
    activation: Layer
    kernel: Initializer
    bias: Initializer

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        operands, out = self.text.replace("...", "").split("->")
        letters, kernel = operands.split(",")
        return letters, kernel, out

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        letters, kernel, out = self._parts
        shape = inputs[0].shape
        first = len(shape) - len(letters) if self.text.startswith("...") else 0
        if len(shape) < len(letters) or (len(shape) > len(letters) and "..." not in self.text):
            raise ShapeError("", f"the input does not fit '{self.text}'", received=str(shape))
        given = dict(zip(letters, shape[first:], strict=False))
        wanted = (*shape[: max(first, 1)], *self.sizes)[first:]
        if len(wanted) != len(out):
            expected, received = f"{len(out) - 1 + min(first, 1)} sizes", str(self.sizes)
            raise ModelError("", f"'output_shape' does not fit '{self.text}'", expected=expected, received=received)
        made = {letter: size for letter, size in zip(out, wanted, strict=True) if size is not None}
        for letter in set(made) & set(given):
            if made[letter] != given[letter]:
                expected, received = f"{made[letter]} by output_shape", f"{given[letter]} in {shape}"
                raise ShapeError("", f"the size of '{letter}' is wrong", expected=expected, received=received)
        sizes = {**given, **made}
        unknown = [letter for letter in kernel if letter not in sizes]
        if unknown:
            raise ModelError("", f"the size of '{unknown[0]}' is not known", expected="a number in 'output_shape'")
        first_weight = Weight("kernel", tuple(sizes[letter] for letter in kernel), self.kernel)
        if self.bias_axes is None:
            return (first_weight,)
        behind = out[min(out.index(letter) for letter in self.bias_axes) :]
        bias = tuple(sizes[letter] if letter in self.bias_axes else 1 for letter in behind)
        elided = 0 if self.text.startswith("...") else len(shape) - len(letters)
        return first_weight, Weight("bias", (*bias, *(1,) * elided), self.bias)

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        (x,) = inputs
        operands = (x, weights["kernel"])
        rows, out = Equation.parse(self.text).labels([node.type.shape for node in operands])
        y = product(*operands, rows[0], rows[1], out, origin, weights.get("bias"))
        return activated(self.activation, y, origin)


def activated(activation: Layer, y: Node, origin: Origin) -> Node:
    """An activation of one input; one that is a unary op goes in front of a Reshape, so that it can be fused."""
    if isinstance(y.op, ops.Reshape) and not isinstance(y.inputs[0].op, ops.Reshape):
        (source,) = y.inputs
        inner = activation.build([source], {}, origin)
        if inner is source:
            return y
        if isinstance(inner.op, ops.Unary) and inner.inputs == (source,):
            return reshaped(inner, y.type.shape, origin)
    return activation.build([y], {}, origin)


def _einsum_dense(fields: Fields) -> Layer:
    text, sizes, axes = fields.raw("equation"), fields.raw("output_shape"), fields.raw("bias_axes")
    match = FORM.fullmatch(text) if isinstance(text, str) and len(text) <= MAX_LETTERS else None
    if match is None:
        expected = "'[X],[Y]->[Z]', '...[X],[Y]->...[Z]' or '[X]...,[Y]->[Z]...'"
        raise ModelError("", "'equation' is wrong", expected=expected, received=show(text))
    Equation.parse(text)
    shape = extents([sizes] if is_integer(sizes) else sizes)
    if shape is None:
        raise ModelError("", "'output_shape' is wrong", expected="sizes, or None for those of the input",
                         received=show(sizes))  # fmt: skip
    out = match.string.split("->")[1].replace("...", "")
    if axes is not None and (not isinstance(axes, str) or not axes or not set(axes) <= set(out)):
        raise ModelError("", "'bias_axes' is wrong", expected=f"letters of '{out}'", received=show(axes))
    return EinsumDense(
        match.string,
        shape,
        axes,
        parse_activation(fields),
        parse_initializer(fields, "kernel_initializer", "glorot_uniform"),
        parse_initializer(fields, "bias_initializer", "zeros"),
    )


register("EinsumDense", _einsum_dense, "every equation that Keras takes")
