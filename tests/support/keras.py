"""Keras as the judge: models with random weights, saved, read back by convc and compared."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras

from convc import ops
from convc.frontends.keras import load
from convc.ir import Array, DType, Graph, Shape
from convc.samples import index_limits
from tests.tolerances import assert_close

INTEGERS = 100
"""Integer inputs that index nothing lie in [0, INTEGERS)."""

__all__ = ["assert_same", "feeds", "keras", "predict", "randomise", "save", "sequential"]

# XLA compiles a program for each shape that an initializer draws, which takes most of a model's making. The values do
# not matter here: `randomise` replaces them.
keras.initializers.VarianceScaling.__call__ = lambda self, shape, dtype=None: np.zeros(shape, dtype)


def randomise(model: Any, seed: int = 0) -> Any:
    """Draws every weight of `model` anew, batch statistics included, and scaled so that activations neither vanish
    nor grow. Returns the model."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name in ("gamma", "moving_variance", "variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif variable.name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            fan_in = max(1, int(np.prod(shape[: -2 if "depthwise" in variable.path else -1])))
            value = rng.normal(0, (2 / fan_in) ** 0.5, shape)
        elif variable.name == "recurrent_kernel":  # below what lets differences grow from step to step
            value = rng.normal(0, (0.5 / int(np.prod(shape[:-1]))) ** 0.5, shape)
        elif variable.name == "seed_generator_state":
            continue
        else:
            value = rng.normal(0, 0.3, shape)
        variable.assign(value)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its variables
    return model


def save(model: Any, folder: Path) -> Path:
    """The path of `model` saved as .keras."""
    path = folder / "model.keras"
    with warnings.catch_warnings():
        # Keras 3.15 turns its variables into arrays in a way that NumPy 2 warns of.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept", DeprecationWarning)
        model.save(path)
    return path


def feeds(graph: Graph, seed: int = 1) -> dict[str, Array]:
    """A normally distributed float32 array for each input of `graph`; integers for those that are, or that index."""
    rng = np.random.default_rng(seed)
    limits = index_limits(graph)
    arrays = {}
    for node in graph.inputs:
        if node.type.dtype is DType.INT32 or node.name in limits:
            limit = limits.get(node.name, INTEGERS)
            arrays[node.name] = rng.integers(0, limit, node.type.shape).astype(node.type.dtype.numpy)
        else:
            arrays[node.name] = rng.standard_normal(node.type.shape, np.float32)
    return arrays


def predict(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """Keras's outputs, in the order of its output structure; `inputs` are in the order of its inputs."""
    values = list(inputs.values())
    struct = model.inputs if isinstance(model.inputs, list) else [model.inputs]
    assert len(struct) == len(values)
    out = jax.jit(lambda *args: model(args[0] if len(args) == 1 else list(args), training=False))(*values)
    flat = list(out.values()) if isinstance(out, dict) else list(out) if isinstance(out, (list, tuple)) else [out]
    return [np.asarray(value) for value in flat]


def assert_same(
    model: Any,
    folder: Path,
    *,
    batch: int = 2,
    kind: str = "reference",
    input_shapes: Mapping[str, Shape] | None = None,
) -> Graph:
    """Randomises `model`, saves it, loads it and compares all outputs with Keras's. Returns the graph."""
    randomise(model)
    graph = load(save(model, folder), batch=batch, input_shapes=input_shapes)
    inputs = feeds(graph)
    want = predict(model, inputs)
    values = ops.evaluate(graph, inputs)
    assert len(graph.outputs) == len(want)
    for node, expected in zip(graph.outputs, want, strict=True):
        assert node.type.shape == expected.shape
        assert_close(values[node], expected, kind)
    return graph


def sequential(shape: Shape, *layers: Any) -> Any:
    """A Sequential model on an input of `shape`, without the batch."""
    return keras.Sequential([keras.Input(shape, name="input"), *layers])
