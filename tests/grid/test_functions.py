"""Elementwise functions of keras.ops side by side in one model, compiled and compared with Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import convc
from tests.support.keras import keras, predict, save
from tests.tolerances import RELATIVE, relative_error

k = keras.ops
VECTOR = np.array([0.5, -2.0, 3.0, 0.25, 1.0], np.float32)


def functions(x: Any, y: Any) -> Iterator[tuple[str, Any]]:
    """Those that are made of several ops, that the passes rewrite, or that choose by truth values."""
    a, b = k.round(x), k.round(y)
    m, n = k.cast(x * 5, "int32"), k.cast(y * 5, "int32")
    yield "x - c", x - VECTOR
    yield "c - x", k.subtract(VECTOR, x)
    yield "x / c", x / VECTOR
    yield "c / x", 2.0 / (k.abs(x) + 0.5)
    for exponent in (-2, -1, -0.5, 0, 0.5, 1, 2, 3, 2.5, 9):
        yield f"power {exponent}", (k.abs(x) + 0.5) ** exponent
    yield "power of tensors", k.power(k.abs(x) + 0.1, y)
    for name in ("divide_no_nan", "floor_divide", "fmod", "hypot", "logaddexp", "logaddexp2", "mod", "arctan2"):
        yield name, getattr(k, name)(x, y)
    yield "heaviside", k.heaviside(a, y)
    for name in ("exp2", "sinc", "angle", "log2", "log10", "deg2rad", "negative", "nan_to_num"):
        yield name, getattr(k, name)(k.abs(x) + 0.1 if name.startswith("log") else x)
    for name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
        yield name, k.where(getattr(k, name)(a, b), x, y - 7.0)
        yield f"{name} a constant", k.cast(getattr(k, name)(a, 0), "float32")
    for name in ("logical_and", "logical_or", "logical_xor"):
        yield name, k.where(getattr(k, name)(a, y > 0), x, 0.5)
    yield "logical_not", k.cast(~(x > 0), "float32") + k.cast(k.logical_not(a), "float32")
    yield "sum of truths", k.cast((x > 0) + (y > 0), "float32")
    yield "select", k.select([x > 1, y > 0], [x, y], 0.5)
    for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf"):
        yield name, k.cast(getattr(k, name)(a / b), "float32")
    yield "nan_to_num", k.nan_to_num(a / b, nan=3.0, posinf=7.0, neginf=-7.0)
    for low, high in ((-0.5, 0.7), (None, 0.2), (0.5, None), (1, -1)):
        yield f"clip {low} {high}", k.clip(x, low, high)
    yield "round to decimals", k.round(x, 1) + k.round(x * 100, -1)
    yield "glu", k.glu(k.concatenate([x, y], axis=2))
    yield "threshold", k.threshold(x, 0.1, 20.0)
    yield "squareplus", k.squareplus(x, b=2)
    yield "integers", (m + 1) * n - k.minimum(m, 3)
    yield "integers and fractions", m / 2 + k.sqrt(k.cast(n * n, "float32")) + k.where(m > n, x, 0.0)
    yield "gate behind a product", keras.layers.Dense(5, kernel_initializer="ones")(x) * k.sigmoid(k.mean(x, 1, True))


def test_functions_in_one_library(tmp_path: Path) -> None:
    shape, batch = (7, 5), 3
    inputs = [keras.Input(shape, name="x"), keras.Input(shape, name="y")]
    names, outputs = zip(*functions(*inputs), strict=True)
    model = keras.Model(inputs, list(outputs))
    rng = np.random.default_rng(3)
    feeds = {name: rng.standard_normal((batch, *shape), np.float32) for name in ("x", "y")}
    library = tmp_path / "functions.so"
    convc.compile(save(model, tmp_path), library, batch=batch)
    with convc.load(library) as module:
        got = list(module.run(feeds).values())
    found = zip(names, got, predict(model, feeds), strict=True)
    wrong = {name: error for name, a, b in found if (error := relative_error(a, b)) > RELATIVE["float32"]}
    assert not wrong
