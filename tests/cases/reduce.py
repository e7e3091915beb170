"""Reductions over one axis, several, all; with and without the axes kept."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import ReduceMax, ReduceMean
from tests.cases.case import Case, case

_FORMS: list[tuple[Shape, Shape]] = [
    ((2, 5, 7, 10), (1, 2)),
    ((1, 7, 7, 33), (1, 2)),
    ((2, 3, 4, 5), (3,)),
    ((2, 3, 4, 5), (0,)),
    ((2, 3, 4, 5), (0, 1, 2)),
    ((2, 3, 4, 5), (2, 1)),
    ((3, 9, 5), (1,)),
    ((2, 8), (1,)),
    ((1, 3, 2, 4, 6), (1, 2, 3)),
]

CASES: list[Case] = [
    *(case(f"{stem}_{'x'.join(map(str, shape))}_over_{''.join(map(str, axes))}{'_kept' if kept else ''}",
           op(axes, kept), shape)
      for stem, op in (("mean", ReduceMean), ("max", ReduceMax)) for shape, axes in _FORMS for kept in (False, True)),
    case("mean_all", ReduceMean((0, 1, 2)), (2, 3, 4)),
    case("max_all", ReduceMax((0, 1, 2)), (2, 3, 4)),
    case("mean_one_element", ReduceMean((1, 2)), (1, 1, 1, 5)),
    case("max_all_negative", ReduceMax((1,)), (1, 4), special=(-3.0, -2.0, -7.0, -1e30)),
]  # fmt: skip
