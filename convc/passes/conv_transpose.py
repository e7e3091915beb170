"""Rules that make ordinary convolutions of transposed ones, and keep what follows them fused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from convc.errors import UnsupportedError
from convc.ir import Array, Graph, Node, Shape, make
from convc.ops import Constant, Conv, ConvTranspose, DepthToSpace, Reshape, Unary, constant
from convc.passes.rule import Match, Refusal, Rule, shared
from convc.passes.simplify import value_of

MAX_KERNEL_ELEMENTS = 1 << 28
"""A kernel of all phases with more elements is refused, unless the model's own is nearly as large."""
KERNEL_GROWTH = 4
"""By how much a kernel above that limit may grow."""


@dataclass(frozen=True)
class Phases:
    """One spatial axis of a transposed convolution as one of an ordinary convolution with `stride` phases.

    Element f of the full result takes tap t from input element (f - t * dilation) / stride, where that is an integer.
    Blocks of `stride` elements, the first of which begins at f = `low` - `skip`, read one window of the input each.
    """

    extent: int
    out: int
    kernel: int
    stride: int
    dilation: int
    low: int
    """Elements of the full result before the output."""
    skip: int
    """Elements of the first block before the output."""

    def source(self, tap: int) -> int:
        """The input element that meets `tap`, counted from the number of the block."""
        return -((tap * self.dilation - self.low + self.skip) // self.stride)

    def phase(self, tap: int) -> int:
        """The place in the block that takes `tap`."""
        return (tap * self.dilation - self.low + self.skip) % self.stride

    def index(self, tap: int) -> int:
        """Where `tap` stands in the window."""
        return (self.source(tap) - self.source(self.kernel - 1)) // self.spacing

    @property
    def spacing(self) -> int:
        """The dilation of the convolution: without strides the taps meet a lattice of elements."""
        return self.dilation if self.stride == 1 else 1

    @property
    def window(self) -> int:
        """Input elements that a block may read."""
        return self.index(0) + 1

    @property
    def padding(self) -> tuple[int, int]:
        """What the convolution needs around the input."""
        blocks = -(-(self.skip + self.out) // self.stride)
        return -self.source(self.kernel - 1), max(blocks + self.source(0) - self.extent, 0)

    @property
    def blocks(self) -> int:
        """Blocks that the convolution gives."""
        return self.extent - self.source(0) + self.padding[1]

    @property
    def crop(self) -> tuple[int, int]:
        """Elements of all blocks that are not the output's."""
        return self.skip, self.blocks * self.stride - self.skip - self.out


class RewriteConvTranspose(Rule):
    """A transposed convolution is a convolution at stride 1 with all its filters once for each of its phases.

    The phases are the places modulo the strides. Each has the taps that fall on it, and zeros elsewhere in a window
    that all of them share. A DepthToSpace puts their outputs side by side in space; at stride 1 there is none.

    Raises `UnsupportedError` for weights that are not constant, or would be too large.
    """

    name = "rewrite_conv_transpose"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if not isinstance(root.op, ConvTranspose):
            return None
        for source in root.inputs[1:]:
            if not isinstance(source.op, Constant):
                message = "a transposed convolution with computed weights"
                raise UnsupportedError(str(root.origin), message, expected="constants", received=source.op.kind)
        axes = _axes(root)
        _check_size(root, axes)
        window, block = ("x".join(str(getattr(axis, key)) for axis in axes) for key in ("window", "stride"))
        if all(axis.stride == 1 for axis in axes):
            return Match((root,), root, f"turned into a convolution with the mirrored kernel, {window}")
        filters = root.type.shape[-1]
        action = (
            f"turned into a convolution {window} with {filters} filters for each phase of {block}, which are spread"
        )
        return Match((root,), root, action)

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        axes, kernel = _axes(root), root.inputs[1]
        op = Conv((1,) * len(axes), tuple(axis.padding for axis in axes), tuple(axis.spacing for axis in axes))
        operands = [constant(_spread(value_of(kernel), axes), kernel.origin)]
        block = tuple(axis.stride for axis in axes)
        if len(root.inputs) == 3:
            bias = root.inputs[2]
            operands.append(constant(np.tile(value_of(bias), math.prod(block)), bias.origin))
        y = make(op, new(root.inputs[0]), *operands, origin=root.origin)
        if y.type == root.type:
            return y
        return make(DepthToSpace(block, tuple(axis.crop for axis in axes)), y, origin=root.origin)


class HoistUnary(Rule):
    """Unary(DepthToSpace(x)) is DepthToSpace(Unary(x)), where the convolution's kernel can take it in."""

    name = "hoist_unary"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        if isinstance(root.op, Unary) and isinstance(root.inputs[0].op, DepthToSpace):
            spread = root.inputs[0]
            return Match((spread, root), root, f"moved before the phases of {spread.name} are spread")
        return None

    def why_not(self, match: Match, graph: Graph) -> Refusal | None:
        return shared(match.nodes[0], graph)

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        spread, root = match.nodes
        y = make(root.op, new(spread.inputs[0]), origin=root.origin)
        return make(spread.op, y, origin=spread.origin)


class DepthToSpaceToReshape(Rule):
    """Where only the last spatial axis has blocks, and nothing is cropped, the elements are in order already."""

    name = "depth_to_space_to_reshape"

    def pattern(self, root: Node, graph: Graph) -> Match | None:
        op = root.op
        if isinstance(op, DepthToSpace) and all(extent == 1 for extent in op.block[:-1]) and not np.any(op.crop):
            return Match((root,), root, "turned into a reshape: it moves no element")
        return None

    def rewrite(self, match: Match, new: Callable[[Node], Node]) -> Node:
        root = match.nodes[-1]
        return make(Reshape(root.type.shape), new(root.inputs[0]), origin=root.origin)


def _axes(root: Node) -> tuple[Phases, ...]:
    """The spatial axes of a ConvTranspose, each with the first block where it costs least.

    Blocks that begin with the output need no crop. Those that begin with a block of the full result may read one
    element less: ceil(kernel / stride) where nothing is dilated, and so no zeros but in the last of them.
    """
    op = root.op
    assert isinstance(op, ConvTranspose)
    result = []
    for extent, out, k, s, d, (low, _) in zip(
        root.inputs[0].type.shape[1:-1],
        root.type.shape[1:-1],
        root.inputs[1].type.shape[:-2],
        op.strides,
        op.dilation,
        op.crop,
        strict=True,
    ):
        choices = [Phases(extent, out, k, s, d, low, skip) for skip in (0, low % s)]
        result.append(min(choices, key=lambda axis: axis.window * axis.blocks))
    return tuple(result)


def _spread(kernel: Array, axes: Sequence[Phases]) -> Array:
    """A kernel of *spatial, O, C as *window, C, (*phases, O), the last axes as one."""
    *taps, filters, channels = kernel.shape
    shape: Shape = (*(axis.window for axis in axes), channels, *(axis.stride for axis in axes), filters)
    result = np.zeros(shape, kernel.dtype)
    for tap in product(*(range(extent) for extent in taps)):
        index = tuple(axis.index(t) for axis, t in zip(axes, tap, strict=True))
        filters_of_phase = (slice(None), *(axis.phase(t) for axis, t in zip(axes, tap, strict=True)))
        result[index][filters_of_phase] = kernel[tap].T
    return result.reshape(*shape[: len(axes) + 1], -1)


def _check_size(root: Node, axes: Sequence[Phases]) -> None:
    """Raises `UnsupportedError` for strides that would make far more weights of a few."""
    own = root.inputs[1].type.elements
    elements = math.prod(axis.window * axis.stride for axis in axes) * math.prod(root.inputs[1].type.shape[-2:])
    if elements > max(MAX_KERNEL_ELEMENTS, KERNEL_GROWTH * own):
        raise UnsupportedError(
            str(root.origin),
            "a transposed convolution of so many phases",
            expected=f"at most {MAX_KERNEL_ELEMENTS} weights in all of them",
            received=str(elements),
            remedy="use smaller strides",
        )
