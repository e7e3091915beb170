"""Adaptive pooling against Keras, and against its NumPy backend where jax's rounding spoils Keras's answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.frontends.keras.adaptive import parts
from convc.frontends.tables import TABLE_LIMIT
from convc.ir import Array, Shape
from convc.passes import optimize
from tests.support.configs import called, functional, layer, sequential
from tests.support.keras import assert_same, feeds, keras
from tests.support.quick import quick_programs  # noqa: F401
from tests.tolerances import assert_close

L = keras.layers
FORMATS = ("channels_last", "channels_first")


def branches(shape: Shape, *layers: Callable[[Any], Any]) -> Any:
    """A model of one input with an output for each layer."""
    x = keras.Input(shape, name="input")
    return keras.Model(x, [one(x) for one in layers])


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize(
    ("rank", "shape", "sizes"),
    [
        (1, (8, 5), (1, 2, 3, 8, (4,), [5])),
        (1, (5, 3), (2, 4, 10)),
        (2, (6, 8, 3), (1, 2, (3, 4), (6, 8), (6, 3), [4, 5], (5, 8))),
        (2, (5, 3, 17), ((2, 2), (1, 2), (4, 6))),
        (2, (1, 1, 2), (1, 2)),
        (3, (4, 6, 5, 2), (2, (2, 3, 1), (3, 4, 2), (4, 4, 5), (3, 6, 2))),
    ],
)
def test_adaptive_pooling(rank: int, shape: Shape, sizes: tuple[Any, ...], data_format: str, tmp_path: Path) -> None:
    layers = [
        getattr(L, f"Adaptive{kind}Pooling{rank}D")(size, data_format=data_format)
        for kind in ("Average", "Max")
        for size in sizes
    ]
    assert_same(branches(shape, *layers), tmp_path)


def by_numpy(name: str, x: Array, size: Shape) -> Array:
    """Keras's answer on its NumPy backend. Importing that puts it where the chosen backend's module of the name is."""
    from keras.src import backend

    chosen = backend.numpy
    try:
        from keras.src.backend.numpy import nn
    finally:
        backend.numpy = chosen

    result: Array = getattr(nn, f"adaptive_{name.lower()}_pool")(x, size, "channels_last")
    return result


@pytest.mark.parametrize("name", ["Average", "Max"])
@pytest.mark.parametrize(("extent", "size"), [(14, 7), (7, 14), (3, 7), (28, 13), (30, 14), (15, 14), (56, 15)])
def test_where_jax_rounds_a_window_wrongly(name: str, extent: int, size: int) -> None:
    """On jax Keras divides by multiplying with 1 / 7: the last window of 14 to 7 then reaches outside, and is NaN."""
    graph = load(sequential(layer(f"Adaptive{name}Pooling2D", "a", output_size=size), shape=(extent, extent + 1, 2)))
    inputs = feeds(graph)
    value = ops.evaluate(graph, inputs)[graph.outputs[0]]
    assert_close(value, by_numpy(name, inputs["input"], (size, size)), "reference")


def test_parts_are_those_of_the_formula() -> None:
    for extent in range(1, 24):
        for out in range(1, 24):
            indices, values = parts(extent, out, largest=False)
            assert values is not None
            for i in range(out):
                window = list(range(i * extent // out, -(-(i + 1) * extent // out)))
                assert indices[i, values[i] > 0].tolist() == window
                assert set(values[i, values[i] > 0].tolist()) == {float(np.float32(1 / len(window)))}
                assert sorted(set(parts(extent, out, largest=True)[0][i].tolist())) == window


def test_functions(tmp_path: Path) -> None:
    def pool(name: str, size: Any, data_format: str | None) -> Callable[[Any], Any]:
        return lambda x: getattr(keras.ops, f"adaptive_{name}_pool")(x, size, data_format=data_format)

    model = branches(
        (6, 8, 5),
        *(
            pool(name, size, form)
            for name in ("average", "max")
            for size in ((2, 4), (4, 3))
            for form in (None, *FORMATS)
        ),
    )
    assert_same(model, tmp_path)
    assert_same(branches((7, 3), pool("average", (3,), None), pool("max", (2,), "channels_first")), tmp_path)


@pytest.mark.parametrize(
    ("size", "kinds"),
    [(1, ["ReduceMax"]), (2, ["MaxPool"]), ((4, 6), []), ((3, 6), ["ResampleMax"]), ((3, 5), ["ResampleMax"])],
)
def test_what_it_becomes(size: Any, kinds: list[str]) -> None:
    """What divides evenly is ordinary pooling; an axis that keeps its size costs nothing."""
    graph = load(sequential(layer("ReLU", "r"), layer("AdaptiveMaxPooling2D", "a", output_size=size), shape=(4, 6, 3)))
    made = [node for group in optimize(graph).grouped.groups for node in group.nodes]
    assert [node.op.kind for node in made if node.name == "a"] == kinds
    resampled = [node.op.axes for node in made if isinstance(node.op, ops.Resample)]
    assert resampled == ([(1,)] if size == (3, 6) else [(1, 2)] if size == (3, 5) else [])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "'output_size' is wrong: expected 2 of: an integer from 1 up, got nothing"),
        ({"output_size": None}, "'output_size' is wrong"),
        ({"output_size": [2, None]}, "'output_size' is wrong"),
        ({"output_size": [2]}, "'output_size' is wrong"),
        ({"output_size": 0}, "'output_size' is wrong"),
        ({"output_size": 2.5}, "'output_size' is wrong"),
        ({"output_size": [[1, 2], 3]}, "'output_size' is wrong"),
        ({"output_size": True}, "'output_size' is wrong"),
        ({"output_size": 1 << 60}, "the size is too large: expected a table of at most"),
        ({"output_size": TABLE_LIMIT}, "the size is too large"),
        ({"output_size": 2, "data_format": "first"}, "'data_format' is wrong"),
    ],
)
@pytest.mark.parametrize("name", ["Average", "Max"])
def test_what_is_refused(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(sequential(layer(f"Adaptive{name}Pooling2D", "a", **config)))
    assert str(caught.value).startswith(f"layer 'a' (Adaptive{name}Pooling2D): ")


def test_other_ranks_are_refused() -> None:
    with pytest.raises(ConvcError, match="the input has the wrong number of axes: expected 3"):
        load(sequential(layer("AdaptiveMaxPooling1D", "a", output_size=1)))
    source = called(layer("InputLayer", "input", batch_shape=[None, 6]))
    config = {"name": "f", "output_size": [2]}
    entry = called({"class_name": "AdaptiveMaxPool", "module": "keras.src.ops.nn", "config": config}, "input")
    with pytest.raises(ConvcError, match="the input has the wrong number of axes: expected 3 to 5 axes"):
        load(functional(source, entry, inputs=[["input", 0, 0]], outputs=[["f", 0, 0]]))
