"""Products of two computed tensors by the device code of convolutions, where they lie as it reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

from tvm import tirx

from convc.schedules.cuda.gemm_nests import Nests
from convc.schedules.cuda.gemm_plan import ELEMENTS, LARGEST, OLDEST, GemmKnobs, Operands, element_of, template
from convc.schedules.cuda.gemm_tiles import Element, Size, at_once, choose
from convc.schedules.cuda.loops import unravel
from convc.schedules.cuda.registers import Registers
from convc.schedules.rule import KernelView, Rule
from convc.target import CudaTarget

Expr = Any

ATTRIBUTE = "gemm_product"
"""Of kernels whose block `conv` is such a product: see `convc.lower.gemm`."""


class ProductRule(Rule[CudaTarget]):
    """Products of matrices for each place of the batch axes: one label is the row, the largest that only the left
    operand has, the output's last label the column, and all others of the output are the batch.

    The left operand's summed labels are its last ones; those of the right are its last ones too, or the column is.
    Bytes: as for a convolution, see `seconds` of `gemm_tiles`.
    """

    name: ClassVar[str] = "product"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        if ATTRIBUTE not in kernel.func.attrs or target.architectures[0] < OLDEST:
            return False
        product, func = Product(kernel), kernel.func
        buffers = [*product.buffers, func.params[len(func.params) - 1]]
        stored = {str(buffer.dtype) for buffer in product.buffers}
        fits = all(prod(map(int, buffer.shape)) < LARGEST for buffer in buffers)
        return product.is_plain and fits and len(stored) == 1 and stored <= set(ELEMENTS) and product.batch < _GRID

    def choose(self, kernel: KernelView, target: CudaTarget) -> GemmKnobs:
        product = Product(kernel)
        element = element_of(str(product.buffers[0].dtype), target)
        size = product.size(element)
        return GemmKnobs(element=element, size=size, cut=choose(size, element, target.architectures[-1]))

    def schedule(self, kernel: KernelView, knobs: GemmKnobs, target: CudaTarget) -> Any:
        operands = Product(kernel).operands(f"convc::{knobs.element.name}")
        return Nests(kernel, operands, knobs, target.architectures[-1]).function(Registers())


_GRID = 1 << 16
"""Blocks along the grid's last axis."""


class Product:
    """What the attribute says of a kernel that has it."""

    def __init__(self, kernel: KernelView) -> None:
        func, values = kernel.func, kernel.func.attrs[ATTRIBUTE]
        self.left, self.right, self.out = (tuple(map(int, labels)) for labels in values["labels"])
        self.buffers = [func.params[int(values[name])] for name in ("left", "right")]
        sizes = zip(self.left + self.right, [e for buffer in self.buffers for e in buffer.shape], strict=True)
        self.sizes: Mapping[int, int] = {label: int(extent) for label, extent in sizes}
        free = [label for label in self.out[:-1] if label not in self.right]
        self.row = max(free, key=lambda label: self.sizes[label]) if free else None
        self.column = self.out[-1]
        self.members = tuple(label for label in self.out[:-1] if label != self.row)
        self.summed = tuple(label for label in self.left if label not in self.out)

    @property
    def batch(self) -> int:
        """Products of matrices."""
        return prod(self.sizes[label] for label in self.members)

    @property
    def rows(self) -> int:
        """Rows of one of them."""
        return 1 if self.row is None else self.sizes[self.row]

    @property
    def columns(self) -> int:
        """Columns of one of them."""
        return self.sizes[self.column]

    @property
    def depth(self) -> int:
        """Products of a sum."""
        return prod(self.sizes[label] for label in self.summed)

    @property
    def is_transposed(self) -> bool:
        """Whether the right operand is summed along its last axis."""
        return self.right[-1] != self.column

    @property
    def pitches(self) -> tuple[int, int]:
        """Elements from one row of the operands to the next."""
        left = self.depth if self.row is None else self._stride(self.left, self.row)
        return left, self._stride(self.right, self.column if self.is_transposed else self.summed[-1])

    def size(self, element: Element) -> Size:
        """Of the products."""
        left, right = self.pitches
        lengths = self.depth, self.depth if self.is_transposed else self.columns
        copies = at_once(element, lengths[0], left), at_once(element, lengths[1], right)
        return Size(self.rows, self.columns, self.depth, *copies, self.batch)

    @property
    def is_plain(self) -> bool:
        """Whether the operands lie as the device code reads them."""
        count = len(self.summed)
        if not count or self.column in self.left or self.left[-count:] != self.summed:
            return False
        if self.right[-count:] == self.summed:
            return True
        places = [self.right.index(label) for label in self.summed]
        in_order = places == list(range(places[0], places[0] + count))
        return in_order and self.right[-1] == self.column

    def operands(self, element: str) -> Operands:
        """What the device code multiplies."""
        (pitch, other), ones = self.pitches, [1] * 6
        left = template("Windows", element, self.rows, 1, 1, self.depth, pitch, *ones, 0, 0, 1, 1)
        if self.is_transposed:
            right = template("Transposed", element, self.depth, self.columns, other)
        else:
            right = template("Filters", element, 1, self.depth, self.depth, self.columns, other)
        return Operands(left, right, self._pointers, self._position)

    def _stride(self, labels: Sequence[int], label: int) -> int:
        """Elements from one index of `label` to the next in an operand."""
        return prod(self.sizes[inner] for inner in labels[labels.index(label) + 1 :])

    def _members(self, member: Expr) -> dict[int, Expr]:
        return dict(zip(self.members, unravel(member, [self.sizes[label] for label in self.members]), strict=True))

    def _pointers(self, member: Expr) -> tuple[Expr, Expr]:
        at = self._members(member)
        left, right = (
            tirx.address_of(buffer[tuple(at.get(label, 0) for label in labels)])
            for buffer, labels in zip(self.buffers, (self.left, self.right), strict=True)
        )
        return left, right

    def _position(self, member: Expr, row: Expr) -> list[Expr]:
        at = self._members(member)
        return [row if label == self.row else at[label] for label in self.out[:-1]]
