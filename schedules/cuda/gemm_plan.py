"""What rules for products of matrices decide, and what the device code multiplies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convc.schedules.cuda.gemm_tiles import BFLOAT16, FLOAT16, FLOAT32, TFLOAT32, Cut, Element, Size
from convc.schedules.rule import Knobs
from convc.target import CudaTarget

Expr = Any

OLDEST = 80
"""The first architecture that copies into shared memory asynchronously."""
LARGEST = 1 << 31
"""Elements of a tensor that the device code's offsets reach."""
ELEMENTS = {"float32": FLOAT32, "float16": FLOAT16, "bfloat16": BFLOAT16}
"""How what is stored in a type is multiplied."""


@dataclass(frozen=True)
class GemmKnobs(Knobs):
    """What products are computed and how: their size, the tile and the parts of a sum.

    `channels`: those of the input that the device code reads; where the input is copied first (`copied`) they may be
    more than there are, zeros.
    """

    element: Element = FLOAT32
    size: Size | None = None
    cut: Cut | None = None
    channels: int = 0
    copied: bool = False


@dataclass(frozen=True)
class Operands:
    """What a grid of blocks multiplies.

    `left` and `right` are the C++ types of gemm.cuh that read the operands. Of a product of the batch, `pointers` gives
    their addresses, and `position` the indices of a row of the output.
    """

    left: str
    right: str
    pointers: Callable[[Expr], tuple[Expr, Expr]]
    position: Callable[[Expr, Expr], list[Expr]]


def element_of(stored: str, target: CudaTarget) -> Element:
    """How numbers that are stored in that type are multiplied."""
    return TFLOAT32 if target.tf32 and stored == "float32" else ELEMENTS[stored]


def template(name: str, *arguments: object) -> str:
    """The C++ name of a template of gemm.cuh."""
    return f"convc::{name}<{', '.join(map(str, arguments))}>"
