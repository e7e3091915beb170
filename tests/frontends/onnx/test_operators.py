"""What the node tests do not see of operators: older opsets, uncommon attributes, channels that are not alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from convc import ops
from convc.frontends.onnx import load
from tests.support.onnx_judge import assert_agrees, by_reference, judged
from tests.support.onnx_models import FLOAT, INT64, assert_same, model, node

RNG = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return RNG.standard_normal(shape, np.float32)


IMAGE = normal(2, 6, 9, 7)


@pytest.mark.parametrize(
    ("opset", "made", "constants"),
    [
        (7, node("Clip", ["x"], ["y"], min=-0.5, max=0.25), {}),
        (7, node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0], mode="nearest"), {}),
        (9, node("Upsample", ["x", "s"], ["y"], mode="linear"), {"s": [1.0, 1.0, 2.0, 2.0]}),
        (10, node("Resize", ["x", "s"], ["y"], mode="nearest"), {"s": [1.0, 1.0, 1.5, 0.6]}),
        (10, node("Resize", ["x", "s"], ["y"], mode="linear"), {"s": [1.0, 1.0, 2.0, 0.5]}),
        (9, node("Slice", ["x"], ["y"], starts=[1, -4], ends=[1000, -1], axes=[1, 3]), {}),
        (11, node("Softmax", ["x"], ["y"], axis=2), {}),
        (11, node("LogSoftmax", ["x"], ["y"]), {}),
        (11, node("Hardmax", ["x"], ["y"], axis=2), {}),
        (8, node("TopK", ["x"], ["y", "i"], axis=1, k=3), {}),
        (10, node("TopK", ["x", "k"], ["y", "i"], axis=2), {"k": [4]}),
        (10, node("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 0, 0, 3], value=2.5), {}),
        (10, node("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 0, 2, 3], mode="reflect"), {}),
        (11, node("ReduceSum", ["x"], ["y"], axes=[1, -1], keepdims=0), {}),
        (13, node("ReduceMean", ["x"], ["y"], axes=[2]), {}),
        (11, node("Unsqueeze", ["x"], ["y"], axes=[0, -1]), {}),
        (11, node("Split", ["x"], ["y", "z"], axis=1, split=[2, 4]), {}),
        (7, node("Dropout", ["x"], ["y"], ratio=0.3), {}),
        (13, node("Dropout", ["x"], ["y", "m"]), {}),
        (18, node("GroupNormalization", ["x", "g", "b"], ["y"], num_groups=3),
         {"g": [1.0, -2.0, 0.5], "b": [0.1, 0.2, 0.3]}),
        (21, node("GroupNormalization", ["x", "g", "b"], ["y"], num_groups=2),
         {"g": [1.0, -2.0, 0.5, 3.0, 1.5, 2.0], "b": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}),
    ],
)  # fmt: skip
def test_opsets(opset: int, made: onnx.NodeProto, constants: dict[str, Any]) -> None:
    given = {name: np.array(value, np.int64 if isinstance(value[0], int) else np.float32)
             for name, value in constants.items()}  # fmt: skip
    outputs = [name for name in made.output if name != "m"]
    graph = model(made, inputs={"x": IMAGE.shape}, outputs=outputs, constants=given, opset=opset)
    for item in graph.graph.output:
        item.type.tensor_type.elem_type = INT64 if item.name == "i" else FLOAT
    assert_agrees(graph, {"x": IMAGE})


WEIGHTS = normal(6, 3, 3, 4)
"""In channels, out channels / groups, height, width."""


@pytest.mark.parametrize(
    "form",
    [
        {"group": 2},
        {"group": 1, "strides": [2, 3], "pads": [1, 0, 2, 1]},
        {"group": 3, "strides": [2, 2], "output_padding": [1, 0], "dilations": [2, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 3], "output_shape": [18, 20]},
        {"strides": [2, 3], "output_shape": [17, 21], "auto_pad": "SAME_UPPER"},
    ],
)
def test_transposed_convolutions(form: dict[str, Any]) -> None:
    constants = {"w": WEIGHTS, "b": normal(3 * form.get("group", 1))}
    made = model(node("ConvTranspose", ["x", "w", "b"], ["y"], **form), inputs={"x": IMAGE.shape}, constants=constants)
    assert_agrees(made, {"x": IMAGE})


@pytest.mark.parametrize(
    "form", [{"pads": [1, 1, 0, 1]}, {"auto_pad": "SAME_LOWER"}, {"ceil_mode": 1}, {"dilations": [2, 1]}]
)
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "counted", "LpPool"])
def test_pools(operator: str, form: dict[str, Any]) -> None:
    if operator == "counted":
        operator, form = "AveragePool", {**form, "count_include_pad": 1}
    made = model(
        node(operator, ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 2], **form), inputs={"x": IMAGE.shape}, opset=19
    )
    assert_agrees(made, {"x": IMAGE})


@pytest.mark.parametrize("order", [0, 1])
def test_places_of_maxima(order: int) -> None:
    form: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "storage_order": order}
    made = model(node("MaxPool", ["x"], ["y", "i"], **form), inputs={"x": IMAGE.shape}, outputs=("y", "i"))
    made.graph.output[1].type.tensor_type.elem_type = INT64
    assert_agrees(made, {"x": IMAGE})


@pytest.mark.parametrize("transformation", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize(
    "form",
    [
        {"mode": "nearest", "nearest_mode": "floor"},
        {"mode": "nearest", "nearest_mode": "ceil"},
        {"mode": "nearest", "nearest_mode": "round_prefer_floor"},
        {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
        {"mode": "linear"},
        {"mode": "cubic"},
        {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1},
        {"mode": "linear", "antialias": 1},
        {"mode": "cubic", "antialias": 1},
    ],
)
@pytest.mark.parametrize("sizes", [[2, 6, 18, 14], [2, 6, 4, 5], [2, 6, 1, 20]])
def test_sizes(sizes: list[int], form: dict[str, Any], transformation: str) -> None:
    made = model(
        node("Resize", ["x", "", "", "s"], ["y"], coordinate_transformation_mode=transformation, **form),
        inputs={"x": IMAGE.shape},
        constants={"s": sizes},
    )
    assert_agrees(made, {"x": IMAGE})


def test_resizing_moves_channels_once() -> None:
    made = model(node("Resize", ["x", "", "s"], ["y"], mode="linear"), inputs={"x": IMAGE.shape},
                 constants={"s": [1.0, 1.0, 2.0, 2.0]})  # fmt: skip
    kinds = [n.op.kind for n in load(made).nodes if not isinstance(n.op, ops.Input | ops.Constant)]
    assert kinds == ["Transpose", "ResampleSum", "Transpose"]


SEQUENCE = normal(5, 3, 4)
"""Steps, batch, features."""


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lengths", [None, [5, 2, 3]])
@pytest.mark.parametrize(
    ("operator", "gates", "form"),
    [
        ("RNN", 1, {"activations": ["Relu"]}),
        ("GRU", 3, {}),
        ("GRU", 3, {"linear_before_reset": 1}),
        ("LSTM", 4, {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.25],
                     "activation_beta": [0.4]}),
    ],
)  # fmt: skip
def test_sequences(operator: str, gates: int, form: dict[str, Any], lengths: list[int] | None, direction: str) -> None:
    count, units = (2 if direction == "bidirectional" else 1), 6
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    if "activations" in form:
        form = {**form, "activations": form["activations"] * count}
    if "activation_alpha" in form:
        form = {**form, "activation_alpha": form["activation_alpha"] * count,
                "activation_beta": form["activation_beta"] * count}  # fmt: skip
    constants: dict[str, Any] = {
        "w": normal(count, gates * units, 4) / 2, "r": normal(count, gates * units, units) / 2,
        "b": normal(count, 2 * gates * units), **{name: normal(count, 3, units) for name in states},
    }  # fmt: skip
    if lengths is not None:
        constants["n"] = np.array(lengths, np.int32)
    outputs = ["y", *(f"y_{name}" for name in states)]
    inputs = ["x", "w", "r", "b", "n" if lengths else "", *states]
    made = node(operator, inputs, outputs, hidden_size=units, direction=direction, **form)
    graph = model(made, inputs={"x": SEQUENCE.shape}, outputs=outputs, constants=constants)
    assert_agrees(graph, {"x": SEQUENCE})


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("nchw,ocw->nohc", [(2, 3, 4, 5), (6, 3, 5)]),
        ("nchw->nwc", [(2, 3, 4, 5)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 6)]),
        ("nchw,nkhw", [(2, 3, 4, 5), (2, 7, 4, 5)]),
        ("iijj->ij", [(3, 3, 4, 4)]),
    ],
)
def test_equations(equation: str, shapes: list[tuple[int, ...]]) -> None:
    names = ["a", "b"][: len(shapes)]
    inputs = dict(zip(names, shapes, strict=True))
    assert_same(model(node("Einsum", names, ["y"], equation=equation), inputs=inputs))


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_grids_far_outside(aligned: int, mode: str, padding: str) -> None:
    """With a cubic kernel onnxruntime does not move places to the border first, as the package's reference does."""
    grid = RNG.uniform(-4, 4, (2, 5, 4, 2)).astype(np.float32)
    made = model(
        node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=padding, align_corners=aligned),
        inputs={"x": IMAGE.shape, "g": grid.shape},
        opset=20,
    )
    by_package = (mode, padding) == ("cubic", "border")
    assert_agrees(made, {"x": IMAGE, "g": grid}, judge=by_reference if by_package else judged)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_updates_of_one_element(reduction: str) -> None:
    """In their order, and as often as they come."""
    indices = np.array([[1], [4], [-1]] if reduction == "none" else [[1], [4], [1], [-1], [1], [4]])
    made = model(
        node("ScatterND", ["x", "i", "u"], ["y"], reduction=reduction),
        inputs={"x": (6, 5), "u": (len(indices), 5)},
        constants={"i": indices},
    )
    assert_agrees(made, {"x": normal(6, 5), "u": normal(len(indices), 5)})


def test_indices_that_are_computed() -> None:
    made = model(node("GatherND", ["x", "i"], ["y"], batch_dims=1), inputs={"x": (2, 3, 4, 5), "i": (INT64, (2, 6, 2))})
    indices = np.stack([RNG.integers(-3, 3, (2, 6)), RNG.integers(-4, 4, (2, 6))], axis=-1)
    assert_agrees(made, {"x": normal(2, 3, 4, 5), "i": indices})
