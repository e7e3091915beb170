"""ONNX models, read with the package onnx. Operators live in one module per family, which fill the registry."""

from convc.frontends.onnx import (  # noqa: F401
    activation,
    arithmetic,
    cast,
    concat,
    conv,
    cumulative,
    deform,
    generate,
    integer,
    logic,
    matmul,
    movement,
    normalization,
    order,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    sample,
    scatter,
    shape,
    softmax,
    unary,
)  # fmt: skip
from convc.frontends.onnx.graph import load
from convc.frontends.onnx.registry import supported_operators

__all__ = ["load", "supported_operators"]
