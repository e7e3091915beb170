"""Concatenation on each axis of each rank."""

from __future__ import annotations

from convc.ops import Concat
from tests.cases.case import Case, case

CASES: list[Case] = [
    case("rank4_axis0", Concat(0), (1, 3, 4, 5), (2, 3, 4, 5)),
    case("rank4_axis1", Concat(1), (2, 1, 4, 5), (2, 3, 4, 5), (2, 2, 4, 5)),
    case("rank4_axis2", Concat(2), (2, 3, 4, 5), (2, 3, 1, 5)),
    case("rank4_channels", Concat(3), (2, 3, 4, 5), (2, 3, 4, 8)),
    case("inception", Concat(3), (1, 5, 5, 16), (1, 5, 5, 24), (1, 5, 5, 4), (1, 5, 5, 7)),
    case("many", Concat(3), *((1, 2, 3, c) for c in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))),
    case("rank1", Concat(0), (3,), (4,)),
    case("rank2_batch", Concat(0), (1, 6), (2, 6)),
    case("rank2_features", Concat(1), (3, 6), (3, 1)),
    case("rank3_axis1", Concat(1), (2, 3, 4), (2, 5, 4)),
    case("rank3_axis2", Concat(2), (2, 3, 4), (2, 3, 9)),
    case("rank5", Concat(4), (1, 2, 2, 2, 3), (1, 2, 2, 2, 2)),
    case("single", Concat(1), (2, 3, 4)),
    case("constant_part", Concat(1), (2, 3), (2, 4), constants=[1]),
]
