"""The register tile that the model of costs picks, by layer and target, and blocks of half a vector."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convc import schedules
from convc.ir import Shape
from convc.passes import optimize
from convc.schedules.cpu.conv import ConvRule, best_tile
from convc.schedules.cpu.tile import ConvKnobs
from convc.schedules.rule import KernelView
from convc.target import Target, host_features, native, resolve
from tests.cases.case import Case
from tests.cases.conv import conv
from tests.support.kernels import Kernels, check, kernel_groups, of_case, scheduled_by, unscheduled

ONE_UNIT, TWO_UNITS = resolve("znver4"), resolve("sapphirerapids")


def chosen(case: Case, target: Target) -> ConvKnobs:
    (group,) = kernel_groups(optimize(case.graph()).grouped)
    knobs = schedules.choose(unscheduled(group, target, False).func, target, exact=True).knobs
    assert isinstance(knobs, ConvKnobs)
    return knobs


def pointwise(size: int, channels: int, filters: int) -> Case:
    return conv("1x1", (1, size, size, channels), (1, 1, channels, filters), bias=True)


@pytest.mark.parametrize(
    ("size", "channels", "filters", "one_unit", "two_units"),
    [
        (56, 64, 256, (8, 1), (14, 2)),
        (14, 1024, 256, (7, 1), (14, 2)),
        (7, 512, 2048, (7, 1), (10, 2)),
        (17, 768, 192, (5, 1), (14, 2)),
    ],
)
def test_tiles_of_pointwise_layers(
    size: int, channels: int, filters: int, one_unit: tuple[int, int], two_units: tuple[int, int]
) -> None:
    """One FMA per cycle leaves time for loads, and wants tiles that are soon over; two want few loads."""
    for target, expected in ((ONE_UNIT, one_unit), (TWO_UNITS, two_units)):
        knobs = chosen(pointwise(size, channels, filters), target)
        assert (knobs.columns, knobs.vectors) == expected, target.name


@pytest.mark.parametrize("target", [ONE_UNIT, TWO_UNITS, resolve("x86-64-v3")], ids=lambda target: target.name)
@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("spatial", [[196], [7, 7], [56, 56], [1, 1]], ids=str)
def test_a_tile_leaves_registers_for_its_operands(target: Target, blocks: int, spatial: list[int]) -> None:
    """Accumulators, a vector of weights for each vector of filters, and a broadcast."""
    rows, columns, vectors = best_tile(spatial, blocks, 512, target, rounds=True)
    assert rows * columns * vectors + vectors + 1 <= target.vector_registers


def test_few_positions_are_not_limited_by_weights() -> None:
    """A single row reads each weight once: vectors of weights take turns with the latency of the sums."""
    assert best_tile([1], 256, 25088, ONE_UNIT, rounds=True) == (1, 1, 4)


@pytest.mark.parametrize(
    ("filters", "lanes"), [(24, 8), (40, 8), (72, 8), (120, 8), (16, 0), (32, 0), (88, 0), (728, 0), (28, 0)]
)
def test_blocks_of_half_a_vector(filters: int, lanes: int) -> None:
    """Where whole vectors would compute filters that do not exist, and tiles of halves keep the units busy."""
    assert chosen(pointwise(28, 96, filters), ONE_UNIT).lanes == lanes
    assert chosen(pointwise(28, 96, filters), TWO_UNITS).lanes == 0


def test_single_rows_keep_whole_vectors() -> None:
    assert chosen(pointwise(1, 96, 24), ONE_UNIT).lanes == 0


HALVES: list[tuple[str, Shape, Shape, int]] = [
    ("1x1_24", (1, 9, 7, 20), (1, 1, 20, 24), 1),
    ("1x1_40", (2, 8, 8, 33), (1, 1, 33, 40), 1),
    ("1x1_23", (1, 5, 5, 16), (1, 1, 16, 23), 1),
    ("3x3_24", (1, 13, 11, 10), (3, 3, 10, 24), 1),
    ("3x3_strided_40", (1, 15, 15, 8), (3, 3, 8, 40), 2),
    ("1x1_long_24", (1, 7, 7, 1536), (1, 1, 1536, 24), 1),
]


@pytest.mark.parametrize("l2", [1 << 10, 1 << 21])
def test_results(l2: int) -> None:
    """Both orders of loops, as chosen for one FMA per cycle, on this machine's instructions."""
    target = replace(native(), fma_per_cycle=1.0, l2=l2)
    cases = [conv(name, x, kernel, padding="same", strides=s, bias=True) for name, x, kernel, s in HALVES]
    if target.lanes == 16:
        assert all(chosen(case, target).lanes == 8 for case in cases)
    subjects = [of_case(case) for case in cases]
    check(Kernels([s.graph for s in subjects], target, scheduled_by(ConvRule())).run, subjects)


@pytest.mark.skipif(not set(ONE_UNIT.features) <= host_features(), reason="needs AVX-512")
def test_the_rule_picks_the_same_where_the_lowering_is_rounded() -> None:
    """The knobs are chosen for the plain lowering; the rounded one has the tile's multiple of positions."""
    (group,) = kernel_groups(optimize(pointwise(5, 20, 24).graph()).grouped)
    knobs = ConvRule().choose(KernelView(unscheduled(group, ONE_UNIT, False).func), ONE_UNIT)
    assert knobs.lanes == 8
    subject = of_case(pointwise(5, 20, 24))
    kernels = Kernels([subject.graph], ONE_UNIT, scheduled_by(ConvRule()), bounded=False)
    check(kernels.run, [subject])
