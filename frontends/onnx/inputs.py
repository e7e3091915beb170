"""Types of a model's inputs: the sizes that it leaves open are bound here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorShapeProto, ValueInfoProto

from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx.reader import ir_type
from convc.ir import DType, Shape, TensorType

MAX_RANK = 32
"""Axes of a tensor."""
_TYPES = set(onnx.TensorProto.DataType.values())


def bind(items: Sequence[ValueInfoProto], given: Mapping[str, Shape], batch: int) -> dict[str, TensorType | ConvcError]:
    """The type of each input, or what is wrong with it.

    Open sizes of one name are one size. It is taken from `given`, where that has an input with it; an open first size
    is else `batch`.
    """
    sizes: dict[str, int] = {}
    for item in items:
        for dim, extent in zip(item.type.tensor_type.shape.dim, given.get(item.name, ()), strict=False):
            if dim.dim_param:
                sizes.setdefault(dim.dim_param, extent)
    for item in items:
        dims = item.type.tensor_type.shape.dim
        if item.name not in given and dims and dims[0].dim_param:
            sizes.setdefault(dims[0].dim_param, batch)
    result: dict[str, TensorType | ConvcError] = {}
    for item in items:
        try:
            result[item.name] = _type(item, given.get(item.name), sizes, batch)
        except ConvcError as error:
            result[item.name] = error.about(f"input '{item.name[:100]}'")
    return result


def check_batch(types: Mapping[str, TensorType], batch: int) -> None:
    """Raises `ShapeError` where a batch size is asked for that no input has."""
    firsts = [type_.shape[0] for type_ in types.values() if type_.shape]
    if batch != 1 and batch not in firsts:
        shapes = "; ".join(f"{name} {type_.shape}" for name, type_ in types.items())
        message, remedy = "no input has this first size", "export the model with an open one"
        raise ShapeError(f"batch {batch}", message, received=shapes[:300], remedy=remedy)


def _type(item: ValueInfoProto, given: Shape | None, sizes: Mapping[str, int], batch: int) -> TensorType:
    kind = item.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedError("", "this type of input is not supported", expected="a tensor", received=str(kind))
    tensor = item.type.tensor_type
    dtype = _dtype(tensor.elem_type)
    if len(tensor.shape.dim) > MAX_RANK or len(given or ()) > MAX_RANK:
        raise ShapeError("", "it has too many axes", expected=f"at most {MAX_RANK}")
    if not tensor.HasField("shape"):
        if given is None:
            raise ModelError("", "the model does not say its shape", remedy=f"pass --input {item.name}=1x3x224x224")
        return TensorType(tuple(given), dtype)
    declared = [_size(dim, axis, sizes, batch) for axis, dim in enumerate(tensor.shape.dim)]
    said = _said(tensor.shape)
    if given is not None:
        fits = [size is None or size == extent for size, extent in zip(declared, given, strict=False)]
        fixed = [dim.HasField("dim_value") or bool(dim.dim_param) for dim in tensor.shape.dim]
        wrong = [axis for axis, fit in enumerate(fits) if not fit and fixed[axis]]
        if len(given) != len(declared) or wrong:
            raise ShapeError("", "the given shape does not fit", expected=f"({said})", received=str(tuple(given)))
        return TensorType(tuple(given), dtype)
    known = [size for size in declared if size is not None]
    if len(known) < len(declared):
        text = "x".join(str(size or 224) for size in declared)
        remedy = f"pass --input {item.name}={text}, for example"
        raise ModelError("", "the model leaves sizes open", received=f"({said})", remedy=remedy)
    if any(size < 0 for size in known):
        raise ShapeError("", "a size is negative", received=f"({said})")
    return TensorType(tuple(known), dtype)


def _size(dim: TensorShapeProto.Dimension, axis: int, sizes: Mapping[str, int], batch: int) -> int | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return sizes.get(dim.dim_param, batch if axis == 0 else None)


def _said(shape: TensorShapeProto) -> str:
    """The shape as the model has it, names of open sizes included."""
    return ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in shape.dim)[
        :200
    ]


def _dtype(elem_type: int) -> DType:
    dtype = ir_type(elem_type)
    if dtype is None:
        name = onnx.TensorProto.DataType.Name(elem_type) if elem_type in _TYPES else str(elem_type)
        raise UnsupportedError("", "its type is not supported", expected="float32 or integers", received=name)
    return dtype
