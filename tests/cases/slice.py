"""Slices of each axis of each rank: crops, strides, and steps backwards."""

from __future__ import annotations

from convc.ops import Slice
from tests.cases.case import Case, case

CASES: list[Case] = [
    case("crop", Slice((0, 1, 2, 0), (1, 5, 4, 3), (1, 1, 1, 1)), (1, 7, 8, 3)),
    case("crop_wide", Slice((0, 1, 0, 0), (2, 5, 8, 17), (1, 1, 1, 1)), (2, 7, 8, 17)),
    case("columns", Slice((0, 0, 3, 0), (2, 5, 4, 10), (1, 1, 1, 1)), (2, 5, 8, 10)),
    case("channels", Slice((0, 0, 0, 3), (2, 3, 4, 9), (1, 1, 1, 1)), (2, 3, 4, 17)),
    case("channels_from_0", Slice((0, 0, 0, 0), (1, 5, 5, 16), (1, 1, 1, 1)), (1, 5, 5, 40)),
    case("batch", Slice((1, 0, 0), (2, 5, 6), (1, 1, 1)), (4, 5, 6)),
    case("every_axis", Slice((1, 1, 0, 2), (1, 3, 2, 4), (1, 1, 1, 1)), (3, 4, 5, 7)),
    case("all", Slice((0, 0), (3, 4), (1, 1)), (3, 4)),
    case("one_element", Slice((1, 2, 3), (1, 1, 1), (1, 1, 1)), (2, 3, 4)),
    case("one_row", Slice((0, 6, 0), (2, 1, 5), (1, 1, 1)), (2, 7, 5)),
    case("steps", Slice((0, 0, 1, 0), (1, 4, 3, 6), (1, 2, 2, 1)), (1, 7, 7, 6)),
    case("steps_of_channels", Slice((0, 0, 1), (2, 3, 9), (1, 1, 2)), (2, 3, 18)),
    case("steps_3", Slice((0, 1), (2, 4), (1, 3)), (2, 12)),
    case("backwards", Slice((0, 6, 0), (2, 7, 10), (1, -1, 1)), (2, 7, 10)),
    case("channels_backwards", Slice((0, 0, 17), (2, 3, 18), (1, 1, -1)), (2, 3, 18)),
    case("backwards_by_2", Slice((0, 5, 3), (1, 3, 2), (1, -2, -2)), (1, 7, 5)),
    case("all_backwards", Slice((1, 2, 3), (2, 3, 4), (-1, -1, -1)), (2, 3, 4)),
    case("rank1", Slice((2,), (40,), (1,)), (50,)),
    case("rank1_backwards", Slice((4,), (5,), (-1,)), (5,)),
    case("rank5", Slice((0, 1, 0, 1, 0), (1, 2, 3, 2, 6), (1, 1, 1, 2, 1)), (1, 4, 3, 5, 6)),
    case("long_rows", Slice((0, 3, 1), (2, 30, 70), (1, 1, 1)), (2, 35, 75)),
]
