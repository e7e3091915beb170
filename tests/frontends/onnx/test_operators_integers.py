"""Quantised operators and products of integers: every bit counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.onnx import load
from convc.ir import Array
from convc.passes import optimize
from tests.support.onnx_judge import assert_agrees, assert_compiled
from tests.support.onnx_models import FLOAT, model, node

INT8, UINT8, INT32 = onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT32
RNG = np.random.default_rng(5)


def typed(made: onnx.ModelProto, *types: int) -> onnx.ModelProto:
    """The model with the types of its outputs."""
    for item, kind in zip(made.graph.output, types, strict=True):
        item.type.tensor_type.elem_type = kind
    return made


def extreme(low: int, high: int, shape: tuple[int, ...], dtype: str) -> Array:
    """Integers that are mostly at the ends, so that sums are as large as they can be."""
    picked = RNG.choice([low, high, 0, 1], shape, p=[0.1, 0.8, 0.05, 0.05])
    return picked.astype(dtype)


@pytest.mark.parametrize("channels", [4, 64, 300])
@pytest.mark.parametrize("group", [1, 2])
def test_integer_convolutions_are_exact(channels: int, group: int, tmp_path: Path) -> None:
    """300 channels of 3x3 sum up to 1.7e8, which float32 has not; 64 of 3x3 would be computed by Winograd."""
    weights = extreme(-128, 127, (16, channels // group, 3, 3), "int8")
    form: dict[str, Any] = {"pads": [1, 0, 1, 2], "group": group}
    made = model(
        node("ConvInteger", ["x", "w", "p"], ["y"], **form),
        inputs={"x": (UINT8, (1, channels, 6, 7))},
        constants={"w": weights, "p": np.array(3, np.uint8)},
    )
    assert_compiled(typed(made, INT32), {"x": extreme(0, 255, (1, channels, 6, 7), "uint8")}, tmp_path)


@pytest.mark.parametrize("depth", [3, 300, 5000])
@pytest.mark.parametrize("constant", [False, True])
def test_integer_products_are_exact(depth: int, constant: bool, tmp_path: Path) -> None:
    a, b = extreme(0, 255, (3, depth), "uint8"), extreme(-128, 127, (depth, 5), "int8")
    ports: dict[str, Any] = {"a": (UINT8, a.shape), **({} if constant else {"b": (INT8, b.shape)})}
    constants = {"p": np.array(7, np.uint8), "q": np.array(-3, np.int8), **({"b": b} if constant else {})}
    made = model(node("MatMulInteger", ["a", "b", "p", "q"], ["y"]), inputs=ports, constants=constants)
    feeds = {"a": a, **({} if constant else {"b": b})}
    assert_compiled(typed(made, INT32), feeds, tmp_path)


def test_sums_that_are_too_long_are_refused() -> None:
    made = model(node("MatMulInteger", ["a", "b"], ["y"]), inputs={"a": (UINT8, (1, 70000)), "b": (INT8, (70000, 1))})
    with pytest.raises(UnsupportedError, match="the sums are too long: expected at most 65000 terms, got 70000"):
        load(made)


@pytest.mark.parametrize("per_filter", [False, True])
def test_quantised_convolutions(per_filter: bool, tmp_path: Path) -> None:
    count = 16 if per_filter else 1
    scales = RNG.uniform(0.001, 0.01, count).astype(np.float32)
    constants = {
        "xs": np.float32(0.02), "xz": np.array(120, np.uint8),
        "w": RNG.integers(-127, 128, (16, 8, 3, 3)).astype(np.int8),
        "ws": scales if per_filter else scales[0],
        "wz": np.zeros(count, np.int8) if per_filter else np.array(0, np.int8),
        "ys": np.float32(0.05), "yz": np.array(110, np.uint8), "b": RNG.integers(-500, 500, 16).astype(np.int32),
    }  # fmt: skip
    made = model(
        node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], strides=[2, 1]),
        inputs={"x": (UINT8, (2, 8, 9, 7))},
        constants=constants,
    )
    x = RNG.integers(0, 256, (2, 8, 9, 7)).astype(np.uint8)
    assert_compiled(typed(made, UINT8), {"x": x}, tmp_path)


def test_quotients_are_rounded_to_even(tmp_path: Path) -> None:
    """Multiplying by the inverse of the scale would move some of these across the half."""
    scale = np.float32(0.1)
    x = ((np.arange(-400, 400) + 0.5).astype(np.float32) * scale).reshape(1, -1)
    made = model(
        node("QuantizeLinear", ["x", "s", "z"], ["y"]),
        inputs={"x": x.shape},
        constants={"s": scale, "z": np.array(-3, np.int8)},
    )
    assert_compiled(typed(made, INT8), {"x": x}, tmp_path)
    parsed = optimize(load(made)).grouped.graph
    assert any(isinstance(n.op, ops.Divide) for n in parsed.nodes)


def test_scales_of_an_axis_and_back() -> None:
    scales, zeros = np.array([0.1, 0.25, 2.0], np.float32), np.array([0, -10, 100], np.int8)
    made = model(
        node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=-3),
        inputs={"x": (2, 3, 4, 5)},
        outputs=("q", "y"),
        constants={"s": scales, "z": zeros},
    )
    assert_agrees(typed(made, INT8, FLOAT), {"x": RNG.normal(0, 30, (2, 3, 4, 5)).astype(np.float32)})


def test_dynamic_ranges(tmp_path: Path) -> None:
    made = model(node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"]), inputs={"x": (7, 9)}, outputs=("y", "s", "z"))
    for x in (RNG.normal(1, 3, (7, 9)), RNG.uniform(2, 3, (7, 9)), RNG.uniform(-5, -4, (7, 9))):
        assert_compiled(typed(made, UINT8, FLOAT, UINT8), {"x": x.astype(np.float32)}, tmp_path)


@pytest.mark.parametrize(("operator", "form"), [("Div", {}), ("Mod", {}), ("Mod", {"fmod": 1})])
def test_integer_division(operator: str, form: dict[str, Any], tmp_path: Path) -> None:
    a = np.concatenate([RNG.integers(-1000, 1000, 50), [-(1 << 31), (1 << 31) - 1]]).astype(np.int32)
    b = RNG.choice([-7, -3, -2, 2, 3, 5, 1 << 20], a.size).astype(np.int32)
    made = model(node(operator, ["a", "b"], ["y"], **form), inputs={"a": (INT32, a.shape), "b": (INT32, b.shape)})
    assert_compiled(typed(made, INT32), {"a": a, "b": b}, tmp_path)


def test_casts_wrap_around() -> None:
    x = np.array([0, 127, 128, 255, 256, 300, -1, -128, -129, 70000], np.int32)
    made = model(
        node("Cast", ["x"], ["a"], to=UINT8),
        node("Cast", ["x"], ["b"], to=INT8),
        node("Cast", ["a"], ["y"], to=FLOAT),
        node("Cast", ["b"], ["z"], to=FLOAT),
        inputs={"x": (INT32, x.shape)},
        outputs=("y", "z"),
    )
    assert_agrees(made, {"x": x})
