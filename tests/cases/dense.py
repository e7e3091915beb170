"""Fully connected layers: every input rank, odd sizes, batch 1 and 3."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import Dense
from tests.cases.case import Case, case


def dense(name: str, x: Shape, units: int, *, bias: bool = True) -> Case:
    """A dense layer over the last axis of `x` with constant weights."""
    shapes = (x, (x[-1], units), (units,)) if bias else (x, (x[-1], units))
    return case(name, Dense(), *shapes, constants=range(1, len(shapes)))


CASES: list[Case] = [
    *(dense(f"n{n}_{i}_to_{o}", (n, i), o, bias=o % 2 == 0)
      for n, i, o in ((1, 1, 1), (1, 3, 2), (1, 7, 5), (1, 16, 16), (1, 33, 10), (1, 64, 17), (1, 130, 40), (1, 5, 100),
                      (2, 8, 12), (3, 1, 7), (3, 10, 3), (3, 17, 33), (3, 40, 16), (3, 64, 64), (5, 31, 1))),
    dense("vector", (12,), 7),
    dense("vector_no_bias", (5,), 16, bias=False),
    dense("sequence", (2, 5, 10), 17),
    dense("sequence_no_bias", (1, 7, 16), 8, bias=False),
    dense("image", (2, 3, 4, 8), 10),
    dense("image_odd", (1, 5, 5, 7), 33, bias=False),
    dense("classifier", (1, 512), 1000),
    dense("classifier_batch", (3, 256), 101),
]  # fmt: skip
