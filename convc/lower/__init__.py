"""Fusion groups to TVM tensor expressions: one PrimFunc for each distinct group, not yet scheduled."""

from convc.lower.anchor import Packing, SeparableMap
from convc.lower.kernel import Argument, Kernel, arguments_of, lower, signature
from convc.lower.layout import Layout

__all__ = ["Argument", "Kernel", "Layout", "Packing", "SeparableMap", "arguments_of", "lower", "signature"]
