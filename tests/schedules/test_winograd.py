"""Winograd's convolution against the references, scheduled and not; and where the rule chooses it."""

from __future__ import annotations

from dataclasses import replace

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
from convc.schedules.cpu.winograd import WinogradRule
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


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("choice", [0, 1])
def test_unscheduled(columns: int, choice: int) -> None:
    def schedule(group: Group, target: Target, bounded: bool) -> lower.Kernel:
        height, width, *_ = group.anchor.inputs[1].type.shape
        choices = TILES[height, width]
        tile = choices[min(choice, len(choices) - 1)]
        return lower.lower(group, lower.Layout(target.lanes, columns=columns, winograd=tile), bounded=bounded)

    check(Kernels([s.graph for s in SMALL], native(), schedule).run, SMALL, "winograd")


@pytest.mark.parametrize("name", ["native", "x86-64-v3", "x86-64-v2"])
def test_scheduled(name: str) -> None:
    subjects = [*SMALL, *LARGE]
    kernels = Kernels([s.graph for s in subjects], of(resolve(name)), scheduled_by(WinogradRule()), bounded=False)
    check(kernels.run, subjects, "winograd")


@pytest.mark.parametrize("cores", [1, 16])
def test_tasks_of_any_size(cores: int) -> None:
    """A task is as many rows of tiles as leave two for each core."""
    subjects = [subject((32, 12), 16, 16), subject((29, 8), 16, 16, batch=2)]
    target = replace(native(), cores=cores)
    (group,) = kernel_groups(optimize(subjects[0].graph).grouped)
    made = vars(WinogradRule().choose(schedules.rule.KernelView(unscheduled(group, target, True).func), target))
    assert made["chunk"] == {1: 4, 16: 1}[cores]
    check(Kernels([s.graph for s in subjects], target, scheduled_by(WinogradRule())).run, subjects, "winograd")


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
