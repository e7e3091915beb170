"""Activations in machine code: how many instructions a vector of results costs, and that register tiles keep theirs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from convc.ir import Graph, Node, Op, Origin, TensorType, make
from convc.ops import Constant, Conv, Elu, Gelu, Input, Mish, Sigmoid, Silu, Softplus, Tanh
from convc.target import Target, resolve
from tests.support.kernels import Kernels, scheduled

TARGETS = [resolve("znver4"), resolve("sapphirerapids"), resolve("x86-64-v3")]
ARITHMETIC = re.compile(r"^\s+v(add|sub|mul|f\w*m\w+|div|max|min|cmp|sqrt|rndscale|round|cvt|psll|padd|psub|and)\w*\s")

MOST = {
    "elu": (Elu(1.0), 0, 17),
    "gelu": (Gelu(approximate=False), 1, 17),
    "gelu_tanh": (Gelu(approximate=True), 1, 16),
    "mish": (Mish(), 1, 19),
    "sigmoid": (Sigmoid(), 1, 13),
    "silu": (Silu(), 1, 13),
    "softplus": (Softplus(), 0, 25),
    "tanh": (Tanh(), 1, 17),
}
"""Divisions, and arithmetic instructions at most, for a vector of results."""


def applied(op: Op, make_input: Callable[[Node], Node], shape: tuple[int, ...]) -> Graph:
    """`op` of what `make_input` makes of the input."""
    x = make(Input(TensorType(shape)), origin=Origin("x", "Input"))
    return Graph("g", (x,), (make(op, make_input(x), origin=Origin("y", op.kind)),), ("y",))


@cache
def assembly(name: str, target: Target) -> str:
    """The code of the function over a vector of 2048."""
    graph = applied(MOST[name][0], lambda x: x, (1, 2048))
    return str(Kernels([graph], target, scheduled).module.inspect_source("asm"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", MOST)
def test_a_vector_costs_few_instructions(name: str, target: Target) -> None:
    _, divisions, most = MOST[name]
    register = "%zmm" if target.lanes == 16 else "%ymm"
    lines = [line for line in assembly(name, target).splitlines() if register in line and "(%rsp" not in line]
    stores = sum(bool(re.match(rf"^\s+vmov[au]ps\s+{register}\d+, \S*\(", line)) for line in lines)
    assert stores
    assert sum("vdivps" in line for line in lines) == divisions * stores
    assert sum(bool(ARITHMETIC.match(line)) for line in lines) <= most * stores


@pytest.mark.parametrize("target", TARGETS[:2], ids=lambda target: target.name)
def test_the_epilogue_of_a_register_tile_stays_in_registers(target: Target) -> None:
    weights = np.ones((1, 1, 64, 96), np.float32)

    def conv(x: Node) -> Node:
        kernel = make(Constant(weights), origin=Origin("w", "Constant"))
        return make(Conv((1, 1), ((0, 0), (0, 0)), (1, 1)), x, kernel, origin=Origin("c", "Conv"))

    code = str(Kernels([applied(Silu(), conv, (1, 28, 28, 64))], target, scheduled).module.inspect_source("asm"))
    assert "vdivps" in code
    assert not [line for line in code.splitlines() if re.search(r"%zmm\d+, \S*\(%rsp", line)]
