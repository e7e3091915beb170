"""Data of tensors that lies in files beside the model. Such files are kept to the model's folder."""

from __future__ import annotations

import os
from pathlib import Path

from onnx import TensorProto

from convc.errors import ModelError


def with_data(tensor: TensorProto, folder: Path | None, wanted: int | None) -> TensorProto:
    """The tensor with the data of its file, which lies in `folder` after links are resolved.

    `wanted` is the number of bytes that the tensor's shape asks for, None where that is not known. Raises `ModelError`
    with an empty subject.
    """
    name = tensor.name[:100]
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if folder is None:
        remedy = "compile the file, or load it with onnx.load"
        raise ModelError("", f"the data of the tensor '{name}' lie in a file that is not known", remedy=remedy)
    file = _inside(entries.get("location", ""), folder, name)
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or -1)
    except ValueError:
        raise ModelError("", f"the place of the tensor '{name}' is wrong", received=str(entries)[:200]) from None
    try:
        if not file.is_file():
            raise ModelError("", f"the data of the tensor '{name}' are missing", received=entries["location"][:200])
        size = file.stat().st_size
        length = size - offset if length == -1 else length
        if offset < 0 or length < 0 or offset + length > size:
            received = f"{length} from {offset} on, of {size}"
            raise ModelError("", f"the tensor '{name}' reaches beyond its file", received=received)
        if wanted is not None and length < wanted:
            received = f"{length} bytes"
            raise ModelError("", f"the tensor '{name}' is truncated", expected=f"{wanted} bytes", received=received)
        with file.open("rb") as opened:
            opened.seek(offset)
            data = opened.read(length if wanted is None else wanted)
    except OSError as error:
        message = f"the data of the tensor '{name}' cannot be read"
        raise ModelError("", message, received=error.strerror or str(error)) from None
    result = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    result.raw_data = data
    return result


def _inside(location: str, folder: Path, name: str) -> Path:
    """The file, its links resolved. Raises `ModelError` where it is not in the folder."""
    message = f"the tensor '{name}' lies outside the model's folder"
    if "\0" in location or not location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ModelError("", message, expected="a path below it", received=repr(location[:200]))
    root, file = Path(os.path.realpath(folder)), Path(os.path.realpath(folder / location))
    if root not in file.parents and not _in_cache(root, file):
        raise ModelError("", message, received=f"a link to '{str(file)[:200]}'")
    return file


def _in_cache(root: Path, file: Path) -> bool:
    """Whether both lie in one tree of Hugging Face's cache: snapshots/<commit>/… links to blobs/<digest>."""
    return any(
        parent.name == "snapshots" and (parent.parent / "blobs") in file.parents for parent in (root, *root.parents)
    )
