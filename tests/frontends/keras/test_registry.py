"""The table of supported classes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from convc.frontends.keras import supported_layers
from convc.frontends.keras.config import Fields
from convc.frontends.keras.identity import Identity
from convc.frontends.keras.registry import parse_layer, register

ROOT = Path(__file__).parents[3]


def test_a_second_registration_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Dense is registered twice: by .*_dense.* and by "):
        register("Dense", lambda fields: Identity(), "")
    assert parse_layer("Dense", Fields({"units": 1})) != Identity()


def test_every_supported_class_has_a_note() -> None:
    layers = supported_layers()
    assert {"Conv2D", "Dense", "BatchNormalization", "InputLayer", "Rescaling"} <= set(layers)
    assert list(layers) == sorted(layers)
    assert all(layers.values())


def test_the_folder_is_not_a_package_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", "import frontends"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "ImportError: import convc.frontends" in done.stderr


def test_neither_keras_nor_jax_is_imported() -> None:
    code = "import sys, convc.frontends.keras; print({'keras', 'jax', 'tvm', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
