"""External data: read from the model's folder, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from convc import ops
from convc.errors import ModelError
from convc.frontends.onnx import load
from convc.ir import Array
from tests.support.onnx_models import FLOAT, model, node

WEIGHT: Array = np.arange(6, dtype=np.float32).reshape(3, 2)


def external(dims: tuple[int, ...] = (3, 2), /, **entries: object) -> onnx.TensorProto:
    """A tensor "w" whose data are elsewhere."""
    tensor = onnx.TensorProto(name="w", data_type=FLOAT, dims=dims)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def write(folder: Path, tensor: onnx.TensorProto) -> Path:
    """A model that multiplies with the tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    made = model(node("MatMul", ["x", "w"], ["y"]), inputs={"x": (2, 3)})
    made.graph.initializer.append(tensor)
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def check(path: Path) -> None:
    """The model computes x @ WEIGHT."""
    graph = load(path)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(ops.evaluate(graph, {"x": x})[graph.outputs[0]], x @ WEIGHT)


def test_data_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    check(write(tmp_path, external(location="w.bin")))


def test_data_in_a_folder_below_with_offset_and_length(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all.bin").write_bytes(bytes(64) + WEIGHT.tobytes() + bytes(9))
    check(write(tmp_path, external(location="data/all.bin", offset=64, length=24, checksum="none")))


def test_what_the_package_saves(tmp_path: Path) -> None:
    made = model(node("MatMul", ["x", "w"], ["y"]), inputs={"x": (2, 3)}, constants={"w": WEIGHT})
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert (tmp_path / "m.data").stat().st_size >= 24
    check(tmp_path / "m.onnx")


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    write(tmp_path, external(location="w.bin"))
    monkeypatch.chdir(tmp_path)
    check(Path("model.onnx"))


def test_data_of_an_attribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Constant's data: taken from the model's folder, not from the working directory."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(WEIGHT.tobytes())
    made = model(
        node("Constant", [], ["w"], value=external(location="w.bin")),
        node("MatMul", ["x", "w"], ["y"]),
        inputs={"x": (2, 3)},
    )
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    (tmp_path / "w.bin").write_bytes(bytes(24))
    monkeypatch.chdir(tmp_path)
    check(folder / "model.onnx")


def test_a_cache_like_that_of_hugging_face(tmp_path: Path) -> None:
    """models--x/snapshots/<commit>/file links to ../../blobs/<digest>."""
    blobs, snapshot = tmp_path / "models--x" / "blobs", tmp_path / "models--x" / "snapshots" / "abc" / "onnx"
    blobs.mkdir(parents=True)
    (blobs / "1111").write_bytes(WEIGHT.tobytes())
    made = write(tmp_path / "made", external(location="w.bin"))
    (blobs / "2222").write_bytes(made.read_bytes())
    snapshot.mkdir(parents=True)
    (snapshot / "w.bin").symlink_to("../../../blobs/1111")
    (snapshot / "model.onnx").symlink_to("../../../blobs/2222")
    check(snapshot / "model.onnx")
    other = tmp_path / "models--y" / "blobs"
    other.mkdir(parents=True)
    (other / "3333").write_bytes(WEIGHT.tobytes())
    (snapshot / "w.bin").unlink()
    (snapshot / "w.bin").symlink_to("../../../../models--y/blobs/3333")
    with pytest.raises(ModelError, match="the tensor 'w' lies outside the model's folder"):
        load(snapshot / "model.onnx")


def test_a_link_within_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "w.bin").symlink_to("real.bin")
    check(write(tmp_path, external(location="w.bin")))


def test_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "w.bin").write_bytes(WEIGHT.tobytes())
    path = write(tmp_path / "real", external(location="w.bin"))
    (tmp_path / "link").symlink_to("real")
    check(tmp_path / "link" / path.name)


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../w.bin", "data/../../w.bin", "..", "", "link.bin", "out/w.bin", "w\0.bin", "."]
)
def test_data_outside_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    path = write(folder, external(location=location))
    (folder / "link.bin").symlink_to("../w.bin")
    (folder / "out").symlink_to("..")
    (folder / "data").mkdir()
    with pytest.raises(ModelError, match="initializer 'w': the tensor 'w' lies outside the model's folder"):
        load(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "none.bin"}, "the data of the tensor 'w' are missing: got none.bin"),
        ({"location": "folder"}, "the data of the tensor 'w' are missing: got folder"),
        ({"location": "w.bin", "offset": 8}, "the tensor 'w' is truncated: expected 24 bytes, got 16 bytes"),
        ({"location": "w.bin", "length": 20}, "the tensor 'w' is truncated: expected 24 bytes, got 20 bytes"),
        ({"location": "w.bin", "offset": 1000}, "the tensor 'w' reaches beyond its file"),
        ({"location": "w.bin", "length": 1 << 40}, "the tensor 'w' reaches beyond its file: got 1099511627776"),
        ({"location": "w.bin", "offset": -8}, "the tensor 'w' reaches beyond its file"),
        ({"location": "w.bin", "length": -8}, "the tensor 'w' reaches beyond its file"),
        ({"location": "w.bin", "offset": "x"}, "the place of the tensor 'w' is wrong"),
        ({"location": "w.bin", "offset": "9" * 5000}, "the place of the tensor 'w' is wrong"),
    ],
)  # fmt: skip
def test_a_place_that_is_wrong(tmp_path: Path, entries: dict[str, object], message: str) -> None:
    path = write(tmp_path, external((3, 2), **entries))
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match=message):
        load(path)


@pytest.mark.parametrize("dims", [(1 << 40, 2), (-3, 2), (1 << 16, 1 << 10)])
def test_a_shape_that_the_file_cannot_hold(tmp_path: Path, dims: tuple[int, ...]) -> None:
    path = write(tmp_path, external(dims, location="w.bin"))
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(ModelError, match=r"initializer 'w': the tensor 'w' (is too large|is truncated|has a negative)"):
        load(path)


def test_bytes_and_objects_have_no_folder(tmp_path: Path) -> None:
    path = write(tmp_path, external(location="w.bin"))
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    for source in (path.read_bytes(), onnx.ModelProto.FromString(path.read_bytes())):
        with pytest.raises(ModelError, match="the data of the tensor 'w' lie in a file that is not known"):
            load(source)
    assert load(onnx.load(path)).outputs[0].type.shape == (2, 2)
