"""What every anchor's lowering shares: packed constants, and padding as a stage of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import te

from convc.ir import Array, Shape
from convc.lower.cook_toom import Matrix
from convc.lower.math import Expr

Anchor = Callable[..., Expr]
"""Gives the anchor's value at output indices; the epilogue is composed on top of it."""


@dataclass(frozen=True)
class SeparableMap:
    """Makes planes from planes: plane (i, j) is the sum over (r, s) of rows[i][r] * columns[j][s] * plane (r, s)."""

    rows: Matrix
    columns: Matrix


class Packing(ABC):
    """How a constant is stored in the library. Subclasses are frozen dataclasses: equal ones pack alike."""

    @abstractmethod
    def shape(self, shape: Shape) -> Shape:
        """The packed shape of a constant of `shape`."""

    @abstractmethod
    def apply(self, value: Array) -> Array:
        """`value` packed, contiguous: what the kernel reads."""

    def expansion(self, shape: Shape) -> SeparableMap | None:
        """How the driver makes what the kernel reads from the planes that the file holds, for a constant of `shape`;
        None: they are the same."""
        return None

    def stored(self, value: Array) -> Array:
        """What the library's file holds of `value`."""
        return self.apply(value)


def padded(
    x: te.Tensor,
    padding: Sequence[tuple[int, int]],
    out: Shape,
    window: Shape,
    strides: Shape,
    dilation: Shape,
    value: Expr,
) -> te.Tensor:
    """`x` with `value` around it, as far as windows at output extents `out` read; `x` itself where it is enough.

    x is N, *spatial, C. The stage is called `pad`.
    """
    low = [before for before, _ in padding]
    extents = [int(extent) for extent in x.shape[1:-1]]
    needed = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, strides, window, dilation, strict=True)]
    if not any(low) and all(need <= extent for need, extent in zip(needed, extents, strict=True)):
        return x

    def element(n: Expr, *indices: Expr) -> Expr:
        *position, channel = indices
        inside: list[Expr] = []
        for p, before, need, extent in zip(position, low, needed, extents, strict=True):
            if before:
                inside.append(p >= before)
            if need > before + extent:
                inside.append(p < before + extent)
        moved = [p - before for p, before in zip(position, low, strict=True)]
        return te.if_then_else(te.all(*inside), x(n, *moved, channel), value)

    return te.compute((x.shape[0], *needed, x.shape[-1]), element, name="pad")
