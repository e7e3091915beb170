"""The operations: attributes, shape inference and NumPy references, one stem per op."""

from convc.ops.activation import (
    Celu,
    Elu,
    Gelu,
    HardShrink,
    HardSigmoid,
    HardSilu,
    LogSigmoid,
    Mish,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    SoftShrink,
    Softsign,
    SparsePlus,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
)
from convc.ops.arithmetic import (
    Add,
    Atan2,
    Binary,
    Divide,
    FloorDivide,
    Fmod,
    Maximum,
    Minimum,
    Mod,
    Multiply,
    Power,
    Real,
    Subtract,
)
from convc.ops.batch_norm import BatchNorm
from convc.ops.broadcast import Broadcast
from convc.ops.cast import Cast
from convc.ops.concat import Concat
from convc.ops.conv import Conv
from convc.ops.conv_transpose import ConvTranspose
from convc.ops.dense import Dense
from convc.ops.depth_to_space import DepthToSpace
from convc.ops.evaluate import evaluate
from convc.ops.integer import (
    BitAnd,
    BitOr,
    BitXor,
    Integer,
    Modulo,
    Quotient,
    Remainder,
    ShiftLeft,
    ShiftRight,
)
from convc.ops.logic import Comparison, Equal, Greater, GreaterEqual, NotEqual, Where
from convc.ops.matmul import MatMul
from convc.ops.pad import Pad
from convc.ops.pool import AvgPool, MaxPool, Pool
from convc.ops.recurrent import Gru, Lstm, Recurrent, SimpleRnn
from convc.ops.reduce import Reduce, ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum
from convc.ops.resample import Resample, ResampleMax, ResampleSum
from convc.ops.shape import Reshape, Transpose
from convc.ops.slice import Slice
from convc.ops.softmax import LogSoftmax, Softmax
from convc.ops.source import Constant, Input, constant
from convc.ops.standardize import Standardize
from convc.ops.take import Pick, Take, TakeAlong
from convc.ops.top_k import TopK
from convc.ops.unary import (
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cbrt,
    Ceil,
    Clip,
    Cos,
    Cosh,
    Erf,
    Erfc,
    Erfinv,
    Exp,
    Expm1,
    Floor,
    Function,
    IntegerPower,
    Log,
    Log1p,
    Reciprocal,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    Tan,
    Trunc,
    Unary,
)

__all__ = [
    "Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "AvgPool", "BatchNorm", "Binary",
    "BitAnd", "BitOr", "BitXor", "Broadcast", "Cast", "Cbrt", "Ceil", "Celu", "Clip", "Comparison", "Concat",
    "Constant", "Conv", "ConvTranspose", "Cos", "Cosh", "Dense", "DepthToSpace", "Divide", "Elu", "Equal", "Erf",
    "Erfc", "Erfinv", "Exp", "Expm1", "Floor", "FloorDivide", "Fmod", "Function", "Gelu", "Greater",
    "GreaterEqual", "Gru", "HardShrink", "HardSigmoid", "HardSilu", "Input", "Integer", "IntegerPower", "Log",
    "Log1p", "LogSigmoid", "LogSoftmax", "Lstm", "MatMul", "MaxPool", "Maximum", "Minimum", "Mish", "Mod",
    "Modulo", "Multiply", "NotEqual", "PRelu", "Pad", "Pick", "Pool", "Power", "Quotient", "Real", "Reciprocal",
    "Recurrent", "Reduce", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Remainder",
    "Resample", "ResampleMax", "ResampleSum", "Reshape", "Round", "Rsqrt", "Selu", "ShiftLeft", "ShiftRight",
    "Sigmoid", "Sign", "Silu", "SimpleRnn", "Sin", "Sinh", "Slice", "SoftShrink", "Softmax", "Softplus",
    "Softsign", "SparsePlus", "Sqrt", "Square", "Squareplus", "Standardize", "Subtract", "Take", "TakeAlong",
    "Tan", "Tanh", "TanhShrink", "Threshold", "TopK", "Transpose", "Trunc", "Unary", "Where", "constant", "evaluate",
]  # fmt: skip
