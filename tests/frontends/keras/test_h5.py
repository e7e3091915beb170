"""Models and weights in HDF5 and .npz files, as Keras 3 writes them: every value is at its place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convc import ops
from convc.errors import ModelError
from convc.frontends.keras import attributes, load
from convc.ir import Graph
from tests.support.keras import feeds, keras, predict, randomise, save
from tests.tolerances import assert_close

L = keras.layers


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are sound, or damaged in ways that do not hold up; test_fuzz.py reads in another process."""
    monkeypatch.setattr(attributes, "read", attributes.collect)


def convolutional() -> Any:
    x = keras.Input((7, 6, 3), name="image")
    y = L.Conv2D(4, 3, padding="same", name="first")(x)
    y = L.BatchNormalization(name="norm")(y)
    y = L.SeparableConv2D(5, 3, depth_multiplier=2)(L.ReLU()(y))
    y = L.DepthwiseConv2D(2, use_bias=False)(L.Dropout(0.5)(y))
    y = L.PReLU(shared_axes=[1])(L.BatchNormalization(scale=False)(y))
    return keras.Model(x, [L.Dense(3, name="head")(L.GlobalAveragePooling2D()(y)), y])


def inner(trainable: bool = True) -> Any:
    model = keras.Sequential(
        [keras.Input((5,)), L.Dense(5), L.BatchNormalization(), L.Dense(5, use_bias=False)], name="inner"
    )
    model.layers[0].trainable = trainable
    return model


def nested() -> Any:
    """Models within models, a layer that is not trained, one that is shared, and operators between them."""
    x = keras.Input((5,))
    deep = keras.Sequential([keras.Input((5,)), L.BatchNormalization(), inner(False), L.Dense(5)], name="deep")
    shared = L.Dense(5, name="shared")
    y = shared(deep(x)) + shared(x) * 2.0
    frozen = inner()
    frozen.trainable = False
    return keras.Model(x, L.Add()([frozen(y), y - 1.0]))


def normalized() -> Any:
    x = keras.Input((4, 3))
    return keras.Model(x, L.Dense(2)(L.Normalization()(x)))


def plain() -> Any:
    return keras.Sequential([keras.Input((6, 4)), L.Conv1D(3, 3), L.Flatten(), L.Dense(2, activation="tanh")])


def composite() -> Any:
    """Layers that hold others, which own their variables."""
    x = keras.Input((5, 6), name="x")
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    y = L.MultiHeadAttention(2, 3)(y, y)
    y = L.TimeDistributed(keras.Sequential([L.Dense(4), L.BatchNormalization(), L.Dense(6)]))(y)
    y = L.Bidirectional(
        L.GRU(2, return_sequences=True),
        backward_layer=L.GRU(2, activation="relu", go_backwards=True, return_sequences=True),
    )(y)
    y = L.RNN(L.StackedRNNCells([L.GRUCell(3), L.SimpleRNNCell(4)]))(L.LayerNormalization()(y))
    return keras.Model(x, L.EinsumDense("ab,bc->ac", 3, bias_axes="c")(y))


MODELS: list[Callable[[], Any]] = [convolutional, nested, normalized, plain, composite]


def quiet(write: Callable[[Path], object], path: Path) -> Path:
    with warnings.catch_warnings():
        # Keras 3.15 turns its variables into arrays in a way that NumPy 2 warns of.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept", DeprecationWarning)
        write(path)
    return path


def values(model: Any) -> list[Any]:
    """What `model.get_weights()` returns, which warns."""
    return [np.asarray(variable.value) for variable in model.weights]


def named(model: Any) -> dict[str, Any]:
    """The weights of a model as "layer/weight"; those of nested models under all names."""

    def walk(layer: Any, names: tuple[str, ...]) -> None:
        if hasattr(layer, "layers"):
            for part in layer.layers:
                walk(part, (*names, part.name))
            return
        for variable in layer.weights:
            found["/".join((*names, variable.name))] = np.asarray(variable.value)

    found: dict[str, Any] = {}
    walk(model, ())
    return found


def same(graph: Graph, model: Any) -> None:
    inputs = feeds(graph)
    got = ops.evaluate(graph, inputs)
    for node, want in zip(graph.outputs, predict(model, inputs), strict=True):
        assert_close(got[node], want, "reference")


