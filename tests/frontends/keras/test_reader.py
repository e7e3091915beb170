"""Files that are truncated, foreign or hostile. No Keras is needed."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from convc.errors import ModelError
from convc.frontends.keras import load
from convc.frontends.keras.reader import EXPANSION_FLOOR, read
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


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07onnx", b"[1, 2]"])
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert message(path) == f"'{path}': this is not a Keras model: expected a .keras or .json file"


def test_an_hdf5_model_names_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "HDF5 models are not read (save it with Keras 3 as a .keras file)" in message(path)


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
    assert message(path).startswith(f"'{path}': there are no weights (pass --weights random")
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
    path = archive(tmp_path, {"config.json": "[]"})
    assert "the config is not a model's: expected a JSON object, got []" in message(path)


def test_the_version_of_keras_decides_what_names_mean(tmp_path: Path) -> None:
    assert read(archive(tmp_path, {"config.json": CONFIG, "metadata.json": '{"keras_version": "2.13.1"}'})).legacy
    assert not read(archive(tmp_path, {"config.json": CONFIG, "metadata.json": '{"keras_version": "3.15.1"}'})).legacy
    assert not read(CONFIG).legacy


def test_every_truncation_of_a_file_is_one_line(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("config.json", CONFIG)
    data = buffer.getvalue()
    path = tmp_path / "model.keras"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert "\n" not in message(path)
