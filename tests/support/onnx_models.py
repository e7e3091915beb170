"""ONNX models written by hand, and the package's reference as their judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.helper import make_node as node
from onnx.reference import ReferenceEvaluator

from convc import ops
from convc.errors import ConvcError
from convc.frontends.onnx import load
from convc.ir import Array, Graph
from tests.tolerances import assert_close

Port = tuple[int, Sequence[Any] | None]
"""Element type and shape; sizes that are text or None are open, no shape at all is not said."""

OPSET = 21
FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL

__all__ = ["BOOL", "FLOAT", "INT64", "assert_same", "branch", "conv", "feeds", "graph", "model", "node", "refused"]


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Port | Sequence[Any]],
    outputs: Sequence[str],
    constants: Mapping[str, Any] | None = None,
) -> onnx.GraphProto:
    """A graph. An input that is a shape alone is float32; constants are arrays, or lists of int64 or float32."""
    ports = [onnx.helper.make_tensor_value_info(name, *_port(port)) for name, port in inputs.items()]
    results = [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    initial = [onnx.numpy_helper.from_array(_array(value), name) for name, value in (constants or {}).items()]
    return onnx.helper.make_graph(list(nodes), "net", ports, results, initial)


def branch(*nodes: onnx.NodeProto, outputs: Sequence[str], constants: Mapping[str, Any] | None = None) -> Any:
    """A branch of If."""
    return graph(nodes, {}, outputs, constants)


def model(
    *nodes: onnx.NodeProto,
    inputs: Mapping[str, Port | Sequence[Any]],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Any] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A model of opset 21 unless it is said."""
    domains = [("", opset), *dict.fromkeys((function.domain, 1) for function in functions)]
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in domains]
    made = graph(nodes, inputs, outputs, constants)
    return onnx.helper.make_model(made, opset_imports=imports, functions=list(functions), ir_version=10)


def _port(port: Port | Sequence[Any]) -> tuple[int, Sequence[Any] | None]:
    if len(port) == 2 and isinstance(port[0], int) and (port[1] is None or isinstance(port[1], (list, tuple))):
        return port[0], port[1]
    return FLOAT, list(port)


def _array(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 and not isinstance(value, np.ndarray) else array


def feeds(parsed: Graph, seed: int = 0) -> dict[str, Array]:
    """Seeded values for the inputs: normal, or integers from 0 to 9."""
    rng = np.random.default_rng(seed)
    return {
        item.name: rng.standard_normal(item.type.shape, np.float32)
        if item.type.dtype.value == "float32"
        else rng.integers(0, 10, item.type.shape).astype(np.int32)
        for item in parsed.inputs
    }


def assert_same(made: onnx.ModelProto, **options: Any) -> Graph:
    """Compares all outputs with the package's reference, and returns the graph. `options` are those of `load`."""
    parsed = load(made, **options)
    values = feeds(parsed)
    types = {item.name: item.type.tensor_type.elem_type for item in made.graph.input}
    given = {name: value.astype(onnx.helper.tensor_dtype_to_np_dtype(types[name])) for name, value in values.items()}
    wanted = ReferenceEvaluator(made).run(None, given)
    got = ops.evaluate(parsed, values)
    for item, want in zip(parsed.outputs, wanted, strict=True):
        assert item.type.shape == np.shape(want)
        assert_close(got[item], np.asarray(want), "reference")
    return parsed


def conv(**attributes: Any) -> onnx.ModelProto:
    """A convolution of 1x3x8x8, named "c", with these attributes."""
    weight = np.ones((2, 3, 3, 3), np.float32)
    made = node("Conv", ["x", "w"], ["y"], name="c", **attributes)
    return model(made, inputs={"x": (1, 3, 8, 8)}, constants={"w": weight})


def refused(source: Any, *lines: str, **options: Any) -> None:
    """The model is refused; each problem is one line, and has these texts in order."""
    with pytest.raises(ConvcError) as caught:
        load(source, **options)
    problems = [str(problem) for problem in caught.value.problems]
    assert all("\n" not in problem and len(problem) < 1000 for problem in problems)
    assert len(problems) == len(lines), problems
    for problem, line in zip(problems, lines, strict=True):
        assert line in problem, problem
