"""Activations: ordinary values on every rank, and values where a careless formula overflows or cancels."""

from __future__ import annotations

from convc.ops import (
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
    Unary,
)
from tests.cases.case import Case, case

ALL: dict[str, Unary] = {
    "relu": Relu(),
    "relu6": Relu(max_value=6.0),
    "leaky_relu": Relu(negative_slope=0.3),
    "relu_threshold": Relu(threshold=0.5),
    "relu_everything": Relu(max_value=1.5, negative_slope=0.25, threshold=0.5),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(),
    "hard_sigmoid_onnx": HardSigmoid(0.2, 0.5),
    "silu": Silu(),
    "hard_silu": HardSilu(),
    "tanh": Tanh(),
    "elu": Elu(),
    "elu_alpha": Elu(0.3),
    "selu": Selu(),
    "gelu": Gelu(),
    "gelu_tanh": Gelu(approximate=True),
    "softplus": Softplus(),
    "softsign": Softsign(),
    "mish": Mish(),
    "celu": Celu(),
    "celu_alpha": Celu(0.3),
    "celu_negative": Celu(-0.7),
    "log_sigmoid": LogSigmoid(),
    "tanh_shrink": TanhShrink(),
    "soft_shrink": SoftShrink(),
    "hard_shrink": HardShrink(0.25),
    "threshold": Threshold(0.75, 2.0),
    "sparse_plus": SparsePlus(),
    "squareplus": Squareplus(),
    "squareplus_b": Squareplus(0.5),
}

_EDGES = (0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 1e-3, -1e-3, 0.5, -0.5, 3.0, -3.0, 6.0, -6.0, 9.0, -9.0, 20.0, -20.0)
_EXTREMES = (*_EDGES, 88.0, -88.0, 89.0, -89.0, 100.0, -100.0, 1e4, -1e4)

_FLAT = ("relu_threshold", "tanh_shrink", "soft_shrink", "hard_shrink")
"""What of small values is zero, or the rounding error of x - tanh(x)."""

CASES: list[Case] = [
    *(case(name, op, (2, 3, 5, 7), scale=3.0, special=_EDGES) for name, op in ALL.items()),
    *(case(f"{name}_extremes", op, (1, 4, 10), special=_EXTREMES) for name, op in ALL.items()
      if name not in ("celu_negative",)),
    # Alone, so that a large neighbour does not hide the error: small values, and the far negative tail.
    *(case(f"{name}_small", op, (1, 16), scale=1e-4) for name, op in ALL.items()
      if name not in _FLAT),
    *(case(f"{name}_tail", ALL[name], (1, 6), special=(-4.0, -5.0, -6.0, -7.0, -8.0, -9.0))
      for name in ("sigmoid", "silu", "softplus", "mish")),
    case("log_sigmoid_tail", LogSigmoid(), (1, 6), special=(4.0, 5.0, 6.0, 7.0, 8.0, 9.0)),
    case("relu_rank1", Relu(), (17,)),
    case("relu6_rank5", Relu(max_value=6.0), (1, 2, 3, 4, 5), scale=6.0),
    case("silu_one", Silu(), (1, 1)),
    case("prelu", PRelu(), (2, 3, 5, 7), (3, 5, 7), constants=[1]),
    case("prelu_channels", PRelu(), (2, 4, 4, 17), (1, 1, 17), constants=[1]),
    case("prelu_rows", PRelu(), (1, 4, 3, 5), (4, 1, 1), constants=[1]),
    case("prelu_fed", PRelu(), (2, 9), (9,)),
    case("prelu_extremes", PRelu(), (1, 40), (40,), special=_EXTREMES),
]  # fmt: skip
