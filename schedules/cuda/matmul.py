"""Products of two computed tensors that tensor cores do not take, such as those of a transposed left operand."""

from __future__ import annotations

from typing import Any, ClassVar

from convc.schedules.cuda.tiled import Operands, TiledLoops
from convc.schedules.rule import KernelView, Knobs, Rule
from convc.target import CudaTarget


class MatMulRule(Rule[CudaTarget]):
    """Blocks `conv` and `out`, of which `conv` is a product of matrices, maybe several.

    Bytes: each operand once for each 64 rows or columns of the other, most of them from the L2 cache; the result once.
    """

    name: ClassVar[str] = "matmul"

    def applies(self, kernel: KernelView, target: CudaTarget) -> bool:
        return "product" in kernel.func.attrs and Operands.of(kernel) is not None

    def choose(self, kernel: KernelView, target: CudaTarget) -> Knobs:
        return Knobs()

    def schedule(self, kernel: KernelView, knobs: Knobs, target: CudaTarget) -> Any:
        operands = Operands.of(kernel)
        assert operands is not None
        return TiledLoops(kernel, operands).emit()
