"""TensorFlowOpLayer, a node of a TensorFlow graph in a config of TensorFlow 2.0 to 2.3, as a function of keras.ops."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import is_integer, show
from convc.frontends.keras.tensorflow import Rule, Values, as_operator, refused, rule_of

_SAME = {
    "Add": "add", "AddV2": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "truediv", "Div": "truediv", "Pow": "pow",
    "Maximum": "maximum", "Minimum": "minimum", "FloorDiv": "floordiv", "FloorMod": "floormod", "BiasAdd": "bias_add",
    "Mean": "reduce_mean", "Sum": "reduce_sum", "Max": "reduce_max", "Min": "reduce_min", "Prod": "reduce_prod",
    "Relu": "relu", "Relu6": "relu6", "Elu": "elu", "Selu": "selu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp",
    "Log": "log", "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Abs": "abs", "Neg": "neg", "Sign": "sign",
    "Softplus": "softplus", "Softsign": "softsign", "Softmax": "softmax", "Reciprocal": "reciprocal",
    "Identity": "identity", "Reshape": "reshape", "Transpose": "transpose", "ExpandDims": "expand_dims",
    "Squeeze": "squeeze", "ConcatV2": "concat", "Pack": "stack", "Tile": "tile", "Pad": "pad", "PadV2": "pad",
    "MirrorPad": "pad", "ReverseV2": "reverse", "LeakyRelu": "leaky_relu", "ClipByValue": "clip_by_value",
    "StridedSlice": "getitem", "ResizeBilinear": "resize", "ResizeNearestNeighbor": "resize",
    "DepthToSpace": "depth_to_space", "SpaceToDepth": "space_to_depth", "Greater": "greater", "Less": "less",
    "GreaterEqual": "greater_equal", "LessEqual": "less_equal", "SelectV2": "where", "GatherV2": "gather",
}  # fmt: skip
"""Functions that take the inputs of an operation as their first parameters."""
_ATTRIBUTES = {
    "keep_dims": "keepdims", "squeeze_dims": "axis", "axis": "axis", "alpha": "alpha", "block_size": "block_size",
    "data_format": "data_format", "mode": "mode",
}  # fmt: skip
_NEUTRAL = ("T", "Tidx", "Tshape", "Tperm", "Tdim", "Tmultiples", "Tpaddings", "Index", "N", "DstT", "Tindices",
            "Tparams", "Taxis", "Truncate", "half_pixel_centers", "align_corners", "batch_dims")  # fmt: skip
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def modern_node(entry: Mapping[str, object], config: Mapping[str, object]) -> Mapping[str, object]:
    """The entry of a function of keras.ops. Raises `ConvcError` with an empty subject."""
    node = config.get("node_def")
    if isinstance(node, str) and node.lstrip().startswith("{"):
        try:
            node = json.loads(node)
        except (ValueError, RecursionError):
            node = None
    operation = node.get("op") if isinstance(node, Mapping) else None
    if not isinstance(operation, str):
        message = "its node of a TensorFlow graph cannot be read"
        raise UnsupportedError("", message, expected="'node_def' as JSON", remedy="save the model with TensorFlow 2.4")
    assert isinstance(node, Mapping)
    rule = rule_of(_SAME.get(operation, "none"))
    if rule is None:
        raise refused(operation)
    attributes = {key: _attribute(value) for key, value in _mapping(node.get("attr")).items()}
    constants = _mapping(config.get("constants"))
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, Sequence) or isinstance(nodes, str):
        raise ModelError("", "'inbound_nodes' is wrong", expected="a list", received=show(nodes))
    calls = [_call(operation, rule, _tensors(call), constants, attributes) for call in nodes]
    return as_operator(entry, rule, calls)


def _call(
    operation: str, rule: Rule, tensors: list[Any], constants: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Values:
    """The arguments of a call: the tensors take the places that no constant has."""
    inputs: list[Any] = []
    rest = list(tensors)
    while rest or str(len(inputs)) in constants:
        place = str(len(inputs))
        inputs.append(constants[place] if place in constants else rest.pop(0))
    if operation == "ConcatV2" and len(inputs) > 1:
        return {"values": inputs[:-1], "axis": inputs[-1]}
    if operation == "Pack":
        return {"values": inputs, "axis": attributes.get("axis", 0)}
    if operation == "StridedSlice":
        return {"tensor": inputs[0] if inputs else None, "slice_spec": _spec(inputs[1:], attributes)}
    if operation.startswith("Resize"):
        if not attributes.get("half_pixel_centers") or attributes.get("align_corners"):
            message = "only resizing with half-pixel centres is supported"
            raise UnsupportedError(
                "", message, expected="half_pixel_centers", remedy="use tf.image.resize of TensorFlow 2"
            )
        method = "bilinear" if operation == "ResizeBilinear" else "nearest"
        return {
            "images": inputs[0] if inputs else None,
            "size": inputs[1] if len(inputs) > 1 else None,
            "method": method,
        }
    values: Values = dict(zip(rule.names, inputs, strict=False))
    for key, value in attributes.items():
        if key in _ATTRIBUTES:
            values[_ATTRIBUTES[key]] = value
        elif key not in _NEUTRAL and not key.startswith("_"):
            raise UnsupportedError("", f"the attribute {key[:100]!r} of {operation} is not supported")
    if values.get("axis") == []:
        del values["axis"]
    return values


def _spec(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> list[object]:
    """`x[begin:end:strides]` with a bit in a mask for each axis where one of them means something else."""
    if len(inputs) != 3 or not all(isinstance(item, list) and all(map(is_integer, item)) for item in inputs):
        raise UnsupportedError("", "the slice is not constant", received=show(inputs))
    begin, end, ellipsis, new, shrink = (attributes.get(mask) or 0 for mask in _MASKS)
    if not all(is_integer(mask, 0) for mask in (begin, end, ellipsis, new, shrink)):
        raise ModelError("", "a mask of the slice is wrong", expected="an integer")
    spec: list[object] = []
    for axis, (start, stop, step) in enumerate(zip(*inputs, strict=False)):
        bit = 1 << axis
        if ellipsis & bit:
            spec.append({"class_name": "__ellipsis__", "config": {}})
        elif new & bit:
            spec.append(None)
        elif shrink & bit:
            spec.append(start)
        else:
            spec.append({"start": None if begin & bit else start, "stop": None if end & bit else stop, "step": step})
    return spec


def _tensors(call: object) -> list[Any]:
    items = call if isinstance(call, Sequence) and not isinstance(call, str) else []
    if items and isinstance(items[0], str):
        items = [items]
    return [list(item[:3]) if isinstance(item, Sequence) and not isinstance(item, str) else item for item in items]


def _mapping(value: object) -> Mapping[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def _attribute(value: object) -> object:
    """The value of an attribute in protobuf's JSON: {"b": true}, {"i": "3"}, {"f": 0.5}, {"list": {"i": [...]}}."""
    if not isinstance(value, Mapping):
        return value
    if "i" in value:
        return int(value["i"]) if str(value["i"]).lstrip("-").isdecimal() and len(str(value["i"])) < 20 else None
    if "list" in value:
        items = _mapping(value["list"]).get("i", [])
        return [_attribute({"i": item}) for item in items] if isinstance(items, list) else []
    if "s" in value:
        return _text(value["s"])
    return value.get("b", value.get("f"))


def _text(value: object) -> object:
    """Strings are bytes in base64."""
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except ValueError:
        return value
