"""Files that are no Keras model: what they are, by their first bytes or name, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from convc.errors import ConvcError, ModelError

HDF5 = b"\x89HDF\r\n\x1a\n"

_KERAS = "save the model with Keras as .keras"
_BY_HEAD: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (lambda head: head[4:8] == b"TFL3", "a TensorFlow Lite model", f"{_KERAS}, before it is converted"),
    (
        lambda head: head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")),
        "a pickle",
        "pickles hold code and are never read",
    ),
    (
        lambda head: head.startswith(b"\x93NUMPY"),
        "a single array",
        "save all weights with np.savez(file, *model.get_weights())",
    ),
    (lambda head: head.startswith(b"\x1f\x8b"), "compressed with gzip", "unpack it first"),
    (
        lambda head: head.startswith(b"\x7fELF"),
        "a compiled library, not a model",
        "compile the model that it was made from",
    ),
    (lambda head: head[8:9] == b"{" and head[5:8] == b"\0\0\0", "a safetensors file", _KERAS),
)
_BY_NAME = (
    ((".onnx",), "an ONNX model", _KERAS),
    ((".tflite",), "a TensorFlow Lite model", f"{_KERAS}, before it is converted"),
    ((".pb",), "a TensorFlow graph", "load it in TensorFlow and save its Keras model as .keras or .h5"),
    ((".pt", ".pth", ".torch"), "a PyTorch model", "export its weights to a Keras model of the same layers"),
    ((".safetensors",), "a safetensors file", _KERAS),
    ((".yaml", ".yml"), "a config in YAML", "write it with model.to_json()"),
    ((".ckpt", ".index"), "a TensorFlow checkpoint", "load it into the model and save that as .keras"),
    ((".mlmodel", ".caffemodel", ".prototxt", ".params", ".pkl", ".pickle", ".joblib"), "of another framework", _KERAS),
    ((".weights.json",), "the index of weights in several files", "save them in one file: max_shard_size=None"),
)


def foreign(path: Path, head: bytes, expected: str, members: Sequence[str] | None = None) -> ConvcError:
    """The error for a file that begins with `head`, and has these members where it is a zip."""
    subject, name = f"'{path}'", path.name.lower()
    if members is not None:
        return _foreign_zip(subject, members, expected)
    found = [(what, remedy) for test, what, remedy in _BY_HEAD if test(head)]
    found += [
        (what, remedy)
        for ends, what, remedy in _BY_NAME
        if name.endswith(ends) or (".ckpt." in name and ".ckpt" in ends)
    ]
    if found:
        what, remedy = found[0]
        return ModelError(subject, f"this is {what}", expected=expected, remedy=remedy)
    return ModelError(subject, "this is not a Keras model", expected=expected)


def _foreign_zip(subject: str, members: Sequence[str], expected: str) -> ConvcError:
    if any(name.endswith(("data.pkl", "/version")) for name in members):
        remedy = "export its weights to a Keras model of the same layers"
        return ModelError(subject, "this is a PyTorch model", expected=expected, remedy=remedy)
    if members and all(name.endswith(".npy") for name in members):
        remedy = "compile the model's config with --weights FILE"
        return ModelError(subject, "this file holds arrays and no model", expected=expected, remedy=remedy)
    if any(name.endswith((".keras", ".h5", "config.json")) for name in members):
        remedy = "unpack it first: a .keras file has config.json at the top"
        return ModelError(subject, "this zip is not a Keras model", expected="a member config.json", remedy=remedy)
    return ModelError(subject, "this zip is not a Keras model", expected="a member config.json")
