"""Checks that several ops share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convc.errors import ShapeError
from convc.ir import Shape, TensorType
from convc.ir.types import MAX_ELEMENTS


def check_dtypes(inputs: Sequence[TensorType]) -> None:
    """All inputs have the first one's dtype. Raises `ShapeError`."""
    for other in inputs[1:]:
        if other.dtype != inputs[0].dtype:
            raise ShapeError(
                "", "the inputs differ in dtype", expected=inputs[0].dtype.value, received=other.dtype.value
            )


def check_elements(shape: Shape, message: str) -> None:
    """A tensor of `shape`, which an op makes on its way, is not too large. Raises `ShapeError`."""
    if math.prod(shape) > MAX_ELEMENTS:
        raise ShapeError("", message, expected=f"at most {MAX_ELEMENTS} elements", received=str(shape))
