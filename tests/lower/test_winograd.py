"""Winograd's convolution as mathematics: the matrices, the packed weights, and which convolutions it can compute."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convc import lower
from convc.lower.winograd import FILTER, INPUT, OUTPUT, TILE, WINDOW, PackedWinograd, is_possible
from convc.ops import Conv
from convc.passes import optimize
from convc.target import native
from tests.cases.conv import conv
from tests.support.kernels import kernel_groups, unscheduled
from tests.tolerances import RELATIVE

A, B, G = (np.array(matrix, np.float64) for matrix in (OUTPUT, INPUT, FILTER))
"""A', B' and G of the paper."""


@pytest.mark.parametrize("seed", range(5))
def test_the_algorithm_is_a_convolution(seed: int) -> None:
    generator = np.random.default_rng(seed)
    d, g = generator.standard_normal((WINDOW, WINDOW)), generator.standard_normal((3, 3))
    direct = np.array([[np.sum(d[u : u + 3, v : v + 3] * g) for v in range(TILE)] for u in range(TILE)])
    got = A @ ((G @ g @ G.T) * (B @ d @ B.T)) @ A.T
    np.testing.assert_allclose(got, direct, rtol=0, atol=1e-12)


def test_the_tolerance_is_what_the_matrices_amplify() -> None:
    """The numbers in the table's derivation."""
    terms = A**2 * np.sum(B**2, axis=1) * np.sum(G**2, axis=1)
    amplified = float(np.mean(np.sum(terms, axis=1))) / 3
    assert amplified == pytest.approx(10.77, abs=0.01)
    bound = amplified * 2.0**-24 * np.sqrt(128 / 6)
    assert bound < RELATIVE["winograd"] < 1.4 * bound


@pytest.mark.parametrize(("channels", "filters", "lanes"), [(16, 32, 16), (5, 8, 8), (8, 12, 4), (3, 16, 16)])
def test_packed_weights(channels: int, filters: int, lanes: int) -> None:
    """What the kernel reads is G g G' of each 3 x 3 kernel; the file holds the kernels, vectors in that order."""
    value = np.random.default_rng(2).standard_normal((3, 3, channels, filters)).astype(np.float32)
    packing = PackedWinograd(lanes)
    assert packing.is_expanded
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
        want = G @ value[:, :, c, o].astype(np.float64) @ G.T
        np.testing.assert_allclose(got[:, :, block, c, lane], want, rtol=1e-6, atol=1e-7)


PLAIN = Conv((1, 1), ((1, 1), (1, 1)), (1, 1))


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (0, 3))], ids=str)
def test_possible(padding: tuple[tuple[int, int], ...]) -> None:
    assert is_possible(Conv((1, 1), padding, (1, 1)), (3, 3), 32, 16, 16)


@pytest.mark.parametrize(
    ("op", "window", "channels", "filters"),
    [
        (Conv((2, 2), PLAIN.padding, (1, 1)), (3, 3), 32, 32),
        (Conv((1, 2), PLAIN.padding, (1, 1)), (3, 3), 32, 32),
        (Conv((1, 1), PLAIN.padding, (2, 2)), (3, 3), 32, 32),
        (Conv((1, 1), PLAIN.padding, (1, 1), 2), (3, 3), 32, 32),
        (Conv((1, 1), PLAIN.padding, (1, 1), exact=True), (3, 3), 32, 32),
        (PLAIN, (5, 5), 32, 32),
        (PLAIN, (1, 1), 32, 32),
        (PLAIN, (3, 1), 32, 32),
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
        "5x5",
        "1x1",
        "3x1",
        "1d",
        "3d",
        "half",
        "image",
        "filters",
    ],
)
def test_impossible(op: Conv, window: tuple[int, ...], channels: int, filters: int) -> None:
    assert not is_possible(op, window, channels, filters, 16)


@pytest.mark.parametrize("filters", [16, 17])
def test_kernels_say_whether_they_could_be_winograd(filters: int) -> None:
    graph = conv("net", (1, 8, 8, 16), (3, 3, 16, filters), padding="same").graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    assert ("winograd" in unscheduled(group, native(), True).func.attrs) == (filters == 16)


def test_the_kernel_takes_transformed_weights() -> None:
    graph = conv("net", (1, 8, 8, 16), (3, 3, 16, 32), padding="same").graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    layout = lower.Layout(16, columns=2, winograd=True)
    _, weights, _ = lower.lower(group, layout, bounded=True).arguments
    assert weights.type.shape == (6, 6, 2, 16, 16)
    assert weights.packing == PackedWinograd(16)
