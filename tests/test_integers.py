"""Integer inputs from the model to the library, in Python and in C."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import convc
from convc.errors import ShapeError
from convc.ir import Array
from convc.runtime import Module
from convc.verification import verify
from tests.support.keras import keras, predict, randomise, save
from tests.tolerances import assert_close

L, K = keras.layers, keras.ops

TOKENS = np.array([[3, 0, -1, 10, 7], [5, 5, 1, 2, -11]])
IMAGE = np.arange(2 * 4 * 3 * 3).reshape(2, 4, 3, 3) * 3 + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of tokens and of an image, saved and compiled; and what Keras answers."""
    made: Path = tmp_path_factory.mktemp("integers")
    tokens, image = keras.Input((5,), dtype="int32", name="tokens"), keras.Input((4, 3, 3), dtype="uint8", name="image")
    words = L.Dense(3, name="words")(L.Embedding(11, 6)(tokens) + L.Embedding(5, 6)(K.arange(5)))
    pixels = L.Conv2D(4, 2, name="pixels")(L.Rescaling(1 / 255.0)(image))
    turned = L.Identity(name="turned")(tokens[:, ::-1])
    model = randomise(keras.Model([tokens, image], [words, pixels, turned], name="tagger"))
    convc.compile(save(model, made), made / "it.so", batch=2, header=True)
    answers = predict(model, {"tokens": TOKENS.astype(np.int32), "image": IMAGE.astype(np.uint8)})
    np.savez(made / "answers.npz", *answers)
    return made


@pytest.fixture(scope="module")
def module(folder: Path) -> Iterator[Module]:
    with convc.load(folder / "it.so") as module:
        yield module


def check(folder: Path, got: list[Array]) -> None:
    with np.load(folder / "answers.npz") as answers:
        for value, want in zip(got, answers.values(), strict=True):
            assert value.dtype == want.dtype
            assert_close(value, want)


def test_the_interface(module: Module) -> None:
    assert [(spec.name, spec.dtype) for spec in module.inputs] == [("tokens", "int32"), ("image", "int32")]
    assert [spec.dtype for spec in module.outputs] == ["float32", "float32", "int32"]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", ">i4", "uint8"])
def test_arrays_of_any_integers(dtype: str, folder: Path, module: Module) -> None:
    tokens = np.where(TOKENS < 0, TOKENS + 11, TOKENS) if dtype == "uint8" else TOKENS
    image = IMAGE.astype("uint8" if dtype == "int8" else dtype)
    words, pixels, turned = module.run({"tokens": tokens.astype(dtype), "image": image}).values()
    np.testing.assert_array_equal(turned, tokens[:, ::-1])
    check(folder, [words, pixels, TOKENS[:, ::-1].astype(np.int32)])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (TOKENS.astype(np.float32), "wrong dtype: expected int32 or what casts to it safely, got float32"),
        (TOKENS + (1 << 31), "values out of range: expected values that int32 can hold, got int64"),
        (TOKENS[:1], r"wrong shape: expected \(2, 5\), got \(1, 5\)"),
        (TOKENS.astype(str), "wrong dtype"),
    ],
)
def test_refused(tokens: Array, message: str, module: Module) -> None:
    with pytest.raises(ShapeError, match=f"input 'tokens': {message}"):
        module.run({"tokens": tokens, "image": IMAGE})


def test_an_index_outside_gives_nan_as_in_keras(module: Module) -> None:
    tokens = np.full((2, 5), 3)
    tokens[1, 2] = 11
    words = module.run({"tokens": tokens, "image": IMAGE})["words"]
    assert np.isnan(words[1, 2]).all()
    assert np.isnan(words).sum() == 3


def test_verify_draws_valid_indices(folder: Path) -> None:
    report = verify(folder / "it.so", folder / "model.keras")
    assert report.ok
    assert all(np.isfinite(comparison.error) for comparison in report.outputs)


PROGRAM = """
#include <stdio.h>
#include "it.h"
static const int32_t tokens[] = {3, 0, -1, 10, 7, 5, 5, 1, 2, -11};
int main(void)
{
  static int32_t image[tagger_image_elements], turned[tagger_turned_elements];
  static float words[tagger_words_elements], pixels[tagger_pixels_elements];
  for (int i = 0; i < tagger_image_elements; i++)
    image[i] = 3 * i + 1;
  tagger *model = tagger_create(1);
  if (!model || tagger_run(model, tokens, image, words, pixels, turned) != 0)
    return 1;
  fwrite(words, sizeof words, 1, stdout);
  fwrite(pixels, sizeof pixels, 1, stdout);
  fwrite(turned, sizeof turned, 1, stdout);
  tagger_destroy(model);
  return 0;
}
"""


def test_the_header_in_c(folder: Path) -> None:
    (folder / "it.c").write_text(PROGRAM, encoding="utf-8")
    command = ["cc", "-Wall", "-Werror", "it.c", "./it.so", "-o", "it"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    out = subprocess.run(["./it"], cwd=folder, check=True, timeout=60, capture_output=True).stdout
    words, pixels = np.frombuffer(out[: 30 * 4], np.float32), np.frombuffer(out[120 : 120 + 48 * 4], np.float32)
    turned = np.frombuffer(out[120 + 192 :], np.int32)
    check(folder, [words.reshape(2, 5, 3), pixels.reshape(2, 3, 2, 4), turned.reshape(2, 5)])
