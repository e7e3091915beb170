"""What makes two groups one kernel, how a kernel sees its tensors, and how large its expression is."""

from __future__ import annotations

import numpy as np
import pytest

from convc import lower, ops
from convc.errors import UnsupportedError
from convc.ir import Graph, Node, Op
from convc.ir.group import Group
from convc.lower import Layout
from convc.lower.conv import PackedDepthwise, PackedKernel, packing
from convc.ops import Add, Conv, Dense, Gelu, Mish, Relu, Sigmoid, Silu
from convc.passes import optimize
from tests.cases import fused
from tests.support.kernels import kernel_groups

LAYOUT = Layout(16, rows=2, columns=7)


def builder(seed: int = 1) -> fused.Builder:
    return fused.Builder(np.random.default_rng(seed))


def group_of(b: fused.Builder, output: Node) -> Group:
    (group,) = kernel_groups(optimize(Graph("net", tuple(b.inputs), (output,), ("y",))).grouped)
    return group


def conv_relu(seed: int = 1, **changes: int) -> Group:
    sizes = {"size": 6, "depth": 8, "filters": 12, "window": 3, "stride": 1} | changes
    b = builder(seed)
    x = b.input(1, sizes["size"], sizes["size"], sizes["depth"])
    y = b.conv(x, sizes["filters"], sizes["window"], stride=sizes["stride"], bias=True)
    return group_of(b, b.apply(Relu(), y))


def signature(group: Group) -> str:
    return lower.signature(group, bounded=True)


def test_the_same_structure_is_the_same_kernel() -> None:
    """Whatever the layers are called and whatever their weights are."""
    one, other = conv_relu(1), conv_relu(2)
    assert signature(one) == signature(other)
    first, second = (lower.lower(group, LAYOUT, bounded=True) for group in (one, other))
    assert first.name == second.name
    assert first.func.script() == second.func.script()


@pytest.mark.parametrize(
    "changes",
    [{"size": 7}, {"depth": 4}, {"filters": 11}, {"window": 5}, {"stride": 2}],
    ids=lambda changes: "".join(changes),
)
def test_another_structure_is_another_kernel(changes: dict[str, int]) -> None:
    one, other = conv_relu(), conv_relu(**changes)
    assert signature(one) != signature(other)
    assert lower.lower(one, LAYOUT, bounded=True).name != lower.lower(other, LAYOUT, bounded=True).name


def test_attributes_and_wiring_are_in_the_signature() -> None:
    def residual(same: bool) -> Group:
        b = builder()
        x = b.input(1, 5, 5, 8)
        return group_of(b, b.apply(Add(), b.conv(x, 8), x if same else b.input(1, 5, 5, 8)))

    def activated(op: Op) -> Group:
        b = builder()
        return group_of(b, b.apply(op, b.conv(b.input(1, 5, 5, 8), 8)))

    groups = [residual(True), residual(False), activated(Relu()), activated(Relu(max_value=6.0)), activated(Sigmoid())]
    assert len({signature(group) for group in groups}) == len(groups)


def test_only_pointwise_kernels_depend_on_bounds() -> None:
    """Only they read behind their input; others are the same kernel wherever their input lies."""
    b = builder()
    x = b.input(1, 5, 5, 8)
    pointwise, other = group_of(b, b.conv(x, 8, 1)), group_of(b, b.conv(x, 8))
    bounded, free = (lower.signature(pointwise, bounded=bounded) for bounded in (True, False))
    assert bounded == f"{free}; bounded"
    assert lower.signature(other, bounded=True) == lower.signature(other, bounded=False)
    names = [lower.lower(g, LAYOUT, bounded=bounded).name for g in (pointwise, other) for bounded in (True, False)]
    assert names[0] != names[1]
    assert names[2] == names[3]


def test_names_are_c_identifiers_that_say_what_is_computed() -> None:
    name = lower.lower(conv_relu(), LAYOUT, bounded=True).name
    assert name.isidentifier()
    assert name.isascii()
    assert name.startswith("conv_relu_1x6x6x12_")


