"""Models and libraries for the command line's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

LAYERS: list[dict[str, Any]] = [
    {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 6, 6, 2]}},
    {"class_name": "ZeroPadding2D", "config": {"name": "pad", "padding": 1}},
    {"class_name": "Conv2D", "config": {"name": "conv", "filters": 4, "kernel_size": 3}},
    {"class_name": "BatchNormalization", "config": {"name": "bn"}},
    {"class_name": "ReLU", "config": {"name": "relu"}},
    {"class_name": "GlobalAveragePooling2D", "config": {"name": "pool"}},
    {"class_name": "Dense", "config": {"name": "scores", "units": 7, "activation": "softmax"}},
]


def write_model(path: Path, layers: list[dict[str, Any]]) -> Path:
    """A config without weights."""
    path.write_text(json.dumps({"class_name": "Sequential", "config": {"name": "small", "layers": layers}}))
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier; compile it with random weights."""
    return write_model(tmp_path_factory.mktemp("model") / "small.json", LAYERS)
