"""What kernels store and multiply numbers in."""

from __future__ import annotations

from enum import Enum


class Precision(Enum):
    """How a model is computed; the value is what users call it. Sums are in float32 in each of them."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    """Tensor cores round the operands of products to 10 bits behind the point; nothing else differs from FLOAT32."""
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"

    @property
    def storage(self) -> str:
        """The name of the type that tensors between kernels and weights are stored in."""
        return "float32" if self is Precision.TF32 else self.value
