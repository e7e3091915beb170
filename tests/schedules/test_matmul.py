"""Products of two computed tensors: what is packed, what is read behind an operand, and the inner loops."""

from __future__ import annotations

from math import prod

import pytest

from convc import lower, schedules
from convc.build.kernels import build
from convc.ir import Shape
from convc.ops import Add, MatMul, Multiply, Relu, constant
from convc.passes import optimize
from convc.target import Target, native, resolve
from tests.cases.matmul import matmul
from tests.passes.graphs import Net
from tests.schedules.test_assembly import check_loops, inner_loops
from tests.support.kernels import Kernels, Subject, check, kernel_groups, scheduled, unscheduled

SCORES = ("btnh,bsnh->bnts", (1, 56, 2, 64), (1, 96, 2, 64))
CONTEXT = ("bnts,bsnh->btnh", (1, 2, 56, 96), (1, 96, 2, 64))


def blocks(equation: str, left: Shape, right: Shape, *, bounded: bool = False) -> set[str]:
    """The names of the kernel's blocks."""
    (group,) = kernel_groups(optimize(matmul("it", equation, left, right).graph()).grouped)
    layout = build(group, native(), bounded=bounded, exact=True).layout
    func = lower.lower(group, layout, bounded=bounded).func
    return set(schedules.rule.KernelView(func).blocks)


def test_what_is_packed() -> None:
    assert "pack" in blocks("ik,jk->ij", (8, 64), (64, 64))
    assert "pack" in blocks("ik,kj->ij", (8, 64), (64, 63))
    assert "pack" not in blocks("ik,kj->ij", (8, 64), (64, 64))
    assert "pack" in blocks("ik,kj->ij", (600, 64), (64, 64))


def test_rows_are_copied_only_where_nothing_may_be_read_behind_them() -> None:
    assert "extend" in blocks("ik,kj->ij", (29, 64), (64, 64), bounded=True)
    assert "extend" not in blocks("ik,kj->ij", (29, 64), (64, 64), bounded=False)


def test_a_prime_sum_is_made_longer() -> None:
    assert "extend" in blocks("ik,kj->ij", (4, 2053), (2053, 16))
    assert "extend" not in blocks("ik,kj->ij", (4, 2048), (2048, 16))


def test_what_is_read_behind_an_operand() -> None:
    (group,) = kernel_groups(optimize(matmul("it", "bkin,bkj->bnij", (2, 8, 29, 3), (2, 8, 16)).graph()).grouped)
    layout = lower.Layout(16, 1, 7)
    free, bounded = (lower.arguments_of(group, layout, bounded=bounded) for bounded in (False, True))
    # 29 rows by tiles of 7: 6 more rows, 3 floats apart.
    assert [argument.overread for argument in free] == [6 * 3 * 4, 0, 0]
    assert [argument.overread for argument in bounded] == [0, 0, 0]
    assert lower.signature(group, bounded=True) == lower.signature(group, bounded=False) + "; bounded"


@pytest.mark.parametrize(("equation", "left", "right"), [SCORES, CONTEXT], ids=["scores", "context"])
@pytest.mark.parametrize("target", [resolve("sapphirerapids"), resolve("x86-64-v3")], ids=lambda target: target.name)
def test_the_register_tile_stays_in_registers(equation: str, left: Shape, right: Shape, target: Target) -> None:
    graph = matmul("it", equation, left, right).graph()
    (group,) = kernel_groups(optimize(graph).grouped)
    choice = schedules.choose(unscheduled(group, target, False).func, target, exact=True)
    assert choice.rule.name == "matmul"
    tile = prod((choice.knobs.columns, vars(choice.knobs)["vectors"]))
    assert tile >= target.vector_registers // 2, "a tile this small leaves the units idle"
    assembly = Kernels([graph], target, scheduled, bounded=False).module.inspect_source("asm")
    check_loops(inner_loops(assembly), tile, target.lanes)


@pytest.mark.parametrize("bounded", [False, True])
def test_what_follows_is_part_of_the_kernel(bounded: bool) -> None:
    """A scale, a bias of the last axis, another tensor and an activation, on a result that is written transposed."""
    net = Net()
    y = net.op(
        MatMul((0, 1, 2, 3), (0, 3, 1, 4), (0, 2, 1, 4)), net.input(2, 3, 17, 9, name="a"), net.input(2, 9, 3, 21)
    )
    y = net.op(Multiply(), y, constant(net.rng.normal(size=1), y.origin))
    y = net.op(Add(), y, net.weights(21))
    y = net.op(Relu(), net.op(Add(), y, net.input(2, 17, 3, 21, name="z")))
    graph = net.graph(y)
    (group,) = kernel_groups(optimize(graph).grouped)
    assert len(group.nodes) == 5
    feeds = {node.name: net.rng.normal(size=node.type.shape).astype("f4") for node in graph.inputs}
    kernels = Kernels([graph], native(), scheduled, bounded=bounded)
    check(kernels.run, [Subject("epilogue", graph, feeds)])
