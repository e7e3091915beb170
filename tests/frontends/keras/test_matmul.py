"""matmul, dot, tensordot, inner, outer and vdot of keras.ops: against Keras, the kernels, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from convc.ir import Graph
from convc.passes import optimize
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras
from tests.support.quick import quick_programs  # noqa: F401

L, k = keras.layers, keras.ops


def const(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype("f4")


def anchors(graph: Graph) -> list[str]:
    """What the kernels are, views left out."""
    return [g.anchor.op.kind for g in optimize(graph).grouped.groups if g.anchor.op.kind != "Reshape"]


def same(folder: Path, shapes: Sequence[tuple[int, ...]], *functions: Any, batch: int = 2) -> Graph:
    """All functions of the same inputs in one model, compared with Keras."""
    inputs = [keras.Input(shape, name=f"x{index}") for index, shape in enumerate(shapes)]
    return assert_same(keras.Model(inputs, [function(*inputs) for function in functions]), folder, batch=batch)


@pytest.mark.parametrize("batch", [1, 3])
def test_matmul_of_two_tensors(batch: int, tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(5, 8), (8, 6), (7, 8)],
        lambda x, y, z: k.matmul(x, y),
        lambda x, y, z: x @ y,
        lambda x, y, z: k.matmul(x, k.transpose(z, (0, 2, 1))),
        lambda x, y, z: k.transpose(k.matmul(z, y), (0, 2, 1)),
        batch=batch,
    )
    assert anchors(graph) == ["MatMul", "Transpose", "MatMul", "MatMul"]  # two are the same; one of them is copied


def test_matmul_repeats_batch_axes(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(3, 5, 8), (1, 8, 4), (3, 8, 1)],
        lambda x, y, z: k.matmul(x, y),
        lambda x, y, z: k.matmul(x, z),
        lambda x, y, z: k.matmul(k.transpose(y, (0, 1, 3, 2)), z),
    )
    assert anchors(graph) == ["MatMul"] * 3


def test_a_constant_matrix_is_a_dense_layer(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(5, 8)],
        lambda x: k.matmul(x, const(8, 6)),
        lambda x: k.matmul(x, const(1, 8, 6)),
        lambda x: k.matmul(x, const(8)),
        lambda x: k.dot(x, const(8, 6)),
        lambda x: k.dot(x, const(2, 8, 3)),
        lambda x: k.dot(x, const(8)),
        lambda x: k.inner(x, const(3, 8)),
        lambda x: k.tensordot(x, const(8, 3), axes=1),
        lambda x: k.tensordot(x, const(5, 8, 3), axes=2),
        batch=1,
    )
    assert set(anchors(graph)) <= {"Dense", "Transpose"}


def test_a_constant_on_the_left(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(5, 8)],
        lambda x: k.matmul(const(4, 5), x),
        lambda x: k.dot(const(3, 5), x),
        lambda x: k.matmul(const(5), x),
    )
    assert anchors(graph)[:2] == ["MatMul", "MatMul"]


@pytest.mark.filterwarnings("ignore:NotImplemented should not be used:DeprecationWarning")  # Keras compares -1 and None
def test_constant_batches_of_matrices(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(3, 5, 8)],
        lambda x: k.matmul(x, const(3, 8, 2)),
        lambda x: k.matmul(x, const(1, 3, 8, 2)),
        lambda x: k.tensordot(x, const(8, 3, 4), axes=[[1, 3], [1, 0]]),
        lambda x: k.tensordot(x, const(8, 3, 4), axes=[[-3, -1], [-2, 0]]),
    )
    assert anchors(graph).count("MatMul") == 2


def test_products_without_sums(tmp_path: Path) -> None:
    graph = same(
        tmp_path,
        [(8,)],
        lambda x: k.outer(x, const(3)),
        lambda x: k.tensordot(x, const(3), axes=0),
        lambda x: k.dot(x, 2.0),
        lambda x: k.dot(np.float32(0.5), x),
        lambda x: k.inner(x, 3),
    )
    assert set(anchors(graph)) == {"Multiply"}


def test_products_over_batches(tmp_path: Path) -> None:
    """Keras's inner and outer know of no batch."""
    same(
        tmp_path,
        [(5, 8), (7, 8), (3,)],
        lambda x, y, z: k.inner(x, y),
        lambda x, y, z: k.outer(z, y),
        lambda x, y, z: k.vdot(x, y[:, :5]),
        lambda x, y, z: k.dot(x, k.transpose(y[0])),
    )


def operator(kind: str, *args: Any, **config: Any) -> Config:
    """A model of one function with this config."""
    entry = {**called(layer(kind, "op", **config)), "module": "keras.src.ops.numpy"}
    entry = {**entry, "inbound_nodes": [{"args": list(args), "kwargs": {}}]}
    source = called(layer("InputLayer", "x", batch_shape=[None, 4]))
    return functional(source, entry, inputs=["x", 0, 0], outputs=["op", 0, 0])


X = tensor("x")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            operator("Matmul", X, [[1.0, 2.0]]),
            "the tensors have no product: expected the last axis of the first as long",
        ),
        (operator("Matmul", X, X), "got (1, 4) and (1, 4)"),
        (operator("Dot", X, [1.0, 2.0]), "axis 1 of the first tensor and axis 0 of the second differ in size"),
        (operator("Tensordot", X, [[1.0]], axes=3), "axis is outside the input: expected -3 to 2, got 3"),
        (operator("Tensordot", X, [[1.0]], axes=[[0], [1], [2]]), "expected a number, or two lists of as many axes"),
        (operator("Tensordot", X, [[1.0]], axes=[[0, 1], [1]]), "expected a number, or two lists of as many axes"),
        (operator("Tensordot", X, [[1.0]], axes=[[0], ["a"]]), "expected a number, or two lists of as many axes"),
        (operator("Tensordot", X, [[1.0]], axes=[[0, 0], [0, 1]]), "'axes' is wrong: expected different axes"),
        (operator("Tensordot", X, [[1.0]], axes=-1), "'axes' is wrong"),
        (operator("Tensordot", X, [[1.0]], axes=[[7], [0]]), "axis is outside the input"),
        (operator("Matmul", X), "wrong number of inputs: expected a tensor or a constant, got nothing"),
        (operator("Det", X), "this function of keras.ops is not supported"),
    ],
)
def test_refusals(config: Config, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(config)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("layer 'op' (")
    assert message in line
