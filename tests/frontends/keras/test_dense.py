"""Dense: every argument, and what is refused. Its weights under LoRA are tested with EinsumDense's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.frontends.keras.test_matmul import anchors
from tests.support.configs import layer, sequential
from tests.support.keras import assert_same, keras
from tests.support.keras import sequential as keras_sequential
from tests.support.quick import quick_programs  # noqa: F401

L = keras.layers


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (1, 2, 3, 7), (1,)], ids=str)
@pytest.mark.parametrize("arguments", [{}, {"use_bias": False, "activation": "tanh"}], ids=str)
def test_any_rank(shape: tuple[int, ...], arguments: dict[str, Any], tmp_path: Path) -> None:
    graph = assert_same(keras_sequential(shape, L.Dense(5, **arguments)), tmp_path)
    assert anchors(graph) == ["Dense"]


def test_what_means_nothing_at_inference(tmp_path: Path) -> None:
    made = L.Dense(
        5,
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="max_norm",
        bias_constraint="non_neg",
        trainable=False,
    )
    assert_same(keras_sequential((7,), made), tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"units": 0}, "'units' is wrong: expected an integer from 1 up, got 0"),
        ({"units": "5"}, "'units' is wrong"),
        ({"units": None}, "'units' is wrong"),
        ({"use_bias": "yes"}, "'use_bias' is wrong"),
        ({"activation": "nothing"}, "this activation is not supported"),
        ({"quantization_config": {"class_name": "Int8QuantizationConfig"}}, "the layer is quantized"),
        ({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}}, "the layer is quantized"),
    ],
)
def test_refusals(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(sequential(layer("Dense", "dense", **{"units": 5, **config}), shape=(7,)), weights="random")
    assert str(caught.value).startswith("layer 'dense' (Dense): ")
    assert message in str(caught.value)


def test_an_input_without_features() -> None:
    with pytest.raises(ConvcError, match=r"the input has no features: expected 2 axes or more, got \(1,\)"):
        load(sequential(layer("Dense", "dense", units=5), shape=()), weights="random")
