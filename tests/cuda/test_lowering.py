"""What kernels look like before a CUDA schedule: one block for each sum, operands as they are."""

from __future__ import annotations

import numpy as np
import pytest

from convc import lower, ops
from convc.errors import UnsupportedError
from convc.ir import DType, Shape
from convc.lower import recurrent
from convc.passes import optimize
from convc.schedules.cuda import prepared
from convc.schedules.rule import KernelView
from tests.cases.case import Case, case
from tests.cases.conv import conv
from tests.support.kernels import kernel_groups


def lowered(case_: Case) -> lower.Kernel:
    """The case's only kernel, for threads."""
    (group,) = kernel_groups(optimize(case_.graph()).grouped)
    return lower.lower(group, lower.Layout(1, threads=True), bounded=True)


@pytest.mark.parametrize(
    ("case_", "blocks"),
    [
        (conv("long_sum", (1, 5, 5, 400), (3, 3, 400, 12), padding="same"), ("pad", "conv", "out")),
        (conv("pointwise", (1, 5, 5, 2000), (1, 1, 2000, 12)), ("conv", "out")),
        (case("product", ops.MatMul((0, 1), (2, 1), (0, 2)), (30, 1031), (20, 1031)), ("conv", "out")),
        (case("mean", ops.ReduceMean((0, 2), False), (40, 3, 1031)), ("reduce", "out")),
        (case("softmax", ops.Softmax((1,)), (3, 1031)), ("maximum", "power", "total", "inverse", "out")),
        (case("norm", ops.Standardize((1,), 1e-3), (3, 1031)), ("sum", "mean", "squares", "scale", "out")),
        (
            case("groups", ops.Standardize((1, 2), 1e-3, groups=4), (2, 900, 20)),
            ("sum", "mean", "squares", "scale", "out"),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_a_sum_is_one_block(case_: Case, blocks: tuple[str, ...]) -> None:
    assert KernelView(lowered(case_).func).blocks == blocks


@pytest.mark.parametrize(
    ("case_", "packed"),
    [
        (conv("plain", (1, 5, 5, 6), (3, 3, 6, 12)), (1, 3, 3, 6, 16)),
        (conv("grouped", (1, 5, 5, 6), (3, 3, 2, 15), groups=3), (3, 3, 3, 2, 5)),
        (conv("pointwise", (1, 5, 5, 6), (1, 1, 6, 9)), (1, 6, 16)),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_filters_are_one_block_for_each_group(case_: Case, packed: Shape) -> None:
    weights = lowered(case_).arguments[1]
    assert weights.type.shape == packed
    assert weights.packing is not None
    values = case_.inputs()[1]
    stored = weights.packing.apply(values).reshape(packed)
    filters = values.shape[-1] // packed[0]
    assert np.array_equal(stored[0, ..., :filters].reshape(-1, filters), values[..., :filters].reshape(-1, filters))
    assert not stored[..., filters:].any()


def test_prepared_kernels_have_no_casts_of_their_own() -> None:
    """Blocks that read what is stored in 16 bits are inlined, whoever reads them."""
    (group,) = kernel_groups(optimize(case("softmax", ops.Softmax((1,)), (3, 40)).graph()).grouped)
    narrow = dict.fromkeys((*group.inputs, group.output), DType.FLOAT16)
    kernel = lower.lower(group, lower.Layout(1, threads=True), bounded=True, storage=narrow)
    assert "wide0" in KernelView(kernel.func).blocks
    assert "wide0" not in KernelView(prepared(kernel.func)).blocks


def test_a_recurrent_layer_needs_room_for_its_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrent, "SHARED", 16 * 40)
    tanh = (ops.Tanh(),)
    few, many = (
        case("rnn", ops.SimpleRnn(tanh, ()), (1, 2, units), (units, units), constants=[1]) for units in (40, 41)
    )
    assert KernelView(lowered(few).func).blocks == ("recurrent",)
    with pytest.raises(UnsupportedError, match="at most 40, got 41"):
        lowered(many)
