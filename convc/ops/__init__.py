"""The operations: attributes, shape inference and NumPy references, one stem per op."""

from convc.ops.activation import (
    Elu,
    Exp,
    Gelu,
    HardSigmoid,
    HardSilu,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
    Unary,
)
from convc.ops.arithmetic import Add, Binary, Multiply
from convc.ops.batch_norm import BatchNorm
from convc.ops.concat import Concat
from convc.ops.conv import Conv
from convc.ops.dense import Dense
from convc.ops.evaluate import evaluate
from convc.ops.pad import Pad
from convc.ops.pool import AvgPool, MaxPool, Pool
from convc.ops.reduce import Reduce, ReduceMax, ReduceMean
from convc.ops.shape import Reshape, Transpose
from convc.ops.softmax import Softmax
from convc.ops.source import Constant, Input, constant

__all__ = [
    "Add", "AvgPool", "BatchNorm", "Binary", "Concat", "Constant", "Conv", "Dense", "Elu", "Exp", "Gelu",
    "HardSigmoid", "HardSilu", "Input", "MaxPool", "Mish", "Multiply", "Pad", "Pool", "Reduce", "ReduceMax",
    "ReduceMean", "Relu", "Reshape", "Selu", "Sigmoid", "Silu", "Softmax", "Softplus", "Softsign", "Tanh",
    "Transpose", "Unary", "constant", "evaluate",
]  # fmt: skip
