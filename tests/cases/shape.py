"""Reshapes and the transposes that models hold."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import Reshape, Transpose
from tests.cases.case import Case, case

_RESHAPES: list[tuple[Shape, Shape]] = [
    ((2, 3, 4, 5), (2, 60)),
    ((2, 60), (2, 3, 4, 5)),
    ((1, 7, 7, 3), (1, 49, 3)),
    ((2, 6), (12,)),
    ((12,), (3, 1, 4)),
    ((1, 1, 1, 8), (1, 8)),
    ((3, 4), (3, 4)),
    ((1, 2, 3, 4, 5), (1, 6, 20)),
    ((1,), ()),
]

_PERMUTATIONS: list[tuple[Shape, Shape]] = [
    ((3, 5), (1, 0)),
    *(((2, 3, 5), permutation) for permutation in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))),
    *(((2, 3, 4, 5), permutation)
      for permutation in ((0, 3, 1, 2), (0, 2, 3, 1), (0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1), (1, 0, 2, 3),
                          (2, 3, 1, 0), (3, 2, 0, 1), (3, 0, 1, 2), (0, 1, 2, 3))),
    ((1, 3, 14, 15), (0, 2, 3, 1)),
    ((1, 13, 7, 17), (0, 3, 1, 2)),
    ((1, 2, 3, 4, 5), (0, 4, 1, 2, 3)),
    ((1, 2, 3, 4, 5), (0, 2, 3, 4, 1)),
    ((1, 2, 3, 2, 6), (0, 1, 4, 2, 3)),
    ((1, 7), (0, 1)),
]  # fmt: skip


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


CASES: list[Case] = [
    *(case(f"reshape_{_text(old)}_to_{_text(new)}", Reshape(new), old) for old, new in _RESHAPES),
    *(case(f"transpose_{_text(shape)}_by_{_text(order)}", Transpose(order), shape) for shape, order in _PERMUTATIONS),
]
