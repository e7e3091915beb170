"""Window poolings: ranks, strides, asymmetric padding, counted and uncounted."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import AvgPool, MaxPool
from convc.ops.window import Padding, same_padding
from tests.cases.case import Case, case


def _both(
    name: str, x: Shape, window: Shape, *, strides: Shape | None = None, padding: Padding | str = "valid"
) -> list[Case]:
    """The maximum and both averages over the same windows; strides are the window where not given."""
    s = window if strides is None else strides
    if padding == "same":
        explicit = same_padding(x[1:-1], window, s, (1,) * len(window))
    else:
        explicit = ((0, 0),) * len(window) if isinstance(padding, str) else padding
    cases = [case(f"max_{name}", MaxPool(window, s, explicit), x), case(f"avg_{name}", AvgPool(window, s, explicit), x)]
    if any(width for pair in explicit for width in pair):
        cases.append(case(f"avg_counted_{name}", AvgPool(window, s, explicit, count_padding=True), x))
    return cases


CASES: list[Case] = [
    *_both("2x2", (1, 6, 8, 5), (2, 2)),
    *_both("2x2_odd", (2, 7, 5, 16), (2, 2)),
    *_both("2x2_same_odd", (1, 7, 5, 10), (2, 2), padding="same"),
    *_both("2x2_s1_same", (1, 3, 3, 1), (2, 2), strides=(1, 1), padding="same"),
    *_both("3x3_s2_same", (1, 8, 8, 17), (3, 3), strides=(2, 2), padding="same"),
    *_both("3x3_s2_resnet", (1, 9, 9, 8), (3, 3), strides=(2, 2), padding=((1, 1), (1, 1))),
    *_both("3x3_s1_same", (3, 5, 4, 7), (3, 3), strides=(1, 1), padding="same"),
    *_both("3x2_asymmetric", (1, 6, 7, 3), (3, 2), strides=(1, 2), padding=((2, 0), (0, 1))),
    *_both("5x5_tiny", (1, 2, 2, 4), (5, 5), strides=(1, 1), padding="same"),
    *_both("whole_image", (2, 4, 5, 6), (4, 5)),
    *_both("gaps", (1, 9, 9, 33), (2, 2), strides=(3, 4)),
    *_both("1x1_strided", (1, 5, 5, 3), (1, 1), strides=(2, 2)),
    *_both("1d", (2, 11, 5), (3,), strides=(2,), padding="same"),
    *_both("1d_valid", (1, 10, 16), (4,)),
    *_both("3d", (1, 4, 6, 5, 3), (2, 2, 2)),
    *_both("3d_asymmetric", (1, 4, 5, 3, 10), (3, 2, 2), strides=(2, 1, 2), padding=((1, 0), (0, 1), (1, 1))),
]
