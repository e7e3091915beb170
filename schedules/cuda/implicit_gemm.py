"""Convolutions and dense layers as products of matrices by hand-written device code, their epilogue by TVM."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any, ClassVar

from tvm import tirx
from tvm.tirx import BufferStore

from convc.schedules.cuda.gemm_nests import THREADS, Nests
from convc.schedules.cuda.gemm_plan import ELEMENTS, LARGEST, OLDEST, GemmKnobs, Operands, element_of, template
from convc.schedules.cuda.gemm_tiles import Element, Size, at_once, choose
from convc.schedules.cuda.loops import BYTES, size, unravel
from convc.schedules.cuda.registers import Registers, copied, each, in_order, unrolled
from convc.schedules.rule import KernelView, Rule
from convc.schedules.statements import sequence
from convc.target import CudaTarget

Expr = Any
Buffer = Any
Statement = Any

ATTRIBUTE = "gemm"
"""Of kernels whose block `conv` is such a product: see `convc.lower.gemm`."""


@dataclass(frozen=True)
class Convolution:
    """What the attribute says."""

    input: int
    weights: int
    filters: int
    exact: bool
    image: tuple[int, int, int, int]
    window: tuple[int, int]
    strides: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    positions: tuple[int, int]

    @property
    def rows(self) -> int:
        """Positions of the output in the whole batch."""
        return self.image[0] * prod(self.positions)

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.image[-1]

    @property
    def pixels(self) -> int:
        """Those of the input in the whole batch."""
        return prod(self.image[:-1])


class ImplicitGemmRule(Rule[CudaTarget]):
    """A product with constant weights, whose left operand is never written down: each copy into shared memory finds its
    piece of the input by the output's position and the tap of the window.

    Bytes: the weights and the output once, the input as often as blocks need it, from the L2 cache: see `seconds` of
    `gemm_tiles`. An input in another type than the weights, or whose channels cannot be copied eight bytes at once in
    16 bits, is copied first.
    """

    name: ClassVar[str] = "implicit_gemm"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        if ATTRIBUTE not in kernel.func.attrs or target.architectures[0] < OLDEST:
            return False
        conv, func = _convolution(kernel), kernel.func
        spatial = kernel.domain("out")[0]
        if spatial[-1] != conv.filters or prod(spatial[:-1]) != conv.rows:
            return False
        weights = func.params[conv.weights]
        sizes = [conv.pixels * (conv.channels + 8), prod(map(int, weights.shape)), prod(spatial)]
        stored = {str(func.params[index].dtype) for index in (conv.input, conv.weights)}
        return max(sizes) < LARGEST and stored <= set(ELEMENTS)

    def choose(self, kernel: KernelView, target: CudaTarget) -> GemmKnobs:
        conv, func = _convolution(kernel), kernel.func
        stored, weights = (str(func.params[index].dtype) for index in (conv.input, conv.weights))
        element = ELEMENTS[weights] if conv.exact else element_of(weights, target)
        copied = stored != weights or (element.size == 2 and conv.channels % 4 > 0)
        channels = _padded(conv.channels, element) if copied else conv.channels
        copies = at_once(element, channels, channels), BYTES // element.size
        product = Size(conv.rows, conv.filters, prod(conv.window) * channels, *copies)
        cut = choose(product, element, target.architectures[-1])
        return GemmKnobs(element=element, size=product, cut=cut, channels=channels, copied=copied)

    def schedule(self, kernel: KernelView, knobs: GemmKnobs, target: CudaTarget) -> Any:
        conv, func = _convolution(kernel), kernel.func
        source, weights = func.params[conv.input], func.params[conv.weights]
        registers, before = Registers(), []
        if knobs.copied:
            copy = registers.make([conv.pixels, knobs.channels], str(weights.dtype), "global")
            before.append(_copy(registers, source, copy))
            source = copy
        operands = _operands(kernel, conv, knobs, source, weights)
        return Nests(kernel, operands, knobs, target.architectures[-1]).function(registers, before)


def _convolution(kernel: KernelView) -> Convolution:
    """The kernel's attribute, which it must have."""
    values = kernel.func.attrs[ATTRIBUTE]

    def pair(name: str) -> tuple[int, int]:
        first, second = map(int, values[name])
        return first, second

    batch, height, width, channels = map(int, values["image"])
    return Convolution(
        int(values["input"]),
        int(values["weights"]),
        int(values["filters"]),
        bool(values["exact"]),
        (batch, height, width, channels),
        *map(pair, ("window", "strides", "dilation", "padding", "positions")),
    )


def _padded(channels: int, element: Element) -> int:
    """The next number of channels that can be copied in 8 or 16 bytes at once."""
    unit = 16 // element.size if channels * element.size > 8 else 8 // element.size
    return -(-channels // unit) * unit


def _operands(kernel: KernelView, conv: Convolution, knobs: GemmKnobs, source: Buffer, weights: Buffer) -> Operands:
    """The convolution of `source`, the input or its copy."""
    element, channels = f"convc::{knobs.element.name}", knobs.channels
    image = [*conv.image[:-1], channels, channels]
    moves = [*conv.window, *conv.strides, *conv.dilation, *conv.padding, *conv.positions]
    pitch = int(weights.shape[-1])
    extents = kernel.domain("out")[0][:-1]
    return Operands(
        template("Windows", element, *image, *moves),
        template("Filters", element, prod(conv.window), conv.channels, channels, pitch, pitch),
        lambda _: (_first(source), _first(weights)),
        lambda _, row: unravel(row, extents),
    )


def _first(buffer: Buffer) -> Expr:
    """The address of the first element."""
    return tirx.address_of(buffer[(0,) * len(buffer.shape)])


def _copy(registers: Registers, source: Buffer, copy: Buffer) -> Statement:
    """A nest that copies the input, pixels by channels, in another type, with zeros for the channels that it does not
    have."""
    shape, (pixels, channels) = [int(extent) for extent in source.shape], map(int, copy.shape)
    width = gcd(channels, BYTES // size(copy))
    pieces, dtype = channels // width, str(copy.dtype)
    piece = registers.make([width], dtype)

    def body(number: Expr) -> Statement:
        pixel, first = number // pieces, number % pieces * width

        def one(lane: Expr) -> Statement:
            channel = first + lane
            element = source[tuple(unravel(pixel * shape[-1] + channel, shape))]
            value = element if str(source.dtype) == dtype else tirx.Cast(dtype, element)
            if channels > shape[-1]:
                value = tirx.if_then_else(channel < shape[-1], value, tirx.const(0.0, dtype))
            return BufferStore(piece, value, [lane])

        write = copied(copy, lambda lane: [pixel, first + lane], piece, in_order, width)
        return sequence([unrolled("lane", width, one), write])

    return each(pixels * pieces, THREADS, body)
