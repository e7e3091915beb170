"""Checks that several ops share."""

from __future__ import annotations

from collections.abc import Sequence

from convc.errors import ShapeError
from convc.ir import TensorType


def check_dtypes(inputs: Sequence[TensorType]) -> None:
    """All inputs have the first one's dtype. Raises `ShapeError`."""
    for other in inputs[1:]:
        if other.dtype != inputs[0].dtype:
            raise ShapeError(
                "", "the inputs differ in dtype", expected=inputs[0].dtype.value, received=other.dtype.value
            )
