"""Standardisation over the last axis, over others, over all, in groups; centred and not."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import Standardize
from tests.cases.case import Case, case

_FORMS: list[tuple[Shape, Shape]] = [
    ((2, 4, 5, 96), (3,)),
    ((1, 5, 4, 33), (3,)),
    ((2, 3, 10), (2,)),
    ((3, 768), (1,)),
    ((1, 7), (1,)),
    ((9,), (0,)),
    ((2, 3, 4, 5), (1,)),
    ((2, 6, 17), (1,)),
    ((2, 3, 4, 5), (1, 3)),
    ((2, 3, 4, 5), (0, 2)),
    ((3, 5, 4, 7), (1, 2)),
    ((2, 6, 7, 5), (1, 2, 3)),
    ((1, 33, 34, 3), (1, 2, 3)),
    ((2, 3, 4), (0, 1, 2)),
    ((1, 2, 70, 5), (2, 3)),
]
_GROUPS: list[tuple[Shape, Shape, int]] = [
    ((2, 4, 5, 32), (1, 2, 3), 4),
    ((1, 3, 3, 15), (1, 2, 3), 5),
    ((2, 6, 6, 7), (1, 2, 3), 7),
    ((2, 12), (1,), 3),
    ((1, 40, 41, 6), (1, 2, 3), 2),
    ((3, 5, 8), (2,), 2),
    ((2, 3, 10), (0, 1, 2), 5),
]


def _name(shape: Shape, axes: Shape) -> str:
    return f"{'x'.join(map(str, shape))}_over_{''.join(map(str, axes))}"


CASES: list[Case] = [
    *(case(f"{_name(shape, axes)}{'' if centered else '_raw'}", Standardize(axes, 1e-3, centered), shape)
      for shape, axes in _FORMS for centered in (True, False)),
    *(case(f"{_name(shape, axes)}_in_{groups}", Standardize(axes, 1e-3, groups=groups), shape)
      for shape, axes, groups in _GROUPS),
    case("one_element_raw", Standardize((1,), 1e-3, centered=False), (4, 1, 3, 1)),
    case("raw_groups", Standardize((1, 2), 1e-5, centered=False, groups=4), (2, 5, 20)),
    case("long_rows", Standardize((1,), 1e-5), (2, 70_001)),
    case("long_columns", Standardize((1,), 1e-5), (1, 2500, 3)),
    case("many_rows", Standardize((2,), 1e-6), (3, 50, 40)),
    case("tiny_values", Standardize((1,), 1e-3), (2, 20), scale=1e-4),
    case("large_epsilon", Standardize((1,), 2.0), (2, 20)),
    case("equal", Standardize((1,), 1e-3), (1, 6), special=(1.0, 1.0, 1.0, 1.0, 1.0, 2.0)),
]  # fmt: skip
