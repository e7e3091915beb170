"""Elements picked by indices: rows of tables, and along each axis; negative indices count from the end."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import Take, TakeAlong
from tests.cases.case import Case, case


def _take(name: str, axis: int, x: Shape, indices: Shape, *constants: int) -> Case:
    extent = x[axis]
    return case(name, Take(axis), x, indices, constants=constants, integers={1: (-extent, extent)})


def _along(name: str, axis: int, x: Shape, indices: Shape, *constants: int) -> Case:
    extent = x[axis]
    return case(name, TakeAlong(axis), x, indices, constants=constants, integers={1: (-extent, extent)})


CASES: list[Case] = [
    _take("embedding", 0, (50, 17), (2, 7), 0),
    _take("embedding_wide", 0, (11, 64), (3, 5), 0),
    _take("embedding_narrow", 0, (11, 1), (3, 5), 0),
    _take("embedding_of_one", 0, (9, 16), (1,), 0),
    _take("computed_table", 0, (6, 5), (2, 3)),
    _take("constant_indices", 1, (2, 7, 10), (4,), 1),
    _take("middle", 1, (2, 7, 3, 10), (4,)),
    _take("channels", 3, (1, 3, 4, 18), (9,)),
    _take("batch", 0, (3, 4, 5), (2,)),
    _take("scalar_index", 1, (2, 5, 6), ()),
    _take("matrix_of_indices", 1, (2, 5, 6), (3, 4)),
    _take("rank1", 0, (40,), (33,)),
    _take("one_element", 0, (1, 8), (2, 2)),
    _along("along_rows", 1, (2, 7, 5), (2, 3, 5)),
    _along("along_channels", 2, (2, 3, 18), (2, 3, 9)),
    _along("along_batch", 0, (4, 5), (2, 5)),
    _along("along_constant", 1, (3, 6), (3, 4), 1),
    _along("along_rank1", 0, (40,), (33,)),
]
