"""Attention and AdditiveAttention: against Keras, the kernels, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.frontends.keras.attention import visible
from tests.frontends.keras.test_matmul import anchors, same
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import keras
from tests.support.quick import quick_programs  # noqa: F401

L, k = keras.layers, keras.ops
CLASSES = [L.Attention, L.AdditiveAttention]
CONFIGS: list[tuple[Any, dict[str, Any]]] = [
    (L.Attention, {}),
    (L.Attention, {"use_scale": True}),
    (L.Attention, {"score_mode": "concat"}),
    (L.Attention, {"score_mode": "concat", "use_scale": True}),
    (L.Attention, {"dropout": 0.5, "seed": 3}),
    (L.AdditiveAttention, {}),
    (L.AdditiveAttention, {"use_scale": False, "dropout": 0.5}),
]


def hidden(x: Any) -> Any:
    """`x` with a mask that hides the steps whose features are all negative."""
    return L.Masking()(L.ReLU()(x))


@pytest.mark.parametrize(("make", "config"), CONFIGS, ids=lambda value: str(value)[:60])
def test_attention(make: Any, config: dict[str, Any], tmp_path: Path) -> None:
    same(
        tmp_path,
        [(5, 8), (7, 8), (7, 3)],
        lambda q, k, v: make(**config)([q, k]),
        lambda q, k, v: make(**config)([q, q], use_causal_mask=True),
        lambda q, k, v: make(**config)([q, v, k], return_attention_scores=True)[0],
        lambda q, k, v: make(**config)([k, q], return_attention_scores=True, use_causal_mask=True)[1],
    )


@pytest.mark.parametrize("make", CLASSES)
def test_more_axes(make: Any, tmp_path: Path) -> None:
    same(
        tmp_path, [(3, 5, 8), (3, 7, 8)], lambda q, v: make()([q, v]), lambda q, v: make()([v, q], use_causal_mask=True)
    )


@pytest.mark.parametrize("make", CLASSES)
def test_masks_that_tensors_carry(make: Any, tmp_path: Path) -> None:
    pool = L.GlobalAveragePooling1D
    same(
        tmp_path,
        [(5, 2), (7, 2)],
        lambda q, v: make()([hidden(q), hidden(v)]),
        lambda q, v: make()([q, hidden(v)], use_causal_mask=True, return_attention_scores=True)[1],
        lambda q, v: pool()(make()([hidden(q), v])),
        lambda q, v: make()([q, hidden(v), hidden(v)]),
        batch=3,
    )


@pytest.mark.parametrize("make", CLASSES)
def test_masks_that_are_given(make: Any, tmp_path: Path) -> None:
    same(
        tmp_path,
        [(5, 2), (7, 2), (5,), (7,)],
        lambda q, v, m, n: make()([hidden(q), v], mask=[k.greater(m, 0), k.greater(n, 0)]),
        lambda q, v, m, n: make()([hidden(q), hidden(v)], mask=[None, k.greater(n, 0)]),
        lambda q, v, m, n: make()([hidden(q), hidden(v)], mask=[k.greater(m, 0), None]),
        batch=3,
    )


def test_kernels(tmp_path: Path) -> None:
    graph = same(tmp_path, [(5, 8), (7, 8)], lambda q, v: L.Attention(use_scale=True)([q, v], use_causal_mask=True))
    assert anchors(graph) == ["MatMul", "Softmax", "MatMul"]


def test_visible() -> None:
    assert visible(3, 2, causal=True).tolist() == [[1, 0], [1, 1], [1, 1]]
    assert visible(2, 3, causal=False, window=1).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert visible(4, 1, causal=True, window=2).tolist() == [[1], [1], [0], [0]]
    assert visible(2, 3, causal=False).all()


def model(kind: str, shapes: list[tuple[int, ...]], *, kwargs: Any = None, **config: Any) -> Config:
    """One layer on inputs of these shapes."""
    sources = [called(layer("InputLayer", f"x{i}", batch_shape=[None, *shape])) for i, shape in enumerate(shapes)]
    tensors = [tensor(f"x{i}") for i in range(len(shapes))]
    entry = {**called(layer(kind, "attention", **config)), "module": "keras.layers"}
    entry["inbound_nodes"] = [{"args": [tensors], "kwargs": kwargs or {}}]
    ends = [[f"x{i}", 0, 0] for i in range(len(shapes))]
    return functional(*sources, entry, inputs=ends, outputs=["attention", 0, 0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (model("Attention", [(5, 8), (7, 6)]), "the inputs do not fit: expected queries as long as keys"),
        (model("Attention", [(5, 8), (7, 6), (4, 8)]), "as many keys as values"),
        (model("Attention", [(5, 8)]), "wrong number of inputs"),
        (model("Attention", [(5, 8)] * 4), "expected a query, a value and maybe a key, got 4 tensors"),
        (model("Attention", [(), ()]), "the inputs are no sequences: expected 2 axes or more"),
        (model("Attention", [(5, 8)] * 2, score_mode="sum"), "'score_mode' is wrong: expected 'dot' or 'concat'"),
        (model("Attention", [(5, 8)] * 2, use_scale=1), "'use_scale' is wrong: expected true or false"),
        (model("AdditiveAttention", [(5, 8)] * 2, use_scale="no"), "'use_scale' is wrong"),
        (model("Attention", [(5, 8)] * 2, kwargs={"mask": tensor("x0")}), "expected a list of two or three masks"),
        (model("Attention", [(5, 8)] * 2, kwargs={"use_causal_mask": 3}), "'use_causal_mask' is wrong"),
        (model("Attention", [(1 << 13, 1)] * 2, kwargs={"use_causal_mask": True}), "the mask is too large"),
        (model("Attention", [(5, 8)] * 2, kwargs={"bias": 3}), "the call argument 'bias' is not supported"),
        (model("Attention", [(5, 8)] * 2, kwargs={"training": True}), "called with training=True"),
    ],
)
def test_refusals(config: Config, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(config, weights="random")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("layer 'attention' (")
    assert message in line
