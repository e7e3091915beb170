"""Layers that merge tensors: any number of them, of different ranks, with and without masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ir import Shape
from tests.support.configs import called, functional, layer
from tests.support.keras import assert_same, keras

L = keras.layers
NAMES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
SHAPES: dict[str, list[Shape]] = {
    "equal": [(4, 5, 3), (4, 5, 3), (4, 5, 3)],
    "sizes of one": [(4, 1, 3), (1, 5, 1), (4, 5, 3)],
    "ranks": [(2, 4, 3), (3,), (1, 3)],
    "ranks, the lower first": [(3,), (4, 3), (2, 4, 3)],
    "numbers": [(), (4,), (2, 4)],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", SHAPES)
def test_two_and_three(name: str, form: str, tmp_path: Path) -> None:
    x, y, z = (keras.Input(shape, name=f"x{place}") for place, shape in enumerate(SHAPES[form]))
    made: list[Any] = [[x, y], [z, x], [y, z]]
    if name != "Subtract":
        made += [[x, y, z], [z, y, x, y], [x]]
    assert_same(keras.Model([x, y, z], [getattr(L, name)()(tensors) for tensors in made]), tmp_path, batch=3)


def test_a_batch_that_is_one_of_the_sizes(tmp_path: Path) -> None:
    """The batch is never lined up with an axis behind it."""
    x, y = keras.Input((2, 3), name="x"), keras.Input((2,), name="y")
    graph = assert_same(keras.Model([x, y], L.Dense(4)(L.Add()([x, L.Dense(3)(y)]))), tmp_path, batch=2)
    assert graph.outputs[0].type.shape == (2, 2, 4)


@pytest.mark.parametrize("name", NAMES)
def test_masks_of_both_inputs_and_of_one(name: str, tmp_path: Path) -> None:
    x, y = keras.Input((7, 2), name="x"), keras.Input((7, 2), name="y")
    a, b = (L.Masking()(L.ReLU(threshold=0.5)(each)) for each in (x, y))
    outputs = [getattr(L, name)()(pair) for pair in ([a, b], [b, a], [a, y], [x, b], [a, a])]
    if name != "Subtract":
        outputs += [getattr(L, name)()(each) for each in ([a, b, a], [x, a, b], [a, y, b])]
    assert_same(keras.Model([x, y], outputs), tmp_path, batch=3)


def test_the_mask_that_a_merge_hands_on(tmp_path: Path) -> None:
    x, y = keras.Input((7, 2), name="x"), keras.Input((7, 2), name="y")
    a, b = (L.Masking()(L.ReLU(threshold=0.8)(each)) for each in (x, y))
    outputs = [L.GlobalAveragePooling1D()(getattr(L, name)()([a, b])) for name in ("Add", "Multiply", "Maximum")]
    outputs += [L.GlobalAveragePooling1D()(getattr(L, name)()([a, y])) for name in ("Add", "Multiply", "Maximum")]
    assert_same(keras.Model([x, y], outputs), tmp_path, batch=3)


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
def test_concatenate(axis: int, tmp_path: Path) -> None:
    shapes: list[list[int]] = [[4, 5, 3], [4, 5, 3], [4, 5, 3]]
    place = axis % 4 - 1
    for size, shape in zip((2, 1, 7), shapes, strict=True):
        shape[place] = size
    inputs = [keras.Input(tuple(shape), name=f"x{i}") for i, shape in enumerate(shapes)]
    graph = assert_same(keras.Model(inputs, L.Concatenate(axis=axis)(inputs)), tmp_path)
    assert graph.outputs[0].type.shape[place + 1] == 10


def test_concatenate_counts_the_batch(tmp_path: Path) -> None:
    x, y = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="y")
    graph = assert_same(keras.Model([x, y], [L.Concatenate(axis=0)([x, y]), L.Concatenate(axis=-3)([y])]), tmp_path)
    assert graph.outputs[0].type.shape == (4, 4, 3)


def test_a_difference_of_a_convolution_and_constants_costs_nothing(tmp_path: Path) -> None:
    from convc.passes import optimize

    x = keras.Input((6, 6, 3))
    y = (L.Conv2D(4, 3)(x) - 0.5) / 3.0
    graph = assert_same(keras.Model(x, y), tmp_path)
    assert [group.output.op.kind for group in optimize(graph).grouped.groups] == ["Conv"]
    assert isinstance(graph.outputs[0].op, ops.Divide)


def source(name: str, *shape: int) -> Any:
    return called(layer("InputLayer", name, batch_shape=[None, *shape]))


@pytest.mark.parametrize(
    ("entry", "sources", "message"),
    [
        ("Add", [(4, 3), (4, 2)], "the inputs do not broadcast: .*got .1, 4, 3. and .1, 4, 2."),
        ("Maximum", [(4, 3), (5,)], "the inputs do not broadcast: .*got .1, 4, 3. and .1, 1, 5."),
        ("Subtract", [(3,), (3,), (3,)], "wrong number of inputs: expected 2, got 3"),
        ("Subtract", [(3,)], "wrong number of inputs: expected 2, got 1"),
        ("Concatenate", [(4, 3), (3,)], "layer 'it'"),
        ("Concatenate", [(4, 3), (5, 3)], "layer 'it'"),
    ],
)
def test_what_does_not_fit(entry: str, sources: list[Shape], message: str) -> None:
    inputs = [source(f"x{place}", *shape) for place, shape in enumerate(sources)]
    names = [f"x{place}" for place in range(len(sources))]
    it = {**called(layer(entry, "it"), *names), "module": "keras.layers"}
    config = functional(*inputs, it, inputs=[[name, 0, 0] for name in names], outputs=["it", 0, 0])
    with pytest.raises(ConvcError, match=message) as caught:
        load(config)
    assert str(caught.value).startswith(f"layer 'it' ({entry}): ")
