"""`convc run`: reading inputs and writing outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convc.artifact import TensorSpec
from convc.cli.run import read_array, save
from convc.errors import ConvcError


def spec(*shape: int, dtype: str = "float32", name: str = "x") -> TensorSpec:
    return TensorSpec(name, shape, dtype)


def test_random_inputs_are_seeded() -> None:
    first, again, other = (read_array(text, spec(2, 3)) for text in ("random:7", "random:7", "random:8"))
    assert (first == again).all()
    assert (first != other).any()
    assert (read_array("random", spec(2, 3)) == read_array("random:0", spec(2, 3))).all()
    assert (read_array("random", spec(2, 3)) != read_array("random", spec(2, 3, name="y"))).any()
    assert first.dtype == np.float32


def test_random_integers() -> None:
    array = read_array("random", spec(100, dtype="int32"))
    assert array.dtype == np.int32
    assert array.min() >= 0


def test_an_array(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    assert (read_array(str(tmp_path / "x.npy"), spec(2, 3)) == x).all()


class Trap:
    """Unpickling one is seen."""

    sprung = False

    def __reduce__(self) -> tuple[object, ...]:
        return (spring, ())


def spring() -> None:
    Trap.sprung = True


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ConvcError, match="not a NumPy array file"):
        read_array(str(path), spec(1))
    assert not Trap.sprung


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr'", b"hello", b"PK\x03\x04"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(ConvcError, match=r"x\.npy': not a NumPy array file"):
        read_array(str(path), spec(1))


def test_a_missing_file() -> None:
    with pytest.raises(ConvcError, match=r"'nothing\.npy': there is no such file"):
        read_array("nothing.npy", spec(1))


def test_several_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(ConvcError, match="one array"):
        read_array(str(tmp_path / "x.npz"), spec(1))


def test_a_header_that_claims_too_much_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ConvcError, match="not a NumPy array file"):
        read_array(str(path), spec(1))


def test_outputs_are_saved_whole(tmp_path: Path) -> None:
    a, b = np.arange(3.0), np.ones((2, 2), np.float32)
    save(tmp_path / "y.npz", {"a": a, "b": b})
    with np.load(tmp_path / "y.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["a", "b"]
        assert (file["a"] == a).all()
    save(tmp_path / "y.npy", {"b": b})
    assert (np.load(tmp_path / "y.npy", allow_pickle=False) == b).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["y.npy", "y.npz"]


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        save(tmp_path / "y.npz", {"a": np.array([Trap()], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_npy_holds_one_output(tmp_path: Path) -> None:
    with pytest.raises(ConvcError, match=r"y\.npy': holds one array: expected \.npz, got 2 outputs"):
        save(tmp_path / "y.npy", {"a": np.zeros(1), "b": np.zeros(1)})


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConvcError, match="there is no folder"):
        save(tmp_path / "no" / "y.npz", {"a": np.zeros(1)})
