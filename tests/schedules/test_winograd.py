"""Winograd's convolution against the references, scheduled and not; and where the rule chooses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convc import lower, schedules
from convc.build.kernels import build
from convc.ir import Graph
from convc.ir.group import Group
from convc.lower.winograd import TILES
from convc.ops import Add, Conv, Relu
from convc.ops.window import Padding
from convc.passes import optimize
from convc.schedules.cpu.winograd import WinogradKnobs, WinogradRule
from convc.schedules.rule import KernelView
from convc.target import Target, host_arch, host_features, native, resolve
from tests.cases import fused
from tests.cases.case import Case
from tests.cases.conv import conv
from tests.support.kernels import Kernels, Subject, check, kernel_groups, scheduled_by, unscheduled

SAME: Padding = ((1, 1), (1, 1))
NONE: Padding = ((0, 0), (0, 0))


def subject(
    size: tuple[int, int],
    channels: int,
    filters: int,
    *,
    batch: int = 1,
    padding: Padding = SAME,
    residual: bool = False,
    norm: bool = False,
    window: tuple[int, int] = (3, 3),
) -> Subject:
    """A convolution with bias, then batch normalisation or a residual, where asked for, and ReLU."""
    b = fused.Builder(np.random.default_rng(channels + filters))
    scale = float(np.sqrt(2 / (window[0] * window[1] * channels)))
    kernel, bias = b.weights(*window, channels, filters, scale=scale), b.weights(filters)
    y = b.apply(Conv((1, 1), padding, (1, 1)), b.input(batch, *size, channels), kernel, bias)
    if norm:
        y = b.batch_norm(y)
    if residual:
        y = b.apply(Add(), y, b.input(*y.type.shape))
    name = f"{window}_{batch}x{size[0]}x{size[1]}x{channels}_{filters}_{padding}"
    return Subject(name, Graph("net", tuple(b.inputs), (b.apply(Relu(), y),), ("y",)), b.feeds)


SMALL = [
    subject((13, 17), 16, 32),
    subject((5, 30), 48, 16, batch=2),
    subject((8, 12), 16, 16, batch=3, residual=True),
    subject((12, 10), 32, 48, padding=NONE, norm=True),
    subject((9, 6), 16, 64, padding=((0, 3), (2, 1)), residual=True),
    subject((3, 3), 16, 16, padding=NONE),
    subject((1, 2), 16, 32),
    subject((11, 9), 16, 32, window=(5, 5), padding=((2, 2), (2, 2))),
    subject((6, 17), 32, 16, window=(1, 7), padding=((0, 0), (3, 3)), residual=True),
    subject((17, 5), 16, 32, window=(7, 1), padding=((3, 3), (0, 0)), batch=2),
    subject((8, 8), 32, 16, window=(1, 3), padding=((0, 0), (1, 1))),
    subject((9, 8), 16, 16, window=(3, 1), padding=((1, 1), (0, 0)), norm=True),
]
LARGE = [subject((56, 56), 64, 64, norm=True, residual=True), subject((28, 28), 128, 16)]


def of(target: Target) -> Target:
    if target.arch != host_arch() or not set(target.features) <= host_features():
        pytest.skip("this CPU lacks features of the target")
    return target


@pytest.mark.parametrize("choice", [0, 1])
def test_unscheduled(choice: int) -> None:
    def schedule(group: Group, target: Target, bounded: bool) -> lower.Kernel:
        height, width, *_ = group.anchor.inputs[1].type.shape
        choices = TILES[height, width]
        tile = choices[min(choice, len(choices) - 1)]
        return lower.lower(group, lower.Layout(target.lanes, winograd=tile), bounded=bounded)

    check(Kernels([s.graph for s in SMALL], native(), schedule).run, SMALL, "winograd")


@pytest.mark.parametrize("name", ["native", "x86-64-v3", "x86-64-v2"])
def test_scheduled(name: str) -> None:
    subjects = [*SMALL, *LARGE]
    kernels = Kernels([s.graph for s in subjects], of(resolve(name)), scheduled_by(WinogradRule()), bounded=False)
    check(kernels.run, subjects, "winograd")


class Fixed(WinogradRule):
    """The rule with some of its knobs given."""

    def __init__(self, **knobs: Any) -> None:
        self.knobs = knobs

    def choose(self, kernel: KernelView, target: Target) -> WinogradKnobs:
        return replace(super().choose(kernel, target), **self.knobs)


@pytest.mark.parametrize("fetches", [True, False])
@pytest.mark.parametrize("groups", [0, 1, 2, 4])
@pytest.mark.parametrize(("columns", "vectors"), [(1, 1), (5, 1), (7, 1)])
def test_any_blocking(columns: int, vectors: int, groups: int, fetches: bool) -> None:
    """Stages and tasks, with groups and tasks that tiles do not fill."""
    fixed = Fixed(columns=columns, vectors=vectors, groups=groups, fetches=fetches, depth=native().lanes)
    check(Kernels([s.graph for s in SMALL], native(), scheduled_by(fixed)).run, SMALL, "winograd")


@pytest.mark.parametrize("groups", [0, 1])
def test_strips_of_filters(groups: int) -> None:
    """Weights of several vectors are fetched by one group of tiles, or by several."""
    subjects = [s for s in (*SMALL, *LARGE) if s.feeds and "_64_" in s.name]
    assert subjects
    fixed = Fixed(columns=4, vectors=4, groups=groups, fetches=True)
    check(Kernels([s.graph for s in subjects], native(), scheduled_by(fixed)).run, subjects, "winograd")


@pytest.mark.parametrize("window", [(3, 3), (1, 7), (5, 5)])
def test_long_sums_have_the_error_of_short_ones(window: tuple[int, int]) -> None:
    """512 channels in sums of 256, within the tolerance for 192 in one."""
    padding = ((window[0] // 2,) * 2, (window[1] // 2,) * 2)
    long = subject((8, 9), 512, 32, window=window, padding=padding)
    (group,) = kernel_groups(optimize(long.graph).grouped)
    assert WinogradRule().choose(KernelView(unscheduled(group, native(), True).func), native()).depth == 256
    for groups in (0, 1):
        check(Kernels([long.graph], native(), scheduled_by(Fixed(groups=groups))).run, [long], "winograd")


def knobs(target: str, size: tuple[int, int], channels: int, filters: int, window: tuple[int, int] = (3, 3)) -> Any:
    """The knobs for a "same" convolution; None where Winograd is not chosen."""
    case = conv("net", (1, *size, channels), (*window, channels, filters), padding="same")
    (group,) = kernel_groups(optimize(case.graph()).grouped)
    choice = schedules.choose(unscheduled(group, resolve(target), True).func, resolve(target), exact=False)
    return choice.knobs if choice.rule.name == "winograd" else None


def test_few_tiles_go_in_stages_and_many_in_tasks() -> None:
    """Weights of 14x14x512 are read once; 56x56x64 stays in the L2 cache from input to output."""
    few, many = knobs("znver4", (14, 14), 512, 512), knobs("znver4", (56, 56), 64, 64)
    assert (few.winograd, few.groups, few.depth, few.fetches) == ((4, 4), 0, 256, True)
    assert 16 % few.columns == 0
    assert (many.winograd, many.columns, many.vectors) == ((4, 4), 14, 2)
    assert many.groups > 0


@pytest.mark.parametrize(
    ("size", "channels", "filters", "window", "tile"),
    [
        ((7, 7), 512, 512, (3, 3), (2, 2)),
        ((14, 14), 256, 256, (3, 3), (4, 4)),
        ((28, 28), 512, 512, (3, 3), (4, 4)),
        ((224, 224), 64, 64, (3, 3), (4, 4)),
        ((28, 28), 128, 32, (3, 3), (4, 4)),
        ((17, 17), 160, 192, (1, 7), (1, 3)),
        ((17, 17), 192, 192, (7, 1), (3, 1)),
        ((35, 35), 48, 64, (5, 5), (2, 2)),
        ((8, 8), 384, 384, (1, 3), (1, 4)),
        ((8, 8), 448, 384, (3, 3), (2, 2)),
    ],
)
def test_tiles_on_zen_4(
    size: tuple[int, int], channels: int, filters: int, window: tuple[int, int], tile: tuple[int, int]
) -> None:
    """Fewer products as long as their weights do not take longer to read."""
    assert knobs("znver4", size, channels, filters, window).winograd == tile


def test_a_wrong_transform_fails() -> None:
    (right,) = [s for s in SMALL if s.name.startswith("(3, 3)_3x8x12")]
    wrong = {name: value * (1 + 6e-6) for name, value in right.want.items()}
    with pytest.raises(AssertionError, match="relative error 6e-06 is above 4e-06"):
        check(lambda _: wrong, [right], "winograd")


def rule(case: Case, *, exact: bool = False) -> str:
    """The rule that the case gets on Sapphire Rapids."""
    (group,) = kernel_groups(optimize(case.graph()).grouped)
    return schedules.choose(unscheduled(group, SAPPHIRE, True).func, SAPPHIRE, exact=exact).rule.name


def square(size: int, channels: int) -> Case:
    """A "same" 3x3 convolution of as many filters as channels."""
    return conv("net", (1, size, size, channels), (3, 3, channels, channels), padding="same")


SAPPHIRE = resolve("sapphirerapids")


@pytest.mark.parametrize(("size", "channels"), [(112, 64), (56, 64), (56, 128), (28, 128)])
def test_chosen_where_it_pays(size: int, channels: int) -> None:
    assert rule(square(size, channels)) == "winograd"
    assert rule(square(size, channels), exact=True) == "conv"


@pytest.mark.parametrize(("size", "channels"), [(7, 512), (14, 512), (14, 256), (14, 16)])
def test_not_chosen_where_it_moves_too_much(size: int, channels: int) -> None:
    assert rule(square(size, channels)) == "conv"


@pytest.mark.parametrize(
    "case",
    [
        conv("stride", (1, 56, 56, 64), (3, 3, 64, 64), padding="same", strides=2),
        conv("dilation", (1, 56, 56, 64), (3, 3, 64, 64), padding="same", dilation=2),
        conv("groups", (1, 56, 56, 64), (3, 3, 32, 64), padding="same", groups=2),
        conv("9x9", (1, 56, 56, 64), (9, 9, 64, 64), padding="same"),
    ],
    ids=lambda case: case.name,
)
def test_not_chosen_where_it_is_not_possible(case: Case) -> None:
    assert rule(case) == "conv"


@pytest.mark.parametrize("exact", [True, False])
def test_the_layout_is_what_the_rule_asks_for(exact: bool) -> None:
    (group,) = kernel_groups(optimize(LARGE[0].graph).grouped)
    made = build(group, SAPPHIRE, bounded=True, exact=exact)
    assert made.layout.winograd == (None if exact else (4, 4))
    assert made.rule == ("conv" if exact else "winograd")
    weights = lower.arguments_of(group, made.layout, bounded=True)[1]
    assert weights.type.shape == ((4, 3, 3, 64, 16) if exact else (6, 6, 4, 64, 16))
