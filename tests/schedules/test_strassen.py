"""Strassen's product against the references, scheduled and not; its packing; and where the rule chooses it."""

from __future__ import annotations

import numpy as np
import pytest

from convc import lower, schedules
from convc.build.kernels import build
from convc.ir import Graph
from convc.ir.group import Group
from convc.lower.strassen import FILTER, INPUT, OUTPUT, PackedStrassen
from convc.ops import Add, Conv, Relu
from convc.passes import optimize
from convc.schedules.cpu.strassen import StrassenRule
from convc.target import Target, host_arch, host_features, native, resolve
from tests.cases import fused
from tests.schedules.test_assembly import BROADCAST, check_loops, inner_loops
from tests.support.kernels import Kernels, Subject, check, kernel_groups, scheduled_by, unscheduled

ZEN4 = resolve("znver4")


def subject(
    size: tuple[int, int], channels: int, filters: int, *, batch: int = 1, residual: bool = False, exact: bool = False
) -> Subject:
    """A pointwise convolution with bias, where asked for a residual, and ReLU."""
    b = fused.Builder(np.random.default_rng(channels + filters))
    kernel = b.weights(1, 1, channels, filters, scale=float(np.sqrt(2 / channels)))
    op = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), exact=exact)
    y = b.apply(op, b.input(batch, *size, channels), kernel, b.weights(filters))
    if residual:
        y = b.apply(Add(), y, b.input(*y.type.shape))
    name = f"{batch}x{size[0]}x{size[1]}x{channels}_{filters}"
    return Subject(name, Graph("net", tuple(b.inputs), (b.apply(Relu(), y),), ("y",)), b.feeds)


SMALL = [
    subject((5, 7), 32, 32),
    subject((3, 5), 40, 48, batch=2),
    subject((4, 4), 16, 64, residual=True),
    subject((1, 1), 64, 32),
    subject((9, 3), 22, 56, residual=True),
    subject((6, 5), 34, 33),
]
LARGE = [subject((19, 19), 728, 728), subject((14, 14), 384, 192, residual=True)]


def group_of(graph: Graph) -> Group:
    (group,) = kernel_groups(optimize(graph).grouped)
    return group


def rule(case: Subject, target: Target, *, exact: bool = False) -> str:
    func = unscheduled(group_of(case.graph), target, True).func
    return schedules.choose(func, target, exact=exact).rule.name


def of(target: Target) -> Target:
    if target.arch != host_arch() or not set(target.features) <= host_features():
        pytest.skip("this CPU lacks features of the target")
    return target


def test_the_matrices_are_those_of_a_product_of_two_by_two() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 2, 2))
    products = (np.array(INPUT) @ a.ravel()) * (np.array(FILTER) @ b.ravel())
    np.testing.assert_allclose(np.array(OUTPUT) @ products, (a @ b).ravel(), rtol=1e-12)


def test_the_driver_makes_the_factors_from_the_quarters() -> None:
    packing = PackedStrassen(16)
    weights = np.random.default_rng(2).standard_normal((1, 1, 12, 40)).astype(np.float32)
    stored, factors, made = packing.stored(weights), packing.apply(weights), packing.expansion(weights.shape)
    assert stored.shape == (4, 2, 6, 16)
    assert factors.shape == packing.shape(weights.shape) == (7, 2, 6, 16)
    assert made.rows == ((1.0,),)
    np.testing.assert_allclose(np.tensordot(np.array(made.columns), stored, 1), factors, rtol=1e-6)
    assert stored[3, 0, 5, 1] == weights[0, 0, 11, 17]


@pytest.mark.parametrize("columns", [2, 12])
def test_unscheduled(columns: int) -> None:
    def schedule(group: Group, target: Target, bounded: bool) -> lower.Kernel:
        return lower.lower(group, lower.Layout(target.lanes, columns=columns, strassen=True), bounded=bounded)

    subjects = [s for s in SMALL if s.graph.outputs[0].type.shape[-1] >= 2 * native().lanes]
    check(Kernels([s.graph for s in subjects], native(), schedule).run, subjects)


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("name", ["native", "x86-64-v3", "x86-64-v2"])
def test_scheduled(name: str, bounded: bool) -> None:
    subjects = [*SMALL, *LARGE]
    kernels = Kernels([s.graph for s in subjects], of(resolve(name)), scheduled_by(StrassenRule()), bounded=bounded)
    check(kernels.run, subjects)


def test_nothing_is_read_behind_the_input() -> None:
    group = group_of(LARGE[0].graph)
    layout = build(group, ZEN4, bounded=False, exact=False).layout
    assert all(argument.overread == 0 for argument in lower.arguments_of(group, layout, bounded=False))


@pytest.mark.parametrize(
    ("size", "channels", "filters"), [(19, 728, 728), (19, 728, 1024), (10, 1024, 1536), (14, 384, 1536)]
)
def test_chosen_where_it_pays(size: int, channels: int, filters: int) -> None:
    case = subject((size, size), channels, filters)
    assert rule(case, ZEN4) == "strassen"
    assert rule(case, ZEN4, exact=True) == "conv"
    assert rule(case, resolve("sapphirerapids")) == "conv"


@pytest.mark.parametrize(
    ("size", "channels", "filters"), [(56, 96, 384), (28, 768, 192), (37, 256, 728), (7, 2048, 512), (1, 2048, 1024)]
)
def test_not_chosen_where_sums_or_weights_cost_more(size: int, channels: int, filters: int) -> None:
    assert rule(subject((size, size), channels, filters), ZEN4) == "conv"


@pytest.mark.parametrize(
    "case",
    [subject((19, 19), 729, 728), subject((19, 19), 728, 16), subject((19, 19), 728, 728, exact=True),
     subject((10, 10), 2050, 1024), subject((19, 19), 728, 728, batch=2)],
    ids=["odd channels", "one vector of filters", "exact", "sums in blocks", "two samples"],
)  # fmt: skip
def test_not_chosen_where_it_is_not_possible(case: Subject) -> None:
    assert "strassen" not in unscheduled(group_of(case.graph), ZEN4, True).func.attrs
    assert rule(case, ZEN4) == "conv"


@pytest.mark.parametrize("exact", [True, False])
def test_the_layout_is_what_the_rule_asks_for(exact: bool) -> None:
    group = group_of(LARGE[0].graph)
    made = build(group, ZEN4, bounded=True, exact=exact)
    assert made.layout.strassen is not exact
    assert made.rule == ("conv" if exact else "strassen")
    weights = lower.arguments_of(group, made.layout, bounded=True)[1]
    assert weights.type.shape == ((46, 728, 16) if exact else (7, 23, 364, 16))


@pytest.mark.parametrize(("case", "tile"), [(LARGE[0], 26), (subject((14, 14), 384, 1536), 28)], ids=["26x1", "14x2"])
def test_the_products_stay_in_registers(case: Subject, tile: int) -> None:
    kernels = Kernels([case.graph], ZEN4, scheduled_by(StrassenRule()), bounded=False)
    loops = inner_loops(kernels.module.inspect_source("asm"))
    check_loops([body for body in loops if any(BROADCAST.search(line) for line in body)], tile, ZEN4.lanes)
