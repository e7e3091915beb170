"""The intermediate representation: typed, immutable, channels-last graphs of single-output nodes."""

from convc.ir.graph import Elementwise, Graph, Node, Op, Origin, make, rebuild
from convc.ir.types import MODEL_TYPES, Array, DType, Shape, TensorType

__all__ = [
    "MODEL_TYPES", "Array", "DType", "Elementwise", "Graph", "Node", "Op", "Origin", "Shape", "TensorType", "make",
    "rebuild",
]  # fmt: skip
