"""CPU schedules, in the order in which they are tried."""

from convc.schedules.cpu.conv import ConvRule
from convc.schedules.cpu.elementwise import ElementwiseRule
from convc.schedules.cpu.fallback import FallbackRule
from convc.schedules.cpu.matmul import MatMulRule
from convc.schedules.cpu.recurrent import RecurrentRule
from convc.schedules.cpu.reduce import ReduceRule
from convc.schedules.cpu.resample import ResampleRule
from convc.schedules.cpu.softmax import SoftmaxRule
from convc.schedules.cpu.standardize import StandardizeRule
from convc.schedules.cpu.strassen import StrassenRule
from convc.schedules.cpu.top_k import TopKRule
from convc.schedules.cpu.window import WindowRule
from convc.schedules.cpu.winograd import WinogradRule
from convc.schedules.rule import Rule
from convc.target import Target

RULES: tuple[Rule[Target], ...] = (
    WinogradRule(),
    StrassenRule(),
    MatMulRule(),
    ConvRule(),
    WindowRule("depthwise"),
    WindowRule("pool"),
    ReduceRule(),
    StandardizeRule(),
    RecurrentRule(),
    ResampleRule(),
    SoftmaxRule(),
    TopKRule(),
    ElementwiseRule(),
    FallbackRule(),
)
