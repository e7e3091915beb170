"""CUDA schedules, in the order in which they are tried."""

from convc.schedules.cuda.direct_conv import DirectConvRule
from convc.schedules.cuda.elementwise import ElementwiseRule
from convc.schedules.cuda.fallback import FallbackRule
from convc.schedules.cuda.gemm_product import ProductRule
from convc.schedules.cuda.implicit_gemm import ImplicitGemmRule
from convc.schedules.cuda.matmul import MatMulRule
from convc.schedules.cuda.nests import prepared
from convc.schedules.cuda.recurrent import RecurrentRule
from convc.schedules.cuda.reduction import ReductionRule
from convc.schedules.cuda.transposition import TranspositionRule
from convc.schedules.cuda.window import WindowRule
from convc.schedules.rule import Rule
from convc.target import CudaTarget

RULES: tuple[Rule[CudaTarget], ...] = (
    ImplicitGemmRule(),
    ProductRule(),
    MatMulRule(),
    DirectConvRule(),
    TranspositionRule(),
    ElementwiseRule(),
    WindowRule("depthwise"),
    WindowRule("pool"),
    ReductionRule(),
    RecurrentRule(),
    FallbackRule(),
)

__all__ = ["RULES", "prepared"]
