"""Dot: against Keras, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.frontends.keras.test_matmul import anchors
from tests.support.configs import called, functional, layer
from tests.support.keras import assert_same, keras
from tests.support.quick import quick_programs  # noqa: F401

L = keras.layers
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "vectors": ((8,), (8,)),
    "matrices": ((5, 8), (7, 8)),
    "transposed": ((5, 8), (5, 3)),
    "crossed": ((5, 8), (3, 5)),
    "vector_right": ((5, 8), (8,)),
    "vector_left": ((8,), (5, 8)),
    "images": ((3, 5, 8), (2, 3, 4)),
    "images_last": ((3, 5, 8), (3, 5, 8)),
    "image_vector": ((3, 5, 8), (8,)),
}


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("vectors", 1), ("vectors", -1), ("matrices", 2), ("matrices", (-1, 2)), ("transposed", 1), ("crossed", (1, 2)),
        ("vector_right", -1), ("vector_right", (2, 1)), ("vector_left", (1, -1)), ("images", (1, 2)),
        ("images_last", (-1, -1)), ("images_last", 2), ("image_vector", (3, 1)),
    ],
)  # fmt: skip
def test_dot(name: str, axes: Any, normalize: bool, tmp_path: Path) -> None:
    x, y = (keras.Input(shape, name=key) for key, shape in zip("xy", SHAPES[name], strict=True))
    graph = assert_same(keras.Model([x, y], L.Dot(axes, normalize=normalize)([x, y])), tmp_path)
    if not normalize:
        assert anchors(graph) == (["Multiply", "ReduceSum"] if name == "vectors" else ["MatMul"])


def test_a_vector_of_zeros_stays_zero(tmp_path: Path) -> None:
    """Its length is 0; Keras multiplies it with 1e7 at most."""
    x = keras.Input((8,))
    zero = L.ReLU(negative_slope=0.0)(L.Rescaling(0.0)(x))
    assert_same(keras.Model(x, [L.Dot(1, normalize=True)([zero, x]), x]), tmp_path)


@pytest.mark.parametrize(
    ("shapes", "config", "message"),
    [
        ([(8,), (7,)], {"axes": 1}, "the inputs do not fit over the axes (1, 1): got (1, 8) and (1, 7)"),
        ([(8,), (8,)], {"axes": 0}, "'axes' is wrong: expected no batch axis"),
        ([(8,), (8,)], {"axes": [1, -2]}, "'axes' is wrong: expected no batch axis"),
        ([(8,), (8,)], {"axes": 2}, "axis is outside the input"),
        ([(8,), (8,)], {"axes": [1]}, "'axes' is wrong: expected 2 of: an integer"),
        ([(8,), (8,)], {"axes": "last"}, "'axes' is wrong"),
        ([(8,), (8,)], {"axes": [[1], [1]]}, "'axes' is wrong"),
        ([(8,), (8,)], {}, "'axes' is wrong"),
        ([(8,), (8,)], {"axes": 1, "normalize": 1}, "'normalize' is wrong"),
        ([(8,)], {"axes": 1}, "wrong number of inputs: expected 2, got 1"),
        ([(), ()], {"axes": 1}, "expected 2 axes or more, got (1,) and (1,)"),
    ],
)
def test_refusals(shapes: list[tuple[int, ...]], config: dict[str, Any], message: str) -> None:
    sources = [called(layer("InputLayer", f"x{i}", batch_shape=[None, *shape])) for i, shape in enumerate(shapes)]
    names = [f"x{i}" for i in range(len(shapes))]
    model = functional(
        *sources,
        {**called(layer("Dot", "dot", **config), *names), "module": "keras.layers"},
        inputs=[[name, 0, 0] for name in names],
        outputs=["dot", 0, 0],
    )
    with pytest.raises(ConvcError) as caught:
        load(model)
    assert str(caught.value).startswith("layer 'dot' (Dot): ")
    assert message in str(caught.value)
