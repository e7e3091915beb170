"""Resizing against Keras: the tables, every layer and function that resizes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from convc import ops
from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.frontends.keras.resample import METHODS, nearest, weights
from convc.frontends.tables import TABLE_LIMIT
from convc.ir import Array, Graph, Shape
from tests.support.configs import called, functional, layer, sequential
from tests.support.keras import assert_same, feeds, keras
from tests.support.quick import quick_programs  # noqa: F401
from tests.tolerances import relative_error

L = keras.layers

SIZES = [(5, 10), (10, 5), (7, 21), (52, 25), (30, 29), (17, 49), (3, 1), (1, 4), (1, 1), (200, 37), (37, 200)]

RATIOS: list[tuple[Shape, tuple[int, int]]] = [
    ((9, 5, 3), (4, 4)), ((5, 9, 2), (4, 4)), ((4, 9, 1), (8, 3)), ((7, 3, 5), (3, 8)), ((3, 7, 2), (5, 12)),
    ((6, 8, 3), (3, 4)), ((10, 1, 2), (1, 10)), ((5, 6, 17), (1, 1)), ((4, 4, 2), (7, 5)),
]  # fmt: skip
"""An image, and a size of another aspect ratio."""


def dense(indices: Array, values: Array, extent: int) -> Array:
    """A table as a matrix (extent, out)."""
    matrix = np.zeros((extent, len(indices)))
    np.add.at(matrix, (indices, np.arange(len(indices))[:, None]), values)
    return matrix


def branches(shape: Shape, *layers: Callable[[Any], Any]) -> Any:
    """A model of one input with an output for each layer: Keras compiles it once."""
    x = keras.Input(shape, name="input")
    return keras.Model(x, [one(x) for one in layers])


def ordered(shape: Shape, data_format: str) -> Shape:
    """A shape of H, W, C in that order of axes."""
    return shape if data_format == "channels_last" else (shape[2], *shape[:2])


def resized(sizes: Sequence[tuple[int, int]], *arguments: Any) -> list[Array]:
    """jax.image.resize of an identity matrix along its second axis: one program for all sizes."""
    images = [np.eye(extent, dtype=np.float32) for extent, _ in sizes]
    shapes = [(extent, out) for extent, out in sizes]
    made = jax.jit(lambda x: [jax.image.resize(one, shape, *arguments) for one, shape in zip(x, shapes, strict=True)])
    return [np.asarray(value) for value in made(images)]


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", METHODS[1:])
def test_weights_are_those_of_jax(method: str, antialias: bool) -> None:
    for (extent, out), want in zip(SIZES, resized(SIZES, method, antialias), strict=True):
        indices, values = weights(extent, out, method, antialias=antialias)
        assert relative_error(dense(indices, values, extent), want) < 5e-7, (extent, out)
        assert 0 <= indices.min() <= indices.max() < extent


def test_the_nearest_element_is_that_of_jax() -> None:
    """10 to 25 has centres that lie between two elements, and jax's rounding decides."""
    sizes = [*SIZES, (10, 25), (20, 299), (388, 107), (60, 205), (6, 3), (9, 3)]
    for (extent, out), want in zip(sizes, resized(sizes, "nearest", False), strict=True):
        assert np.array_equal(nearest(extent, out)[:, 0], want.argmax(axis=0)), (extent, out)


def test_tables_have_no_more_taps_than_they_need() -> None:
    taps = {method: weights(20, 40, method, antialias=True)[0].shape[1] for method in METHODS[1:]}
    assert taps == {"bilinear": 2, "bicubic": 4, "lanczos3": 6, "lanczos5": 10}
    assert weights(40, 20, "bilinear", antialias=False)[0].shape[1] == 2
    assert weights(40, 20, "bilinear", antialias=True)[0].shape[1] == 4
    assert weights(40, 8, "bilinear", antialias=False)[0].shape[1] == 1


def test_bilinear_upsampling_clamps_at_the_edges() -> None:
    model = branches((2, 2, 1), L.UpSampling2D(interpolation="bilinear"))
    graph = load(model.get_config(), batch=1)
    image = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    (value,) = (ops.evaluate(graph, {"input": image})[node] for node in graph.outputs)
    assert value[0, 0, :, 0].tolist() == [0, 0.25, 0.75, 1]


@pytest.mark.parametrize(
    ("shape", "data_format"),
    [((5, 4, 3), "channels_first"), ((1, 7, 17), "channels_last"), ((2, 1, 1), "channels_last")],
)
def test_upsampling_2d(shape: Shape, data_format: str, tmp_path: Path) -> None:
    layers = [
        L.UpSampling2D(size, data_format, method)
        for method in METHODS
        for size in ((2, (3, 1), [1, 2]) if method == "bilinear" else (2,))
    ]
    assert_same(branches(ordered(shape, data_format), *layers, L.UpSampling2D(1)), tmp_path)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_upsampling_of_volumes(data_format: str, tmp_path: Path) -> None:
    assert_same(
        branches((3, 2, 4, 5), L.UpSampling3D(2, data_format), L.UpSampling3D((1, 3, 2), data_format)), tmp_path
    )


