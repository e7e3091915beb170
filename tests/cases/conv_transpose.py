"""Transposed convolutions: ranks, windows against strides, crops, and channel counts that fit no vector."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import ConvTranspose
from convc.ops.window import Padding
from tests.cases.case import Case, case


def transposed(
    name: str,
    x: Shape,
    kernel: Shape,
    *,
    strides: int | Shape = 2,
    dilation: int | Shape = 1,
    crop: Padding | None = None,
    bias: bool = False,
) -> Case:
    """A transposed convolution of `x` (N, *spatial, C) with a constant kernel (*spatial, O, C)."""
    rank = len(x) - 2
    s = (strides,) * rank if isinstance(strides, int) else strides
    d = (dilation,) * rank if isinstance(dilation, int) else dilation
    shapes = (x, kernel, kernel[-2:-1]) if bias else (x, kernel)
    op = ConvTranspose(s, d, crop or ((0, 0),) * rank)
    return case(name, op, *shapes, constants=range(1, len(shapes)))


def _same(kernel: int, stride: int) -> tuple[int, int]:
    """The crop that leaves in * stride elements."""
    low = max(kernel - stride, 0) // 2
    return low, kernel - stride - low


CASES: list[Case] = [
    # The window against the stride, as the common networks have them: k < s, k = s, k > s, odd and even.
    *(transposed(f"k{k}_s{s}", (1, 5, 4, 6), (k, k, 10, 6), strides=s, crop=(_same(k, s),) * 2, bias=k % 2 == 1)
      for k, s in ((1, 1), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (2, 3), (3, 3), (5, 3), (7, 3), (4, 4), (8, 4),
                   (3, 1), (4, 1))),
    *(transposed(f"full_k{k}_s{s}", (2, 3, 5, 4), (k, k, 8, 4), strides=s)
      for k, s in ((2, 2), (3, 2), (4, 2), (5, 3))),
    *(transposed(f"c{c}_o{o}_n{n}", (n, 5, 6, c), (3, 3, o, c), crop=((0, 1), (0, 1)), bias=o % 2 == 1)
      for n, c, o in ((1, 1, 1), (2, 3, 17), (3, 5, 16), (1, 7, 8), (2, 10, 3), (1, 16, 33), (1, 33, 5))),
    *(transposed(f"pixels_o{o}", (1, 7, 9, 8), (4, 4, o, 8), crop=((1, 1), (1, 1)), bias=True) for o in (1, 2, 3, 4)),
    transposed("differ", (1, 5, 4, 5), (4, 2, 7, 5), strides=(3, 1), crop=((1, 0), (0, 1)), bias=True),
    transposed("last_axis_only", (2, 4, 5, 6), (1, 4, 9, 6), strides=(1, 2), crop=((0, 0), (1, 1))),
    transposed("first_axis_only", (2, 4, 5, 6), (4, 1, 9, 6), strides=(2, 1), crop=((2, 0), (0, 0)), bias=True),
    transposed("from_one_element", (2, 1, 1, 12), (4, 4, 20, 12), strides=1, bias=True),
    transposed("one_element_strided", (2, 1, 1, 5), (4, 4, 6, 5), crop=((1, 1), (1, 1))),
    transposed("zeros_follow", (1, 4, 3, 3), (2, 1, 5, 3), strides=3, crop=((0, -1), (0, -2)), bias=True),
    transposed("crop_more_than_a_block", (1, 5, 5, 4), (6, 6, 6, 4), crop=((5, 4), (3, 5))),
    transposed("crop_whole_inputs_at_the_end", (1, 6, 5, 3), (2, 2, 5, 3), crop=((0, 7), (1, 5)), bias=True),
    transposed("dilated", (1, 6, 5, 4), (3, 2, 8, 4), strides=1, dilation=(2, 3), crop=((2, 2), (0, 3))),
    transposed("dilated_strided", (1, 4, 5, 3), (3, 3, 5, 3), strides=(2, 3), dilation=(3, 2), crop=((2, 1), (1, 0))),
    transposed("dilated_by_the_stride", (1, 4, 5, 3), (3, 3, 5, 3), dilation=2, crop=((1, 1), (0, 0)), bias=True),
    transposed("gan", (1, 8, 8, 48), (4, 4, 24, 48), crop=((1, 1), (1, 1))),
    transposed("unet", (1, 12, 12, 32), (2, 2, 16, 32), bias=True),
    # Rank 1 and 3.
    *(transposed(f"1d_k{k}_s{s}", (2, 9, 6), (k, 7, 6), strides=s, crop=(_same(k, s),), bias=s == 2)
      for k, s in ((1, 2), (2, 2), (3, 2), (4, 2), (16, 8), (3, 1))),
    *(transposed(f"3d_k{k}_s{s}", (1, 3, 4, 2, 3), (k, k, k, 5, 3), strides=s, crop=(_same(k, s),) * 3, bias=k == 2)
      for k, s in ((2, 2), (3, 2), (4, 2), (3, 1))),
    transposed("3d_differ", (2, 2, 3, 4, 5), (3, 2, 1, 6, 5), strides=(1, 2, 3), crop=((1, 1), (0, 0), (0, -2)),
               bias=True),
]  # fmt: skip