@pytest.mark.parametrize("make", MODELS)
def test_every_form_of_weights_is_the_model(make: Callable[[], Any], tmp_path: Path) -> None:
    model = randomise(make())
    config = tmp_path / "model.json"
    config.write_text(model.to_json())
    whole = quiet(model.save, tmp_path / "model.h5")
    same(load(whole, batch=2), model)
    flat, names = tmp_path / "flat.npz", tmp_path / "names.npz"
    np.savez(flat, *values(model))
    np.savez_compressed(names, **named(model))
    own = quiet(model.save_weights, tmp_path / "model.weights.h5")
    files = [whole, own, flat, save(model, tmp_path)]
    for file in files if make is composite else [*files, names]:
        same(load(config, batch=2, weights=file), model)
        same(load(str(config), batch=2, weights=str(file)), model)


def test_a_file_of_weights_replaces_those_of_the_model(tmp_path: Path) -> None:
    model = randomise(plain(), 1)
    whole = quiet(model.save, tmp_path / "model.h5")
    np.savez(tmp_path / "other.npz", *values(randomise(plain(), 2)))
    same(load(whole, weights=tmp_path / "other.npz"), randomise(plain(), 2))


def test_names_that_keras_counted_on_are_matched_in_order(tmp_path: Path) -> None:
    model = randomise(keras.Sequential([keras.Input((3,)), L.Dense(3, name="a_7"), L.Dense(3, name="a_8")]))
    twin = keras.Sequential([keras.Input((3,)), L.Dense(3, name="a"), L.Dense(3, name="a_1")])
    whole = quiet(model.save, tmp_path / "model.h5")
    same(load(twin.to_json(), weights=whole), model)


def test_names_of_many_layers_lie_in_chunks(tmp_path: Path) -> None:
    long = "n" * 20_000
    model = keras.Sequential([keras.Input((3,)), *(L.Dense(3, name=f"{long}{index}") for index in range(5))])
    whole = quiet(randomise(model).save, tmp_path / "model.h5")
    with h5py.File(whole) as file:
        assert "layer_names0" in file["model_weights"].attrs
    same(load(whole), model)


def test_operators_are_told_from_layers_of_their_name(tmp_path: Path) -> None:
    x, y = keras.Input((4, 2), name="x"), keras.Input((4, 2), name="y")
    out = [
        keras.ops.maximum(x, y), L.Maximum()([x, y]), keras.ops.reshape(x, (-1, 2, 4)), L.Reshape((8,))(y),
        keras.ops.concatenate([x, y], 1), keras.ops.relu(x), x[:, 1:, ::-1],
    ]  # fmt: skip
    model = keras.Model([x, y], out)
    same(load(quiet(model.save, tmp_path / "model.h5"), batch=2), model)


def edited(folder: Path, change: Callable[[Any], None]) -> Path:
    path = quiet(randomise(plain()).save, folder / "model.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def problem(path: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(path, **options)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def attribute(place: str, key: str, value: object) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        file[place].attrs[key] = value

    return change


def replaced(place: str, value: object) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[place]
        file[place] = value

    return change


KERNEL = "model_weights/dense/sequential/dense/kernel"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__delitem__("model_config"), "holds weights and no model: expected the attribute"),
        (attribute("/", "model_config", "{"), "the config is not JSON"),
        (attribute("/", "model_config", "[" * 100_000), "nested too deeply"),
        (attribute("/", "model_config", 3), "the attribute 'model_config' is wrong: expected one string"),
        (attribute("/", "model_config", ["{}", "{}"]), "the attribute 'model_config' is wrong"),
        (attribute("/", "keras_version", [1, 2]), "the attribute 'keras_version' is wrong"),
        (
            attribute("model_weights", "layer_names", 3),
            "the attribute 'layer_names' is wrong: expected a list of names",
        ),
        (attribute("model_weights", "layer_names", [1.5]), "the attribute 'layer_names' is wrong"),
        (attribute("model_weights", "layer_names", ["dense", "other"]), "the layer 'other' is missing"),
        (
            attribute("model_weights", "layer_names", ["dense"]),
            "the file has no weights for it: expected a layer named 'conv1d",
        ),
        (attribute("model_weights/dense", "weight_names", ["nothing", "more"]), "is not stored in the file"),
        (attribute("model_weights/dense", "weight_names", ["../dense", ".."]), "is not stored in the file"),
        (
            attribute("model_weights/dense", "weight_names", ["a", "b", "c"]),
            "another number of weights for it: expected 2 (kernel, bias), got 3",
        ),
        (attribute("model_weights/dense", "weight_names", 7), "the attribute 'weight_names' is wrong"),
        (replaced("model_weights/dense", h5py.ExternalLink("other.h5", "/")), "the weights hold a link"),
        (replaced("model_weights", h5py.ExternalLink("other.h5", "/")), "the weights hold a link"),
        (replaced("model_weights", np.zeros(3)), "truncated or damaged"),
    ],
)
def test_damage_is_one_line(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    keras.utils.clear_session()
    path = edited(tmp_path, change)
    line = problem(path)
    assert message in line
    assert line.startswith((f"'{path}': ", "layer '"))


def kernel_of(file: Any) -> str:
    names = [name for name in file["model_weights/dense"].attrs["weight_names"] if "kernel" in str(name)]
    return f"model_weights/dense/{names[0] if isinstance(names[0], str) else names[0].decode()}"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"shape": (12, 3), "dtype": "f4"}, "weight 'kernel' has the wrong shape: expected (12, 2), got (12, 3)"),
        ({"shape": (1 << 40, 1 << 20), "dtype": "f4", "chunks": (1, 1)}, "weight 'kernel' expands too far"),
        ({"shape": (12, 2), "dtype": "i4"}, "weight 'kernel' has the wrong type: expected floating point, got int32"),
        ({"shape": (12, 2), "dtype": "f4", "external": [("raw.bin", 0, 96)]}, "is not stored in the file"),
        ({"data": h5py.Empty("f4")}, "is not stored in the file"),
    ],
)  # fmt: skip
def test_a_weight_that_does_not_fit_names_its_layer(dataset: dict[str, Any], message: str, tmp_path: Path) -> None:
    keras.utils.clear_session()

    def change(file: Any) -> None:
        name = kernel_of(file)
        del file[name]
        file.create_dataset(name, **dataset)

    line = problem(edited(tmp_path, change))
    assert line.startswith("layer 'dense' (Dense): ")
    assert message in line


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    config = plain().to_json()
    other = quiet(randomise(convolutional()).save, tmp_path / "other.h5")
    with pytest.raises(ModelError) as caught:
        load(config, weights=other)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0][:7] for line in lines[:2]] == ["layer '", "layer '"]
    assert "the file has weights of layers that the model lacks: got 'first', " in lines[-1]


