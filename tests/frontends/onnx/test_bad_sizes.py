"""Sizes that are negative or huge, in inputs, constants and nodes: little time and memory are taken to refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from convc.frontends.onnx import fold
from tests.support.bounded import bounded  # noqa: F401
from tests.support.onnx_models import conv, model, node, refused

HUGE = 1 << 40


@pytest.mark.parametrize("size", [-1, -(1 << 62)])
def test_negative_sizes(size: int) -> None:
    refused(
        model(node("Relu", ["x"], ["y"]), inputs={"x": (2, size)}), f"input 'x': a size is negative: got (2, {size})"
    )
    made = conv()
    made.graph.initializer[0].dims[0] = size
    refused(made, "initializer 'w': the tensor 'w' has a negative size")


@pytest.mark.parametrize("size", [HUGE, (1 << 63) - 1])
def test_huge_sizes(size: int) -> None:
    refused(model(node("Relu", ["x"], ["y"]), inputs={"x": (2, size)}), "input 'x' (Input): the output is too large")
    refused(model(node("Relu", ["x"], ["y"]), inputs={"x": ("N", 2)}), "is too large", input_shapes={"x": (size, 2)})
    made = conv()
    made.graph.initializer[0].dims[0] = size
    refused(made, "initializer 'w': the tensor 'w' is too large")


GROWING: dict[str, tuple[onnx.NodeProto, dict[str, Any]]] = {
    "ConstantOfShape": (node("ConstantOfShape", ["n"], ["c"], name="g"), {"n": [HUGE]}),
    "ConstantOfShape of two": (node("ConstantOfShape", ["n"], ["c"], name="g"), {"n": [1 << 20, 1 << 20]}),
    "ConstantOfShape, negative": (node("ConstantOfShape", ["n"], ["c"], name="g"), {"n": [-3]}),
    "ConstantOfShape, overflow": (node("ConstantOfShape", ["n"], ["c"], name="g"), {"n": [1 << 32, 1 << 32]}),
    "Expand": (node("Expand", ["a", "n"], ["c"], name="g"), {"a": [1.0], "n": [HUGE]}),
    "Tile": (node("Tile", ["a", "n"], ["c"], name="g"), {"a": [1.0], "n": [HUGE]}),
    "Tile, negative": (node("Tile", ["a", "n"], ["c"], name="g"), {"a": [1.0], "n": [-HUGE]}),
    "Range": (node("Range", ["a", "n", "b"], ["c"], name="g"),
              {"a": np.int64(0), "n": np.int64(HUGE), "b": np.int64(1)}),
    "Range of fractions": (node("Range", ["a", "n", "b"], ["c"], name="g"),
                           {"a": np.float32(0), "n": np.float32(1), "b": np.float32(1e-30)}),
    "Range by nothing": (node("Range", ["a", "n", "b"], ["c"], name="g"),
                         {"a": np.float32(0), "n": np.float32(1), "b": np.float32(0)}),
    "Range to infinity": (node("Range", ["a", "n", "b"], ["c"], name="g"),
                          {"a": np.float32(0), "n": np.float32("inf"), "b": np.float32(1)}),
    "Pad": (node("Pad", ["a", "n"], ["c"], name="g"), {"a": [1.0], "n": [HUGE, HUGE]}),
    "OneHot": (node("OneHot", ["a", "n", "v"], ["c"], name="g"),
               {"a": [0], "n": np.int64(HUGE), "v": [0.0, 1.0]}),
    "outer sum": (node("Add", ["a", "b"], ["c"], name="g"),
                  {"a": np.ones((1 << 15, 1), np.float32), "b": np.ones((1, 1 << 15), np.float32)}),
    "Gather": (node("Gather", ["a", "n"], ["c"], name="g"),
               {"a": np.ones((1, 1 << 15), np.float32), "n": np.zeros(1 << 15, np.int64)}),
    "Einsum": (node("Einsum", ["a", "b"], ["c"], name="g", equation="i,j->ij"),
               {"a": np.ones(1 << 21, np.float32), "b": np.ones(1 << 21, np.float32)}),
    "MatMul": (node("MatMul", ["a", "b"], ["c"], name="g"),
               {"a": np.ones((1 << 21, 1), np.float32), "b": np.ones((1, 1 << 21), np.float32)}),
    "shifts": (node("BitShift", ["a", "n"], ["c"], name="g", direction="UP"), {"a": [1.0], "n": [HUGE]}),
}  # fmt: skip
"""Constants that are too large, or cannot be computed."""


@pytest.mark.parametrize("name", GROWING)
def test_constants_that_grow(name: str) -> None:
    growing, constants = GROWING[name]
    made = model(growing, node("Add", ["x", "c"], ["y"]), inputs={"x": (1,)}, constants=constants)
    refused(made, f"node 'g' ({growing.op_type})")


def test_constants_that_grow_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MAX_ELEMENTS", 1 << 22)
    nodes = [node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0, name=f"step{i}") for i in range(60)]
    made = model(*nodes, node("Add", ["x", "c60"], ["y"]), inputs={"x": (1,)}, constants={"c0": np.ones(1 << 19, bool)})
    refused(made, "node 'step3' (Concat): a constant is too large")
    monkeypatch.setattr(fold, "MAX_TOTAL", 1 << 21)
    refused(made, "node 'step1' (Concat): the model's constants are too large")


RUNNING: dict[str, tuple[onnx.NodeProto, dict[str, Any]]] = {
    "Expand": (node("Expand", ["x", "n"], ["y"], name="g"), {"n": [HUGE, 1, 1, 1]}),
    "Expand, negative": (node("Expand", ["x", "n"], ["y"], name="g"), {"n": [-2]}),
    "Expand over many axes": (node("Expand", ["x", "n"], ["y"], name="g"), {"n": [1] * 1000 + [2, 2]}),
    "Tile": (node("Tile", ["x", "n"], ["y"], name="g"), {"n": [HUGE, 1, 1, 1]}),
    "Tile, negative": (node("Tile", ["x", "n"], ["y"], name="g"), {"n": [-1, 1, 1, 1]}),
    "Reshape": (node("Reshape", ["x", "n"], ["y"], name="g"), {"n": [HUGE, -1]}),
    "Reshape, negative": (node("Reshape", ["x", "n"], ["y"], name="g"), {"n": [-5, -1]}),
    "Pad": (node("Pad", ["x", "n"], ["y"], name="g"), {"n": [0, 0, HUGE, 0, 0, 0, 0, 0]}),
    "Pad, reflected": (node("Pad", ["x", "n"], ["y"], name="g", mode="reflect"), {"n": [0, 0, HUGE, 0, 0, 0, 0, 0]}),
    "Pad, edge": (node("Pad", ["x", "n"], ["y"], name="g", mode="edge"), {"n": [0, 0, 1 << 34, 0, 0, 0, 0, 0]}),
    "Pad, wrapped": (node("Pad", ["x", "n"], ["y"], name="g", mode="wrap"), {"n": [0, 0, 1 << 34, 0, 0, 0, 0, 0]}),
    "Pad, cut off": (node("Pad", ["x", "n"], ["y"], name="g"), {"n": [0, 0, -HUGE, 0, 0, 0, 0, 0]}),
    "Pad, reflected and cut off": (node("Pad", ["x", "n"], ["y"], name="g", mode="reflect"),
                                   {"n": [0, 0, -HUGE, 0, 0, 0, 0, 0]}),
    "Slice by nothing": (node("Slice", ["x", "a", "n", "a", "a"], ["y"], name="g"), {"a": [0], "n": [HUGE]}),
    "Gather": (node("Gather", ["x", "n"], ["y"], name="g"), {"n": [HUGE]}),
    "Gather along": (node("Gather", ["x", "n"], ["y"], name="g", axis=HUGE), {"n": [0]}),
    "Split": (node("Split", ["x", "n"], ["y"], name="g"), {"n": [HUGE, -HUGE + 1]}),
    "Split in many": (node("Split", ["x"], ["y"], name="g", num_outputs=HUGE), {}),
    "Split in none": (node("Split", ["x"], ["y"], name="g", num_outputs=0), {}),
    "Split in minus one": (node("Split", ["x"], ["y"], name="g", num_outputs=-1), {}),
    "Unsqueeze": (node("Unsqueeze", ["x", "n"], ["y"], name="g"), {"n": [HUGE]}),
    "Unsqueeze a lot": (node("Unsqueeze", ["x", "n"], ["y"], name="g"), {"n": list(range(1000))}),
    "Squeeze": (node("Squeeze", ["x", "n"], ["y"], name="g"), {"n": [2]}),
    "Transpose": (node("Transpose", ["x"], ["y"], name="g", perm=[0, 0, 1, HUGE]), {}),
    "Transpose, too few": (node("Transpose", ["x"], ["y"], name="g", perm=[1, 0]), {}),
    "Concat": (node("Concat", ["x", "n"], ["y"], name="g", axis=1), {"n": np.ones((1, 1, 1, 1), np.float32)}),
    "Concat of nothing": (node("Concat", [], ["y"], name="g", axis=1), {}),
    "Flatten": (node("Flatten", ["x"], ["y"], name="g", axis=HUGE), {}),
    "ReduceSum": (node("ReduceSum", ["x", "n"], ["y"], name="g"), {"n": [HUGE]}),
    "Softmax": (node("Softmax", ["x"], ["y"], name="g", axis=-HUGE), {}),
    "DepthToSpace": (node("DepthToSpace", ["x"], ["y"], name="g", blocksize=HUGE), {}),
    "DepthToSpace by none": (node("DepthToSpace", ["x"], ["y"], name="g", blocksize=0), {}),
    "SpaceToDepth": (node("SpaceToDepth", ["x"], ["y"], name="g", blocksize=-2), {}),
    "LRN": (node("LRN", ["x"], ["y"], name="g", size=-HUGE), {}),
    "MaxPool": (node("MaxPool", ["x"], ["y"], name="g", kernel_shape=[HUGE, HUGE]), {}),
    "MaxPool by none": (node("MaxPool", ["x"], ["y"], name="g", kernel_shape=[0, 0]), {}),
    "MaxPool, strides": (node("MaxPool", ["x"], ["y"], name="g", kernel_shape=[2, 2], strides=[0, 1]), {}),
    "MaxPool, pads": (node("MaxPool", ["x"], ["y"], name="g", kernel_shape=[2, 2], pads=[HUGE] * 4), {}),
    "MaxPool, dilations": (node("MaxPool", ["x"], ["y"], name="g", kernel_shape=[2, 2], dilations=[HUGE, 1]), {}),
    "AveragePool": (node("AveragePool", ["x"], ["y"], name="g", kernel_shape=[2, 2], pads=[HUGE] * 4), {}),
    "Resize": (node("Resize", ["x", "", "", "n"], ["y"], name="g"), {"n": [1, 1, HUGE, HUGE]}),
    "Resize by": (node("Resize", ["x", "", "n"], ["y"], name="g"), {"n": [1.0, 1.0, 1e30, 1.0]}),
    "Resize by nothing": (node("Resize", ["x", "", "n"], ["y"], name="g"), {"n": [1.0, 1.0, 0.0, 1.0]}),
    "Resize by NaN": (node("Resize", ["x", "", "n"], ["y"], name="g"), {"n": [1.0, 1.0, float("nan"), 1.0]}),
    "OneHot": (node("OneHot", ["x", "n", "v"], ["y"], name="g"), {"n": np.int64(HUGE), "v": [0.0, 1.0]}),
    "TopK": (node("TopK", ["x", "n"], ["y"], name="g"), {"n": [HUGE]}),
    "Einsum": (node("Einsum", ["x", "x"], ["y"], name="g", equation="abcd,efgh->abcdefgh" * 3), {}),
    "Gemm": (node("Gemm", ["x", "x"], ["y"], name="g"), {}),
    "Clip": (node("Clip", ["x", "n"], ["y"], name="g"), {"n": [1.0, 2.0, 3.0]}),
}  # fmt: skip
"""Nodes on an input of 1, 4, 6, 6 that are wrong."""


@pytest.mark.parametrize("name", RUNNING)
def test_nodes_that_are_wrong(name: str) -> None:
    wrong, constants = RUNNING[name]
    refused(model(wrong, inputs={"x": (1, 4, 6, 6)}, constants=constants), f"node 'g' ({wrong.op_type})")
