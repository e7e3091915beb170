from __future__ import annotations

import json
from typing import Any

import pytest

from convc.artifact import FORMAT_VERSION, LaunchInfo, Metadata, TensorSpec
from convc.errors import ArtifactError

METADATA = Metadata(
    format_version=FORMAT_VERSION,
    convc_version="0.1.0",
    name="demo",
    inputs=(TensorSpec("x", (1, 8, 8, 3), "float32"), TensorSpec("scalar", (), "int32")),
    outputs=(TensorSpec('naïve "y"', (1, 10), "float32"),),
    target="x86-64-v3",
    arch="x86_64",
    features=("avx2", "fma"),
    device="cpu",
    architectures=(),
    driver_version=0,
    precision="float32",
    arena_bytes=1024,
    activation_bytes=4096,
    weights_bytes=64,
    launches=(LaunchInfo("k0", "conv1+relu1", 1000, 2000),),
)


def changed(path: tuple[str | int, ...], value: object) -> str:
    values = json.loads(METADATA.to_json())
    place: Any = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(values)


def test_what_is_written_is_read() -> None:
    text = METADATA.to_json()
    assert text.isascii()
    assert Metadata.from_json(text, "m.so") == METADATA
    assert Metadata.from_json(text.encode(), "m.so").to_json() == text


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, -1])
def test_another_version_says_what_to_do(version: int) -> None:
    with pytest.raises(ArtifactError) as caught:
        Metadata.from_json(changed(("format_version",), version), "m.so")
    message = str(caught.value)
    assert message.startswith("m.so: compiled by another version of convc: expected format 2, got format")
    assert "convc 0.1.0" in message
    assert "compile the model again" in message


def test_another_version_is_recognised_whatever_else_it_holds() -> None:
    with pytest.raises(ArtifactError, match="another version"):
        Metadata.from_json('{"format_version": 9}', "m.so")


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("format_version",), "1", "metadata.format_version: not an integer"),
        (("format_version",), True, "metadata.format_version: not an integer"),
        (("name",), None, "metadata.name: not a string"),
        (("arena_bytes",), 1.5, "metadata.arena_bytes: not an integer"),
        (("arena_bytes",), 1 << 70, "metadata.arena_bytes: not an integer"),
        (("device",), 1, "metadata.device: not a string"),
        (("device",), "tpu", "device 'tpu'"),
        (("architectures",), "sm_80", "metadata.architectures: not a list"),
        (("driver_version",), "13.0", "metadata.driver_version: not an integer"),
        (("precision",), "int8", "precision 'int8'"),
        (("precision",), None, "metadata.precision: not a string"),
        (("features",), "avx2", "metadata.features: not a list"),
        (("features", 0), 7, r"metadata.features\[0\]: not a string"),
        (("inputs",), {}, "metadata.inputs: not a list"),
        (("inputs", 0), [], r"metadata.inputs\[0\]: not exactly the fields name, shape, dtype"),
        (("inputs", 0, "shape", 1), "8", r"metadata.inputs\[0\].shape\[1\]: not an integer"),
        (("inputs", 0, "shape", 1), 0, "shape of 'x'"),
        (("inputs", 0, "shape", 1), -8, "shape of 'x'"),
        (("inputs", 0, "shape"), [1] * 9, "shape of 'x'"),
        (("inputs", 0, "dtype"), "object", "dtype of 'x'"),
        (("launches", 0, "extra"), 1, r"metadata.launches\[0\]: not exactly the fields"),
        (("extra",), 1, "metadata: not exactly the fields"),
    ],
)
def test_malformed_metadata_is_refused_with_its_place(path: tuple[str | int, ...], value: object, where: str) -> None:
    with pytest.raises(ArtifactError, match=f"m.so: the metadata is damaged: got {where}"):
        Metadata.from_json(changed(path, value), "m.so")


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "7", b"\xff\xfe\x00", "[" * 100_000])
def test_what_is_not_an_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ArtifactError, match="the metadata is damaged"):
        Metadata.from_json(text, "m.so")


def test_a_missing_field_is_refused() -> None:
    values = json.loads(METADATA.to_json())
    del values["target"]
    with pytest.raises(ArtifactError, match="not exactly the fields"):
        Metadata.from_json(json.dumps(values), "m.so")