def test_upsampling_of_sequences(tmp_path: Path) -> None:
    assert_same(branches((5, 3), L.UpSampling1D(), L.UpSampling1D(3)), tmp_path)


@pytest.mark.parametrize(
    ("shape", "size", "data_format"),
    [
        ((7, 5, 3), (4, 9), "channels_last"),
        ((4, 6, 17), (8, 3), "channels_first"),
        ((1, 9, 1), (5, 1), "channels_last"),
    ],
)
def test_resizing(shape: Shape, size: tuple[int, int], data_format: str, tmp_path: Path) -> None:
    layers = [
        L.Resizing(*size, interpolation=method, antialias=antialias, data_format=data_format)
        for method in METHODS
        for antialias in (False, True)
    ]
    assert_same(branches(ordered(shape, data_format), *layers), tmp_path, batch=3)


@pytest.mark.parametrize("place", range(len(RATIOS)))
def test_resizing_by_aspect_ratio(place: int, tmp_path: Path) -> None:
    shape, size = RATIOS[place]
    data_format = ("channels_last", "channels_first")[place % 2]
    layers = [
        L.Resizing(*size, crop_to_aspect_ratio=True, data_format=data_format),
        L.Resizing(*size, pad_to_aspect_ratio=True, data_format=data_format),
        L.Resizing(*size, "nearest", pad_to_aspect_ratio=True, fill_value=-1.5, data_format=data_format),
        L.Resizing(*size, crop_to_aspect_ratio=True, antialias=True, data_format=data_format),
    ]
    assert_same(branches(ordered(shape, data_format), *layers), tmp_path)


def test_one_axis_alone_is_resized(tmp_path: Path) -> None:
    """jax leaves an axis that keeps its size as it is, lanczos or not."""
    graph = assert_same(branches((6, 5, 3), L.Resizing(6, 9, "lanczos3"), L.Resizing(4, 5, "bicubic")), tmp_path)
    assert [node.op.axes for node in graph.outputs] == [(2,), (1,)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("shape", "data_format"),
    [((6, 7, 3), "channels_last"), ((5, 5, 1), "channels_last"), ((3, 8, 2), "channels_first")],
)
def test_center_crop(shape: Shape, data_format: str, tmp_path: Path) -> None:
    sizes = [(3, 3), (2, 4), (3, 5), (9, 4), (4, 12), (10, 11), shape[:2]]
    layers = [L.CenterCrop(*size, data_format=data_format) for size in sizes]
    assert_same(branches(ordered(shape, data_format), *layers), tmp_path)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_functions_of_images(data_format: str, tmp_path: Path) -> None:
    image = keras.ops.image

    def resize(size: Any, **arguments: Any) -> Callable[[Any], Any]:
        return lambda x: image.resize(x, size, data_format=data_format, **arguments)

    def pad(*arguments: Any, **named: Any) -> Callable[[Any], Any]:
        return lambda x: image.pad_images(x, *arguments, data_format=data_format, **named)

    def crop(*arguments: Any, **named: Any) -> Callable[[Any], Any]:
        return lambda x: image.crop_images(x, *arguments, data_format=data_format, **named)

    model = branches(
        ordered((6, 5, 3), data_format),
        resize((4, 9)),
        resize([12, 10], interpolation="bicubic", antialias=True),
        resize((3, 8), crop_to_aspect_ratio=True),
        resize((3, 8), pad_to_aspect_ratio=True, fill_value=2.0, interpolation="nearest"),
        pad(1, 2, 0, 3),
        pad(1, 2, target_height=9, target_width=10),
        pad(bottom_padding=2, right_padding=1, target_height=8, target_width=6),
        pad(0, 0, 0, 0),
        crop(1, 2, 0, 1),
        crop(1, 2, target_height=3, target_width=2),
        crop(bottom_cropping=2, right_cropping=1, target_height=4, target_width=3),
        crop(0, 0, 0, 0),
    )
    assert_same(model, tmp_path)


def test_a_resized_image_takes_an_epilogue(tmp_path: Path) -> None:
    model = branches((4, 3, 5), lambda x: L.ReLU()(L.UpSampling2D(interpolation="bilinear")(x)))
    graph = assert_same(model, tmp_path)
    from convc.passes import optimize

    (group,) = optimize(graph).grouped.groups
    assert [node.op.kind for node in group.nodes] == ["ResampleSum", "Relu"]


