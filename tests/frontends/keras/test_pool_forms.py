"""Pooling in every form of its arguments, its other names and functions, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ir import Graph, Shape
from tests.support.configs import called, functional, layer, sequential
from tests.support.keras import assert_same, keras
from tests.support.quick import quick_programs  # noqa: F401

L = keras.layers
FORMATS = (None, "channels_last", "channels_first")
KINDS = ("Max", "Average")


def branches(shape: Shape, *layers: Callable[[Any], Any]) -> Any:
    """A model of one input with an output for each layer."""
    x = keras.Input(shape, name="input")
    return keras.Model(x, [one(x) for one in layers])


WINDOWS: dict[int, tuple[tuple[Any, Any], ...]] = {
    1: ((2, None), (3, 1), ((2,), (3,)), ([3], [2])),
    2: ((2, None), (3, 1), (2, 3), ((2, 3), None), ((3, 1), (1, 2)), ([1, 2], [2, 1])),
    3: ((2, None), (2, 1), ((1, 2, 3), None), ([2, 1, 2], (1, 2, 2))),
}
"""pool_size and strides by rank."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rank", "shape"), [(1, (7, 5)), (2, (7, 5, 3)), (2, (4, 8, 17)), (3, (3, 4, 5, 3))])
def test_windows(kind: str, rank: int, shape: Shape, tmp_path: Path) -> None:
    make = getattr(L, f"{kind}Pooling{rank}D")
    forms = FORMATS if rank == 2 else FORMATS[:1]
    layers = [
        make(size, strides, padding=border, data_format=form)
        for size, strides in WINDOWS[rank]
        for border in ("valid", "same")
        for form in forms
    ]
    assert_same(branches(shape, *layers), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_given(kind: str) -> None:
    """Two elements without overlap, as Keras has it for maxima and had it for means; the case of a word is nothing."""
    bare = load(sequential(layer(f"{kind}Pooling2D", "a"))).outputs[0]
    full = load(sequential(layer(f"{kind}Pooling2D", "a", pool_size=[2, 2], strides=2, padding="VALID"))).outputs[0]
    assert bare.op == full.op
    assert bare.op.attributes()["strides"] == (2, 2)
    same = [load(sequential(layer(f"{kind}Pooling2D", "a", padding=word))).outputs[0] for word in ("same", "Same")]
    assert same[0].op == same[1].op


@pytest.mark.parametrize("extent", [1, 2, 3, 4, 5, 6])
def test_same_padding_with_strides_on_every_size(extent: int, tmp_path: Path) -> None:
    layers = [
        getattr(L, f"{kind}Pooling2D")((size, 2), strides, padding="same")
        for kind in KINDS
        for size in (1, 2, 3, 4)
        for strides in (1, 2, 3)
    ]
    assert_same(branches((extent, 7 - extent, 2), *layers), tmp_path)


def test_padding_is_not_counted() -> None:
    config = sequential(layer("AveragePooling2D", "a", pool_size=2, strides=1, padding="same"), shape=(3, 3, 1))
    graph = load(config)
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    assert ops.evaluate(graph, {"input": image})[graph.outputs[0]][0, -1, -1, 0] == 8


def test_padding_is_below_every_number() -> None:
    graph = load(sequential(layer("MaxPooling2D", "a", pool_size=3, strides=1, padding="same"), shape=(2, 2, 1)))
    image = np.full((1, 2, 2, 1), -5, np.float32)
    assert np.array_equal(ops.evaluate(graph, {"input": image})[graph.outputs[0]], image)


@pytest.mark.parametrize(("rank", "shape"), [(1, (7, 5)), (2, (3, 5, 4)), (3, (2, 3, 4, 5))])
def test_whole_planes(rank: int, shape: Shape, tmp_path: Path) -> None:
    layers = [
        getattr(L, f"Global{kind}Pooling{rank}D")(data_format=form, keepdims=keepdims)
        for kind in KINDS
        for form in FORMATS
        for keepdims in (False, True)
    ]
    assert_same(branches(shape, *layers), tmp_path)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("short", "name"), [("Max", "Max"), ("Avg", "Average")])