def arrays(folder: Path, *values: Any, **named_values: Any) -> Path:
    path = folder / "w.npz"
    np.savez(path, *values, **named_values)
    return path


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    config = keras.Sequential([keras.Input((3,)), L.Dense(4, name="a"), L.Dense(2, name="b")]).to_json()
    right = [np.zeros(shape, np.float32) for shape in ((3, 4), (4,), (4, 2), (2,))]
    load(config, weights=arrays(tmp_path, *right))

    def line(*values: Any, **named_values: Any) -> str:
        with pytest.raises(ModelError) as caught:
            load(config, weights=arrays(tmp_path, *values, **named_values))
        return str(caught.value)

    assert "expected the 4 weights of the model in their order, got 3 arrays" in line(*right[:3])
    short = line(right[0], *right[2:])
    assert short.endswith("the first that does not fit is arr_1 of shape (4, 2), for 'bias' of layer 'a' (Dense)")
    assert line(*right[:3], np.zeros(3, "f4")) == (
        "layer 'b' (Dense): weight 'bias' has the wrong shape: expected (2,), got (3,)"
    )
    assert line(*right[:3], np.zeros(2, "i4")) == (
        "layer 'b' (Dense): weight 'bias' has the wrong type: expected floating point, got int32"
    )
    with_names = {"a/kernel": right[0], "a/bias": right[1], "b/kernel": right[2]}
    assert line(**with_names) == "layer 'b' (Dense): the file has no weight 'bias': expected 'b/bias'"
    assert line(**with_names, **{"b/bias": right[3], "c/bias": right[3]}).endswith(
        "the file has weights that no layer of the model has: expected a, b, got 'c/bias'"
    )
    pickled = tmp_path / "p.npz"
    np.savez(pickled, np.array([{}], dtype=object), *right[1:])
    with pytest.raises(ModelError, match=r"layer 'a' \(Dense\): weight 'kernel' has the wrong"):
        load(config, weights=pickled)


def test_weights_of_other_floats_are_converted(tmp_path: Path) -> None:
    config = keras.Sequential([keras.Input((1,)), L.Dense(2, name="a")]).to_json()
    fortran = np.asfortranarray(np.array([[1.5, -2]], ">f8"))
    graph = load(config, weights=arrays(tmp_path, fortran, np.array([0.5, 4], "<f2")))
    value = ops.evaluate(graph, {graph.inputs[0].name: np.ones((1, 1), np.float32)})[graph.outputs[0]]
    assert value.tolist() == [[2.0, 2.0]]


def test_a_normalization_keeps_its_counter_of_integers(tmp_path: Path) -> None:
    model = randomise(normalized())
    path = tmp_path / "w.npz"
    np.savez(path, *values(model))
    same(load(model.to_json(), weights=path, batch=2), model)
