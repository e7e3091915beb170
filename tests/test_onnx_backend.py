"""The interface of the package onnx: models and nodes are run, in the types of the model."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.backend.base import Backend
from onnx.backend.test import runner
from onnx.backend.test.loader import load_model_tests

import convc.onnx_backend as backend
from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from tests.support.onnx_models import BOOL, FLOAT, INT64, model, node

RELU = node("Relu", ["x"], ["y"])


def typed(made: onnx.ModelProto, *kinds: int) -> onnx.ModelProto:
    """The model with these types of its outputs."""
    for item, kind in zip(made.graph.output, kinds, strict=True):
        item.type.tensor_type.elem_type = kind
    return made


def test_it_is_a_backend() -> None:
    assert issubclass(backend.ConvcBackend, Backend)
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA:1")
    assert backend.is_compatible(model(RELU, inputs={"x": (2,)}))
    with pytest.raises(UnsupportedError, match="device 'CUDA': not supported: expected CPU"):
        backend.prepare(model(RELU, inputs={"x": (2,)}), "CUDA")


def test_shapes_are_bound_by_the_first_run() -> None:
    prepared = backend.prepare(model(RELU, inputs={"x": ("N", "M")}), threads=1)
    for shape in ((2, 3), (1, 5), (2, 3)):
        x = np.random.default_rng(0).standard_normal(shape, np.float32)
        (y,) = prepared.run([x])
        np.testing.assert_array_equal(y, np.maximum(x, 0))
    assert len(prepared.libraries) == 2


def test_values_that_stand_for_constants_are_bound() -> None:
    inputs: dict[str, Any] = {"x": (2, 3), "axes": (INT64, (1,))}
    prepared = backend.prepare(model(node("ReduceSum", ["x", "axes"], ["y"], keepdims=0), inputs=inputs))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for axis in (0, 1, -1, 0):
        np.testing.assert_array_equal(prepared.run({"axes": np.array([axis]), "x": x})[0], x.sum(axis))
    assert len(prepared.libraries) == 3


def test_a_condition_is_bound() -> None:
    then, other = ({"graph": [node(kind, ["x"], ["z"])]} for kind in ("Neg", "Abs"))
    branches = [onnx.helper.make_graph(b["graph"], "b", [], [onnx.ValueInfoProto(name="z")]) for b in (then, other)]
    choice = node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    prepared = backend.prepare(model(choice, inputs={"x": (2,), "c": (BOOL, ())}))
    x = np.array([-1.0, 2.0], np.float32)
    np.testing.assert_array_equal(prepared.run([x, np.array(True)])[0], -x)
    np.testing.assert_array_equal(prepared.run([x, np.array(False)])[0], abs(x))


def test_values_that_stand_for_nothing_are_not_bound() -> None:
    prepared = backend.prepare(model(node("Add", ["x", "k"], ["y"]), inputs={"x": (INT64, (2,)), "k": (INT64, (2,))}))
    for value in (1, 2, 3):
        np.testing.assert_array_equal(prepared.run([np.array([4, 5]), np.full(2, value)])[0], [4 + value, 5 + value])
    assert len(prepared.libraries) == 1


def test_few_libraries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "MAX_LIBRARIES", 2)
    prepared = backend.prepare(model(RELU, inputs={"x": ("N",)}))
    for size in (1, 2, 3, 2):
        assert prepared.run(np.ones(size, np.float32))[0].shape == (size,)
    assert len(prepared.libraries) == 2


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (onnx.TensorProto.FLOAT, np.float32), (onnx.TensorProto.DOUBLE, np.float64),
        (onnx.TensorProto.FLOAT16, np.float16), (onnx.TensorProto.INT64, np.int64), (onnx.TensorProto.INT8, np.int8),
        (onnx.TensorProto.UINT8, np.uint8),
    ],
)  # fmt: skip
def test_answers_have_the_types_of_the_model(kind: int, dtype: Any) -> None:
    made = typed(model(node("Add", ["x", "x"], ["y"]), inputs={"x": (kind, (2,))}), kind)
    (y,) = backend.run_model(made, [np.array([1, 2], dtype)])
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.array([2, 4], dtype))


def test_truth_values() -> None:
    made = typed(model(node("Greater", ["a", "b"], ["y"]), inputs={"a": (2,), "b": (2,)}), BOOL)
    (y,) = backend.run_model(made, [np.array([1.0, 2.0]), np.array([2.0, 1.0])])
    assert y.dtype == bool
    assert y.tolist() == [False, True]


def test_outputs_are_in_order() -> None:
    made = model(node("Neg", ["x"], ["a"]), node("Abs", ["x"], ["b"]), inputs={"x": (1,)}, outputs=["b", "x", "a"])
    answers = backend.run_model(made, [np.array([-3.0])])
    assert [float(value[0]) for value in answers] == [3.0, -3.0, 3.0]


def test_run_node() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = backend.run_node(node("Transpose", ["x"], ["y"], perm=[1, 0]), [x])
    np.testing.assert_array_equal(y, x.T)
    same = backend.run_node(node("Add", ["x", "x"], ["y"]), {"x": x}, opset_version=13)
    np.testing.assert_array_equal(same[0], 2 * x)
    (shape,) = backend.run_node(node("Shape", ["x"], ["y"]), [x])
    assert shape.dtype == np.int64
    assert shape.tolist() == [2, 3]
    (half,) = backend.run_node(RELU, [x], outputs_info=[(np.dtype(np.float16), (2, 3))])
    assert half.dtype == np.float16


@pytest.mark.parametrize("inputs", [[], [1, 2], {"z": 1}, {}, {"x": 1, "z": 2}])
def test_inputs_that_do_not_fit(inputs: Any) -> None:
    with pytest.raises(ModelError, match="run: the inputs do not fit: expected x"):
        backend.prepare(model(RELU, inputs={"x": (2,)})).run(inputs)


def test_values_that_do_not_fit() -> None:
    prepared = backend.prepare(model(node("Abs", ["x"], ["y"]), inputs={"x": (INT64, (1,))}))
    with pytest.raises(UnsupportedError, match="input 'x': a value does not fit: expected 32-bit integers"):
        prepared.run([np.array([1 << 40])])
    with pytest.raises(ShapeError, match="input 'x': the given shape does not fit"):
        prepared.run([np.array([1, 2])])
    with pytest.raises(ConvcError, match="run: options are not supported: got fast"):
        prepared.run([np.array([1])], fast=True)


RUN = {
    "pytorch-operator": ("test_operator_exp", "test_operator_maxpool", "test_operator_view"),
    "simple": ("test_single_relu_model", "test_expand_shape_model1", "test_expand_shape_model2"),
}


def test_the_runner_of_the_package_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of its tests, run by the package itself."""

    def few(kind: str) -> list[Any]:
        return [test for test in load_model_tests(kind=kind) if test.name in RUN[kind]] if kind in RUN else []

    monkeypatch.setattr(runner, "load_model_tests", few)
    result = unittest.TestResult()
    for cases in runner.Runner(backend.ConvcBackend, __name__).test_cases.values():
        unittest.defaultTestLoader.loadTestsFromTestCase(cases).run(result)
    assert (result.testsRun, result.errors, result.failures) == (12, [], [])
    assert len(result.skipped) == 6, "those for CUDA"


def test_float_ports() -> None:
    assert backend.prepare(model(RELU, inputs={"x": (FLOAT, (2,))})).inputs == ("x",)
