"""Reductions over one axis, several, all; with and without the axes kept."""

from __future__ import annotations

from collections.abc import Callable

from convc.ir import Shape
from convc.ops import Reduce, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum
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
_LONG: list[tuple[Shape, Shape]] = [
    ((2, 3, 4, 100), (3,)),
    ((2, 3, 4, 19), (1, 3)),
    ((20, 7, 77), (2,)),
    ((3, 9000), (1,)),
    ((2, 70_001), (1,)),
    ((2, 1500, 3), (1,)),
    ((1, 41, 43, 18), (1, 2)),
    ((2, 50, 3, 40), (1, 3)),
    ((3, 1, 5), (1,)),
    ((1, 1, 1), (0, 1, 2)),
    ((3, 4, 1), (2,)),
]
_KINDS: dict[str, Callable[..., Reduce]] = {
    "mean": ReduceMean, "max": ReduceMax, "sum": ReduceSum, "min": ReduceMin, "prod": ReduceProd,
}  # fmt: skip


def _name(stem: str, shape: Shape, axes: Shape) -> str:
    return f"{stem}_{'x'.join(map(str, shape))}_over_{''.join(map(str, axes))}"


CASES: list[Case] = [
    *(case(f"{_name(stem, shape, axes)}{'_kept' if kept else ''}", op(axes, kept), shape)
      for stem, op in _KINDS.items() for shape, axes in _FORMS for kept in (False, True)),
    *(case(_name(stem, shape, axes), op(axes), shape)
      for stem, op in _KINDS.items() if stem != "prod" for shape, axes in _LONG),
    *(case(_name("prod", shape, axes), ReduceProd(axes), shape, scale=1.3) for shape, axes in _LONG[:3]),
    case("mean_all", ReduceMean((0, 1, 2)), (2, 3, 4)),
    case("max_all", ReduceMax((0, 1, 2)), (2, 3, 4)),
    case("mean_one_element", ReduceMean((1, 2)), (1, 1, 1, 5)),
    case("max_all_negative", ReduceMax((1,)), (1, 4), special=(-3.0, -2.0, -7.0, -1e30)),
]  # fmt: skip
