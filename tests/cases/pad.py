"""Constant padding on any axes."""

from __future__ import annotations

from convc.ops import Pad
from tests.cases.case import Case, case

CASES: list[Case] = [
    case("spatial", Pad(((0, 0), (1, 1), (1, 1), (0, 0))), (1, 4, 5, 3)),
    case("asymmetric", Pad(((0, 0), (0, 2), (3, 1), (0, 0))), (2, 4, 5, 10)),
    case("value", Pad(((0, 0), (1, 0), (0, 1), (0, 0)), -1.5), (1, 4, 5, 3)),
    case("channels", Pad(((0, 0), (0, 0), (0, 0), (2, 3))), (1, 3, 4, 5)),
    case("batch", Pad(((1, 2), (0, 0), (0, 0), (0, 0)), 7.0), (1, 3, 4, 5)),
    case("every_axis", Pad(((1, 0), (2, 1), (0, 3), (1, 1)), 0.25), (2, 3, 4, 5)),
    case("none", Pad(((0, 0), (0, 0))), (3, 4)),
    case("rank1", Pad(((2, 1),), 3.0), (5,)),
    case("rank2", Pad(((0, 0), (1, 4))), (2, 5)),
    case("rank3", Pad(((0, 0), (6, 0), (0, 0))), (2, 7, 5)),
    case("rank5", Pad(((0, 0), (1, 1), (0, 1), (2, 0), (0, 0))), (1, 2, 3, 2, 4)),
    case("wider_than_input", Pad(((0, 0), (5, 5), (7, 0), (0, 0))), (1, 1, 2, 3)),
]
