"""Files that are truncated, foreign or hostile. No Keras is needed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from convc.errors import ModelError
from convc.frontends.keras import load
from convc.frontends.keras.reader import read
from convc.frontends.keras.zips import EXPANSION_FLOOR
from tests.support.configs import layer, sequential

CONFIG = json.dumps(sequential(layer("Flatten", "flat")))


def archive(folder: Path, members: dict[str, str | bytes], *, deflate: bool = False) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def message(path: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    assert message(tmp_path / "none.keras").endswith("the file cannot be read: got No such file or directory")
    assert message(str(tmp_path)).startswith(f"'{tmp_path}': the file cannot be read")
    assert "this is not a path" in message("a\0b")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07onnx"])
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert message(path) == f"'{path}': this is not a Keras model: expected a .keras, .h5 or .json file"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(20), "this is a TensorFlow Lite model"),
        ("m.bin", b"\x1c\0\0\0TFL3" + bytes(20), "this is a TensorFlow Lite model"),
        ("m.pb", b"\x0a\x10", "this is a TensorFlow graph"),
        ("m.onnx", b"\x08\x07", "this is an ONNX model"),
        ("m.pth", b"\x80\x02\x8a", "this is a pickle"),
        ("m.pt", b"abc", "this is a PyTorch model"),
        ("m.safetensors", b"\x40\0\0\0\0\0\0\0{}", "this is a safetensors file"),
        ("w.npy", b"\x93NUMPY\x01\0", "this is a single array"),
        ("m.h5.gz", b"\x1f\x8b\x08", "this is compressed with gzip"),
        ("m.ckpt.data-00000-of-00001", b"abc", "this is a TensorFlow checkpoint"),
        ("m.yaml", b"class_name: Model", "this is a config in YAML (write it with model.to_json())"),
    ],
)
def test_files_of_other_formats_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    what, _, remedy = message.partition(" (")
    for source, weights in ((path, None), (CONFIG, path)):
        with pytest.raises(ModelError) as caught:
            load(source, weights=weights)
        assert str(caught.value).startswith(f"'{path}': {what}: expected a ")
        assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"archive/data.pkl": b"", "archive/version": b"3"}, "this is a PyTorch model"),
        ({"arr_0.npy": b""}, "this file holds arrays and no model"),
        ({"model/config.json": "{}"}, "expected a member config.json (unpack it first"),
    ],
)
def test_zips_of_other_formats_are_named(members: dict[str, str | bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(archive(tmp_path, members))
    assert message in str(caught.value)


def test_a_model_of_tensorflow_js_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": []}))
    assert message(path).startswith(f"'{path}': this is a TensorFlow.js model: expected a .keras, .h5 or .json file (")


def test_weights_that_are_no_file_of_weights(tmp_path: Path) -> None:
    config = sequential(layer("Dense", "a", units=2), shape=(3,))

    def line(weights: Path | str) -> str:
        with pytest.raises(ModelError) as caught:
            load(config, weights=weights)
        return str(caught.value)

    expected = "expected a .weights.h5, .h5, .keras or .npz file, random or random:SEED"
    missing = tmp_path / "none.npz"
    assert line(missing) == f"'{missing}': the weights cannot be read: {expected}, got No such file or directory"
    assert line(tmp_path).endswith("got Is a directory")
    assert "the weights cannot be read" in line("a\0b")
    (tmp_path / "model.json").write_text("{}")
    assert "this is not a Keras model" in line(tmp_path / "model.json")
    zipped = archive(tmp_path, {"config.json": CONFIG})
    assert "this zip is not a Keras model" in line(zipped)


def test_an_npz_that_expands_too_far_is_not_read(tmp_path: Path) -> None:
    config = sequential(layer("Dense", "a", units=1 << 13, use_bias=False), shape=(1 << 12,))
    path = tmp_path / "w.npz"
    np.savez_compressed(path, np.zeros((1 << 12, 1 << 13), np.float32))
    with pytest.raises(ModelError, match=r"layer 'a' \(Dense\)|arr_0.npy expands too far"):
        load(config, weights=path)


@pytest.mark.parametrize("kept", [4, 30, 200, -1, -60])
def test_a_truncated_archive(kept: int, tmp_path: Path) -> None:
    path = archive(tmp_path, {"config.json": CONFIG})
    path.write_bytes(path.read_bytes()[:kept])
    assert message(path).startswith(f"'{path}': the .keras file is truncated or damaged")


def test_a_damaged_archive(tmp_path: Path) -> None:
    path = archive(tmp_path, {"config.json": CONFIG})
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    assert 'truncated or damaged: got "Bad CRC-32' in message(path)


def test_an_archive_of_a_codec_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("config.json", CONFIG)
    data = bytearray(path.read_bytes())
    data[45:60] = b"\xff" * 15
    path.write_bytes(data)
    assert "truncated or damaged" in message(path)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    assert "this zip is not a Keras model: expected a member config.json" in message(archive(tmp_path, {"a": "b"}))


def test_an_archive_without_weights_says_how_to_go_on(tmp_path: Path) -> None:
    path = archive(tmp_path, {"config.json": json.dumps(sequential(layer("Dense", "a", units=2)))})
    assert message(path).startswith(f"'{path}': there are no weights (pass --weights FILE, or")
    assert load(path, weights="random").outputs[0].type.shape == (1, 8, 8, 2)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_member_that_expands_too_far_is_not_read(member: str, tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {"config.json": CONFIG, member: bytes(200 * EXPANSION_FLOOR)}
    assert f"{member} expands too far" in message(archive(tmp_path, members, deflate=True))


def test_a_member_that_lies_about_its_size_is_cut(tmp_path: Path) -> None:
    path = archive(tmp_path, {"config.json": CONFIG + " " * 5000}, deflate=True)
    data = path.read_bytes()
    declared = len(CONFIG) + 5000
    path.write_bytes(data.replace(declared.to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "truncated or damaged" in message(path)


@pytest.mark.parametrize("text", ["{", '{"a": }', '{"a": "\udcff"}', '{"a": ' + "9" * 5000 + "}"])
def test_a_config_that_is_not_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert message(path).startswith(f"'{path}': the config is not JSON")


def test_json_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, {"config.json": "3"})
    assert "the config is not a model's: expected a JSON object, got 3" in message(path)


def test_a_list_of_layers_may_be_a_file_or_a_text(tmp_path: Path) -> None:
    text = json.dumps([{"class_name": "Dense", "config": {"units": 2, "input_shape": [3]}}, {"class_name": "ReLU"}])
    path = tmp_path / "model.json"
    path.write_text(text)
    for source in (path, text):
        assert load(source, weights="random").outputs[0].type.shape == (1, 2)


def test_the_version_of_keras_decides_what_names_mean(tmp_path: Path) -> None:
    assert read(
        archive(tmp_path, {"config.json": CONFIG, "metadata.json": '{"keras_version": "2.13.1"}'})
    ).dialect.legacy
    assert not read(
        archive(tmp_path, {"config.json": CONFIG, "metadata.json": '{"keras_version": "3.15.1"}'})
    ).dialect.legacy
    assert not read(CONFIG).dialect.legacy


def test_every_truncation_of_a_file_is_one_line(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("config.json", CONFIG)
    data = buffer.getvalue()
    path = tmp_path / "model.keras"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert "\n" not in message(path)
