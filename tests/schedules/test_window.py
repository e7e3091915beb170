"""Depthwise convolution and pooling against the references at the edges of tiles, and the tiles that are chosen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from convc import schedules
from convc.ir import Graph
from convc.ops import Add, AvgPool, Conv, MaxPool, Silu
from convc.passes import optimize
from convc.schedules.cpu.window import WindowKnobs
from convc.target import Target, host_arch, host_features, native, resolve
from tests.cases import fused
from tests.cases.case import Case, case
from tests.cases.conv import depthwise
from tests.schedules.test_assembly import inner_loops
from tests.support.kernels import Kernels, Subject, check, kernel_groups, of_case, scheduled, unscheduled

LAYERS = [
    # More than one tile, the last one not full; a last band of one row.
    depthwise("19x19x40", (1, 19, 19, 40), (3, 3), padding="same", bias=True),
    depthwise("9x16x17", (2, 9, 16, 17), (3, 3), padding="same"),
    depthwise("one_row", (1, 1, 20, 24), (3, 3), padding="same"),
    depthwise("one_column", (1, 20, 1, 24), (5, 5), padding="same"),
    depthwise("one_channel", (1, 12, 12, 2), (3, 3), 3, padding="same"),
    depthwise("s2_even", (1, 30, 30, 72), (3, 3), strides=2, padding=((0, 1), (0, 1)), bias=True),
    depthwise("5x5_s2", (1, 33, 31, 33), (5, 5), strides=2, padding="same"),
    depthwise("7x7", (1, 15, 15, 48), (7, 7), padding="same"),
    depthwise("valid", (1, 21, 23, 19), (3, 3)),
    # Every tile touches the border: too many for code of their own.
    depthwise("far_apart", (1, 50, 66, 16), (3, 3), dilation=21, padding="same"),
    depthwise("mostly_padding", (1, 4, 4, 20), (3, 3), padding=((8, 9), (20, 17))),
    depthwise("x2", (1, 17, 18, 20), (3, 3), 2, padding="same"),
    # A loop along the columns of the window.
    depthwise("1d_long_window", (1, 60, 20), (25,), padding="same"),
    depthwise("1d_long", (1, 3000, 20), (3,), padding="same", bias=True),
    depthwise("1d_batch", (3, 100, 18), (4,), strides=3, padding="same"),
    depthwise("3d", (1, 7, 8, 17, 20), (3, 3, 3), padding="same"),
    *(case(f"{op.__name__}_{name}", op(window, strides, padding), x)
      for op in (MaxPool, AvgPool)
      for name, x, window, strides, padding in (
          ("3x3_s2", (1, 29, 29, 72), (3, 3), (2, 2), ((0, 1), (1, 0))),
          ("2x2", (2, 30, 31, 33), (2, 2), (2, 2), ((0, 0), (0, 0))),
          ("3x3", (1, 35, 35, 24), (3, 3), (1, 1), ((1, 1), (1, 1))),
          ("long", (1, 1, 70, 8), (1, 30), (1, 1), ((0, 0), (14, 15))),
          ("3d", (1, 5, 6, 19, 17), (2, 3, 3), (1, 2, 1), ((1, 0), (1, 1), (1, 1))),
      )),
]  # fmt: skip


@pytest.mark.parametrize("name", ["native", "x86-64-v3", "x86-64-v2"])
def test_edges_of_tiles(name: str) -> None:
    target = resolve(name)
    if target.arch != host_arch() or not set(target.features) <= host_features():
        pytest.skip("this CPU lacks features of the target")
    subjects = [*map(of_case, LAYERS), with_epilogue()]
    check(Kernels([subject.graph for subject in subjects], target, scheduled).run, subjects)


def with_epilogue() -> Subject:
    """A depthwise convolution, SiLU, which binds variables, and a residual."""
    b = fused.Builder(np.random.default_rng(5))
    x = b.input(1, 19, 20, 41)
    kernel, bias = b.weights(3, 3, 1, 41, scale=0.3), b.weights(41)
    y = b.apply(Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 41), x, kernel, bias)
    y = b.apply(Add(), b.apply(Silu(), y), b.input(*y.type.shape))
    return Subject("with_epilogue", Graph("net", tuple(b.inputs), (y,), ("y",)), b.feeds)


def test_what_lies_outside_the_input_is_not_read() -> None:
    """Not even to be multiplied by zero: infinities at the border stay where they belong."""
    layer = depthwise("border", (1, 8, 16, 16), (3, 3), padding="same")
    subject = of_case(layer)
    (name, x), *others = subject.feeds.items()
    x = np.array(x)
    x[:, 0] = np.inf
    x[:, :, -1] = np.inf
    broken = Subject(subject.name, subject.graph, {name: x, **dict(others)})
    ((_, got),) = Kernels([subject.graph], native(), scheduled).run(broken).items()
    assert not np.isfinite(got[:, :2]).any()
    assert not np.isfinite(got[:, :, -2:]).any()
    assert np.isfinite(got[:, 2:, :-2]).all()


def knobs(case: Case, target: Target) -> WindowKnobs:
    """What the rule picks for a layer."""
    (group,) = kernel_groups(optimize(case.graph()).grouped)
    choice = schedules.choose(unscheduled(group, target, True).func, target, exact=True)
    assert choice.rule.name == "window"
    assert isinstance(choice.knobs, WindowKnobs)
    return choice.knobs


def square(size: int, channels: int, window: int = 3) -> Case:
    """A "same" depthwise convolution."""
    return depthwise("net", (1, size, size, channels), (window, window), padding="same")


@pytest.mark.parametrize(
    ("target", "size", "channels", "window", "tile"),
    [
        ("znver4", 14, 384, 3, (2, 7, 16)),
        ("znver4", 19, 728, 3, (2, 7, 16)),
        ("znver4", 10, 1024, 3, (2, 5, 16)),
        ("znver4", 7, 960, 3, (2, 7, 16)),
        ("znver4", 112, 32, 3, (2, 4, 16)),
        ("znver4", 56, 144, 5, (2, 7, 16)),
        ("sapphirerapids", 56, 144, 3, (2, 7, 16)),
        ("sapphirerapids", 112, 96, 3, (2, 4, 16)),
        ("x86-64-v3", 14, 384, 3, (2, 4, 8)),
        ("x86-64-v2", 14, 6, 3, (2, 4, 4)),
        ("znver4", 14, 3, 3, (2, 7, 2)),
    ],
)
def test_tiles(target: str, size: int, channels: int, window: int, tile: tuple[int, int, int]) -> None:
    """Wide where multiplications are the limit, narrow where the input comes from behind the L2 cache."""
    made = knobs(square(size, channels, window), resolve(target))
    assert (made.band, made.tile, made.lanes) == tile


def test_bands_of_one_row_where_two_leave_cores_idle() -> None:
    assert knobs(square(3, 64), resolve("znver4")).band == 1
    assert knobs(depthwise("net", (4, 3, 3, 64), (3, 3), padding="same"), resolve("znver4")).band == 2


def test_nothing_is_copied() -> None:
    (group,) = kernel_groups(optimize(square(28, 40).graph()).grouped)
    script = scheduled(group, resolve("znver4"), True).func.script()
    assert set(re.findall(r"(\w+) = T\.sblock_alloc_buffer", script)) == {"sums0", "sums1", "sums2"}


@pytest.mark.parametrize(("size", "channels"), [(14, 384), (112, 32)])
def test_accumulators_stay_in_registers(size: int, channels: int) -> None:
    """Where the tests of rows part the code, a few weights and inputs lie on the stack: one for eight FMAs at most."""
    assembly = Kernels([square(size, channels).graph()], resolve("znver4"), scheduled).module.inspect_source("asm")
    loops = inner_loops(assembly)
    assert loops
    for body in loops:
        fmas = [line for line in body if "vfmadd" in line]
        spills = [line for line in body if "(%rsp" in line and "zmm" in line]
        assert len(spills) * 8 < len(fmas), "\n".join(body)
