"""Element types and tensor types. Shapes are static: a batch size is bound before the graph is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Any NumPy array: the IR's constants and the references' inputs and outputs."""

Shape = tuple[int, ...]

MAX_ELEMENTS = 1 << 40
"""A tensor with more elements than this is taken for an attack or a mistake."""


class DType(Enum):
    """Element type; the value is NumPy's and TVM's name for it.

    Tensors of a graph are of FLOAT32 or INT32. The others are how kernels may store some of FLOAT32: see
    `convc.lower.storage`.
    """

    FLOAT32 = "float32"
    INT32 = "int32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"

    @property
    def numpy(self) -> np.dtype[Any]:
        """NumPy's dtype, little-endian; bfloat16 is that of ml_dtypes."""
        name = ml_dtypes.bfloat16 if self is DType.BFLOAT16 else self.value
        dtype: np.dtype[Any] = np.dtype(name).newbyteorder("<")
        return dtype

    @property
    def size(self) -> int:
        """Bytes per element."""
        return self.numpy.itemsize

    @property
    def largest(self) -> float:
        """The largest finite number of a type of floating point."""
        return float(ml_dtypes.finfo(self.numpy).max)  # type: ignore[no-untyped-call]

    @property
    def epsilon(self) -> float:
        """The distance from 1 to the next number of a type of floating point."""
        return float(ml_dtypes.finfo(self.numpy).eps)  # type: ignore[no-untyped-call]


MODEL_TYPES = (DType.FLOAT32, DType.INT32)
"""What the tensors of a graph may be of."""


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
