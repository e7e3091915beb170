"""x[…] of a tensor, as Functional models write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convc.errors import ConvcError
from convc.frontends.keras import load
from tests.support.configs import Config, called, functional, layer, tensor
from tests.support.keras import assert_same, keras


def test_against_keras(tmp_path: Path) -> None:
    x = keras.Input((5, 7), batch_size=3, name="x")
    outputs = [
        x[0], x[-1], x[1, 2], x[1, -2, 3:4],
        x[:, 0], x[:, -1], x[:, :, 3], x[..., 0], x[..., 2:5], x[0, ...], x[0, ..., -1],
        x[:, 1:], x[:, :-1], x[:, 1:3], x[:, -3:-1], x[:, 2:100], x[:, -100:2],
        x[:, ::2], x[:, 1::3], x[:, ::-1], x[:, ::-2], x[:, 3:0:-1], x[:, -1:-4:-1], x[:, 4:2:-5], x[:, 100::-3],
        x[:, :, ::-1], x[:, ::-1, ::-1], x[::2, ...], x[::-1, 0],
        x[:, None], x[..., None], x[:, None, 1, None, 2:3], x[None, ..., None], x[:, :, None, ::2],
        keras.ops.get_item(x, (0, slice(None), 1)), x[:, 1:][:, 1:][..., ::2][:, ::-1],
    ]  # fmt: skip
    assert_same(keras.Model(x, outputs), tmp_path, batch=3)


def test_the_batch_is_the_one_that_is_compiled_for(tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    assert_same(keras.Model(x, [x[1:, 0], x[-1:, ...], x[::-1, ...]]), tmp_path, batch=3)


X = tensor("x")
SOURCE = called(layer("InputLayer", "x", batch_shape=[None, 4, 6]))


def part(start: Any = None, stop: Any = None, step: Any = None) -> Config:
    return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}


ELLIPSIS = {"class_name": "__ellipsis__", "config": {}}


def model(key: Any) -> Config:
    entry = {**called(layer("GetItem", "op")), "module": "keras.src.ops.numpy"}
    calls = {"inbound_nodes": [{"args": [X, key], "kwargs": {}}]}
    return functional(SOURCE, {**entry, **calls}, inputs=["x", 0, 0], outputs=["op", 0, 0])


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ([0, 4], "an index is outside: expected -4 to 3, got 4"),
        ([0, -5], "an index is outside: expected -4 to 3, got -5"),
        (1, "an index is outside: expected -1 to 0, got 1"),
        ([0, 1 << 62], "an index is outside"),
        ([0, 0, 0, 0], "too many indices: expected at most 3, got 4"),
        ([ELLIPSIS, ELLIPSIS], "the index is wrong: expected one ellipsis at most, got 2"),
        ([part(), part(3, 1)], "nothing is left of axis 1: expected some of 0 to 3, got 3:1:"),
        ([part(), part(9)], "nothing is left of axis 1"),
        ([part(), part(0, 3, -1)], "nothing is left of axis 1"),
        ([part(), part(step=0)], "the slice is wrong: expected a step that is not 0"),
        ([part(), part("1")], "the slice is not supported: expected constant integers, got '1'"),
        ([part(), part(0.5)], "the slice is not supported"),
        ([part(), part(True)], "the slice is not supported"),
        ([part(), X], "the index is not supported: expected integers, slices, None and ... that are constant"),
        ([part(), [0, 1]], "got a tensor or a list (keras.ops.take picks elements by a tensor of indices)"),
        (X, "the index is not supported"),
        ([part(), part(X)], "the slice is not supported"),
        (True, "the index is not supported"),
        (0.5, "the index is not supported"),
        ("x", "the index is not supported"),
        ({"class_name": "__numpy__", "config": {"value": [0], "dtype": "int32"}}, "the index is not supported"),
    ],
)  # fmt: skip
def test_refused(key: Any, message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(model(key), batch=1)
    assert message in str(caught.value)
    assert "layer 'op' (GetItem)" in str(caught.value)
