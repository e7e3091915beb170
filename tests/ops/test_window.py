from __future__ import annotations

import pytest

from convc.errors import ShapeError
from convc.ir import Shape
from convc.ops.window import Padding, check_padding, effective, output_extents, same_padding


@pytest.mark.parametrize(("kernel", "dilation", "extent"), [(1, 5, 1), (3, 1, 3), (3, 2, 5), (2, 4, 5)])
def test_effective(kernel: int, dilation: int, extent: int) -> None:
    assert effective(kernel, dilation) == extent


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "dilation", "padding"),
    [
        (5, 3, 1, 1, (1, 1)),
        (5, 2, 1, 1, (0, 1)),
        (5, 4, 1, 1, (1, 2)),
        (224, 3, 2, 1, (0, 1)),
        (225, 3, 2, 1, (1, 1)),
        (7, 1, 2, 1, (0, 0)),
        (6, 2, 3, 1, (0, 0)),
        (9, 3, 1, 2, (2, 2)),
        (1, 7, 1, 1, (3, 3)),
    ],
)
def test_same_padding(extent: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> None:
    assert same_padding((extent,), (kernel,), (stride,), (dilation,)) == (padding,)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("extent", [1, 2, 5, 8])
def test_same_padding_gives_the_input_divided_by_the_stride(extent: int, kernel: int, stride: int) -> None:
    sizes: tuple[Shape, Shape, Shape, Shape] = ((extent,), (kernel,), (stride,), (1,))
    padding: Padding = same_padding(*sizes)
    assert output_extents(*sizes, padding) == (-(-extent // stride),)


def test_a_window_that_does_not_fit_names_the_axis() -> None:
    with pytest.raises(ShapeError) as caught:
        output_extents((8, 3), (3, 3), (1, 1), (1, 2), ((0, 0), (1, 0)))
    for part in ("spatial axis 1", "at least 5 elements", "3 + 1 + 0", "padding='same'"):
        assert part in str(caught.value)


def test_negative_padding() -> None:
    with pytest.raises(ShapeError, match="padding must not be negative: expected 0 or more"):
        check_padding(((0, 0), (0, -3)))
