"""Reductions and norms of keras.ops against Keras, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras, predict, save
from tests.tolerances import assert_close

K = keras.ops
SHAPE = (4, 5, 3)
AXES: tuple[Any, ...] = (None, 1, -1, (1, 2), (2, -3), (0, 3), [1, 2, 3], (0, 1, 2, 3))
FORMS: list[dict[str, Any]] = [{"axis": axis, "keepdims": kept} for axis in AXES for kept in (False, True)]


def compare(folder: Path, *functions: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> None:
    """All functions of one input, in one model."""
    x = keras.Input(shape)
    assert_same(keras.Model(x, [function(x) for function in functions]), folder)


@pytest.mark.parametrize(
    "name", ["mean", "sum", "max", "min", "amax", "amin", "prod", "var", "std", "all", "any", "logsumexp"]
)
def test_reductions(name: str, tmp_path: Path) -> None:
    function = getattr(K, name)

    def of(form: dict[str, Any]) -> Callable[[Any], Any]:
        if name in ("all", "any"):
            return lambda x: K.cast(function(K.maximum(x, 0.0), **form), "float32")
        return lambda x: function(x, **form)

    truth = name in ("all", "any")  # a scalar that is cast has an axis here
    compare(
        tmp_path, *(of(form) for form in FORMS if not truth or form["keepdims"] or form["axis"] not in (None, AXES[-1]))
    )


@pytest.mark.parametrize("axis", [(1,), (1, 2), [0, 3], -1], ids=str)
def test_moments(axis: Any, tmp_path: Path) -> None:
    axes = [axis] if isinstance(axis, int) else axis
    compare(tmp_path, *(lambda x, i=i, k=k: K.moments(x, axes, keepdims=k)[i] for i in (0, 1) for k in (False, True)))


def test_the_extremes_with_an_initial_value(tmp_path: Path) -> None:
    compare(
        tmp_path,
        lambda x: K.max(x, axis=1, initial=0.5),
        lambda x: K.min(x, axis=(1, 2), initial=-0.5, keepdims=True),
        lambda x: K.max(x, initial=-100.0),
    )


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places(name: str, tmp_path: Path) -> None:
    function = getattr(K, name)
    forms = [(axis, kept) for axis in (None, 0, 1, -1) for kept in (False, True)]
    compare(tmp_path, *(lambda x, f=form: function(x, axis=f[0], keepdims=f[1]) for form in forms))
    compare(
        tmp_path, lambda x: function(K.floor(x), axis=1), lambda x: function(K.floor(x / 9.0), axis=-1), shape=(40, 3)
    )


NORMS: list[dict[str, Any]] = [
    {}, {"axis": (1,)}, {"axis": (1, 2)}, {"axis": (2, 3), "ord": "fro"}, {"axis": None, "keepdims": True},
    *({"axis": (-1,), "ord": order} for order in (1, 2, 3, 2.5, 0.5, -1, 0, math.inf, -math.inf)),
    *({"axis": axis, "ord": order, "keepdims": kept}
      for axis in ((1, 2), (3, 1), (-1, -2)) for order in (1, -1, math.inf, -math.inf) for kept in (False, True)),
]  # fmt: skip


def test_norms(tmp_path: Path) -> None:
    compare(tmp_path, *(lambda x, form=form: K.norm(x + 0.1, **form) for form in NORMS))


def test_norms_of_a_matrix(tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(3, 4))
    outputs = [K.norm(x, ord=order) for order in (None, "fro", 1, -1, math.inf, -math.inf)]
    assert_same(keras.Model(x, outputs), tmp_path, batch=3)


def test_normalize(tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = [
        {}, {"axis": 1}, {"axis": (1, 2)}, {"order": 1}, {"order": 3, "axis": 2}, {"axis": -2, "order": 4},
        {"epsilon": 2.5}, {"order": 1, "epsilon": 3.0},
    ]  # fmt: skip
    compare(tmp_path, *(lambda x, form=form: K.normalize(x, **form) for form in forms))


def test_normalisations_as_functions(tmp_path: Path) -> None:
    x, row = keras.Input(batch_shape=(2, *SHAPE)), np.array([0.5, -2.0, 3.0], np.float32)
    plane = np.linspace(-1, 2, 20, dtype=np.float32).reshape(4, 5)
    learnt = keras.layers.Dense(3)(K.mean(x, axis=(0, 1, 2), keepdims=True)[0, 0])[0]
    mean, variance = K.moments(x, axes=[0, 1, 2])
    outputs = [
        K.layer_normalization(x),
        K.layer_normalization(x, gamma=row, beta=learnt),
        K.layer_normalization(x, gamma=plane, beta=plane, axis=(1, 2), epsilon=0.1),
        K.layer_normalization(x, beta=plane[:, 0], axis=1),
        K.rms_normalization(x),
        K.rms_normalization(x, scale=row, epsilon=0.5),
        K.rms_normalization(x, scale=learnt, axis=(1, 3)),
        K.batch_normalization(x, K.convert_to_tensor(row), K.convert_to_tensor(row**2), axis=-1),
        K.batch_normalization(x, mean, variance, axis=3, offset=learnt, scale=K.convert_to_tensor(row), epsilon=0.01),
        K.batch_normalization(x, K.mean(x, (0, 1, 3)), K.var(x, (0, 1, 3)), 2, scale=K.convert_to_tensor(plane[0])),
    ]
    assert_same(keras.Model(x, outputs), tmp_path)


def test_sums_of_exponentials_that_overflow(tmp_path: Path) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, K.logsumexp(x, axis=1))
    values = np.array([[1000.0, 999.0, -1000.0, 0.0], [-1000.0, -1001.0, -1002.0, -1003.0]], np.float32)
    graph = load(save(model, tmp_path), batch=2)
    got = ops.evaluate(graph, {graph.inputs[0].name: values})[graph.outputs[0]]
    assert_close(got, predict(model, {"x": values})[0], "reference")


def operator(kind: str, module: str = "numpy", **config: Any) -> Config:
    """A model of one function, of an input of 2, 4, 3."""
    source = called(layer("InputLayer", "x", batch_shape=[2, 4, 3]))
    entry = {**called(layer(kind, "op", **config)), "module": f"keras.src.ops.{module}"}
    entry["inbound_nodes"] = [{"args": [tensor("x")], "kwargs": {}}]
    return functional(source, entry, inputs=["x", 0, 0], outputs=["op", 0, 0])


ORDER = "'ord' is not supported: expected None, a number for one axis, 'fro', 1, -1, inf or -inf for two"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (operator("Mean", axis=3), "axis is outside the input: expected -3 to 2, got 3"),
        (operator("Sum", axis=[0, -3]), "'axis' is wrong: expected different axes, one at least"),
        (operator("Sum", axis=[]), "'axis' is wrong"),
        (operator("Max", axis=1.0), "'axis' is wrong"),
        (operator("Min", axis="1"), "'axis' is wrong"),
        (operator("Var", axis=[[1]]), "'axis' is wrong"),
        (operator("Std", axis=1, keepdims="yes"), "'keepdims' is wrong"),
        (operator("Max", axis=1, initial="0"), "'initial' is wrong"),
        (operator("Max", axis=1, initial=1e300), "a number is too large"),
        (operator("Prod", dtype="int32"), "'dtype' is not supported: expected float32, got 'int32'"),
        (operator("Argmax", axis=[1]), "'axis' is wrong"),
        (operator("Argmin", axis=5), "axis is outside the input"),
        (operator("Moments", "nn", axes=[0], synchronized=True), "'synchronized' is not supported"),
        (operator("Moments", "nn", axes=None), "'axes' is wrong"),
        (operator("Norm", "linalg", ord=1), "'axis' is missing: expected one axis or two"),
        (operator("Norm", "linalg", axis=[0, 1], ord="nuc"), ORDER),
        (operator("Norm", "linalg", axis=[0, 1], ord=2), ORDER),
        (operator("Norm", "linalg", axis=[1], ord="fro"), ORDER),
        (operator("Norm", "linalg", axis=[1], ord=True), ORDER),
        (operator("Norm", "linalg", axis=[1], ord=math.nan), ORDER),
        (operator("Norm", "linalg", axis=[0, 1, 2], ord=1), ORDER),
        (operator("Norm", "linalg", axis=[1], ord=1e300), ORDER),
        (operator("Norm", "linalg", axis=[1], ord=10**400), ORDER),
        (operator("Norm", "linalg", axis=[1], ord=1e-300), ORDER),
        (operator("BatchNorm", "nn", axis=2, epsilon=1e39), "'epsilon' is wrong"),
        (operator("Normalize", "nn", order=0), "'order' is wrong"),
        (operator("Normalize", "nn", order=1, axis=[0, 1]), "'order' is not supported: expected 2 over several axes"),
        (operator("Normalize", "nn", epsilon=0.0), "'epsilon' is wrong: expected a positive number"),
        (operator("LayerNorm", "nn", axis=[1, 1]), "'axis' is wrong"),
        (operator("LayerNorm", "nn", epsilon=-1.0), "'epsilon' is wrong"),
        (operator("RMSNorm", "nn", axis=9), "axis is outside the input"),
        (operator("BatchNorm", "nn", axis=2), "wrong number of inputs: expected a tensor or a constant"),
        (operator("BatchNorm", "nn"), "'axis' is wrong"),
    ],
)  # fmt: skip
def test_what_is_refused(config: Config, message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(config)
    assert str(caught.value).startswith("layer 'op' (")


def test_statistics_that_do_not_fit() -> None:
    config = operator("BatchNorm", "nn", axis=2)
    row = {"class_name": "__tensor__", "config": {"value": [1.0, 2.0], "dtype": "float32"}}
    config["config"]["layers"][1]["inbound_nodes"][0]["args"] += [row, row]
    with pytest.raises(ConvcError, match=r"'variance' does not fit the input: expected \(3,\), got \(2,\)"):
        load(config)
