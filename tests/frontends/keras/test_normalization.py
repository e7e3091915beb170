"""Normalization against Keras, and statistics that are wrong."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError, ModelError
from convc.frontends.keras import load
from convc.frontends.keras.normalization import STATISTICS_LIMIT
from tests.support.configs import layer, sequential
from tests.support.keras import assert_same, feeds, keras, predict, save
from tests.support.keras import sequential as built
from tests.tolerances import assert_close

L = keras.layers

CASES: dict[str, dict[str, Any]] = {
    "last axis": {},
    "no axis": {"axis": None},
    "one of the middle": {"axis": 2},
    "two axes": {"axis": (-1, 1)},
    "all axes": {"axis": (1, 2, 3)},
    "invert": {"invert": True},
    "given": {"mean": [0.485, 0.456, 0.406], "variance": [0.052, 0.05, 0.051]},
    "given numbers": {"mean": 0.4, "variance": 2.0},
    "given for no axis": {"axis": None, "mean": 0.4, "variance": 2.0, "invert": True},
    "given for the last of two axes": {"axis": (1, 3), "mean": [1.0, 2.0, 3.0], "variance": [1.0, 4.0, 9.0]},
    "given for two axes": {"axis": (1, 3), "mean": [[1.0, 2.0, 3.0]] * 4, "variance": [[1.0, 4.0, 9.0]] * 4},
    "a variance of zero": {"mean": [0.1, 0.2, 0.3], "variance": [1.0, 0.0, 1.0]},
}


@pytest.mark.parametrize("case", CASES)
def test_normalization_computes_what_keras_computes(case: str, tmp_path: Path) -> None:
    assert_same(built((4, 5, 3), L.Normalization(**CASES[case])), tmp_path)


def test_statistics_found_by_adapt_beside_other_weights(tmp_path: Path) -> None:
    norm = L.Normalization()
    model = built((3,), L.Dense(3), norm, L.Dense(2))
    norm.adapt(np.random.default_rng(0).normal(1000, 0.5, (50, 3)).astype(np.float32))
    graph = load(save(model, tmp_path), batch=2)
    inputs = feeds(graph)
    assert_close(ops.evaluate(graph, inputs)[graph.outputs[0]], predict(model, inputs)[0], "reference")


def test_a_large_mean_costs_no_accuracy() -> None:
    graph = load(sequential(layer("Normalization", "a", mean=5e6, variance=1.0), shape=(1,)))
    values = ops.evaluate(graph, {"input": np.array([[5e6 + 1]], np.float32)})
    assert values[graph.outputs[0]] == 1.0


def test_drawn_statistics_change_nothing() -> None:
    graph = load(sequential(layer("Normalization", "a", axis=[-1])), weights="random")
    inputs = feeds(graph)
    assert np.array_equal(ops.evaluate(graph, inputs)[graph.outputs[0]], inputs["input"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mean": 1.0}, r"'mean' and 'variance' are wrong: .* got \(\) and None"),
        ({"mean": [1.0, 2.0, 3.0], "variance": 1.0}, r"are wrong: expected one shape of at most 1 axes for both"),
        ({"mean": [[1.0]], "variance": [[1.0]]}, "'mean' and 'variance' are wrong"),
        ({"mean": [1.0, 2.0], "variance": [1.0, 2.0]}, r"'mean' does not fit the input: expected 3 along axis 3"),
        ({"mean": math.nan, "variance": 1.0}, "'mean' is wrong: expected a finite number"),
        ({"mean": "1", "variance": 1.0}, "'mean' is wrong"),
        ({"mean": 1.0, "variance": 1e39}, "'variance' is wrong"),
        ({"mean": 1.0, "variance": -1.0}, "the statistics are wrong: .* variances of 0 or more"),
        ({"axis": 0}, "'axis' is wrong: expected different axes, not the batch"),
        ({"axis": [3, -1]}, "'axis' is wrong"),
        ({"axis": 4}, "axis is outside the input"),
        ({"axis": "last"}, "'axis' is wrong"),
        ({"invert": 1}, "'invert' is wrong"),
    ],
)  # fmt: skip
def test_what_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(sequential(layer("Normalization", "a", **config)), weights="random")
    assert str(caught.value).startswith("layer 'a' (Normalization): ")


def test_statistics_that_take_too_much_memory_are_refused() -> None:
    extent = STATISTICS_LIMIT // 2 + 1
    config = sequential(layer("Normalization", "a", axis=[1, 2]), shape=(extent, 2))
    with pytest.raises(ModelError, match=r"layer 'a' \(Normalization\): too large"):
        load(config)


@pytest.mark.parametrize("name", ["mean", "variance"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_stored_statistics_that_are_not_finite_are_refused(name: str, value: float, tmp_path: Path) -> None:
    model = built((3,), L.Normalization(name="norm"))
    (variable,) = (variable for variable in model.variables if variable.name == name)
    variable.assign([1.0, value, 1.0])
    with pytest.raises(ModelError, match=r"layer 'norm' \(Normalization\): the statistics are wrong"):
        load(save(model, tmp_path))


def test_the_stored_count_is_an_integer(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for index, shape in enumerate(((3,), (3,), ())):
            file[f"layers/normalization/vars/{index}"] = np.ones(shape, np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(sequential(layer("Normalization", "a"))))
        archive.writestr("model.weights.h5", buffer.getvalue())
    with pytest.raises(ModelError, match="weight 'count' has the wrong type: expected an integer, got float32"):
        load(path)
