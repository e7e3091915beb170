"""Activations: ordinary values on every rank, and values where a careless formula overflows or cancels."""

from __future__ import annotations

from convc.ops import (
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
    "exp": Exp(),
    "elu": Elu(),
    "elu_alpha": Elu(0.3),
    "selu": Selu(),
    "gelu": Gelu(),
    "gelu_tanh": Gelu(approximate=True),
    "softplus": Softplus(),
    "softsign": Softsign(),
    "mish": Mish(),
}

_EDGES = (0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 1e-3, -1e-3, 0.5, -0.5, 3.0, -3.0, 6.0, -6.0, 9.0, -9.0, 20.0, -20.0)
_EXTREMES = (*_EDGES, 88.0, -88.0, 89.0, -89.0, 100.0, -100.0, 1e4, -1e4)

CASES: list[Case] = [
    *(case(name, op, (2, 3, 5, 7), scale=3.0, special=_EDGES) for name, op in ALL.items()),
    *(case(f"{name}_extremes", op, (1, 4, 10), special=_EXTREMES) for name, op in ALL.items() if name != "exp"),
    case("exp_extremes", Exp(), (1, 8), special=(80.0, -80.0, 87.0, -87.0, -100.0, -1e4, 0.0, 1.0)),
    # Alone, so that a large neighbour does not hide the error: small values, and the far negative tail.
    *(case(f"{name}_small", op, (1, 16), scale=1e-4) for name, op in ALL.items() if name != "relu_threshold"),
    *(case(f"{name}_tail", ALL[name], (1, 6), special=(-4.0, -5.0, -6.0, -7.0, -8.0, -9.0))
      for name in ("sigmoid", "silu", "softplus", "mish", "exp")),
    case("relu_rank1", Relu(), (17,)),
    case("relu6_rank5", Relu(max_value=6.0), (1, 2, 3, 4, 5), scale=6.0),
    case("silu_one", Silu(), (1, 1)),
]  # fmt: skip
