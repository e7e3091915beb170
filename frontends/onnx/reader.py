"""Reads an ONNX model: a file, bytes or a `ModelProto`. Files are untrusted."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from convc.errors import ModelError, UnsupportedError
from convc.frontends.onnx.external import with_data
from convc.ir import Array, DType

MAX_BYTES = (1 << 31) - 1
"""Protobuf's own limit for one message."""
MAX_ELEMENTS = 1 << 31
"""Elements of one initializer."""
LEAST_OPSET = 6
STANDARD = ("", "ai.onnx")
"""Names of the domain of standard operators."""

Source = str | os.PathLike[str] | bytes | ModelProto


def read(source: Source) -> tuple[ModelProto, Path | None]:
    """The model and the folder that its external data may lie in. Raises `ModelError` that names the file."""
    if isinstance(source, ModelProto):
        return source, None
    if isinstance(source, bytes):
        return _parse("the model", source), None
    path = Path(source)
    subject = f"'{path}'"
    try:
        if not path.is_file():
            raise ModelError(subject, "there is no such file" if not path.exists() else "this is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(subject, "the file is too large", expected=f"at most {MAX_BYTES} bytes without its data")
        return _parse(subject, path.read_bytes()), path.parent
    except OSError as error:
        raise ModelError(subject, "the file cannot be read", received=error.strerror or str(error)) from None


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators, the newest where the model has none of them. Raises `ConvcError`."""
    newest = onnx.defs.onnx_opset_version()
    versions = {entry.domain: int(entry.version) for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx"))
    if version is None:
        if any(node.domain in STANDARD for node in model.graph.node):
            raise ModelError("the model", "it does not say its opset", expected="an opset_import for ''")
        return int(newest)
    if not LEAST_OPSET <= version <= newest:
        old = version < LEAST_OPSET
        remedy = "convert it with onnx.version_converter" if old else "update the package onnx"
        expected = f"{LEAST_OPSET} to {newest}"
        message = "its opset is not supported"
        raise UnsupportedError("the model", message, expected=expected, received=str(version), remedy=remedy)
    return version


def array_of(tensor: TensorProto, folder: Path | None) -> Array:
    """A tensor's values. Raises `ConvcError` with an empty subject where they are not all there."""
    name, extents = tensor.name[:100], list(tensor.dims)
    if any(extent < 0 for extent in extents):
        raise ModelError("", f"the tensor '{name}' has a negative size", received=str(extents)[:200])
    if math.prod(extents) > MAX_ELEMENTS:
        raise ModelError("", f"the tensor '{name}' is too large", received=str(extents)[:200])
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError):
        raise ModelError("", f"the type of the tensor '{name}' is unknown", received=str(tensor.data_type)) from None
    if tensor.data_location == TensorProto.EXTERNAL:
        whole = dtype.kind in "fiubc"
        tensor = with_data(tensor, folder, math.prod(extents) * dtype.itemsize if whole else None)
    try:
        value: Array = numpy_helper.to_array(tensor)
    except Exception as error:  # the helper meets damage with errors of any class
        raise ModelError("", f"the tensor '{name}' is damaged", received=str(error)[:200]) from None
    return value


def attributes_of(node: NodeProto, folder: Path | None) -> dict[str, object]:
    """The attributes by name: int, float, bytes, a list of them, an array or a graph.

    Raises `ConvcError` with an empty subject.
    """
    values: dict[str, object] = {}
    for item in node.attribute:
        if item.name in values:
            raise ModelError("", f"the attribute '{item.name[:100]}' is there twice")
        values[item.name] = _attribute(item, folder)
    return values


def _attribute(attribute: AttributeProto, folder: Path | None) -> object:
    name = attribute.name[:100]
    if attribute.ref_attr_name:
        raise ModelError("", f"the attribute '{name}' is that of a function, and this is none")
    if attribute.type == AttributeProto.TENSOR:
        return array_of(attribute.t, folder)
    if attribute.type in _LISTS:
        return list(onnx.helper.get_attribute_value(attribute))
    if attribute.type not in _PLAIN:
        kinds = AttributeProto.AttributeType
        kind = kinds.Name(attribute.type) if attribute.type in kinds.values() else str(attribute.type)
        raise UnsupportedError("", f"the type of the attribute '{name}' is not supported", received=kind)
    return onnx.helper.get_attribute_value(attribute)


_LISTS = (AttributeProto.INTS, AttributeProto.FLOATS, AttributeProto.STRINGS)
_PLAIN = (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.STRING, AttributeProto.GRAPH)


def subgraphs(node: NodeProto) -> tuple[GraphProto, ...]:
    """The graphs that a node holds: the branches of If, the body of Loop."""
    return tuple(graph for item in node.attribute for graph in ((item.g,) if item.HasField("g") else item.graphs))


def _parse(subject: str, data: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelError(subject, "this is not an ONNX model, or it is truncated") from None
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError(subject, "this is not an ONNX model", expected="a graph with outputs")
    if not _is_text(model.graph) or not all(_is_text(function) for function in model.functions):
        raise ModelError(subject, "a name in it is not text", expected="UTF-8")
    return model


def _is_text(graph: GraphProto | FunctionProto) -> bool:
    """Whether all names of a graph are text: protobuf hands on as bytes what is no UTF-8."""
    names: list[object] = [graph.name]
    for node in graph.node:
        names += (node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
        names += [name for item in node.attribute for name in (item.name, item.ref_attr_name)]
    if isinstance(graph, FunctionProto):
        names += (graph.domain, graph.overload, *graph.input, *graph.output, *graph.attribute)
    else:
        ports = (*graph.input, *graph.output)
        names += [item.name for item in (*graph.initializer, *ports)]
        names += [dim.dim_param for item in ports for dim in item.type.tensor_type.shape.dim]
    below = (inner for node in graph.node for inner in subgraphs(node))
    return all(isinstance(name, str) for name in names) and all(map(_is_text, below))


def dtype_of(elem_type: int) -> np.dtype[np.generic] | None:
    """NumPy's dtype of an element type; None for those that NumPy itself does not have, bfloat16 among them."""
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(elem_type)
    except (KeyError, ValueError):
        return None
    return dtype if dtype.isbuiltin == 1 and dtype.kind in "fiub" else None


def ir_type(elem_type: int) -> DType | None:
    """What an element type is computed in; None for those that are not supported."""
    dtype = dtype_of(elem_type)
    if elem_type == TensorProto.BFLOAT16 or (dtype is not None and dtype.kind in "fb"):
        return DType.FLOAT32
    return None if dtype is None else DType.INT32
