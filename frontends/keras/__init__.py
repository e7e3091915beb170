"""Keras models, read without Keras: `.keras` files and JSON configs of Sequential and Functional models.

The layers live in one module per op; importing them fills the registry.
"""

from convc.frontends.keras import (  # noqa: F401
    activation,
    adaptive,
    applications,
    arithmetic,
    attention,
    batch_norm,
    border,
    broadcast,
    cast,
    concat,
    conv,
    conv_lstm,
    conv_transpose,
    dense,
    diagonal,
    dot,
    einsum,
    identity,
    index,
    logic,
    masking,
    matmul,
    multi_head,
    normalization,
    pad,
    pool,
    recurrent,
    reduce,
    resizing,
    shape,
    slice,
    softmax,
    source,
    spectral,
    standardize,
    take,
    unary,
    upsampling,
    wrappers,
)  # fmt: skip
from convc.frontends.keras.graph import load
from convc.frontends.keras.operator import supported_functions
from convc.frontends.keras.registry import supported_layers

__all__ = ["load", "supported_functions", "supported_layers"]
