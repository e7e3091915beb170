"""Rules that fold scales and shifts, batch normalisation first of all, into the weights beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convc.errors import UnsupportedError
from convc.ir import Array, Graph, Node, make
from convc.ops import Add, BatchNorm, Binary, Constant, Conv, ConvTranspose, Dense, Multiply, constant
from convc.passes.rule import Match, Refusal, Rule, shared
from convc.passes.simplify import value_of

Linear = Conv | ConvTranspose | Dense
"""Ops with a kernel and a bias, which scales and shifts are folded into."""


@dataclass(frozen=True, eq=False)
class _Folding(Match):
    """A match whose first node's input and `linear`, with other weights, replace it."""

    linear: Node
    """The `Linear` node."""
    compute: Callable[[], tuple[Array, Array]]

    @cached_property
    def weights(self) -> tuple[Array, Array]:
        """Kernel and bias after the fold, in float32."""
        with np.errstate(all="ignore"):
            kernel, bias = self.compute()
            return kernel.astype(np.float32), bias.astype(np.float32)


class _Fold(Rule):
    """What folds into weights: the guards and the rewrite that all of them have in common."""

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        assert isinstance(match, _Folding)
        for node in match.nodes:
            refusal = None if isinstance(node.op, Binary) else _not_constant(node)
            if refusal is not None:
                return refusal
        refusal = shared(match.nodes[0], graph) or self.inexact(match)
        if refusal is None and not all(np.isfinite(array).all() for array in match.weights):
            refusal = Refusal("the folded weights would not be finite in float32")
        return refusal

    def inexact(self, match: Match) -> Refusal | None:
        """Why the fold would change values; the weights are constants and nobody else reads the first node."""
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        assert isinstance(match, _Folding)
        linear, (kernel, bias) = match.linear, match.weights
        operands = [constant(kernel, linear.inputs[1].origin)]
        if len(linear.inputs) == 3 or np.any(bias):
            operands.append(constant(bias, linear.origin))
        return make(linear.op, new(match.nodes[0].inputs[0]), *operands, origin=linear.origin)


class FoldBatchNorm(_Fold):
    """BatchNorm(conv(x)): the convolution's, or Dense's, output channels take the scale and the shift."""

    name = "fold_batch_norm"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, BatchNorm) or not isinstance(root.inputs[0].op, Linear):
            return None
        linear = root.inputs[0]

        def compute() -> tuple[Array, Array]:
            return _scaled_outputs(linear, *scale_and_shift(root))

        return _Folding((linear, root), root, f"folded into {linear.name}", linear, compute)


class FoldBatchNormForward(_Fold):
    """conv(BatchNorm(x)): the kernel's input channels take the scale, the bias the shift."""

    name = "fold_batch_norm_forward"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, Linear) or not isinstance(root.inputs[0].op, BatchNorm):
            return None
        norm = root.inputs[0]

        def compute() -> tuple[Array, Array]:
            return _scaled_inputs(root, *scale_and_shift(norm))

        return _Folding((norm, root), norm, f"folded into {root.name}", root, compute)

    def inexact(self, match: Match) -> Refusal | None:
        norm, root = match.nodes
        _, shift = scale_and_shift(norm)
        if isinstance(root.op, Conv) and np.any(root.op.padding) and np.any(shift):
            return Refusal(f"{root.name} pads with 0 what {norm.name} has shifted", root)
        if isinstance(root.op, ConvTranspose) and np.any(shift):
            return Refusal(f"not every element of {root.name} sums as many of those that {norm.name} has shifted", root)
        return None


class FoldChannelwise(_Fold):
    """Add or Multiply of a convolution or Dense and one constant per channel goes into bias or weights."""

    name = "fold_channelwise"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        linear = _linear_operand(root)
        if linear is None:
            return None

        def compute() -> tuple[Array, Array]:
            return _scaled_outputs(linear, *_channelwise(linear, root))

        return _Folding((linear, root), root, f"folded into {linear.name}", linear, compute)


