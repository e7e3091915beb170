"""Channels spread over space: ranks, blocks that differ, crops, few channels and many."""

from __future__ import annotations

from convc.ops import DepthToSpace
from tests.cases.case import Case, case

NONE = ((0, 0), (0, 0))

CASES: list[Case] = [
    *(case(f"2x2_c{c}_n{n}", DepthToSpace((2, 2), NONE), (n, 4, 5, 4 * c))
      for n, c in ((1, 1), (2, 2), (3, 3), (1, 5), (1, 8), (2, 16), (1, 17), (1, 40))),
    case("3x2", DepthToSpace((3, 2), NONE), (2, 3, 4, 30)),
    case("4x4", DepthToSpace((4, 4), NONE), (1, 5, 3, 48)),
    case("1x2", DepthToSpace((1, 2), NONE), (2, 3, 4, 10)),
    case("2x1", DepthToSpace((2, 1), NONE), (2, 3, 4, 10)),
    case("1x1_cropped", DepthToSpace((1, 1), ((1, 0), (0, 2))), (2, 3, 4, 5)),
    case("cropped", DepthToSpace((2, 2), ((1, 1), (0, 1))), (2, 3, 4, 12)),
    case("cropped_more_than_a_block", DepthToSpace((2, 3), ((3, 2), (4, 1))), (1, 5, 4, 42)),
    case("cropped_wide", DepthToSpace((2, 2), ((1, 1), (1, 1))), (1, 4, 4, 64)),
    case("to_one_element", DepthToSpace((2, 2), ((1, 2), (2, 1))), (1, 2, 2, 12)),
    case("rank1", DepthToSpace((3,), ((0, 0),)), (2, 5, 12)),
    case("rank1_cropped", DepthToSpace((4,), ((2, 1),)), (2, 5, 12)),
    case("rank3", DepthToSpace((2, 1, 3), ((0, 1), (0, 0), (2, 0))), (1, 2, 3, 2, 30)),
    case("rank3_2", DepthToSpace((2, 2, 2), ((0, 0),) * 3), (2, 2, 3, 2, 40)),
]  # fmt: skip
