"""Convolutions: ranks, groups, depthwise, dilation, strides, padding, and channel counts that fit no vector."""

from __future__ import annotations

from convc.ir import Shape
from convc.ops import Conv
from convc.ops.window import Padding, same_padding
from tests.cases.case import Case, case


def conv(
    name: str,
    x: Shape,
    kernel: Shape,
    *,
    strides: int | Shape = 1,
    padding: Padding | str = "valid",
    dilation: int | Shape = 1,
    groups: int = 1,
    bias: bool = False,
) -> Case:
    """A convolution of `x` (N, *spatial, C) with a constant kernel (*spatial, C / groups, O)."""
    rank = len(x) - 2
    s = (strides,) * rank if isinstance(strides, int) else strides
    d = (dilation,) * rank if isinstance(dilation, int) else dilation
    if padding == "same":
        explicit = same_padding(x[1:-1], kernel[:-2], s, d)
    else:
        explicit = ((0, 0),) * rank if isinstance(padding, str) else padding
    shapes = (x, kernel, kernel[-1:]) if bias else (x, kernel)
    return case(name, Conv(s, explicit, d, groups), *shapes, constants=range(1, len(shapes)))


def depthwise(name: str, x: Shape, window: Shape, multiplier: int = 1, **attributes: object) -> Case:
    """A depthwise convolution with that many output channels for each input channel."""
    channels = x[-1]
    return conv(name, x, (*window, 1, channels * multiplier), groups=channels, **attributes)  # type: ignore[arg-type]


_CHANNELS = (1, 3, 5, 7, 8, 10, 16, 17, 32, 33, 40)