class SplitBatchNorm(Rule):
    """A BatchNorm that no weights could take becomes Multiply and Add, each left out where it is neutral.

    Raises `UnsupportedError` where its statistics are not constant.
    """

    name = "split_batch_norm"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, BatchNorm):
            return None
        if _not_constant(root) is not None:
            raise UnsupportedError(
                str(root.origin),
                "batch normalisation with computed statistics",
                expected="constants",
                received=", ".join(node.op.kind for node in root.inputs[1:]),
            )
        return Match((root,), root, "turned into a multiplication and an addition")

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        scale, shift = scale_and_shift(root)
        node = new(root.inputs[0])
        with np.errstate(all="ignore"):
            if np.any(scale != 1):
                node = make(Multiply(), node, constant(scale, root.origin), origin=root.origin)
            if np.any(shift != 0):
                node = make(Add(), node, constant(shift, root.origin), origin=root.origin)
        return node


def scale_and_shift(norm: Node) -> tuple[Array, Array]:
    """BatchNorm as x * scale + shift, in float64.

    scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale.
    """
    assert isinstance(norm.op, BatchNorm)
    gamma, beta, mean, variance = (value_of(source).astype(np.float64) for source in norm.inputs[1:])
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + norm.op.epsilon)
        return scale, beta - mean * scale


def _linear_operand(root: Node) -> Node | None:
    """The `Linear` node that `root` adds to, or multiplies with, one constant per output channel."""
    if isinstance(root.op, Add | Multiply):
        for linear, other in (root.inputs, root.inputs[::-1]):
            if (
                isinstance(linear.op, Linear)
                and isinstance(other.op, Constant)
                and linear.type == root.type
                and all(extent == 1 for extent in other.type.shape[:-1])
            ):
                return linear
    return None


def _channelwise(linear: Node, root: Node) -> tuple[Array, Array]:
    """Add or Multiply with a constant as scale and shift per output channel."""
    other = root.inputs[1] if root.inputs[0] is linear else root.inputs[0]
    vector = np.broadcast_to(value_of(other).astype(np.float64).ravel(), root.type.shape[-1:])
    return (np.ones_like(vector), vector) if isinstance(root.op, Add) else (vector, np.zeros_like(vector))


def _kernel_and_bias(linear: Node) -> tuple[Array, Array]:
    """In float64; zeros where there is no bias."""
    kernel = value_of(linear.inputs[1]).astype(np.float64)
    filters = linear.type.shape[-1]
    bias = value_of(linear.inputs[2]).astype(np.float64) if len(linear.inputs) == 3 else np.zeros(filters)
    return kernel, bias


def _scaled_outputs(linear: Node, scale: Array, shift: Array) -> tuple[Array, Array]:
    """Kernel and bias of linear(x) * scale + shift, `scale` and `shift` one per output channel."""
    kernel, bias = _kernel_and_bias(linear)
    # A transposed convolution's kernel ends in O, C.
    return kernel * (scale[:, None] if isinstance(linear.op, ConvTranspose) else scale), bias * scale + shift


def _scaled_inputs(linear: Node, scale: Array, shift: Array) -> tuple[Array, Array]:
    """Kernel and bias of linear(x * scale + shift), `scale` and `shift` one per input channel."""
    kernel, bias = _kernel_and_bias(linear)
    if isinstance(linear.op, ConvTranspose):
        assert not np.any(shift)
        return kernel * scale, bias
    groups = linear.op.groups if isinstance(linear.op, Conv) else 1
    depth, filters = kernel.shape[-2:]
    # Output channel o reads input channels from (o // (filters / groups)) * depth on.
    channel = np.arange(depth)[:, None] + (np.arange(filters) // (filters // groups) * depth)[None, :]
    added = (kernel * shift[channel]).sum(axis=tuple(range(kernel.ndim - 1)))
    return kernel * scale[channel], bias + added


def _not_constant(node: Node) -> Refusal | None:
    """Refuses where anything but the first input is computed by the model."""
    for source in node.inputs[1:]:
        if not isinstance(source.op, Constant):
            return Refusal(f"{source.name}, which {node.name} reads as a weight, is not constant", source)
    return None
