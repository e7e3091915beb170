"""Keras models, read without Keras: `.keras` files and JSON configs of Sequential and Functional models.

The layers live in one module per op; importing them fills the registry.
"""

from convc.frontends.keras import (  # noqa: F401
    activation,
    arithmetic,
    batch_norm,
    concat,
    conv,
    dense,
    identity,
    normalization,
    pad,
    pool,
    shape,
    softmax,
    source,
)  # fmt: skip
from convc.frontends.keras.graph import load
from convc.frontends.keras.registry import supported_layers

__all__ = ["load", "supported_layers"]
