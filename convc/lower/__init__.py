"""Fusion groups to TVM tensor expressions: one PrimFunc for each distinct group, not yet scheduled."""

from convc.lower.anchor import Packing, SeparableMap
from convc.lower.kernel import Argument, Kernel, arguments_of, lower, signature
from convc.lower.layout import Layout
from convc.lower.storage import AS_TYPED, StoredTypes, storage

__all__ = [
    "AS_TYPED", "Argument", "Kernel", "Layout", "Packing", "SeparableMap", "StoredTypes", "arguments_of", "lower",
    "signature", "storage",
]  # fmt: skip
