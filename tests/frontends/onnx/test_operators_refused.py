"""What operators do not take is refused by the node's name, with what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx import load
from tests.support.onnx_models import INT64, model, node

IMAGE = (1, 4, 6, 6)


@pytest.mark.parametrize(
    ("operator", "inputs", "constants", "form", "error", "message"),
    [
        ("Conv", {"w": (4, 4, 3, 3)}, {}, {}, UnsupportedError, "the input 'w' is computed by the model"),
        ("Conv", {}, {"w": np.ones((4, 4, 3))}, {}, ShapeError, "the kernel's rank does not fit"),
        ("Conv", {}, {"w": np.ones((4, 4, 3, 3))}, {"auto_pad": "same"}, ModelError, "'auto_pad' is wrong"),
        ("ConvTranspose", {}, {"w": np.ones((3, 4, 3, 3))}, {}, ShapeError, "the kernel does not fit"),
        ("MaxPool", {}, {}, {"kernel_shape": [3]}, ModelError, "'kernel_shape' is wrong"),
        ("MaxPool", {}, {}, {"kernel_shape": [5, 5], "dilations": [2, 2]}, ModelError, "the window is too large"),
        ("AveragePool", {}, {}, {"kernel_shape": [5, 5], "dilations": [2, 2]}, ModelError, "the window is too large"),
        ("LpPool", {}, {}, {"kernel_shape": [2, 2], "p": 0}, ModelError, "'p' is wrong"),
        ("Resize", {}, {"r": [], "s": [1.0, 2.0]}, {}, ModelError,
         "the sizes are wrong: expected scales or sizes of 4 axes"),
        ("Resize", {}, {"r": [], "s": [1.0, 1.0, 2.0, 0.1]}, {}, ModelError, "nothing is left"),
        ("Resize", {}, {"r": [], "s": [1.0, 1.0, 1e9, 1.0]}, {}, UnsupportedError, "the size is too large"),
        ("Resize", {}, {"r": [], "s": [1.0, 1.0, 2.0, 2.0]}, {"mode": "area"}, ModelError, "'mode' is wrong"),
        ("Resize", {}, {"r": [], "s": [1.0, 1.0, 2.0, 2.0]}, {"coordinate_transformation_mode": "tf_crop_and_resize"},
         ModelError, "'roi' is wrong"),
        ("Resize", {}, {"r": [], "s": [1.0, 1.0, 2.0, 2.0]}, {"antialias": 1}, ModelError, "'antialias' is wrong"),
        ("TopK", {}, {"k": [7]}, {"axis": 1}, ModelError, "'k' is wrong: expected 1 to 4, got 7"),
        ("TopK", {"k": (INT64, (1,))}, {}, {}, UnsupportedError, "the input 'given' is computed"),
        ("OneHot", {}, {"d": [0], "v": [0.0, 1.0]}, {}, ModelError, "'depth' or 'values' is wrong"),
        ("ScatterND", {"u": (1, 6, 6)}, {"i": [[0, 9]]}, {}, ShapeError, "an index is outside the axis"),
        ("ScatterND", {"i": (INT64, (1, 1)), "u": (1, 4, 6, 6)}, {}, {}, UnsupportedError, "'indices' is computed"),
        ("ScatterElements", {"u": (1, 1, 1, 1)}, {"i": [[[[7]]]]}, {}, ShapeError, "an index is outside the axis"),
        ("ReverseSequence", {}, {"n": [9]}, {"batch_axis": 0, "time_axis": 1}, ModelError, "the lengths are wrong"),
        ("GridSample", {"g": (2, 3, 3, 2)}, {}, {}, ShapeError, "the grid does not fit"),
        ("GridSample", {"g": (1, 3, 3, 2)}, {}, {"mode": "area"}, ModelError, "the mode is wrong"),
        ("RoiAlign", {"r": (2, 4)}, {"b": [0, 0]}, {}, UnsupportedError, "the number of samples depends on the data"),
        ("Einsum", {}, {}, {"equation": "nchw,ck->nk"}, ModelError, "wrong number of inputs"),
        ("Einsum", {}, {}, {"equation": "nch->nk"}, ShapeError, "a tensor does not fit"),
        ("IsInf", {}, {}, {"detect_negative": 0, "detect_positive": 0}, ModelError, "neither infinity is asked for"),
        ("Det", {}, {}, {}, UnsupportedError, "this determinant is not supported"),
        ("QuantizeLinear", {"s": (1,)}, {}, {"output_dtype": 7}, UnsupportedError, "this type is not supported"),
        ("LSTM", {}, {"w": np.ones((1, 8, 4)), "r": np.ones((1, 8, 2))}, {}, ShapeError, "the weights do not fit"),
        ("NonZero", {}, {}, {}, UnsupportedError, "the size of its output depends on the data"),
    ],
)  # fmt: skip
def test_refused(
    operator: str,
    inputs: dict[str, Any],
    constants: dict[str, Any],
    form: dict[str, Any],
    error: type[ConvcError],
    message: str,
) -> None:
    fixed = {name: np.asarray(value, np.float32) if isinstance(value, list) and not value else value
             for name, value in constants.items()}  # fmt: skip
    names = ["x", *constants, *inputs] if operator != "ScatterND" or "i" in constants else ["x", *inputs]
    made = model(node(operator, names, ["y"], name="it", **form), inputs={"x": IMAGE, **inputs}, constants=fixed)
    with pytest.raises(error, match=message) as caught:
        load(made)
    assert caught.value.problems[0].subject == f"node 'it' ({operator})"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"clip": 3.0}, "'clip' is not supported"),
        ({"input_forget": 1}, "'input_forget' is not supported"),
        ({"activations": ["Sigmoid", "Tanh", "Relu"]}, "different second and third activations"),
        ({"activations": ["Sigmoid", "Tanh", "Affine"]}, "this activation is not supported"),
    ],
)
def test_cells_refused(form: dict[str, Any], message: str) -> None:
    constants = {"w": np.ones((1, 8, 4), np.float32), "r": np.ones((1, 8, 2), np.float32)}
    made = model(
        node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2, **form), inputs={"x": (3, 1, 4)}, constants=constants
    )
    with pytest.raises(UnsupportedError, match=message):
        load(made)
