"""The places of the largest elements, with many equal ones."""

from __future__ import annotations

from convc.ops import TopK
from tests.cases.case import Case, case

_TIES = (1.0, 2.0, 2.0, -1.0, 0.0, 0.0, 3.0, 1.0, 3.0, 2.0) * 3
_ENDS = (float("inf"), 1.0, -float("inf"), float("inf"), 0.0, 3e38)

CASES: list[Case] = [
    case("largest", TopK(3), (2, 17)),
    case("least", TopK(3, largest=False), (2, 17)),
    case("all", TopK(16), (5, 16)),
    case("one", TopK(1), (3, 4, 33)),
    case("rank1", TopK(5), (100,)),
    case("of_two", TopK(1), (9, 2)),
    case("ties", TopK(10), (3, 10), special=_TIES),
    case("ties_least", TopK(7, largest=False), (3, 10), special=_TIES),
    case("infinite", TopK(6), (1, 6), special=_ENDS),
    case("long", TopK(4), (2, 1000)),
    case("integers", TopK(4), (3, 19), integers={0: (-5, 5)}),
]
