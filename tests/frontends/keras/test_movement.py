"""Layers and functions that move elements, against Keras; and each refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ir import Shape
from convc.ops import Broadcast, Slice, Transpose, evaluate
from convc.passes import optimize
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras, sequential

L, K = keras.layers, keras.ops
FIRST = {"data_format": "channels_first"}


def same(shape: Shape, folder: Path, *made: Callable[[Any], Any], batch: int = 2, dtype: str = "float32") -> Any:
    """Every function of one input of `shape`, in one model, against Keras. Returns the graph."""
    x = keras.Input(shape, batch_size=batch, name="x", dtype=dtype)
    outputs: list[Any] = []
    for function in made:
        result = function(x)
        outputs += result if isinstance(result, (list, tuple)) else [result]
    return assert_same(keras.Model(x, outputs), folder, batch=batch)


def test_cropping(tmp_path: Path) -> None:
    same((7, 6, 3), tmp_path, *(
        L.Cropping2D(cropping, data_format=order)
        for cropping in (0, 1, (1, 0), (0, 2), ((2, 1), (0, 3)), ((3, 3), (5, 0)))
        for order in ("channels_last", None)
    ), *(L.Cropping2D(cropping, **FIRST) for cropping in (1, ((0, 5), (1, 0)), (2, 0))))  # fmt: skip


def test_cropping_of_other_ranks(tmp_path: Path) -> None:
    same((7, 5), tmp_path, *(L.Cropping1D(cropping) for cropping in (0, 2, (1, 0), (0, 6))), batch=3)
    same((5, 4, 6, 3), tmp_path, L.Cropping3D(1), L.Cropping3D((1, 0, 2)), L.Cropping3D(((0, 4), (3, 0), (2, 1))),
         L.Cropping3D(((1, 0), (1, 2), (0, 2)), **FIRST))  # fmt: skip


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_upsampling(order: str, tmp_path: Path) -> None:
    same((3, 4, 5), tmp_path, *(L.UpSampling2D(size, order) for size in (1, 2, (1, 3), (3, 2))), batch=1)
    same((2, 3, 1, 4), tmp_path, *(L.UpSampling3D(size, order) for size in (2, (1, 2, 3), (2, 1, 1))), batch=1)


def test_upsampling_and_repeats_of_vectors(tmp_path: Path) -> None:
    same((5, 3), tmp_path, L.UpSampling1D(), L.UpSampling1D(3), L.UpSampling1D(1))
    same((5,), tmp_path, L.RepeatVector(1), L.RepeatVector(4), batch=3)


def test_reshaping_layers(tmp_path: Path) -> None:
    same((4, 6), tmp_path, L.Reshape((24,)), L.Reshape((-1, 3)), L.Reshape((2, -1, 1, 4)), L.Reshape((-1,)),
         L.Permute((2, 1)), L.Permute((1, 2)), L.Flatten(), L.Flatten(**FIRST))  # fmt: skip
    same((), tmp_path, L.Flatten(), batch=3)


def test_functions_that_rename_axes(tmp_path: Path) -> None:
    same((3, 4), tmp_path,
         lambda x: K.reshape(x, (2, -1)), lambda x: K.reshape(x, (-1, 6)), lambda x: K.reshape(x, (24,)),
         lambda x: K.reshape(x, 24), lambda x: K.ravel(x),
         lambda x: K.transpose(x), lambda x: K.transpose(x, (2, 0, 1)), lambda x: K.transpose(x, (0, -1, 1)),
         lambda x: K.swapaxes(x, 0, -1), lambda x: K.moveaxis(x, 0, -1), lambda x: K.moveaxis(x, [2, 0], [0, 1]),
         lambda x: K.expand_dims(x, 0), lambda x: K.expand_dims(x, -1), lambda x: K.expand_dims(x, (1, -1)),
         lambda x: K.squeeze(K.expand_dims(x, (1, 3))), lambda x: K.squeeze(K.expand_dims(x, (1, 3)), -2),
         lambda x: K.squeeze(K.expand_dims(x, (1, 3)), (1, 3)))  # fmt: skip


def test_functions_that_turn(tmp_path: Path) -> None:
    turns = [partial(K.rot90, k=k, axes=axes) for k in (-1, 0, 1, 2, 3, 5) for axes in ((0, 1), (2, 1))]
    same((3, 4), tmp_path, *turns, lambda x: K.flip(x), lambda x: K.flip(x, 1), lambda x: K.flip(x, (0, -1)),
         lambda x: K.fliplr(x), lambda x: K.flipud(x),
         lambda x: K.roll(x, 1), lambda x: K.roll(x, -5), lambda x: K.roll(x, 2, 1), lambda x: K.roll(x, -1, -1),
         lambda x: K.roll(x, (1, 2), (1, 2)), lambda x: K.roll(x, 7, (0, 2)), lambda x: K.roll(x, 3, 1))  # fmt: skip


def test_functions_that_join(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    same((3, 4), tmp_path, *(
        lambda x, axis=axis: K.stack([x, x, 2 * x], axis) for axis in (0, 1, -1, 3)
    ), lambda x: K.concatenate([x, x]), lambda x: K.concatenate([x, x[:, :, :1]], -1),
        lambda x: K.concatenate([x, table], 0),
        lambda x: K.append(x, x), lambda x: K.append(x, x[:1, :], 0), lambda x: K.append(x, x, -1),
        lambda x: K.hstack([x, x[:, :1]]), lambda x: K.vstack([x, x]),
        lambda x: K.dstack([x, x]),
        lambda x: K.dstack([x[0], x[1]]))  # fmt: skip


def test_functions_that_split(tmp_path: Path) -> None:
    same((6, 7), tmp_path,
         lambda x: K.split(x, 3, 1), lambda x: K.split(x, [1, 4], -1), lambda x: K.split(x, [2], 1),
         lambda x: K.split(x, 2),
         lambda x: K.split(x, [3], 2),
         lambda x: K.array_split(x, 4, 1), lambda x: K.array_split(x, 3, 2),
         lambda x: K.unstack(x, axis=1), lambda x: K.unstack(x, 7, -1), lambda x: K.unstack(x),
         lambda x: K.hsplit(x, 2), lambda x: K.vsplit(x, 2), lambda x: K.dsplit(x, 7),
         lambda x: K.hsplit(x[:, 0, 0], 2))  # fmt: skip


def test_functions_that_repeat(tmp_path: Path) -> None:
    same((3, 4), tmp_path,
         lambda x: K.tile(x, 2), lambda x: K.tile(x, (2, 1, 3)), lambda x: K.tile(x, (3, 1, 1, 2)),
         lambda x: K.tile(x, 1), lambda x: K.tile(x, (2, 1)), lambda x: K.repeat(x, 2), lambda x: K.repeat(x, 3, 1),
         lambda x: K.repeat(x, 2, -1),
         lambda x: K.repeat(x, 1, 0),
         lambda x: K.broadcast_to(x, (5, 2, 3, 4)), lambda x: K.broadcast_to(x[:, :1], (2, 7, 4)),
         lambda x: K.broadcast_to(x, (2, 3, 4)),
         lambda x: x + K.zeros_like(x), lambda x: x * K.full_like(x, 3.5), lambda x: x + K.ones_like(x))  # fmt: skip


def test_a_count_for_each_element() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    graph = load(model("Repeat", repeats=[2, 0, 1, 3], axis=1))
    assert np.array_equal(evaluate(graph, {"x": x})[graph.outputs[0]], np.repeat(x, [2, 0, 1, 3], axis=1))


def test_functions_that_pad(tmp_path: Path) -> None:
    widths = ((0, 0), (1, 2), (3, 0))
    same((3, 5), tmp_path,
         lambda x: K.pad(x, 1), lambda x: K.pad(x, (1, 2)), lambda x: K.pad(x, widths),
         lambda x: K.pad(x, widths, constant_values=-1.5), lambda x: K.pad(x, ((1, 1),), constant_values=2.0),
         *((lambda x, mode=mode: K.pad(x, widths, mode)) for mode in ("edge", "reflect", "symmetric", "wrap")),
         lambda x: K.pad(x, ((0, 0), (0, 0), (9, 7)), "reflect"))  # fmt: skip


def test_functions_about_diagonals(tmp_path: Path) -> None:
    same((4, 5), tmp_path,
         *((lambda x, k=k: K.diagonal(x, k, 1, 2)) for k in (0, 2, 4, -3)),
         lambda x: K.diagonal(x), lambda x: K.diagonal(x, 1, -1, 0),
         lambda x: K.trace(x, 0, 1, 2), lambda x: K.trace(x, -1, 2, 1),
         *((lambda x, k=k: K.tril(x, k)) for k in (-2, 0, 3)), *((lambda x, k=k: K.triu(x, k)) for k in (-2, 0, 3)),
         *((lambda x, k=k: K.diag(x[0, 0], k)) for k in (-2, 0, 3)),
         *((lambda x, k=k: K.diag(x[0], k)) for k in (-2, 0, 3)))  # fmt: skip


def test_a_triangle_hides_what_is_not_finite() -> None:
    x = np.full((1, 4, 6), np.inf, np.float32)
    entry = {**called(layer("Tril", "op", k=0)), "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}]}
    graph = load(
        functional(SOURCE, {**entry, "module": "keras.src.ops.numpy"}, inputs=["x", 0, 0], outputs=["op", 0, 0])
    )
    assert evaluate(graph, {"x": x})[graph.outputs[0]][0, :2, :3].tolist() == [[np.inf, 0, 0], [np.inf, np.inf, 0]]


def test_functions_that_slice(tmp_path: Path) -> None:
    box = np.full((1, 2, 3), 7.0, np.float32)
    same((4, 5), tmp_path,
         lambda x: K.slice(x, (0, 1, 2), (2, 3, 1)), lambda x: K.slice(x, np.array([1, 0, 0]), (1, 4, 5)),
         lambda x: K.slice(x, (0, 1, 2), (-1, -1, 2)),
         lambda x: K.slice_update(x, (1, 2, 0), box), lambda x: K.slice_update(x, (0, 0, 2), x[:1, :2, :3]),
         lambda x: K.slice_update(x, (0, 0, 0), 2 * x))  # fmt: skip


def test_functions_of_blocks(tmp_path: Path) -> None:
    for order in ("channels_last", "channels_first"):
        block = 4 if order == "channels_first" else 2
        same((4, 8, 12), tmp_path, partial(K.nn.depth_to_space, block_size=2, data_format=order),
             partial(K.nn.space_to_depth, block_size=block, data_format=order))  # fmt: skip


def test_functions_that_hand_on(tmp_path: Path) -> None:
    same((4,), tmp_path, lambda x: K.copy(x) * 2, lambda x: K.stop_gradient(x) * 2,
         lambda x: K.convert_to_tensor(x) * 2,
         lambda x: K.cast(x, "float32") * 2, lambda x: K.cast(3 * x, "int32"),
         lambda x: K.saturate_cast(9 * x, "int32"),
         lambda x: K.cast(K.cast(3 * x, "int32"), "float32"))  # fmt: skip


def test_integers_are_moved_too(tmp_path: Path) -> None:
    same((4, 6), tmp_path, lambda x: x[:, ::-1], lambda x: K.stack([x, x], 1), lambda x: K.pad(x, 1, constant_values=3),
         lambda x: K.tile(x, 2), lambda x: K.roll(x, 1, 1), lambda x: L.Reshape((24,))(x),
         lambda x: L.Permute((2, 1))(x),
         lambda x: L.Cropping1D(1)(x), lambda x: L.UpSampling1D(2)(x), lambda x: L.Flatten()(x),
         lambda x: L.Dropout(0.5)(x),
         lambda x: K.concatenate([x, K.cast(x, "float32")], 1), lambda x: K.full_like(x, 2) + x,
         lambda x: L.Concatenate()([x, x]), lambda x: K.concatenate([np.ones((2, 1, 6), np.int32), x], 1),
         lambda x: K.take(x, [1, -1, 1], 2), dtype="int32")  # fmt: skip


def test_channels_first_cropping_leaves_no_transposes(tmp_path: Path) -> None:
    model = sequential((3, 8, 9), L.Conv2D(5, 3, **FIRST), L.Cropping2D(1, **FIRST), L.ReLU(),
                       L.UpSampling2D(2, **FIRST), L.Conv2D(4, 1, **FIRST),
                       L.GlobalAveragePooling2D(**FIRST))  # fmt: skip
    graph = optimize(assert_same(model, tmp_path)).grouped.graph
    kinds = [type(node.op) for node in graph.nodes]
    assert kinds.count(Transpose) == 1
    assert kinds.count(Slice) == kinds.count(Broadcast) == 1


SOURCE = called(layer("InputLayer", "x", batch_shape=[None, 4, 6]))


def model(kind: str, *args: Any, module: str = "keras.src.ops.numpy", **config: Any) -> Config:
    entry = {**called(layer(kind, "op", **config)), "module": module}
    call = {"args": list(args or [tensor("x")]), "kwargs": {}}
    return functional(SOURCE, {**entry, "inbound_nodes": [call]}, inputs=["x", 0, 0], outputs=["op", 0, 0])


X = tensor("x")
LAYERS = "keras.layers"
WHOLE = {"class_name": "__numpy__", "config": {"value": [0.5], "dtype": "float32"}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (model("Cropping1D", module=LAYERS, cropping=[2, 2]),
         "nothing is left of axis 1: expected less than 4 cut off, got 2 + 2"),
        (model("Cropping1D", module=LAYERS, cropping=1 << 62), "nothing is left of axis 1"),
        (model("Cropping1D", module=LAYERS, cropping=[1, -1]),
         "'cropping' is wrong: expected 1 integers from 0 up, or 1 pairs"),
        (model("Cropping1D", module=LAYERS, cropping=[1, 1, 1]), "'cropping' is wrong"),
        (model("Cropping2D", module=LAYERS, cropping=1), "the input has the wrong number of axes: expected 4"),
        (model("Cropping2D", module=LAYERS, cropping=[[1], [1]]), "'cropping' is wrong"),
        (model("Cropping3D", module=LAYERS, cropping="1"), "'cropping' is wrong"),
        (model("RepeatVector", module=LAYERS, n=2), "the input has the wrong number of axes: expected 2"),
        (model("RepeatVector", module=LAYERS, n=0), "'n' is wrong: expected an integer from 1 up, got 0"),
        (model("RepeatVector", module=LAYERS, n=True), "'n' is wrong"),
        (model("UpSampling1D", module=LAYERS, size=0), "'size' is wrong"),
        (model("UpSampling1D", module=LAYERS, size=1 << 60), "the output is too large"),
        (model("UpSampling3D", module=LAYERS, size=2), "the input has the wrong number of axes: expected 5"),
        (model("Reshape", module=LAYERS, target_shape=[5, -1]), "the shape does not fit: expected 24 elements"),
        (model("Permute", module=LAYERS, dims=[1, 1]), "not a permutation of the axes"),
        (model("Permute", module=LAYERS, dims=[1]), "not a permutation of the axes"),
        (model("Reshape", newshape=[-1, -1]), "'newshape' is wrong: expected one -1 at most"),
        (model("Reshape", newshape=[5, -1]), "the shape does not fit: expected 24 elements, got (5, -1)"),
        (model("Reshape", newshape=[0, 4]), "'newshape' is wrong"),
        (model("Reshape", newshape="4"), "'newshape' is wrong"),
        (model("Transpose", axes=[0, 1]), "not a permutation of the axes"),
        (model("Transpose", axes=[0, 1, 1]), "'axes' is wrong: expected different axes"),
        (model("Transpose", axes=[0, 1, 3]), "axis is outside the input: expected -3 to 2, got 3"),
        (model("Swapaxes", axis1=0, axis2=5), "axis is outside the input"),
        (model("Moveaxis", source=[0, 1], destination=[1]), "differ in length"),
        (model("ExpandDims", axis=[1, 1]), "'axis' is wrong: expected different axes"),
        (model("ExpandDims", axis=9), "axis is outside the input"),
        (model("Squeeze", axis=1), "axis 1 cannot be left out: expected 1 element, got 4"),
        (model("Rot90", X, k=1, axes=[0]), "'axes' is wrong: expected 2 axes, got 1"),
        (model("Rot90", X, k=1, axes=[1, 1]), "'axes' is wrong: expected different axes"),
        (model("Roll", shift=[1, 2, 3], axis=[0, 1]), "'shift' and 'axis' differ in length"),
        (model("Roll", shift=0.5, axis=1), "'shift' is wrong"),
        (model("Stack", [X, [1.0]], axis=0), "the inputs differ in shape"),
        (model("Stack", [], axis=0), "a call reads no tensor"),
        (model("Concatenate", [X, X], axis=3), "axis is outside the input"),
        (model("Split", indices_or_sections=5, axis=2),
         "axis 2 cannot be split evenly: expected a number that divides 6"),
        (model("Split", indices_or_sections=[3, 3], axis=2), "a part is empty"),
        (model("Split", indices_or_sections=[9], axis=2), "a part is empty"),
        (model("Split", indices_or_sections=1 << 40, axis=2), "cannot be split evenly"),
        (model("ArraySplit", indices_or_sections=1 << 40, axis=2), "too many parts: expected at most 6"),
        (model("Unstack", num=3, axis=2, module="keras.src.ops.core"), "'num' does not fit the input: expected 6"),
        (model("Dsplit", X, indices_or_sections=4), "axis 2 cannot be split evenly"),
        (model("Tile", repeats=[1, 0, 1]), "'repeats' is wrong: expected an integer from 1 up, or a list of them"),
        (model("Repeat", repeats=[1, 2], axis=1), "'repeats' does not fit: expected 1 or 4 counts, got 2"),
        (model("Repeat", repeats=[0, 0, 0, 0], axis=1), "nothing is left of axis 1"),
        (model("Repeat", repeats=[1 << 40] * 4, axis=1), "'repeats' is too large"),
        (model("BroadcastTo", shape=[2, 4, 7]), "the input cannot be repeated to the shape"),
        (model("BroadcastTo", shape=[None, 4, 6]), "'shape' is wrong"),
        (model("FullLike", X, X), "'fill_value' is wrong"),
        (model("FullLike", X, 1.0, dtype="uint8"), "'dtype' is not supported"),
        (model("Pad", pad_width=[[0, 0], [1, 1]]), "'pad_width' is wrong"),
        (model("Pad", pad_width=-1), "'pad_width' is wrong"),
        (model("Pad", pad_width=1, mode="linear_ramp"), "'mode' is wrong: expected 'constant' or 'edge'"),
        (model("Pad", X, X, pad_width=1), "'constant_values' is not supported: expected one number, got a tensor"),
        (model("Pad", X, 1.0, pad_width=1, mode="edge"), "'constant_values' is wrong"),
        (model("Pad", pad_width=1 << 50, mode="wrap"), "the padding is too wide"),
        (model("Pad", pad_width=1 << 50), "the output is too large"),
        (model("Diagonal", offset=9, axis1=1, axis2=2), "the diagonal is empty: expected -3 to 5"),
        (model("Diagonal", offset=0, axis1=1, axis2=-2), "'axis1' and 'axis2' are the same"),
        (model("Diag", k=0), "the input has the wrong number of axes: expected 1 or 2, got 3"),
        (model("Cast", dtype="uint8", module="keras.src.ops.core"), "'dtype' is not supported: expected float32"),
        (model("Cast", module="keras.src.ops.core"), "'dtype' is missing"),
        (model("DepthToSpace", block_size=2, module="keras.src.ops.nn"), "the input has the wrong number of axes"),
        (model("Slice", X, [0, 0, 0], shape=[1, 5, 6]), "axis 1 reaches outside the input"),
        (model("Slice", X, [0, 4, 0], shape=[1, 1, 6]), "an index is outside: expected -4 to 3, got 4"),
        (model("Slice", X, [0, 0], shape=[1, 1]), "the slice does not fit the input: expected 3 of each"),
        (model("Slice", X, X, shape=[1, 1, 1]), "'start_indices' is not supported: expected constants"),
        (model("Slice", X, WHOLE, shape=[1, 1, 1]), "'start_indices' is wrong: expected integers"),
        (model("Slice", X, [0, 0, 0], shape=[1, 0, 6]), "the slice is empty"),
        (model("SliceUpdate", X, [0, 0, 1], X), "axis 2 of the slice is outside: expected a start from 0 to 0, got 1"),
        (model("SliceUpdate", X, [0, 0], X), "the slice does not fit the input"),
    ],
)  # fmt: skip
def test_refused(config: Config, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(config, batch=1)
    assert message in str(caught.value)
    assert "'op'" in str(caught.value)


@pytest.mark.parametrize("kind", ["Dense", "Conv1D", "ReLU", "AveragePooling1D", "BatchNormalization"])
def test_integers_are_refused_where_they_mean_nothing(kind: str) -> None:
    config = {"Dense": {"units": 2}, "Conv1D": {"filters": 2, "kernel_size": 1}}.get(kind, {})
    source = called(layer("InputLayer", "x", batch_shape=[None, 4, 6], dtype="int32"))
    entry = {**called(layer(kind, "op", **config)), "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}]}
    with pytest.raises(ConvcError, match="it does not take integers: expected float32, got int32 from input 'x'"):
        load(functional(source, entry, inputs=["x", 0, 0], outputs=["op", 0, 0]), weights="random")


@pytest.mark.parametrize(("kind", "args"), [("Add", [2]), ("Multiply", [X]), ("Subtract", [X])])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_integers_that_wrap_around_are_refused(kind: str, args: Sequence[Any], dtype: str) -> None:
    source = called(layer("InputLayer", "x", batch_shape=[None, 4], dtype=dtype))
    entry = {**called(layer(kind, "op")), "module": "keras.src.ops.numpy"}
    calls = {"inbound_nodes": [{"args": [X, *args], "kwargs": {}}]}
    config = functional(source, {**entry, **calls}, inputs=["x", 0, 0], outputs=["op", 0, 0])
    with pytest.raises(ConvcError, match="integers of less than 32 bits wrap around in Keras"):
        load(config)


def test_integers_of_less_than_32_bits_that_are_converted(tmp_path: Path) -> None:
    same((3, 4), tmp_path, lambda x: K.cast(x, "int32") * x.shape[1] * 100, lambda x: K.cast(x, "float32") * 2.5,
         lambda x: L.Rescaling(1 / 255.0, -1)(x), lambda x: L.Normalization(mean=3.0, variance=4.0)(x),
         lambda x: K.cast(x > 100, "float32"), lambda x: x[:, ::2], dtype="uint8")  # fmt: skip


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
def test_inputs_of_every_integer(dtype: str, tmp_path: Path) -> None:
    same((3, 4), tmp_path, lambda x: L.Rescaling(0.5)(x), lambda x: L.Embedding(100, 3)(x), dtype=dtype)


def test_inputs_of_truth_values(tmp_path: Path) -> None:
    x = keras.Input((3,), dtype="bool", name="x")
    graph = load(_saved(keras.Model(x, K.cast(x, "float32") * 2), tmp_path))
    assert evaluate(graph, {"x": np.array([[1, 0, 5]], np.int32)})[graph.outputs[0]].tolist() == [[2, 0, 2]]


def _saved(model: Any, folder: Path) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def test_a_nested_model_converts_what_it_is_called_with(tmp_path: Path) -> None:
    inner_float, inner_int = keras.Input((3,), name="f"), keras.Input((3,), dtype="int32", name="i")
    inner = keras.Model([inner_float, inner_int], [inner_float * 2.5, inner_int * 3])
    x, y = keras.Input((3,), dtype="int32", name="x"), keras.Input((3,), name="y")
    assert_same(keras.Model([x, y], inner([x, y])), tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dtype": "string"}, "the input's dtype is not supported: expected floating point or integers, got string"),
        ({"dtype": "complex64"}, "the input's dtype is not supported"),
        ({"sparse": True}, "sparse"),
        ({"ragged": True}, "ragged"),
    ],
)
def test_inputs_that_are_refused(config: Config, message: str) -> None:
    source = called(layer("InputLayer", "op", batch_shape=[None, 4], **config))
    with pytest.raises(ConvcError) as caught:
        load(functional(source, inputs=["op", 0, 0], outputs=["op", 0, 0]))
    assert message in str(caught.value)
    assert "'op'" in str(caught.value)