CASES: list[Case] = [
    # One shape, every awkward channel count on either side, batches 1 to 3.
    *(conv(f"3x3_c{c}_o{o}_n{n}", (n, 6, 7, c), (3, 3, c, o), padding="same", bias=o % 2 == 1)
      for n, c, o in zip((1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2), _CHANNELS, reversed(_CHANNELS), strict=True)),
    *(conv(f"1x1_c{c}_o{o}", (1, 5, 5, c), (1, 1, c, o), bias=o % 2 == 0)
      for c, o in ((1, 1), (1, 16), (3, 5), (7, 17), (10, 33), (16, 40), (17, 10), (33, 3), (40, 7), (64, 130),
                   (96, 24))),
    *(conv(f"1x1_batch{n}", (n, 3, 5, 10), (1, 1, 10, 17)) for n in (2, 3)),
    conv("1x1_strided", (1, 7, 7, 8), (1, 1, 8, 12), strides=2),
    conv("1x1_strided_even", (2, 8, 6, 5), (1, 1, 5, 16), strides=(2, 3)),
    conv("1x1_padded", (1, 4, 4, 3), (1, 1, 3, 5), padding=((1, 1), (0, 2)), bias=True),
    # Sizes: outputs that the common networks have, and tiny ones.
    *(conv(f"3x3_{size}x{size}", (1, size, size, 8), (3, 3, 8, 24), padding="same", bias=True)
      for size in (1, 2, 3, 4, 5, 7, 8, 13, 14, 15)),
    case("3x3_exact", Conv((1, 1), ((1, 1), (1, 1)), (1, 1), exact=True), (1, 8, 8, 16), (3, 3, 16, 32), constants=[1]),
    conv("3x3_to_1x1", (1, 3, 3, 17), (3, 3, 17, 10)),
    conv("window_is_the_input", (2, 4, 5, 7), (4, 5, 7, 9), bias=True),
    conv("window_larger_than_input", (1, 2, 3, 5), (5, 5, 5, 8), padding="same"),
    conv("window_larger_than_input_strided", (1, 3, 2, 4), (7, 5, 4, 6), padding="same", strides=2),
    conv("wide_channels", (1, 7, 7, 64), (3, 3, 64, 130), padding="same"),
    conv("wide_channels_odd", (1, 5, 4, 65), (3, 3, 65, 66), bias=True),
    conv("many_in_few_out", (1, 4, 4, 160), (3, 3, 160, 3), padding="same"),
    conv("few_in_many_out", (1, 4, 4, 2), (3, 3, 2, 200), padding="same"),
    conv("row", (1, 1, 31, 6), (1, 3, 6, 20), padding="same"),
    conv("column", (1, 31, 1, 6), (3, 1, 6, 20), padding="same"),
    conv("1x7", (1, 9, 9, 6), (1, 7, 6, 16), padding="same"),
    conv("7x1", (1, 9, 9, 6), (7, 1, 6, 16), padding="same"),
    # Windows, strides, padding.
    conv("stem_7x7_s2", (1, 20, 20, 3), (7, 7, 3, 16), strides=2, padding=((3, 3), (3, 3)), bias=True),
    conv("stem_7x7_s2_valid", (1, 21, 23, 3), (7, 7, 3, 10), strides=2),
    conv("stem_3x3_s2_same", (1, 16, 16, 3), (3, 3, 3, 24), strides=2, padding="same"),
    conv("stem_3x3_s2_imagenet", (2, 16, 16, 3), (3, 3, 3, 16), strides=2, padding=((0, 1), (0, 1)), bias=True),
    conv("patches_4x4_s4", (1, 16, 16, 3), (4, 4, 3, 24), strides=4, bias=True),
    conv("patches_stride_above_window", (1, 11, 11, 4), (2, 2, 4, 8), strides=3),
    conv("2x2", (1, 6, 5, 5), (2, 2, 5, 6), padding="same"),
    conv("2x2_s2_same_odd", (1, 7, 5, 5), (2, 2, 5, 6), strides=2, padding="same"),
    conv("4x4_same", (1, 6, 7, 5), (4, 4, 5, 6), padding="same"),
    conv("5x5", (1, 9, 8, 6), (5, 5, 6, 16), padding="same", bias=True),
    conv("5x5_s2", (2, 9, 8, 6), (5, 5, 6, 17), strides=2, padding="same"),
    conv("5x3", (1, 9, 8, 3), (5, 3, 3, 7)),
    conv("strides_differ", (1, 9, 8, 3), (3, 3, 3, 8), strides=(1, 2), padding="same"),
    conv("strides_3x1", (1, 10, 8, 3), (3, 3, 3, 8), strides=(3, 1)),
    conv("strides_waste_the_end", (1, 10, 10, 3), (3, 3, 3, 8), strides=4),
    conv("pad_low_only", (1, 5, 6, 3), (3, 3, 3, 8), padding=((2, 0), (1, 0))),
    conv("pad_high_only", (1, 5, 6, 3), (3, 3, 3, 8), padding=((0, 1), (0, 2))),
    conv("pad_asymmetric", (2, 5, 6, 4), (3, 3, 4, 8), padding=((1, 3), (2, 0)), strides=2, bias=True),
    conv("pad_beyond_window", (1, 3, 3, 3), (3, 3, 3, 8), padding=((4, 0), (0, 5))),
    # Dilation.
    *(conv(f"dilated_{d}", (1, 11, 12, 5), (3, 3, 5, 8), dilation=d, padding="same") for d in (2, 3, 6)),
    conv("dilated_differ", (1, 11, 12, 5), (3, 2, 5, 8), dilation=(2, 3), bias=True),
    conv("dilated_asymmetric", (1, 9, 9, 3), (3, 3, 3, 16), dilation=2, padding=((4, 0), (1, 3))),
    conv("dilated_strided", (1, 11, 11, 4), (3, 3, 4, 6), dilation=2, strides=2, padding="same"),
    conv("dilated_1x1", (1, 5, 5, 4), (1, 1, 4, 6), dilation=3),
    # Groups: number of groups x input and output channels for each.
    *(conv(f"groups_{g}_of_{i}_to_{o}", (1, 6, 5, g * i), (3, 3, i, g * o), groups=g, padding="same", bias=g % 2 == 0)
      for g, i, o in ((2, 1, 1), (2, 2, 4), (2, 3, 5), (2, 8, 16), (2, 17, 20), (3, 2, 2), (3, 7, 5), (4, 4, 4),
                      (4, 16, 16), (5, 3, 1), (7, 2, 3), (8, 4, 8), (8, 5, 7), (16, 2, 2), (32, 4, 4))),
    conv("groups_strided", (2, 9, 9, 16), (3, 3, 4, 32), groups=4, strides=2, padding="same", bias=True),
    conv("groups_dilated", (1, 9, 9, 6), (3, 3, 2, 9), groups=3, dilation=2, padding=((2, 1), (0, 2))),
    conv("groups_1x1", (1, 5, 5, 24), (1, 1, 8, 24), groups=3),
    conv("groups_1x1_shuffle", (1, 7, 7, 40), (1, 1, 10, 20), groups=4),
    conv("groups_resnext", (1, 7, 7, 128), (3, 3, 4, 128), groups=32, padding="same"),
    # Depthwise.
    *(depthwise(f"depthwise_c{c}", (n, 7, 6, c), (3, 3), padding="same", bias=c % 2 == 1)
      for n, c in ((1, 2), (2, 3), (3, 5), (1, 7), (1, 8), (2, 10), (1, 16), (1, 17), (1, 32), (3, 33), (1, 40),
                   (1, 144))),
    *(depthwise(f"depthwise_x{m}_c{c}", (1, 6, 6, c), (3, 3), m, padding="same", bias=m == 3)
      for m in (2, 3) for c in (3, 8, 10, 17)),
    depthwise("depthwise_s2", (1, 9, 9, 16), (3, 3), strides=2, padding="same"),
    depthwise("depthwise_s2_even", (1, 8, 8, 20), (3, 3), strides=2, padding=((0, 1), (0, 1)), bias=True),
    depthwise("depthwise_5x5", (1, 7, 7, 24), (5, 5), padding="same", bias=True),
    depthwise("depthwise_5x5_s2", (1, 14, 14, 10), (5, 5), strides=2, padding="same"),
    depthwise("depthwise_7x7", (1, 7, 7, 12), (7, 7), padding="same"),
    depthwise("depthwise_7x7_valid", (1, 7, 7, 12), (7, 7)),
    depthwise("depthwise_1x1", (1, 4, 4, 9), (1, 1), bias=True),
    depthwise("depthwise_dilated", (1, 10, 9, 16), (3, 3), dilation=2, padding="same"),
    depthwise("depthwise_dilated_x2", (1, 10, 9, 5), (3, 3), 2, dilation=3, padding=((3, 0), (1, 3))),
    depthwise("depthwise_s2_x2", (2, 7, 8, 6), (3, 2), 2, strides=2),
    depthwise("depthwise_asymmetric", (1, 5, 6, 7), (3, 3), padding=((2, 0), (0, 1))),
    depthwise("depthwise_1x1_image", (1, 1, 1, 48), (3, 3), padding="same"),
    # Rank 1.
    *(conv(f"1d_c{c}_o{o}", (2, 11, c), (3, c, o), padding="same", bias=c % 2 == 0)
      for c, o in ((1, 1), (1, 16), (3, 7), (10, 17), (33, 8), (16, 40))),
    conv("1d_causal", (1, 12, 6), (3, 6, 8), padding=((4, 0),), dilation=2),
    conv("1d_strided", (2, 13, 6), (4, 6, 8), strides=2, padding="same"),
    conv("1d_long", (1, 101, 3), (9, 3, 12), strides=3, bias=True),
    conv("1d_groups", (1, 10, 12), (3, 4, 18), groups=3, padding="same"),
    depthwise("1d_depthwise", (1, 15, 10), (5,), padding="same", bias=True),
    depthwise("1d_depthwise_x2_s2", (2, 15, 5), (3,), 2, strides=2, padding="same"),
    # Rank 3.
    *(conv(f"3d_c{c}_o{o}", (1, 4, 5, 3, c), (3, 3, 3, c, o), padding="same", bias=c % 2 == 1)
      for c, o in ((1, 3), (3, 10), (8, 16), (5, 17))),
    conv("3d_strided", (2, 5, 6, 7, 3), (3, 2, 3, 3, 8), strides=(1, 2, 3), padding=((1, 0), (0, 1), (2, 1))),
    conv("3d_dilated", (1, 6, 5, 6, 2), (2, 3, 2, 2, 5), dilation=(2, 1, 3)),
    conv("3d_1x1", (1, 3, 3, 3, 10), (1, 1, 1, 10, 12), bias=True),
    conv("3d_groups", (1, 4, 4, 4, 6), (3, 3, 3, 3, 8), groups=2, padding="same"),
    depthwise("3d_depthwise", (1, 4, 4, 4, 9), (3, 3, 3), padding="same"),
    # As they stand in real networks, on a smaller image.
    conv("resnet_3x3_14", (1, 14, 14, 48), (3, 3, 48, 48), padding="same", bias=True),
    conv("resnet_1x1_expand", (1, 14, 14, 32), (1, 1, 32, 128), bias=True),
    conv("resnet_1x1_s2", (1, 14, 14, 64), (1, 1, 64, 96), strides=2),
    conv("vgg_3x3_28", (1, 28, 28, 16), (3, 3, 16, 32), padding="same", bias=True),
    conv("yolo_13", (1, 13, 13, 64), (3, 3, 64, 32), padding="same"),
    depthwise("mobilenet_3x3_14", (1, 14, 14, 96), (3, 3), padding="same", bias=True),
]  # fmt: skip
