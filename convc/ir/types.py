"""Element types and tensor types. Shapes are static: a batch size is bound before the graph is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Any NumPy array: the IR's constants and the references' inputs and outputs."""

Shape = tuple[int, ...]

MAX_ELEMENTS = 1 << 40
"""A tensor with more elements than this is taken for an attack or a mistake."""


class DType(Enum):
    """Element type; the value is NumPy's and TVM's name for it."""

    FLOAT32 = "float32"
    INT32 = "int32"

    @property
    def numpy(self) -> np.dtype[Any]:
        """NumPy's dtype, little-endian."""
        dtype: np.dtype[Any] = np.dtype(self.value).newbyteorder("<")
        return dtype

    @property
    def size(self) -> int:
        """Bytes per element."""
        return self.numpy.itemsize


@dataclass(frozen=True)
class TensorType:
    """Shape and element type of a tensor. Spatial tensors are channels-last: N, *spatial, C."""

    shape: Shape
    dtype: DType = DType.FLOAT32

    @property
    def rank(self) -> int:
        """Number of axes, the batch included."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes, dense."""
        return self.elements * self.dtype.size

    def __str__(self) -> str:
        return f"{self.dtype.value}[{', '.join(map(str, self.shape))}]"
