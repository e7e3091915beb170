"""The cases of every op, shared by every stage: `ALL` maps an op's stem to its cases."""

from __future__ import annotations

from tests.cases import (
    activation,
    arithmetic,
    batch_norm,
    concat,
    conv,
    dense,
    pad,
    pool,
    reduce,
    shape,
    softmax,
)
from tests.cases.case import Case

ALL: dict[str, list[Case]] = {
    "activation": activation.CASES,
    "arithmetic": arithmetic.CASES,
    "batch_norm": batch_norm.CASES,
    "concat": concat.CASES,
    "conv": conv.CASES,
    "dense": dense.CASES,
    "pad": pad.CASES,
    "pool": pool.CASES,
    "reduce": reduce.CASES,
    "shape": shape.CASES,
    "softmax": softmax.CASES,
}
