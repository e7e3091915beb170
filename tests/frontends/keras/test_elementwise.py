"""Elementwise functions of keras.ops, on tensors, constants and integers: against Keras, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError, UnsupportedError
from convc.frontends.keras import load
from convc.ir import DType
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras

L, k = keras.layers, keras.ops
VECTOR = np.array([0.5, -2.0, 3.0], np.float32)
FLOAT = "float32"


def assert_computes(function: Callable[..., Any], tmp_path: Path, inputs: int = 1, *, batch: int = 2) -> Any:
    """What `function` makes of inputs of (4, 3) is what Keras makes of them. Returns the graph."""
    tensors = [keras.Input((4, 3), name=f"x{place}") for place in range(inputs)]
    outputs = function(*tensors)
    return assert_same(keras.Model(tensors, outputs), tmp_path, batch=batch)


def positive(x: Any) -> Any:
    return k.abs(x) + 0.01


def within_one(x: Any) -> Any:
    return k.tanh(x) * 0.97


ANY = (
    "abs absolute angle arcsinh arctan cbrt ceil conj cos cosh deg2rad erf erfc exp exp2 expm1 fabs floor nan_to_num "
    "negative rad2deg real reciprocal round sign sin sinc sinh square tan tanh trunc"
)
DOMAINS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(["arccos", "arcsin", "arctanh", "erfinv", "log1p"], within_one),
    **dict.fromkeys(["log", "log10", "log2", "rsqrt", "sqrt"], positive),
    "arccosh": lambda x: positive(x) + 1.0,
}


@pytest.mark.parametrize("name", [*ANY.split(), *DOMAINS])
def test_functions_of_one_tensor(name: str, tmp_path: Path) -> None:
    function, domain = getattr(k, name), DOMAINS.get(name, lambda x: x)
    assert_computes(lambda x: function(domain(x)), tmp_path)


NEURAL: dict[str, tuple[dict[str, Any], ...]] = {
    "celu": ({}, {"alpha": 0.5}, {"alpha": -2.0}),
    "elu": ({}, {"alpha": 2.0}),
    "gelu": ({}, {"approximate": False}, {"approximate": True}),
    "glu": ({"axis": 1}, {"axis": -2}),
    "hard_shrink": ({}, {"threshold": 0.2}),
    "hard_sigmoid": ({},),
    "hard_silu": ({},),
    "hard_tanh": ({},),
    "leaky_relu": ({}, {"negative_slope": 0.3}, {"negative_slope": -0.3}),
    "log_sigmoid": ({},),
    "log_softmax": ({}, {"axis": 1}, {"axis": (1, 2)}, {"axis": None}),
    "relu": ({},),
    "relu6": ({},),
    "selu": ({},),
    "sigmoid": ({},),
    "silu": ({},),
    "soft_shrink": ({}, {"threshold": 0.2}),
    "softmax": ({}, {"axis": 1}, {"axis": (1, -1)}, {"axis": None}, {"axis": 0}),
    "softplus": ({},),
    "softsign": ({},),
    "sparse_plus": ({},),
    "sparse_sigmoid": ({},),
    "sparsemax": ({}, {"axis": 1}, {"axis": 0}),
    "squareplus": ({}, {"b": 2}, {"b": 0.0}),
    "tanh_shrink": ({},),
    "threshold": ({"threshold": 0.1, "default_value": 20.0},),
}


@pytest.mark.parametrize("name", NEURAL)
def test_activations_and_their_arguments(name: str, tmp_path: Path) -> None:
    function = getattr(k, name)
    assert_computes(lambda x: [function(x, **arguments) for arguments in NEURAL[name]], tmp_path)


def test_relu_of_keras_activations(tmp_path: Path) -> None:
    relu = keras.activations.relu
    assert_computes(
        lambda x: [relu(x, negative_slope=0.1, max_value=1.0, threshold=0.5), relu(x, max_value=6), relu(x)], tmp_path
    )


def test_sparsemax_with_equal_elements_and_large_ones(tmp_path: Path) -> None:
    assert_computes(lambda x: [k.sparsemax(k.round(x)), k.sparsemax(x * 20.0), k.sparsemax(x * 0.0)], tmp_path)


PAIRS = (
    "add arctan2 divide divide_no_nan floor_divide fmax fmin fmod logaddexp logaddexp2 maximum minimum mod multiply "
    "subtract true_divide"
)


@pytest.mark.parametrize("name", PAIRS.split())
def test_functions_of_two_tensors(name: str, tmp_path: Path) -> None:
    function = getattr(k, name)

    def outputs(x: Any, y: Any) -> list[Any]:
        low = L.Reshape((12,))(y)[:, :3]
        return [
            function(x, y), function(x, 1.7), function(2, y), function(VECTOR, y), function(x, k.expand_dims(low, 1)),
        ]  # fmt: skip

    assert_computes(outputs, tmp_path, 2)


def test_functions_that_take_tensors_only(tmp_path: Path) -> None:
    assert_computes(lambda x, y: [k.hypot(x, y), k.hypot(x * 0.0, y * 0.0), k.heaviside(k.round(x), y)], tmp_path, 2)


def test_division_by_zero(tmp_path: Path) -> None:
    graph = assert_computes(lambda x, y: k.divide_no_nan(x, k.round(y)), tmp_path, 2)
    ones = np.ones((2, 4, 3), np.float32)
    assert not ops.evaluate(graph, {"x0": ones, "x1": 0 * ones})[graph.outputs[0]].any()


def test_powers(tmp_path: Path) -> None:
    """Products, roots and quotients where the exponent is a number that they give."""
    graph = assert_computes(
        lambda x, y: [
            x**2, x**3, x**-1, x**-2, x**1, x**0, x**9, k.abs(x) ** 0.5, k.abs(x) ** -0.5, k.abs(x) ** 2.7, 2**x,
            k.power(k.abs(x), y), k.power(positive(x), VECTOR),
        ],
        tmp_path, 2,
    )  # fmt: skip
    kinds = [node.op.kind for node in graph.outputs]
    assert kinds[:4] == ["Square", "IntegerPower", "Reciprocal", "IntegerPower"]
    assert kinds[4:10] == ["Input", "IntegerPower", "Power", "Sqrt", "Rsqrt", "Power"]


def test_clip(tmp_path: Path) -> None:
    graph = assert_computes(
        lambda x: [k.clip(x, -0.5, 0.7), k.clip(x, None, 0.2), k.clip(x, 0.5, None), k.clip(x, 1, -1)], tmp_path
    )
    assert [node.op.kind for node in graph.outputs] == ["Clip"] * 4
    listed = load(model(operator("Clip", X, x_min=-1, x_max=[0.5, 1.0, 2.0, 3.0])))
    assert np.array_equal(evaluated(listed), [[0.5, 1.0, 2.0, 3.0]])
    assert load(model(operator("Clip", X, x_min=None, x_max=None))).outputs[0].op.kind == "Input"


def test_round_to_decimals(tmp_path: Path) -> None:
    assert_computes(lambda x: [k.round(x), k.round(x, 1), k.round(x * 100, -1), k.round(x * 2) / 2], tmp_path)


COMPARISONS = "equal greater greater_equal less less_equal not_equal"


@pytest.mark.parametrize("name", COMPARISONS.split())
def test_comparisons(name: str, tmp_path: Path) -> None:
    compare = getattr(k, name)

    def outputs(x: Any, y: Any) -> list[Any]:
        x, y = k.round(x), k.round(y)
        return [
            k.where(compare(x, y), x, y - 7.0), k.cast(compare(x, 0), FLOAT), k.cast(compare(1, x), FLOAT),
            k.where(compare(x, VECTOR), 2.0, y),
        ]  # fmt: skip

    assert_computes(outputs, tmp_path, 2, batch=3)


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_joining_truth_values(name: str, tmp_path: Path) -> None:
    join = getattr(k, name)
    assert_computes(
        lambda x, y: [
            k.where(join(x > 0, y > 0.5), x, y), k.cast(join(k.round(x), y < 0), FLOAT),
            x * k.cast(join(x > 0, k.logical_not(y > 0)), FLOAT), k.where(k.logical_not(k.round(x)), x, 9.0),
        ],
        tmp_path, 2,
    )  # fmt: skip


def test_truth_values_in_arithmetic(tmp_path: Path) -> None:
    """Two add up to a truth value, their numbers to a number."""
    assert_computes(
        lambda x, y: [
            (x > 0) * y, k.cast((x > 0) + (y > 0), FLOAT), k.cast(x > 0, FLOAT) + k.cast(y > 0, FLOAT),
            k.where(k.maximum(x > 0, y > 0), x, y), k.cast((x > 0) * (y > 0), FLOAT) + 1.0, (x > 0) + y,
            k.cast(k.cast(k.round(x), "bool"), FLOAT), k.cast(k.transpose(x > 0, (0, 2, 1)), FLOAT),
            k.where(k.reshape(x > 0, (-1, 12)), 1.0, k.reshape(y, (-1, 12))),
            k.cast(k.where(x > 0, y > 0, x > 1), FLOAT),
            k.cast(k.concatenate([x > 0, y > 0]) + k.concatenate([y > 0, y > 0]), FLOAT),
        ],
        tmp_path, 2,
    )  # fmt: skip


def test_select(tmp_path: Path) -> None:
    assert_computes(
        lambda x, y: [
            k.select([x > 0, y > 0], [x, y], 0.5), k.select([x > 0], [y]),
            k.select([x > 1, x > 0, x > -1], [x, y, x * y], y),
        ],
        tmp_path, 2,
    )  # fmt: skip


def test_what_is_not_finite(tmp_path: Path) -> None:
    names = ("isnan", "isinf", "isfinite", "isposinf", "isneginf")

    def outputs(x: Any, y: Any) -> list[Any]:
        x, y = k.round(x), k.round(y)
        values = x / y
        known = [k.cast(getattr(k, name)(values), FLOAT) for name in names]
        return [
            *known,
            k.nan_to_num(values, nan=3.0, posinf=7.0, neginf=-7.0),
            k.nan_to_num(values, posinf=1.0, neginf=0),
        ]

    graph = assert_computes(outputs, tmp_path, 2, batch=3)
    values = ops.evaluate(graph, {"x0": np.zeros((3, 4, 3), np.float32), "x1": np.zeros((3, 4, 3), np.float32)})
    assert values[graph.outputs[0]].all()


def test_nan_to_num_gives_the_largest_numbers() -> None:
    graph = load(model(operator("NanToNum", X, nan=0.0, posinf=None, neginf=None)))
    x = np.array([[np.inf, -np.inf, np.nan, 1.0]], np.float32)
    np.testing.assert_array_equal(ops.evaluate(graph, {"x": x})[graph.outputs[0]], np.nan_to_num(x).astype(np.float64))


def test_integers(tmp_path: Path) -> None:
    """They stay integers beside integers; quotients, roots and sums with fractions are floating point."""

    def outputs(x: Any, y: Any) -> list[Any]:
        m, n = k.cast(x * 5, "int32"), k.cast(y * 5, "int32")
        return [
            m + 1, m * n, 3 - m, k.maximum(m, n), k.minimum(m, 0), m + 0.5, m / 2,
            k.where(m > 1, x, 0.0), k.where(m > n, m, n), k.where(n, x, y), k.cast(k.equal(m, 2), FLOAT),
            k.sqrt(k.abs(x) + m * m), k.exp(m), k.cast(k.logical_not(m), FLOAT),
        ]  # fmt: skip

    graph = assert_computes(outputs, tmp_path, 2)
    kinds = [node.type.dtype for node in graph.outputs]
    assert kinds[:5] == [DType.INT32] * 5
    assert DType.INT32 not in kinds[5:8]


def operator(kind: str, *args: Any, **config: Any) -> Config:
    """An entry for a function of keras.ops that is called once."""
    entry = {**called(layer(kind, "op", **config)), "module": "keras.src.ops.numpy"}
    return {**entry, "inbound_nodes": [{"args": list(args), "kwargs": {}}]}


def model(entry: Config) -> Config:
    source = called(layer("InputLayer", "x", batch_shape=[None, 4]))
    return functional(source, entry, inputs=["x", 0, 0], outputs=["op", 0, 0])


def evaluated(graph: Any) -> Any:
    x = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    return ops.evaluate(graph, {"x": x})[graph.outputs[0]]


X = tensor("x")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (operator("Where", X), "the output's shape would depend on the input's values"),
        (operator("Where", X, X), "the output's shape would depend on the input's values"),
        (operator("Where", X, True, X), "the call argument is not supported"),
        (operator("Select", [X, X], [X], 0), "'choicelist' is wrong: expected 2 choices, got 1"),
        (operator("Select", X, [X], 0), "'condlist' is wrong: expected a list of tensors"),
        (operator("Round", X, decimals=1.5), "'decimals' is wrong: expected an integer from -30 to 30, got 1.5"),
        (operator("Round", X, decimals=10**9), "'decimals' is wrong"),
        (operator("Clip", X, x_min="a", x_max=1), "'x_min' is wrong"),
        (operator("Clip", X, x_min=[[1.0], 2.0], x_max=1), "'x_min' is wrong"),
        (operator("Clip", X, x_min=[0.0] * 3, x_max=1), "the inputs do not broadcast"),
        (operator("Power", X, [1.0, 2.0]), "the inputs do not broadcast"),
        (operator("Power", X, 1e39), "the call argument is not supported"),
        (operator("Celu", X, alpha=0), "'alpha' is wrong: expected a number that is not 0"),
        (operator("Elu", X, alpha="1"), "'alpha' is wrong: expected a finite number"),
        (operator("Gelu", X, approximate=1), "'approximate' is wrong: expected true or false"),
        (operator("Threshold", X, threshold=1.0), "'default_value' is wrong: expected a finite number, got nothing"),
        (operator("Glu", X, axis=2), "axis is outside the input: expected -2 to 1, got 2"),
        (operator("Glu", X, axis=0), "axis 0 has no two halves"),
        (operator("Softmax", X, axis=[0, 2]), "axis is outside the input"),
        (operator("LogSoftmax", X, axis="all"), "'axis' is wrong"),
        (operator("Sparsemax", X, axis=None), "'axis' is wrong"),
        (operator("NanToNum", X, nan="x"), "'nan' is wrong"),
        (operator("Signbit", X), "this function of keras.ops is not supported"),
        (operator("BitwiseAnd", X, X), "this function of keras.ops is not supported"),
    ],
)
def test_what_is_refused(entry: Config, message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(model(entry))
    assert str(caught.value).startswith(f"layer 'op' ({entry['class_name']}): ")


@pytest.mark.parametrize(
    "entry", [operator("Greater", X, 0.5), operator("LogicalNot", X), operator("Cast", X, dtype="bool")]
)
def test_truth_values_are_no_outputs(entry: Config) -> None:
    with pytest.raises(UnsupportedError, match=r"output 'op': it is of type bool.*keras.ops.cast.x, 'float32'"):
        load(model(entry))


def test_truth_values_have_no_difference(tmp_path: Path) -> None:
    x = keras.Input((4, 3))
    config = keras.Model(x, k.cast(k.subtract(x > 0, x > 1), FLOAT)).get_config()
    with pytest.raises(UnsupportedError, match=r"truth values have no difference .use keras.ops.logical_xor"):
        load({"class_name": "Functional", "config": config})
