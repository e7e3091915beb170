"""From layers to answers, by the Python interface and on the emulated device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convc
from convc.build import nvcc
from convc.errors import TargetError
from tests.cuda.emulator import FakeCuda
from tests.tolerances import RELATIVE, assert_close

LAYERS: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 18, 14, 3]}},
    {"class_name": "Conv2D", "config": {"name": "stem", "filters": 24, "kernel_size": 3, "strides": 2}},
    {"class_name": "BatchNormalization", "config": {"name": "norm"}},
    {"class_name": "ReLU", "config": {"name": "relu"}},
    {"class_name": "DepthwiseConv2D", "config": {"name": "depthwise", "kernel_size": 3, "padding": "same"}},
    {"class_name": "Conv2D", "config": {"name": "project", "filters": 40, "kernel_size": 1, "activation": "silu"}},
    {"class_name": "MaxPooling2D", "config": {"name": "pool"}},
    {"class_name": "Conv2D", "config": {"name": "wide", "filters": 48, "kernel_size": 3, "padding": "same"}},
    {"class_name": "GlobalAveragePooling2D", "config": {"name": "mean"}},
    {"class_name": "Dense", "config": {"name": "scores", "units": 11}},
]
"""No softmax at the end: it would hide errors."""


@pytest.mark.parametrize("precision", ["float32", "tf32", "float16", "bfloat16"])
def test_a_model_computes_on_a_gpu_what_it_computes_on_a_cpu(
    precision: str, fake_cuda: FakeCuda, tmp_path: Path
) -> None:
    x = np.random.default_rng(1).normal(0, 1, (2, 18, 14, 3)).astype(np.float32)
    answers = {}
    for target, chosen in (("native", "float32"), ("cuda:sm_80", precision)):
        library = tmp_path / f"{target[:4]}.so"
        convc.compile(LAYERS, library, target=target, precision=chosen, batch=2, weights="random:1")
        with convc.load(library) as model:
            answers[target] = model(x)
            assert model.metadata.precision == chosen
    assert_close(answers["cuda:sm_80"], answers["native"], precision)


def test_the_narrower_the_further_off(fake_cuda: FakeCuda, tmp_path: Path) -> None:
    """The precisions are different computations, in the order of their digits."""
    x = np.random.default_rng(1).normal(0, 1, (1, 18, 14, 3)).astype(np.float32)
    answers = {}
    for precision in ("float32", "tf32", "bfloat16"):
        library = tmp_path / f"{precision}.so"
        convc.compile(LAYERS, library, target="cuda:sm_80", precision=precision, weights="random:1")
        with convc.load(library) as model:
            answers[precision] = model(x).astype(np.float64)
    distance = {name: float(np.linalg.norm(y - answers["float32"])) for name, y in answers.items()}
    assert 0 < distance["tf32"] < distance["bfloat16"]
    assert distance["tf32"] > RELATIVE["float32"] * np.linalg.norm(answers["float32"])


def test_two_libraries_of_one_model_are_the_same_bytes(tmp_path: Path) -> None:
    try:
        nvcc.find()
    except TargetError:
        pytest.skip("there is no nvcc on this machine")
    for name in ("one", "two"):
        convc.compile(LAYERS, tmp_path / name, target="cuda:sm_80", precision="float16", weights="random:1")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
