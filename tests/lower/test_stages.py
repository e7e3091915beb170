"""What a reduction's stages are, and how its axes are merged."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
import pytest

from convc import lower
from convc.ir import Node, Op, Shape, make
from convc.ir.group import Group
from convc.lower.contraction import BLOCK, split_sum
from convc.lower.frame import frame_of
from convc.lower.layout import Layout
from convc.ops import Add, Multiply, ReduceMean, ReduceSum, Standardize
from convc.passes import optimize
from convc.schedules.rule import KernelView
from tests.cases.fused import Builder, build

LAYOUT = Layout(lanes=16)


def group_of(op: Op, *shape: int, sides: tuple[Shape, ...] = ()) -> Group:
    """`op`, and a product with a tensor of each shape of `sides`."""
    b = Builder(np.random.default_rng(0))
    nodes: list[Node] = [b.apply(op, b.input(*shape))]
    for side in sides:
        nodes.append(make(Multiply(), nodes[-1], b.weights(*side), origin=nodes[0].origin))
    return Group(tuple(nodes), nodes[0])


def blocks(op: Op, *shape: int) -> list[str]:
    """The kernel's blocks, without `out`."""
    view = KernelView(lower.lower(group_of(op, *shape), LAYOUT, bounded=True).func)
    return [name for name in view.blocks if name != "out"]


@pytest.mark.parametrize(
    ("axes", "shape", "names"),
    [
        ((1,), (2, 10), ["reduce_rows"]),
        ((1,), (2, 32), ["reduce_lanes", "reduce_folded", "reduce"]),
        ((1,), (2, 37), ["reduce_lanes", "reduce_folded", "reduce_tail", "reduce"]),
        ((1,), (2, 10, 16), ["reduce_columns"]),
        ((1,), (2, 10, 7), ["reduce_columns"]),
        ((1,), (2, 10, 17), ["reduce_columns", "reduce_spare_columns", "reduce_joined"]),
        ((1,), (2, 5, 17), ["reduce_columns"]),
        ((1,), (2, 2000, 16), ["reduce_columns_partial", "reduce_columns"]),
        ((0, 2), (2, 3, 32), ["reduce_columns", "reduce_lanes", "reduce_folded", "reduce"]),
    ],
)
def test_stages(axes: Shape, shape: Shape, names: list[str]) -> None:
    assert blocks(ReduceSum(axes), *shape) == names


def test_no_sum_is_long() -> None:
    """A running sum of `BLOCK` elements, twice that at most, whatever is reduced."""
    for axes, shape in (
        ((1,), (1, 300_007)),
        ((1,), (1, 300_007, 5)),
        ((1, 2), (2, 70, 71, 16)),
        ((1, 3), (2, 40, 3, 50)),
    ):
        view = KernelView(lower.lower(group_of(ReduceSum(axes), *shape), LAYOUT, bounded=True).func)
        for name in view.blocks:
            assert prod(view.domain(name)[1]) <= 2 * BLOCK, (shape, name)


@pytest.mark.parametrize(
    ("op", "shape", "sides", "view"),
    [
        (Standardize((3,), 1e-3), (2, 3, 4, 5), (), (24, 5)),
        (Standardize((3,), 1e-3), (2, 3, 4, 5), ((5,),), (24, 5)),
        (Standardize((3,), 1e-3), (2, 3, 4, 5), ((4, 1),), (6, 4, 5)),
        (Standardize((1, 2, 3), 1e-3), (2, 3, 4, 5), (), (2, 60)),
        (Standardize((1, 2, 3), 1e-3), (2, 3, 4, 5), ((5,),), (2, 12, 5)),
        (Standardize((1, 2, 3), 1e-3, groups=5), (2, 3, 4, 5), (), (2, 12, 5)),
        (Standardize((1,), 1e-3), (2, 1, 1, 5), (), (2, 1, 5)),
        (ReduceSum((3,)), (2, 3, 4, 5), (), (24, 5)),
        (ReduceMean((1, 2), True), (2, 3, 4, 5), ((5,),), (2, 12, 5)),
        (ReduceMean((0, 1, 2, 3)), (2, 3, 4, 5), (), (120,)),
    ],
)
def test_what_a_kernel_sees_of_its_input(op: Op, shape: Shape, sides: tuple[Shape, ...], view: Shape) -> None:
    group = group_of(op, *shape, sides=sides)
    assert frame_of(group).source_view(shape) == view
    assert lower.arguments_of(group, LAYOUT, bounded=True)[0].type.shape == view


def test_an_input_that_the_epilogue_reads_keeps_its_axes() -> None:
    b = Builder(np.random.default_rng(0))
    x = b.input(1, 6, 1, 3)
    total = b.apply(ReduceSum((2,), True), x)
    group = Group((total, b.apply(Add(), total, x)), total)
    assert frame_of(group).source_view(x.type.shape) == x.type.shape


@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "norm_of_everything", "norm_plus_itself"])
def test_scale_and_offset_are_fused(name: str) -> None:
    graph, _ = build(name)
    grouped = optimize(graph).grouped
    (group,) = [group for group in grouped.groups if isinstance(group.anchor.op, Standardize)]
    assert group.output in grouped.graph.outputs


def test_sums_of_products_are_never_two_blocks() -> None:
    """Windows of two and depths that fill a block were refused by mistake: a convolution of 2x2 over 384 channels."""
    depths = (1, 128, 255, 256, 257, 384, 512, 513, 768, 1024, 1031)
    for window in itertools.product((1, 2, 3), (1, 2, 7)):
        for depth in depths:
            outer, inner = split_sum((*window, depth))
            assert [a * b for a, b in zip(outer, inner, strict=True)] == [*window, depth]
            assert prod(outer) != 2
            assert prod(inner) <= BLOCK or prod(outer) == 1
