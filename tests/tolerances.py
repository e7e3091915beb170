"""The one table of tolerances. Each is derived from the arithmetic, none from what happened to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from convc.ir import Array

RELATIVE: Final = {
    "float32": 1e-5,
    "reference": 2e-6,
    "kernel": 2e-6,
    "winograd": 4e-6,
    "tf32": 2e-3,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}
"""Largest accepted ||got - want|| / ||want||.

float32: the product's promise against Keras, whole models included.
reference: float64 references against a peer that computes in float32, single layers: rounding of one long sum.
kernel: float32 kernels against float64 references, single layers and short chains. A sum of K products of random sign
grows like sqrt(k), each addition rounds it by u / sqrt(3) with u = 2^-24: together u sqrt(K / 6) of its norm, 9e-7 for
the longest sum of the cases, K = 1440; twice that for the layers of a chain.
winograd: the same by Winograd's algorithm, of up to 192 channels. Each of the sums of C products has an error of
u sqrt(C / 6) of its norm, but the sums are larger than what they are combined to: for random data, the variance of an
output as the sum of its terms, (sum over i of A[u, i]^2 |B_i|^2 |G_i|^2) / r along an axis of r taps, in the mean over
the outputs u of a tile, is a multiple of what it should be: 6.94 for F(4, 3), 7.78 for F(2, 5), 90.3 for F(3, 7). The
error is multiplied by its square root for each axis, at most by 9.5: 9.5 u sqrt(C / 6) = 3.2e-6 for C = 192. The rest
is for the rounding of the transforms.
tf32, float16, bfloat16: kernels of that precision against float64 references, single layers and short chains. Rounding
to nearest changes a tensor by at most u / sqrt(3) of its norm, with u = 2^-11, 2^-11 and 2^-8. A layer rounds both
operands of its product, and a chain of the cases has at most 8 layers: u sqrt(16 / 3) = 2.3 u where all of them add up,
here 4 u. Networks multiply errors: see `tests.cuda.subjects`.
"""


def relative_error(got: Array, want: Array) -> float:
    """||got - want|| / ||want|| in float64; infinite where the shapes differ or anything is not finite."""
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    scale = float(np.linalg.norm(want.astype(np.float64)))
    error = float(np.linalg.norm(got.astype(np.float64) - want.astype(np.float64)))
    return error / scale if scale else error


def assert_close(got: Array, want: Array, kind: str = "float32") -> None:
    """Fails where the relative error of norms is above the table's entry for `kind`."""
    error = relative_error(got, want)
    assert error <= RELATIVE[kind], f"relative error {error:.3g} is above {RELATIVE[kind]:.1g}"
