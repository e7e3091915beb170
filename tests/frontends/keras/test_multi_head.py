"""MultiHeadAttention and GroupedQueryAttention: against Keras, the kernels, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.frontends.keras.test_attention import hidden
from tests.frontends.keras.test_matmul import anchors, same
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras
from tests.support.quick import quick_programs  # noqa: F401

L, k = keras.layers, keras.ops
KERNELS = ["Dense", "Dense", "MatMul", "Softmax", "Dense", "MatMul", "Dense"]


def heads(**config: Any) -> Any:
    return L.MultiHeadAttention(2, 3, **config)


def grouped(**config: Any) -> Any:
    return L.GroupQueryAttention(3, 4, 2, **config)


KINDS = [heads, grouped]
WARNED = pytest.mark.filterwarnings("ignore:(?s).*was passed an input with a mask attached:UserWarning")
"""Keras warns of masks at the projections of GroupedQueryAttention."""


@pytest.mark.parametrize("make", KINDS)
def test_inputs(make: Any, tmp_path: Path) -> None:
    """Keys that are the values, keys of their own, by place or by name."""
    same(
        tmp_path,
        [(5, 8), (7, 8), (7, 8)],
        lambda q, v, x: make()(q, q),
        lambda q, v, x: make()(q, v),
        lambda q, v, x: make()(q, v, x),
        lambda q, v, x: make()(q, v, key=x),
        lambda q, v, x: make()(q, key=x, value=v),
        lambda q, v, x: make()(key=x, value=v, query=q),
    )


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    "config",
    [
        {"use_bias": False}, {"use_gate": True}, {"use_gate": True, "use_bias": False}, {"sliding_window": 2},
        {"dropout": 0.5, "seed": 1}, {"flash_attention": False},
    ],
    ids=str,
)  # fmt: skip
def test_arguments(make: Any, config: dict[str, Any], tmp_path: Path) -> None:
    same(
        tmp_path,
        [(5, 8), (7, 8)],
        lambda q, v: make(**config)(q, v),
        lambda q, v: make(**config)(v, q, use_causal_mask=True),
        lambda q, v: make(**config)(q, q, return_attention_scores=True)[0],
        lambda q, v: make(**config)(q, q, return_attention_scores=True, use_causal_mask=True)[1],
    )


def test_sizes(tmp_path: Path) -> None:
    """Keras computes another size of values with jax only where it returns the scores."""

    def scored(layer: Any, *inputs: Any) -> Any:
        return layer(*inputs, return_attention_scores=True)[0]

    same(
        tmp_path,
        [(5, 8), (7, 6)],
        lambda q, v: scored(heads(value_dim=4), q, v),
        lambda q, v: scored(heads(value_dim=1, output_shape=6, use_gate=True), q, v),
        lambda q, v: heads(output_shape=(3, 2))(q, v),
        lambda q, v: heads(output_shape=[4])(v, q),
        lambda q, v: L.MultiHeadAttention(1, 1)(q, v),
        lambda q, v: L.MultiHeadAttention(5, 16)(q, v),
    )


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (4, 1), (4, 2), (6, 6), (6, 3)])
def test_groups(queries: int, keys: int, tmp_path: Path) -> None:
    def make() -> Any:
        return L.GroupQueryAttention(3, queries, keys)

    same(
        tmp_path,
        [(5, 8), (7, 8)],
        lambda q, v: make()(q, v),
        lambda q, v: make()(q, v, return_attention_scores=True)[1],
    )


@pytest.mark.parametrize(
    "config",
    [
        {}, {"attention_axes": 1}, {"attention_axes": 2}, {"attention_axes": (-2,)}, {"attention_axes": (1, 2)},
        {"attention_axes": (2, 1)}, {"use_gate": True}, {"output_shape": (2, 3)},
    ],
    ids=str,
)  # fmt: skip
def test_images(config: dict[str, Any], tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(3, 4, 6)],
        lambda x: heads(**config)(x, x),
        lambda x: heads(**config)(x, x, return_attention_scores=True)[1],
    )
    if not config:
        assert anchors(graph)[:7] == KERNELS


def test_axes_apart(tmp_path: Path) -> None:
    same(tmp_path, [(3, 2, 4, 6)], lambda x: heads(attention_axes=(1, 3))(x, x, return_attention_scores=True)[0])


def test_causal_images(tmp_path: Path) -> None:
    same(tmp_path, [(3, 4, 6)], lambda x: heads(attention_axes=1)(x, x, use_causal_mask=True))


def test_images_of_different_sizes(tmp_path: Path) -> None:
    same(tmp_path, [(3, 4, 6), (2, 5, 6)], lambda q, v: heads()(q, v, return_attention_scores=True)[0])


@WARNED
@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("config", [{}, {"dropout": 0.5}, {"sliding_window": 2}], ids=str)
def test_masks_that_tensors_carry(make: Any, config: dict[str, Any], tmp_path: Path) -> None:
    """Queries that are left without keys read all alike, or nothing where there is dropout or scores are wanted."""
    same(
        tmp_path,
        [(5, 2), (7, 2), (7, 2)],
        lambda q, v, x: make(**config)(hidden(q), hidden(q)),
        lambda q, v, x: make(**config)(hidden(q), v),
        lambda q, v, x: make(**config)(q, hidden(v), key=hidden(x)),
        lambda q, v, x: make(**config)(hidden(q), hidden(v), use_causal_mask=True),
        lambda q, v, x: make(**config)(hidden(q), hidden(v), return_attention_scores=True)[1],
        lambda q, v, x: L.GlobalAveragePooling1D()(make(**config)(hidden(q), v)),
        batch=3,
    )


@WARNED
@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("config", [{}, {"dropout": 0.5}], ids=str)
def test_masks_that_are_given(make: Any, config: dict[str, Any], tmp_path: Path) -> None:
    same(
        tmp_path,
        [(5, 2), (7, 2), (5, 7), (1, 5, 7), (5,), (7,)],
        lambda q, v, m, w, a, b: make(**config)(q, hidden(v), attention_mask=k.greater(m, 0)),
        lambda q, v, m, w, a, b: make(**config)(q, v, attention_mask=k.greater(w, 0)),
        lambda q, v, m, w, a, b: make(**config)(q, hidden(v), attention_mask=k.relu(m)),
        lambda q, v, m, w, a, b: make(**config)(q, hidden(v), value_mask=k.greater(b, 0)),
        lambda q, v, m, w, a, b: make(**config)(hidden(q), v, query_mask=k.greater(a, 0)),
        batch=3,
    )


def test_a_window_that_leaves_queries_without_keys(tmp_path: Path) -> None:
    same(
        tmp_path,
        [(9, 4), (3, 4)],
        lambda q, v: heads(sliding_window=2)(q, v),
        lambda q, v: heads(sliding_window=2)(q, v, return_attention_scores=True)[1],
    )


def test_a_second_layer_no_longer_finds_the_mask_of_the_query(tmp_path: Path) -> None:
    x = keras.Input((5, 2))
    masked = hidden(x)
    first = heads()(masked, masked)
    assert_same(keras.Model(x, heads(dropout=0.1)(masked, first)), tmp_path, batch=3)


def test_kernels(tmp_path: Path) -> None:
    """Projections of all heads at once, and no transposes: each product reads and writes heads where they are."""
    x = keras.Input((5, 8))
    graph = assert_same(keras.Model(x, heads(use_gate=True)(x, x, use_causal_mask=True)), tmp_path)
    assert sorted(anchors(graph)) == sorted([*KERNELS, "Dense"])
    assert anchors(assert_same(keras.Model(x, grouped()(x, x)), tmp_path)) == KERNELS


def test_an_encoder_block(tmp_path: Path) -> None:
    x = keras.Input((17, 24), name="x")
    y = L.LayerNormalization(epsilon=1e-6)(x)
    y = L.Add()([x, L.Dropout(0.1)(L.MultiHeadAttention(3, 8, dropout=0.1)(y, y))])
    z = L.Dense(48, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(y))
    z = L.Add()([y, L.Dropout(0.1)(L.Dense(24)(z))])
    z = L.GlobalAveragePooling1D()(L.LayerNormalization()(z))
    assert_same(keras.Model(x, L.Dense(5, activation="softmax")(z)), tmp_path, kind="float32")


def test_a_vision_transformer(tmp_path: Path) -> None:
    image = keras.Input((12, 12, 3))
    x = L.Reshape((9, 16))(L.Conv2D(16, 4, strides=4)(image))
    for _ in range(2):
        y = L.LayerNormalization()(x)
        x = x + L.MultiHeadAttention(2, 8)(y, y)
        x = x + L.Dense(16)(L.Dense(32, activation="gelu")(L.LayerNormalization()(x)))
    assert_same(keras.Model(image, L.Dense(5)(L.Flatten()(x))), tmp_path, kind="float32")


def test_weights_lie_with_the_projections(tmp_path: Path) -> None:
    x = keras.Input((5, 8))
    graph = assert_same(keras.Model(x, heads()(x, x)), tmp_path)
    shapes = [node.type.shape for node in graph.nodes if isinstance(node.op, ops.Constant)]
    assert shapes.count((8, 6)) == 3
    assert (6, 8) in shapes


def model(kind: str, shapes: list[tuple[int, ...]], *, args: Any = None, kwargs: Any = None, **config: Any) -> Config:
    """One layer on inputs x0, x1, … of these shapes."""
    sources = [called(layer("InputLayer", f"x{i}", batch_shape=[None, *shape])) for i, shape in enumerate(shapes)]
    entry = {**called(layer(kind, "attention", **config)), "module": "keras.layers"}
    tensors = [tensor(f"x{i}") for i in range(len(shapes))] if args is None else args
    entry["inbound_nodes"] = [{"args": tensors, "kwargs": kwargs or {}}]
    ends = [[f"x{i}", 0, 0] for i in range(len(shapes))]
    return functional(*sources, entry, inputs=ends, outputs=["attention", 0, 0])


def multi(shapes: list[tuple[int, ...]], *, args: Any = None, kwargs: Any = None, **config: Any) -> Config:
    return model("MultiHeadAttention", shapes, args=args, kwargs=kwargs, **{"num_heads": 2, "key_dim": 3, **config})


def groups(shapes: list[tuple[int, ...]], **config: Any) -> Config:
    sizes = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, **config}
    return model("GroupQueryAttention", shapes, **sizes)


TWO: list[tuple[int, ...]] = [(5, 8), (7, 8)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (multi(TWO, num_heads=0), "'num_heads' is wrong: expected an integer from 1 up, got 0"),
        (multi(TWO, key_dim=2.5), "'key_dim' is wrong"),
        (multi(TWO, value_dim=-1), "'value_dim' is wrong"),
        (multi(TWO, output_shape="x"), "'output_shape' is wrong"),
        (multi(TWO, output_shape=[0]), "'output_shape' is wrong"),
        (multi(TWO, attention_axes=[2]), "'attention_axes' is wrong: expected distinct axes from 1 to 1"),
        (multi(TWO, attention_axes=[0]), "'attention_axes' is wrong"),
        (multi(TWO, attention_axes=[1, 1]), "'attention_axes' is wrong"),
        (multi(TWO, attention_axes="all"), "'attention_axes' is wrong"),
        (multi(TWO, sliding_window=0), "'sliding_window' is wrong"),
        (multi(TWO, use_gate=None), "'use_gate' is wrong"),
        (multi(TWO, use_bias=0), "'use_bias' is wrong"),
        (multi(TWO, dropout="x"), "'dropout' is wrong"),
        (multi([(5, 8), (7, 8), (4, 8)]), "as many keys as values"),
        (multi([(5, 8), (3, 7, 8)]), "the inputs do not fit"),
        (multi([(8,), (8,)]), "the inputs are no sequences: expected 3 axes or more"),
        (multi([(3, 4, 8), (2, 4, 8)], attention_axes=[2]), "the inputs differ in axis 1"),
        (multi([(3, 4, 8)] * 2, sliding_window=2), "needs attention over axis 1 alone"),
        (multi([(3, 4, 8)] * 2, kwargs={"use_causal_mask": True}), "needs attention over axis 1 alone"),
        (multi([(5, 8)]), "wrong number of inputs: expected 2 or more, got 1"),
        (multi(TWO, args=[tensor("x0")], kwargs={"key": tensor("x1")}), "expected a query, a value and maybe a key"),
        (multi(TWO, args=[[tensor("x0"), tensor("x1")]]), "the call argument 'query' is a list"),
        (multi([*TWO, (2, 3, 5, 5, 7)], args=[tensor("x0"), tensor("x1")], kwargs={"attention_mask": tensor("x2")}),
         "the mask has too many axes"),
        (multi(TWO, kwargs={"bias": 2}), "the call argument 'bias' is not supported"),
        (groups(TWO, num_query_heads=3), "'num_query_heads' is wrong: expected a multiple of num_key_value_heads = 2"),
        (groups(TWO, head_dim=None), "'head_dim' is wrong"),
        (groups([(3, 4, 8)] * 2), "expected 3 axes, got"),
    ],
)  # fmt: skip
def test_refusals(config: Config, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(config, weights="random")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("layer 'attention' (")
    assert message in line