def test_other_names(short: str, name: str, rank: int) -> None:
    assert getattr(L, f"{short}Pool{rank}D") is getattr(L, f"{name}Pooling{rank}D")
    shape = (4, 5, 6, 2)[-rank - 1 :]
    for one, other in ((f"{short}Pool{rank}D", f"{name}Pooling{rank}D"),
                       (f"Global{short}Pool{rank}D", f"Global{name}Pooling{rank}D")):  # fmt: skip
        nodes = [load(sequential(layer(kind, "a"), shape=shape)).outputs[0] for kind in (one, other)]
        assert nodes[0].op == nodes[1].op


def test_functions(tmp_path: Path) -> None:
    def pool(kind: str, *arguments: Any, **named: Any) -> Callable[[Any], Any]:
        return lambda x: getattr(keras.ops, f"{kind}_pool")(x, *arguments, **named)

    for shape, sizes in (((6, 5), (2, (3,))), ((5, 6, 3), (2, (3, 2))), ((3, 4, 5, 2), ((2, 1, 2),))):
        layers = [
            pool(kind, size, strides, border, data_format=form)
            for kind in ("max", "average")
            for size in sizes
            for strides, border, form in ((3, "valid", None), (1, "same", "channels_first"), (2, "SAME", None))
        ]
        assert_same(branches(shape, *layers), tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pool_size": 0}, "'pool_size' is wrong"),
        ({"pool_size": [2, 2, 2]}, "'pool_size' is wrong: expected 2 of"),
        ({"pool_size": [2, [2]]}, "'pool_size' is wrong"),
        ({"pool_size": 2.0}, "'pool_size' is wrong"),
        ({"pool_size": None}, "'pool_size' is wrong"),
        ({"pool_size": 9}, "the window does not fit into spatial axis 0"),
        ({"pool_size": 1 << 62, "padding": "same"}, "the window is too large"),
        ({"strides": 0}, "'strides' is wrong"),
        ({"strides": [1, -2]}, "'strides' is wrong"),
        ({"padding": "causal"}, "'padding' is wrong: expected 'valid' or 'same', got 'causal'"),
        ({"padding": 1}, "'padding' is wrong"),
        ({"data_format": "NCHW"}, "'data_format' is wrong"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(kind: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(sequential(layer(f"{kind}Pooling2D", "a", **config)))
    assert str(caught.value).startswith(f"layer 'a' ({kind}Pooling2D): ")


def test_causal_padding_is_for_convolutions() -> None:
    with pytest.raises(ConvcError, match="'padding' is wrong: expected 'valid' or 'same', got 'causal'"):
        load(sequential(layer("MaxPooling1D", "a", padding="causal"), shape=(5, 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_other_ranks_are_refused(kind: str) -> None:
    for name in (f"{kind}Pooling1D", f"Global{kind}Pooling3D"):
        with pytest.raises(ConvcError, match="the input has the wrong number of axes"):
            load(sequential(layer(name, "a")))
    with pytest.raises(ConvcError, match="'keepdims' is wrong"):
        load(sequential(layer(f"Global{kind}Pooling2D", "a", keepdims=1)))


def _function(class_name: str, shape: list[int | None], **config: Any) -> Graph:
    source = called(layer("InputLayer", "input", batch_shape=shape))
    entry = called({"class_name": class_name, "module": "keras.src.ops.nn", "config": {"name": "f", **config}}, "input")
    return load(functional(source, entry, inputs=[["input", 0, 0]], outputs=[["f", 0, 0]]))


@pytest.mark.parametrize("name", ["MaxPool", "AveragePool"])
def test_functions_without_strides(name: str) -> None:
    """Keras itself fails on jax there: it widens the strides twice."""
    bare, given = (_function(name, [None, 7, 5, 2], pool_size=[3, 2], **more) for more in ({}, {"strides": (3, 2)}))
    assert bare.outputs[0].op == given.outputs[0].op


@pytest.mark.parametrize("name", ["MaxPool", "AveragePool"])
def test_what_functions_refuse(name: str) -> None:
    with pytest.raises(ConvcError, match="the input has the wrong number of axes: expected 3 to 5 axes"):
        _function(name, [None, 4], pool_size=2)
    with pytest.raises(ConvcError, match="'pool_size' is wrong"):
        _function(name, [None, 4, 4, 2], strides=2)
    with pytest.raises(ConvcError, match="'padding' is wrong"):
        _function(name, [None, 4, 4, 2], pool_size=2, padding="full")
