"""Every case and every fused graph, scheduled, against the references; and each rule where it is expected."""

from __future__ import annotations

import pytest

from convc import lower, schedules
from convc.build.kernels import build
from convc.passes import optimize
from convc.schedules.cpu.fallback import FallbackRule
from convc.schedules.rule import KernelView
from convc.target import Target, host_arch, host_features, known, native, resolve
from tests.cases import ALL, fused
from tests.support.kernels import (
    PARTS,
    Kernels,
    Subject,
    check,
    kernel_groups,
    of_case,
    of_recipe,
    scheduled,
    scheduled_by,
    unscheduled,
)  # fmt: skip


def here(target: Target) -> bool:
    """Whether this machine runs the target's code."""
    return target.arch == host_arch() and set(target.features) <= host_features()


def cases(*names: str) -> list[Subject]:
    """Cases by "stem/name"."""
    by_name = {f"{stem}/{case.name}": case for stem, cases in ALL.items() for case in cases}
    return [of_case(by_name[name]) for name in names]


REPRESENTATIVES = (
    "conv/3x3_c17_o7_n2", "conv/3x3_14x14", "conv/stem_7x7_s2", "conv/1x1_c64_o130", "conv/1x1_c33_o3",
    "conv/groups_2_of_17_to_20", "conv/groups_resnext", "conv/depthwise_c17", "conv/depthwise_x2_c10",
    "conv/depthwise_5x5_s2", "conv/1d_c10_o17", "conv/3d_c3_o10", "conv/dilated_2",
    "standardize/2x4x5x96_over_3", "standardize/2x4x5x32_over_123_in_4", "reduce/sum_2x3x4x100_over_3",
    "resample/sum_images", "resample/sum_many_taps", "resample/max_c17",
    "matmul/scores", "matmul/context_odd", "matmul/sum_2053_prime_rows", "softmax/classes_1000",
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_cases(part: str) -> None:
    """Unbounded, so what lies behind an input may be read: it is NaN, and must not show."""
    subjects = PARTS[part]
    kernels = Kernels([subject.graph for subject in subjects], native(), scheduled, bounded=False)
    check(kernels.run, subjects)


@pytest.mark.parametrize("part", ["conv-1", "pool-0", "softmax-0", "fused-0"])
def test_the_fallback_computes_anything(part: str) -> None:
    subjects = PARTS[part]
    fallback = scheduled_by(FallbackRule())
    check(Kernels([subject.graph for subject in subjects], native(), fallback).run, subjects)


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3", "skylake-avx512"])
def test_targets_that_run_here(name: str) -> None:
    target = resolve(name)
    if not here(target):
        pytest.skip("this CPU lacks features of the target")
    subjects = [*cases(*REPRESENTATIVES), *(of_recipe(recipe) for recipe in list(fused.RECIPES)[::4])]
    check(Kernels([subject.graph for subject in subjects], target, scheduled, bounded=False).run, subjects)


@pytest.mark.parametrize("target", [target for target in known() if not here(target)], ids=lambda t: t.name)
def test_code_for_other_targets(target: Target) -> None:
    subjects = cases(*REPRESENTATIVES)
    kernels = Kernels([subject.graph for subject in subjects], target, scheduled)
    assert kernels.module is not None


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("conv/3x3_14x14", "conv"),
        ("conv/1x1_c64_o130", "conv"),
        ("conv/groups_resnext", "conv"),
        ("conv/1d_c10_o17", "conv"),
        ("conv/depthwise_c17", "window"),
        ("arithmetic/add_equal_rank1", "elementwise"),
    ],
)
def test_which_rule(name: str, rule: str) -> None:
    (subject,) = cases(name)
    (group,) = kernel_groups(optimize(subject.graph).grouped)
    draft = unscheduled(group, native(), True)
    assert schedules.choose(draft.func, native(), exact=True).rule.name == rule


EXPECTED_RULES = {
    "activation": {"elementwise"}, "arithmetic": {"elementwise"}, "logic": {"elementwise"}, "unary": {"elementwise"},
    "broadcast": {"elementwise"}, "cast": {"elementwise"},
    "concat": {"elementwise"}, "integer": {"elementwise"}, "slice": {"elementwise"}, "take": {"elementwise"},
    "conv": {"conv", "window", "winograd"}, "conv_transpose": {"conv", "winograd", "elementwise"},
    "depth_to_space": {"elementwise"}, "dense": {"conv"}, "matmul": {"matmul"}, "pad": {"elementwise"},
    "pool": {"window"}, "reduce": {"reduce"}, "resample": {"resample", "elementwise"}, "softmax": {"softmax"},
    "standardize": {"standardize"}, "top_k": {"top_k"},
}  # fmt: skip


@pytest.mark.parametrize("stem", EXPECTED_RULES)
def test_the_rules_of_a_stem(stem: str) -> None:
    """Nothing falls through to the fallback that has a rule."""
    target = resolve("x86-64-v3")
    groups = [group for case in ALL[stem] for group in kernel_groups(optimize(case.graph()).grouped)]
    used = {build(group, target, bounded=True, exact=False).rule for group in groups}
    assert used <= EXPECTED_RULES[stem]
    assert used


@pytest.mark.parametrize("target", known(), ids=lambda t: t.name)
def test_knobs_are_those_that_the_kernel_is_lowered_for(target: Target) -> None:
    for subject in cases(*REPRESENTATIVES):
        (group,) = kernel_groups(optimize(subject.graph).grouped)
        choice = schedules.choose(unscheduled(group, target, True).func, target, exact=True)
        layout = lower.Layout(target.lanes, choice.knobs.rows, choice.knobs.columns)
        kernel = lower.lower(group, layout, bounded=True)
        assert choice.rule.applies(KernelView(kernel.func), target)
        schedules.schedule(kernel.func, target, choice)
