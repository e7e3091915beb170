"""Nodes whose inputs are all known are computed when the model is compiled: shapes and what is derived from them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto

from convc.errors import ModelError
from convc.frontends.onnx.reader import STANDARD
from convc.ir import Array

MAX_ELEMENTS = 1 << 28
"""Elements of a folded tensor; more is taken for an attack, or belongs into an initializer."""
MAX_TOTAL = 1 << 29
"""Elements of all of them."""
MAX_PRODUCT = 1 << 30
"""Multiplications of a folded product."""

FOLDED = {
    "Abs", "Add", "And", "ArgMax", "ArgMin", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat", "Constant", "ConstantOfShape", "Cos", "CumSum",
    "DepthToSpace", "DequantizeLinear", "Div", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor",
    "Gather", "GatherElements", "GatherND", "Gemm", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not",
    "OneHot", "Or", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "Round", "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice",
    "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose", "Trilu",
    "Unsqueeze", "Where", "Xor",
}  # fmt: skip
"""Operators that are cheap for their size; others are left to the compiled model, whatever their inputs."""
_GROWING = ("ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Tile")


def foldable(node: NodeProto, inputs: Sequence[Array | None]) -> bool:
    """Whether a node of known inputs is computed here: it is cheap, or there is nothing to be computed."""
    if node.domain in STANDARD and any(value is not None and not value.size for value in inputs):
        return True
    if node.op_type in ("MatMul", "Gemm"):
        shapes = [value.shape for value in inputs[:2] if value is not None]
        return len(shapes) == 2 and math.prod(shapes[0]) * max(shapes[1], default=1) <= MAX_PRODUCT
    return node.domain in STANDARD and node.op_type in FOLDED


class Folder:
    """Computes nodes by the reference of the package onnx, and counts what they take."""

    def __init__(self, opset: int) -> None:
        self._opsets = [onnx.helper.make_opsetid("", opset)]
        self._opset = opset
        self._elements = 0

    def __call__(
        self, node: NodeProto, inputs: Sequence[Array | None], attributes: Mapping[str, object]
    ) -> tuple[Array, ...]:
        """The outputs of a node on known inputs. Raises `ConvcError` with an empty subject."""
        if node.op_type == "Constant" and isinstance(attributes.get("value"), np.ndarray):
            value = attributes["value"]
            assert isinstance(value, np.ndarray)
            return (value,)
        if node.op_type == "Range":
            # The package's own definitions pass on vectors of one element.
            inputs = [value.reshape(()) if value is not None and value.size == 1 else value for value in inputs]
        known = {f"x{place}": value for place, value in enumerate(inputs) if value is not None}
        plain = NodeProto()
        plain.CopyFrom(node)
        plain.domain = ""
        del plain.input[:], plain.output[:], plain.attribute[:]
        plain.input.extend("" if value is None else f"x{place}" for place, value in enumerate(inputs))
        plain.output.extend(f"y{place}" if name else "" for place, name in enumerate(node.output))
        for item in [item for item in node.attribute if item.name in attributes]:
            if isinstance(value := attributes[item.name], np.ndarray):
                # The reference would look for external data in the working directory.
                plain.attribute.append(onnx.helper.make_attribute(item.name, onnx.numpy_helper.from_array(value)))
            else:
                plain.attribute.append(item)
        self._check(plain, known)
        return self._computed(plain, known)

    def _computed(self, node: NodeProto, known: Mapping[str, Array]) -> tuple[Array, ...]:
        from onnx.reference import ReferenceEvaluator

        infos = [_info(name, value) for name, value in known.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "folded", infos, outputs)
        model = onnx.helper.make_model(graph, opset_imports=self._opsets)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                results = iter([np.asarray(value) for value in ReferenceEvaluator(model).run(None, dict(known))])
        except Exception as error:  # the reference meets wrong attributes with errors of any class
            message = "it cannot be computed from its constant inputs"
            received = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ModelError("", message, received=received) from None
        values = tuple(next(results) if name else np.zeros(0) for name in node.output)
        self._elements += sum(value.size for value in values)
        if self._elements > MAX_TOTAL:
            raise ModelError("", "the model's constants are too large", expected=f"at most {MAX_TOTAL} elements")
        return values

    def _check(self, node: NodeProto, known: Mapping[str, Array]) -> None:
        """Refuses what would take too much memory, by the shapes that the package infers."""
        types = {name: _info(name, value).type for name, value in known.items()}
        small = {name: onnx.numpy_helper.from_array(value) for name, value in known.items() if value.size <= 1024}
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset, "")
            inferred = onnx.shape_inference.infer_node_outputs(schema, node, types, small, opset_imports=self._opsets)
        except onnx.defs.SchemaError:
            raise ModelError("", f"there is no such operator in opset {self._opset}") from None
        except Exception as error:  # inference meets wrong attributes with errors of several classes
            received = " ".join(str(error).split())[:200]
            raise ModelError("", "its inputs or attributes do not fit", received=received) from None
        for type_ in inferred.values():
            dims = type_.tensor_type.shape.dim
            extents = [dim.dim_value for dim in dims]
            told = type_.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims)
            if math.prod(extents) > MAX_ELEMENTS or (not told and node.op_type in _GROWING):
                expected = f"at most {MAX_ELEMENTS} elements"
                raise ModelError("", "a constant is too large", expected=expected, received=str(extents)[:200])


def _info(name: str, value: Array) -> onnx.ValueInfoProto:
    if value.dtype.kind in "OUS":
        return onnx.helper.make_tensor_value_info(name, TensorProto.STRING, value.shape)
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
