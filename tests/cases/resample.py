"""Resampling by random tables: one axis and two, few taps and many, channels that fit no vector."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import ResampleMax, ResampleSum
from tests.cases.case import Case, case

_FORMS: list[tuple[str, Shape, Shape, list[Shape]]] = [
    ("images", (2, 5, 7, 10), (1, 2), [(10, 2), (14, 2)]),
    ("one_channel", (1, 6, 4, 1), (1, 2), [(3, 4), (9, 4)]),
    ("rgb", (1, 9, 11, 3), (1, 2), [(4, 6), (5, 6)]),
    ("c17", (1, 4, 3, 17), (1, 2), [(5, 1), (7, 12)]),
    ("one_pixel", (3, 1, 1, 5), (1, 2), [(2, 1), (3, 2)]),
    ("to_one_pixel", (1, 8, 7, 16), (1, 2), [(1, 8), (1, 7)]),
    ("many_taps", (1, 20, 18, 7), (1, 2), [(3, 13), (4, 15)]),
    ("many_taps_first", (2, 20, 5, 6), (1, 2), [(3, 20), (4, 2)]),
    ("many_taps_second", (1, 3, 30, 33), (1, 2), [(6, 2), (4, 16)]),
    ("rows", (2, 6, 5, 3), (1,), [(4, 3)]),
    ("columns", (1, 3, 6, 9), (2,), [(13, 2)]),
    ("rows_many_taps", (1, 16, 2, 5), (1,), [(3, 14)]),
    ("channels", (2, 3, 4, 11), (3,), [(6, 2)]),
    ("channels_many_taps", (2, 3, 4, 17), (3,), [(6, 13)]),
    ("first_axes", (4, 3, 5), (0, 1), [(2, 3), (6, 2)]),
    ("sequence", (2, 9, 6), (1,), [(5, 3)]),
    ("sequence_many_taps", (1, 30, 10), (1,), [(4, 19)]),
    ("volume", (1, 3, 4, 5, 6), (2, 3), [(7, 2), (3, 4)]),
    ("volume_depth", (1, 6, 2, 3, 4), (1,), [(4, 2)]),
    ("vector", (12,), (0,), [(5, 3)]),
    ("vector_many_taps", (20,), (0,), [(5, 14)]),
]
"""Name, input, axes, and (out, taps) for each axis."""


def _sum(name: str, x: Shape, axes: Shape, tables: list[Shape]) -> Case:
    shapes = [shape for table in tables for shape in (table, table)]
    bounds = {1 + 2 * place: (0, x[axis]) for place, axis in enumerate(axes)}
    return case(f"sum_{name}", ResampleSum(axes), x, *shapes, constants=range(1, 1 + len(shapes)), integers=bounds)


def _max(name: str, x: Shape, axes: Shape, tables: list[Shape]) -> Case:
    bounds = {1 + place: (0, x[axis]) for place, axis in enumerate(axes)}
    return case(f"max_{name}", ResampleMax(axes), x, *tables, constants=range(1, 1 + len(tables)), integers=bounds)


CASES: list[Case] = [make(*form) for form in _FORMS for make in (_sum, _max)]