@pytest.mark.parametrize(
    ("shape", "lanes", "packed"),
    [((3, 3, 8, 32), 16, (2, 3, 3, 8, 16)), ((1, 1, 5, 17), 8, (3, 1, 1, 5, 8)), ((4, 3), 4, (1, 4, 4))],
)
def test_packed_kernel(shape: tuple[int, ...], lanes: int, packed: tuple[int, ...]) -> None:
    """Blocks of filters, contiguous; what is behind the last filter is zero."""
    value = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    got = PackedKernel(lanes).apply(value)
    assert got.shape == PackedKernel(lanes).shape(shape) == packed
    assert got.flags.c_contiguous
    assert got.dtype == np.float32
    for block in range(packed[0]):
        for lane in range(lanes):
            filter_ = block * lanes + lane
            expected = value[..., filter_] if filter_ < shape[-1] else np.zeros(shape[:-1])
            np.testing.assert_array_equal(got[block, ..., lane], expected)


def test_packed_depthwise() -> None:
    value = np.random.default_rng(3).standard_normal((3, 5, 1, 7)).astype(np.float32)
    got = PackedDepthwise().apply(value)
    assert got.shape == PackedDepthwise().shape(value.shape) == (3, 5, 7)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, value[:, :, 0])


@pytest.mark.parametrize(
    ("groups", "per_group", "lanes"), [(1, 40, 16), (1, 5, 8), (2, 20, 10), (4, 16, 16), (3, 7, 7)]
)
def test_lanes_divide_the_filters_of_a_group(groups: int, per_group: int, lanes: int) -> None:
    b = builder()
    kernel = b.weights(3, 3, 2, groups * per_group)
    op = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), groups)
    assert packing(op, kernel.type, Layout(16)) == PackedKernel(lanes)


def test_a_pointwise_convolution_is_a_product_of_matrices() -> None:
    b = builder()
    x = b.input(2, 5, 4, 8)
    group = group_of(b, b.apply(Add(), b.conv(x, 20, 1, bias=True), b.input(2, 5, 4, 20)))
    shapes = {a.node.op.kind + a.node.name: a.type.shape for a in lower.arguments_of(group, LAYOUT, bounded=True)}
    assert shapes["Inputinput0"] == (1, 40, 8)
    assert shapes["Inputinput1"] == (1, 40, 20)
    assert (2, 8, 16) in shapes.values()


def test_only_unbounded_kernels_read_behind_their_input() -> None:
    b = builder()
    group = group_of(b, b.conv(b.input(1, 5, 5, 8), 20, 1))
    bounded, free = (lower.arguments_of(group, LAYOUT, bounded=bounded) for bounded in (True, False))
    assert all(argument.overread == 0 for argument in bounded)
    # 25 rows by tiles of 7: 3 more rows of 8 floats.
    assert [argument.overread for argument in free] == [3 * 8 * 4, 0, 0]
    blocks = [
        lower.lower(group, LAYOUT, bounded=bounded).func.script().count('T.sblock("pad")') for bounded in (True, False)
    ]
    assert blocks == [1, 0]


def test_computed_weights_are_refused() -> None:
    b = builder()
    x = b.input(2, 4)
    y = b.apply(Dense(), x, b.apply(Relu(), b.input(4, 3)))
    grouped = optimize(Graph("net", tuple(b.inputs), (y,), ("y",))).grouped
    group = next(group for group in grouped.groups if isinstance(group.anchor.op, ops.Dense))
    with pytest.raises(UnsupportedError, match="weights that are computed: expected constant weights"):
        lower.lower(group, LAYOUT, bounded=True)


@pytest.mark.parametrize("chain", [(Mish(),), (Silu(), Gelu()), (Silu(), Silu(), Silu())], ids=str)
def test_expressions_grow_with_the_chain_not_with_its_power(chain: tuple[Op, ...]) -> None:
    """An activation reads its argument several times: composed as a tree, a chain of three would be a million terms."""
    b = builder()
    y = b.conv(b.input(1, 4, 4, 8), 8)
    for op in chain:
        y = b.apply(op, y)
    assert len(lower.lower(group_of(b, y), Layout(16), bounded=True).func.script()) < 20_000
