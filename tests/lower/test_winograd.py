"""Winograd's convolution as mathematics: the matrices, the packed weights, and which convolutions it can compute."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convc import lower
from convc.lower.cook_toom import MAX_PRODUCTS, transforms
from convc.lower.winograd import TILES, PackedWinograd, tiles
from convc.ops import Conv
from convc.passes import optimize
from convc.target import native
from tests.cases.conv import conv
from tests.support.kernels import kernel_groups, unscheduled
from tests.tolerances import RELATIVE

AXES = [(m, r) for r in range(1, 8) for m in range(1, 8) if m + r - 1 <= MAX_PRODUCTS]


@pytest.mark.parametrize(("outputs", "taps"), AXES)
def test_the_algorithm_is_a_convolution(outputs: int, taps: int) -> None:
    axis = transforms(outputs, taps)
    generator = np.random.default_rng(outputs)
    d, g = generator.standard_normal(axis.products), generator.standard_normal(taps)
    direct = np.convolve(d, g[::-1], mode="valid")
    got = np.array(axis.output) @ ((np.array(axis.filter) @ g) * (np.array(axis.input) @ d))
    np.testing.assert_allclose(got, direct, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("outputs", "taps"), AXES)
def test_inputs_and_outputs_are_combined_with_exact_factors(outputs: int, taps: int) -> None:
    axis = transforms(outputs, taps)
    for matrix in (axis.input, axis.output):
        np.testing.assert_array_equal(np.array(matrix, np.float32), np.array(matrix, np.float64))


def amplified(outputs: int, taps: int) -> float:
    """The variance of an output as the sum of its terms, over what it should be."""
    axis = transforms(outputs, taps)
    a, b, g = (np.array(matrix) for matrix in (axis.output, axis.input, axis.filter))
    return float(np.mean(np.sum(a**2 * np.sum(b**2, axis=1) * np.sum(g**2, axis=1), axis=1))) / taps


def test_the_tolerance_is_what_the_matrices_amplify() -> None:
    """The numbers in the table's derivation."""
    assert amplified(1, 1) == 1
    assert amplified(4, 3) == pytest.approx(6.94, abs=0.01)
    assert amplified(2, 5) == pytest.approx(7.78, abs=0.01)
    assert amplified(3, 7) == pytest.approx(90.3, abs=0.1)
    worst = max(
        np.sqrt(amplified(tile[0], window[0]) * amplified(tile[1], window[1]))
        for window, choices in TILES.items()
        for tile in choices
    )
    assert worst == pytest.approx(9.5, abs=0.01)
    bound = worst * 2.0**-24 * np.sqrt(192 / 6)
    assert bound < RELATIVE["winograd"] < 1.4 * bound


@pytest.mark.parametrize(("channels", "filters", "lanes"), [(16, 32, 16), (5, 8, 8), (8, 12, 4), (3, 16, 16)])
def test_packed_weights(channels: int, filters: int, lanes: int) -> None:
    """What the kernel reads is G g G' of each 3 x 3 kernel; the file holds the kernels, vectors in that order."""
    value = np.random.default_rng(2).standard_normal((3, 3, channels, filters)).astype(np.float32)
    packing, g = PackedWinograd(lanes, (4, 4)), np.array(transforms(4, 3).filter)
    made = packing.expansion(value.shape)
    assert made is not None
    np.testing.assert_array_equal(made.rows, g)
    np.testing.assert_array_equal(made.columns, g)
    got, stored = packing.apply(value), packing.stored(value)
    assert got.shape == packing.shape(value.shape) == (6, 6, filters // lanes, channels, lanes)
    assert stored.shape == (3, 3, filters // lanes, channels, lanes)
    assert got.dtype == stored.dtype == np.float32
    assert got.flags.c_contiguous
    assert stored.flags.c_contiguous
    assert got.size == 4 * stored.size
    for c, o in product(range(channels), range(filters)):
        block, lane = divmod(o, lanes)
        np.testing.assert_array_equal(stored[:, :, block, c, lane], value[:, :, c, o])
        want = g @ value[:, :, c, o].astype(np.float64) @ g.T
        np.testing.assert_allclose(got[:, :, block, c, lane], want, rtol=1e-6, atol=1e-7)


PLAIN = Conv((1, 1), ((1, 1), (1, 1)), (1, 1))


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (0, 3))], ids=str)
def test_possible(padding: tuple[tuple[int, int], ...]) -> None:
    assert tiles(Conv((1, 1), padding, (1, 1)), (3, 3), 32, 16, 16) == ((4, 4), (2, 2))


@pytest.mark.parametrize(
    ("op", "window", "channels", "filters"),
    [
        (Conv((2, 2), PLAIN.padding, (1, 1)), (3, 3), 32, 32),
        (Conv((1, 2), PLAIN.padding, (1, 1)), (3, 3), 32, 32),
        (Conv((1, 1), PLAIN.padding, (2, 2)), (3, 3), 32, 32),
        (Conv((1, 1), PLAIN.padding, (1, 1), 2), (3, 3), 32, 32),
        (Conv((1, 1), PLAIN.padding, (1, 1), exact=True), (3, 3), 32, 32),
        (PLAIN, (9, 9), 32, 32),
        (PLAIN, (1, 1), 32, 32),
        (PLAIN, (3, 7), 32, 32),
        (Conv((1,), ((1, 1),), (1,)), (3,), 32, 32),
        (Conv((1, 1, 1), ((1, 1),) * 3, (1, 1, 1)), (3, 3, 3), 32, 32),
        (PLAIN, (3, 3), 24, 32),
        (PLAIN, (3, 3), 3, 32),
        (PLAIN, (3, 3), 32, 40),
    ],
    ids=[
        "stride",
        "one stride",
        "dilation",
        "groups",
        "exact",
        "9x9",
        "1x1",
        "3x7",
        "1d",
        "3d",
        "half",
        "image",
        "filters",
    ],
)
def test_impossible(op: Conv, window: tuple[int, ...], channels: int, filters: int) -> None:
    assert not tiles(op, window, channels, filters, 16)


@pytest.mark.parametrize("filters", [16, 17])
def test_kernels_say_whether_they_could_be_winograd(filters: int) -> None:
    graph = conv("net", (1, 8, 8, 16), (3, 3, 16, filters), padding="same").graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    assert ("winograd" in unscheduled(group, native(), True).func.attrs) == (filters == 16)


def test_the_kernel_takes_transformed_weights() -> None:
    graph = conv("net", (1, 8, 8, 16), (3, 3, 16, 32), padding="same").graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    layout = lower.Layout(16, columns=2, winograd=(4, 4))
    _, weights, _ = lower.lower(group, layout, bounded=True).arguments
    assert weights.type.shape == (6, 6, 2, 16, 16)
    assert weights.packing == PackedWinograd(16, (4, 4))
