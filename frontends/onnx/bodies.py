"""Operators without a handler that the package onnx defines by others: they become functions of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import FunctionProto, ModelProto, NodeProto, TypeProto

from convc.frontends.onnx import registry
from convc.frontends.onnx.functions import inlined
from convc.frontends.onnx.reader import STANDARD

DOMAIN = "convc.bodies"
"""The domain of the functions that are made here."""
MAX_BODIES = 500
"""Functions that one model is given, each for one node."""
MAX_DEPTH = 8
"""Definitions within definitions."""


def expanded(model: ModelProto, opset: int) -> ModelProto:
    """The model with definitions in place of such operators; those that cannot be replaced stay."""
    for _ in range(MAX_DEPTH):
        called = _with_bodies(model, opset)
        if called is model:
            break
        model = inlined(called)
    return model


def _with_bodies(model: ModelProto, opset: int) -> ModelProto:
    """The model with calls of functions of its own, one for each such node; the model itself where there is none."""
    wanted = [node for node in model.graph.node if _is_wanted(node, opset)][:MAX_BODIES]
    if not wanted:
        return model
    result = ModelProto()
    result.CopyFrom(model)
    types = _types(result)
    made = 0
    for node in result.graph.node:
        if made == MAX_BODIES or not _is_wanted(node, opset):
            continue
        body = _body(node, opset, types)
        if body is None:
            continue
        body.name, body.domain = f"{node.op_type}_{len(result.functions)}", DOMAIN
        node.op_type, node.domain = body.name, DOMAIN
        result.functions.append(body)
        made += 1
    if not made:
        return model
    if DOMAIN not in {entry.domain for entry in result.opset_import}:
        result.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return result


def _is_wanted(node: NodeProto, opset: int) -> bool:
    if node.domain not in STANDARD or registry.is_known(node.op_type) or not onnx.defs.has(node.op_type):
        return False
    try:
        schema = onnx.defs.get_schema(node.op_type, opset)
    except onnx.defs.SchemaError:
        return False
    # The package's own types lack what it has about functions.
    return bool(getattr(schema, "has_function", False) or getattr(schema, "has_context_dependent_function", False))


def _types(model: ModelProto) -> dict[str, TypeProto]:
    """The types of the model's values, as far as the package tells them."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:  # inference meets damage with errors of any class
        inferred = model
    graph = inferred.graph
    types = {item.name: item.type for item in (*graph.input, *graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        types.setdefault(tensor.name, onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims))
    return types


def _body(node: NodeProto, opset: int, types: dict[str, TypeProto]) -> FunctionProto | None:
    schema = onnx.defs.get_schema(node.op_type, opset)
    given = {item.name for item in node.attribute}
    node.attribute.extend(item for item in _defaults(schema) if item.name not in given)
    body = FunctionProto()
    if getattr(schema, "has_function", False):
        body.CopyFrom(schema.function_body)
    elif not _is_sound(node, schema, types):
        return None
    else:
        own = [types.get(name, TypeProto()).SerializeToString() for name in node.input]
        try:
            make: Any = schema.get_context_dependent_function  # type: ignore[attr-defined]
            body.ParseFromString(make(node.SerializeToString(), own))
        except Exception:  # what the package cannot say has no body
            return None
    if not body.node:
        return None
    del body.opset_import[:]
    body.opset_import.append(onnx.helper.make_opsetid("", opset))
    return body


def _is_sound(node: NodeProto, schema: onnx.defs.OpSchema, types: Mapping[str, TypeProto]) -> bool:
    """Whether a node is as its schema says: what builds a body does not look, and ends the process where it is not."""
    arity = (
        (schema.min_input, len(node.input), schema.max_input),
        (schema.min_output, len(node.output), schema.max_output),
    )
    kinds = {item.name: int(item.type) for item in node.attribute}
    definitions: Any = schema.attributes.items()
    wanted = {name: int(attribute.type.value) for name, attribute in definitions}
    tensors = [types[name].WhichOneof("value") == "tensor_type" for name in node.input if types.get(name)]
    return (
        all(least <= count <= most for least, count, most in arity)
        and all(wanted.get(name) == kind for name, kind in kinds.items())
        and all(name in kinds for name, attribute in schema.attributes.items() if attribute.required)
        and all(node.input[: schema.min_input])
        and len(tensors) == sum(map(bool, node.input))
        and all(tensors)
    )


def _defaults(schema: onnx.defs.OpSchema) -> Iterator[onnx.AttributeProto]:
    """The values of attributes that are not given; bodies refer to them."""
    for attribute in schema.attributes.values():
        if attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            yield attribute.default_value
