"""Repetition along each axis, in front of the others and between them."""

from __future__ import annotations

from convc.ops import Broadcast
from tests.cases.case import Case, case

CASES: list[Case] = [
    case("channels", Broadcast((2, 3, 4, 10)), (2, 3, 4, 1)),
    case("spatial", Broadcast((2, 3, 4, 10)), (2, 1, 1, 10)),
    case("batch", Broadcast((3, 4, 5)), (1, 4, 5)),
    case("inner", Broadcast((2, 3, 4, 5)), (2, 3, 1, 5)),
    case("upsampling", Broadcast((2, 5, 2, 7, 3, 10)), (2, 5, 1, 7, 1, 10)),
    case("upsampling_one_channel", Broadcast((1, 5, 2, 7, 2, 1)), (1, 5, 1, 7, 1, 1)),
    case("upsampling_rows", Broadcast((1, 9, 3, 33)), (1, 9, 1, 33)),
    case("new_axes", Broadcast((2, 3, 5)), (5,)),
    case("new_axes_and_repeats", Broadcast((2, 3, 4, 5)), (4, 1)),
    case("scalar", Broadcast((2, 3)), ()),
    case("one_element", Broadcast((3, 40)), (1, 1)),
    case("same", Broadcast((2, 3)), (2, 3)),
    case("rank1", Broadcast((70,)), (1,)),
    case("every_axis", Broadcast((3, 4, 5)), (1, 1, 1)),
    case("rows", Broadcast((5, 7)), (5, 1)),
]