def test_layers_of_one_size_share_a_kernel() -> None:
    """Tables are weights: what differs between two methods of as many taps is data."""
    graph = load(
        sequential(
            layer("Resizing", "a", height=16, width=16, interpolation="bilinear"),
            layer("Resizing", "b", height=8, width=8, interpolation="bilinear", antialias=True),
        )
    )
    assert {node.op for node in graph.nodes if node.op.kind == "ResampleSum"} == {ops.ResampleSum((1, 2))}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (layer("UpSampling2D", "a", interpolation="area"), "'interpolation' is wrong: expected 'nearest' or 'bil"),
        (layer("UpSampling2D", "a", size=0), "'size' is wrong"),
        (layer("UpSampling2D", "a", size=[2]), "'size' is wrong: expected 2 of"),
        (layer("UpSampling2D", "a", size=[[2, 2], 2]), "'size' is wrong"),
        (layer("UpSampling2D", "a", data_format="last"), "'data_format' is wrong"),
        (layer("UpSampling2D", "a", size=1 << 40, interpolation="bilinear"), "the size is too large"),
        (layer("UpSampling2D", "a", size=1 << 40), "too large"),
        (layer("UpSampling1D", "a"), r"the input has the wrong number of axes: expected 3"),
        (layer("UpSampling3D", "a"), r"the input has the wrong number of axes: expected 5"),
        (layer("Resizing", "a", height=4), "'width' is wrong: expected an integer from 1 up, got nothing"),
        (layer("Resizing", "a", height=0, width=4), "'height' is wrong"),
        (layer("Resizing", "a", height=4, width=4.5), "'width' is wrong"),
        (layer("Resizing", "a", height=1 << 62, width=4), "the size is too large"),
        (layer("Resizing", "a", height=TABLE_LIMIT, width=TABLE_LIMIT, interpolation="nearest"), "too large"),
        (layer("Resizing", "a", height=4, width=4, interpolation="gaussian"), "'interpolation' is wrong"),
        (layer("Resizing", "a", height=4, width=4, interpolation=None), "'interpolation' is wrong"),
        (layer("Resizing", "a", height=4, width=4, antialias="yes"), "'antialias' is wrong"),
        (layer("Resizing", "a", height=4, width=4, fill_mode="reflect"), "'fill_mode' is wrong"),
        (layer("Resizing", "a", height=4, width=4, fill_value=1e39), "'fill_value' is wrong"),
        (layer("Resizing", "a", height=4, width=4, fill_value=[1, 2, 3]), "'fill_value' is wrong"),
        (layer("Resizing", "a", height=4, width=4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
         "it cannot crop and pad"),
        (layer("CenterCrop", "a", height=4, width=-1), "'width' is wrong"),
        (layer("CenterCrop", "a", height=1 << 50, width=4), "the size is too large"),
    ],
)  # fmt: skip
def test_what_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError, match=message) as caught:
        load(sequential(config))
    assert str(caught.value).startswith(f"layer 'a' ({config['class_name']}): ")


@pytest.mark.parametrize("class_name", ["Resizing", "CenterCrop"])
def test_images_without_a_batch_are_refused(class_name: str) -> None:
    with pytest.raises(ConvcError, match="the input is no batch of images: expected 4 axes"):
        load(sequential(layer(class_name, "a", height=4, width=4), shape=(8, 8)))


def _function(class_name: str, **config: Any) -> Graph:
    source = called(layer("InputLayer", "input", batch_shape=[None, 6, 5, 3]))
    entry = called(
        {"class_name": class_name, "module": "keras.src.ops.image", "config": {"name": "f", **config}}, "input"
    )
    return load(functional(source, entry, inputs=[["input", 0, 0]], outputs=[["f", 0, 0]]))


@pytest.mark.parametrize(
    ("class_name", "config", "message"),
    [
        ("Resize", {}, "'size' is wrong"),
        ("Resize", {"size": [3, 4, 5]}, "'size' is wrong"),
        ("Resize", {"size": [3, 0]}, "'size' is wrong"),
        ("PadImages", {"top_padding": 1, "left_padding": 1, "right_padding": 2}, "the height is wrong: expected two"),
        ("PadImages", {"top_padding": 1, "bottom_padding": 1, "target_height": 8}, "the height is wrong: .* got top_"),
        ("PadImages", {"top_padding": -1, "bottom_padding": 1}, "'top_padding' is wrong"),
        ("PadImages", {"top_padding": 1, "target_height": 4, "left_padding": 0, "right_padding": 0},
         "the size does not fit the image: got 1 elements before, -3 behind"),
        ("CropImages", {"top_cropping": 1, "target_height": 9, "left_cropping": 0, "right_cropping": 0},
         "the size does not fit the image"),
        ("CropImages", {"top_cropping": 3, "bottom_cropping": 3, "left_cropping": 0, "right_cropping": 0},
         "nothing is left of the image"),
    ],
)  # fmt: skip
def test_what_functions_refuse(class_name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError, match=message):
        _function(class_name, **config)


def test_the_graph_has_seeded_feeds() -> None:
    graph = _function("Resize", size=[3, 4])
    values = ops.evaluate(graph, feeds(graph))
    assert values[graph.outputs[0]].shape == (1, 3, 4, 3)
