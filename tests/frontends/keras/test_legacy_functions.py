"""Functions of TensorFlow in configs of tf.keras 2, against the functions of keras.ops and NumPy that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError, UnsupportedError
from convc.frontends.keras import load
from tests.support.configs import Config
from tests.support.keras import keras
from tests.tolerances import assert_close

K = keras.ops
X, Y = ["x", 0, 0], ["y", 0, 0]
SHAPE = (2, 4, 6, 8)


def source(name: str) -> Config:
    config = {
        "batch_input_shape": [None, *SHAPE[1:]],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
        "name": name,
    }
    return {"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []}


def model(*entries: Config, output: int = 0) -> Config:
    return {
        "class_name": "Functional", "keras_version": "2.9.0",
        "config": {"name": "old", "layers": [source("x"), source("y"), *entries], "input_layers": [X, Y],
                   "output_layers": [[entries[-1]["name"], 0, output]]},
    }  # fmt: skip


def function(name: str, node: Any) -> Config:
    config = {"name": f"tf.{name}", "trainable": True, "dtype": "float32", "function": name}
    return {"class_name": "TFOpLambda", "config": config, "name": f"tf.{name}", "inbound_nodes": [node]}


def sliced(spec: Any) -> Config:
    config = {"name": "slice", "trainable": True, "dtype": "float32", "function": "__operators__.getitem"}
    return {
        "class_name": "SlicingOpLambda",
        "config": config,
        "name": "slice",
        "inbound_nodes": [[*X, {"slice_spec": spec}]],
    }


def of_graph(op: str, *inputs: Any, attr: Any = None, **constants: Any) -> Config:
    node = {"name": op, "op": op, "input": [], "attr": {"T": {"type": "DT_FLOAT"}, **(attr or {})}}
    config = {"name": op, "trainable": True, "dtype": "float32", "node_def": node,
              "constants": {key[1:]: value for key, value in constants.items()}}  # fmt: skip
    nodes = [[[*tensor, {}] for tensor in inputs]]
    return {"class_name": "TensorFlowOpLayer", "config": config, "name": f"tf_op_layer_{op}", "inbound_nodes": nodes}


def arrays() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-2, 2, (2, *SHAPE)).astype(np.float32)
    return x, y


def evaluate(config: Config) -> Any:
    graph = load(config, batch=SHAPE[0])
    x, y = arrays()
    return ops.evaluate(graph, {"x": x, "y": y})[graph.outputs[0]]


ROW = np.arange(1.0, 9.0, dtype=np.float32)
CASES: list[tuple[Any, Callable[[Any, Any], Any]]] = [
    (function("__operators__.add", [*X, {"y": Y, "name": None}]), lambda x, y: x + y),
    (function("math.add", [*X, {"y": 2.5, "name": None}]), lambda x, y: x + 2.5),
    (function("math.multiply", [*X, {"y": ROW.tolist()}]), lambda x, y: x * ROW),
    (function("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": X}]), lambda x, y: 1 - x),
    (function("__operators__.rsub", [*X, {"x": 3.0}]), lambda x, y: 3 - x),
    (function("math.truediv", [*X, {"y": 4.0}]), lambda x, y: x / 4),
    (function("math.maximum", [*X, {"y": Y}]), lambda x, y: K.maximum(x, y)),
    (function("nn.relu", [*X, {"name": None}]), lambda x, y: K.relu(x)),
    (function("nn.relu6", [*X, {}]), lambda x, y: K.relu6(x)),
    (function("nn.leaky_relu", [*X, {}]), lambda x, y: K.leaky_relu(x, 0.2)),
    (function("nn.leaky_relu", [*X, {"alpha": 0.1}]), lambda x, y: K.leaky_relu(x, 0.1)),
    (function("nn.gelu", [*X, {}]), lambda x, y: K.gelu(x, approximate=False)),
    (function("nn.silu", [*X, {"beta": 1.0}]), lambda x, y: K.silu(x)),
    (function("math.sigmoid", [*X, {}]), lambda x, y: K.sigmoid(x)),
    (function("math.tanh", [*X, {}]), lambda x, y: K.tanh(x)),
    (function("math.exp", [*X, {}]), lambda x, y: K.exp(x)),
    (function("math.abs", [*X, {}]), lambda x, y: K.abs(x)),
    (function("math.square", [*X, {}]), lambda x, y: x * x),
    (function("clip_by_value", [*X, {"clip_value_min": -1.0, "clip_value_max": 0.5}]), lambda x, y: K.clip(x, -1, 0.5)),
    (function("nn.softmax", [*X, {"axis": 1}]), lambda x, y: K.softmax(x, 1)),
    (
        function("math.reduce_mean", [*X, {"axis": [1, 2], "keepdims": True}]),
        lambda x, y: K.mean(x, (1, 2), keepdims=True),
    ),
    (function("math.reduce_sum", [*X, {"axis": -1}]), lambda x, y: K.sum(x, -1)),
    (function("math.reduce_max", [*X, {"axis": 1, "keepdims": False}]), lambda x, y: K.max(x, 1)),
    (function("math.l2_normalize", [*X, {"axis": -1}]), lambda x, y: x / np.sqrt((x * x).sum(-1, keepdims=True))),
    (function("concat", [[*X, {"axis": -1}], [*Y, {"axis": -1}]]), lambda x, y: K.concatenate([x, y], -1)),
    (function("stack", [[*X, {"axis": 1}], [*Y, {"axis": 1}]]), lambda x, y: K.stack([x, y], 1)),
    (function("split", [*X, {"num_or_size_splits": [1, 3, 4], "axis": 3}]), lambda x, y: x[..., :1]),
    (function("reshape", [*X, {"shape": [-1, 24, 8]}]), lambda x, y: x.reshape(-1, 24, 8)),
    (function("compat.v1.transpose", [*X, {"perm": [0, 3, 1, 2]}]), lambda x, y: x.transpose(0, 3, 1, 2)),
    (function("expand_dims", [*X, {"axis": 1}]), lambda x, y: x[:, None]),
    (function("tile", [*X, {"multiples": [1, 2, 1, 1]}]), lambda x, y: np.tile(x, (1, 2, 1, 1))),
    (
        function("compat.v1.pad", [*X, {"paddings": [[0, 0], [1, 2], [0, 1], [0, 0]]}]),
        lambda x, y: np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
    ),
    (
        function("compat.v1.pad", [*X, {"paddings": [[0, 0], [1, 2], [2, 1], [0, 0]], "mode": "REFLECT"}]),
        lambda x, y: np.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="reflect"),
    ),
    (function("reverse", [*X, {"axis": [2]}]), lambda x, y: x[:, :, ::-1]),
    (
        function("image.resize", [*X, {"size": [8, 3], "method": "bilinear"}]),
        lambda x, y: K.image.resize(x, (8, 3), "bilinear", data_format="channels_last"),
    ),
    (function("image.resize", [*X, {"size": [8, 12], "method": "nearest"}]), lambda x, y: x.repeat(2, 1).repeat(2, 2)),
    (
        function("nn.depth_to_space", [*X, {"block_size": 2}]),
        lambda x, y: x.reshape(2, 4, 6, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 12, 2),
    ),
    (
        function("nn.space_to_depth", [*X, {"block_size": 2, "data_format": "NHWC"}]),
        lambda x, y: x.reshape(2, 2, 2, 3, 2, 8).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 32),
    ),
    (function("linalg.matmul", [*X, {"b": np.eye(8).tolist()}]), lambda x, y: x),
    (
        sliced([{"start": None, "stop": None, "step": None}, {"start": 1, "stop": 3, "step": None}]),
        lambda x, y: x[:, 1:3],
    ),
    (sliced([{"class_name": "__ellipsis__", "config": {}}, 0]), lambda x, y: x[..., 0]),
    (
        sliced(
            {
                "class_name": "__tuple__",
                "items": [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}],
            }
        ),
        lambda x, y: x[..., ::-1],
    ),
    (of_graph("AddV2", X, Y), lambda x, y: x + y),
    (of_graph("Sub", X, _0=1.0), lambda x, y: 1 - x),
    (of_graph("Mul", X, _1=ROW.tolist()), lambda x, y: x * ROW),
    (
        of_graph("Mean", X, _1=[1, 2], attr={"keep_dims": {"b": True}, "Tidx": {"type": "DT_INT32"}}),
        lambda x, y: x.mean((1, 2), keepdims=True),
    ),
    (of_graph("ConcatV2", X, Y, _2=3, attr={"N": {"i": "2"}}), lambda x, y: np.concatenate([x, y], 3)),
    (of_graph("Relu6", X), lambda x, y: K.relu6(x)),
    (of_graph("Reshape", X, _1=[2, -1]), lambda x, y: x.reshape(2, -1)),
    (
        of_graph(
            "StridedSlice", X, _1=[0, 1], _2=[0, 3], _3=[1, 1], attr={"begin_mask": {"i": "1"}, "end_mask": {"i": "1"}}
        ),
        lambda x, y: x[:, 1:3],
    ),
    (
        of_graph(
            "StridedSlice",
            X,
            _1=[0, 2],
            _2=[0, 3],
            _3=[1, 1],
            attr={"ellipsis_mask": {"i": "1"}, "shrink_axis_mask": {"i": "2"}},
        ),
        lambda x, y: x[..., 2],
    ),
    (
        of_graph("ResizeNearestNeighbor", X, _1=[8, 12], attr={"half_pixel_centers": {"b": True}}),
        lambda x, y: x.repeat(2, 1).repeat(2, 2),
    ),
]


@pytest.mark.parametrize(("entry", "want"), CASES, ids=[f"{entry['name']}-{i}" for i, (entry, _) in enumerate(CASES)])
def test_functions_of_tensorflow(entry: Config, want: Callable[[Any, Any], Any]) -> None:
    assert_close(evaluate(model(entry)), np.asarray(want(*arrays())), "reference")


def test_the_outputs_of_a_split_are_those_of_its_sizes() -> None:
    split = function("split", [*X, {"num_or_size_splits": [1, 3, 4], "axis": 3}])
    x, _ = arrays()
    for output, part in enumerate(np.split(x, [1, 4], axis=3)):
        assert_close(evaluate(model(split, output=output)), part, "reference")


def test_functions_read_each_other_and_nested_models() -> None:
    inner = {
        "class_name": "Sequential",
        "name": "inner",
        "inbound_nodes": [[[*X, {}]]],
        "config": {
            "name": "inner",
            "layers": [{"class_name": "ReLU", "config": {"name": "relu", "batch_input_shape": [None, *SHAPE[1:]]}}],
        },
    }
    double = function("math.multiply", ["inner", 1, 0, {"y": 2.0}])
    added = function("__operators__.add", ["tf.math.multiply", 0, 0, {"y": ["inner", 1, 0]}])
    x, _ = arrays()
    assert_close(evaluate(model(inner, double, added)), 3 * np.maximum(x, 0), "reference")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (function("io.read_file", [*X, {}]), "the function tf.io.read_file is not supported"),
        (function("math.reduce_meen", [*X, {}]), "is reduce_mean"),
        (function("py_function", [*X, {}]), "the function tf.py_function is not supported"),
        ({**function("add", [*X, {}]), "config": {"function": 7}}, "the function tf.7 is not supported"),
        (
            function("image.resize", [*X, {"size": [2, 2], "method": "area"}]),
            "'method' is not supported: expected bilinear",
        ),
        (
            function("image.resize", [*X, {"size": [2, 2], "preserve_aspect_ratio": True}]),
            "'preserve_aspect_ratio' is not supported",
        ),
        (function("linalg.matmul", [*X, {"b": Y, "transpose_b": True}]), "the argument 'transpose_b' is not supported"),
        (function("nn.silu", [*X, {"beta": 2.0}]), "'beta' is not supported"),
        (function("split", [*X, {"num_or_size_splits": [1, "a"]}]), "'num_or_size_splits' is not supported"),
        (function("nn.depth_to_space", [*X, {"block_size": 2, "data_format": "NCHW_VECT_C"}]), "'data_format' is not"),
        (function("add", "x"), "a call is wrong"),
        (function("add", [["x", 0]]), "a call is wrong"),
        (of_graph("PyFunc", X), "the function tf.PyFunc is not supported"),
        (of_graph("ResizeBilinear", X, _1=[2, 2]), "only resizing with half-pixel centres"),
        (of_graph("StridedSlice", X, X, X, X), "the slice is not constant"),
        (of_graph("Relu", X, attr={"strange": {"i": "1"}}), "the attribute 'strange' of Relu"),
        ({**of_graph("Relu", X), "config": {"node_def": "\n\x04Relu"}}, "cannot be read: expected 'node_def' as JSON"),
    ],
)
def test_what_is_refused(entry: Config, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        evaluate(model(entry))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"layer '{entry['name']}' (")


def test_refusals_are_of_the_class_unsupported() -> None:
    with pytest.raises(UnsupportedError):
        evaluate(model(function("io.read_file", [*X, {}])))
