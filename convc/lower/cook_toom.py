"""The matrices of Winograd's convolution F(m, r): m outputs of a filter of r taps from m + r - 1 products.

Cook and Toom's algorithm, as in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): inputs,
filter and outputs are polynomials, which are evaluated at m + r - 2 points and at infinity, multiplied there, and
interpolated. Points decide the rounding error: Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd
Convolution for Deep Neural Networks" (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

Matrix = tuple[tuple[float, ...], ...]

_POINTS: Final = {
    0: (),
    1: ("0",),
    2: ("0", "1"),
    3: ("0", "1", "-1"),
    4: ("0", "1", "-1", "2"),
    5: ("0", "1", "-1", "1/2", "-2"),
    6: ("0", "1", "-1", "2", "-2", "1/2"),
    7: ("0", "1", "-1", "2", "-2", "1/2", "-1/2"),
    8: ("0", "1", "-1", "1/2", "-1/2", "3/2", "-3/2", "-4"),
}
"""By number: those of 5 and 8 had the least error of all sets of quotients of numbers up to 4."""

MAX_PRODUCTS: Final = len(_POINTS)


@dataclass(frozen=True)
class Transforms:
    """Y = A' [(G g) * (B' d)] along one axis: d of `products` inputs, g of `taps`, Y of `outputs`."""

    outputs: int
    taps: int
    input: Matrix
    """B', products x products; its elements are exact in float32."""
    filter: Matrix
    """G, products x taps."""
    output: Matrix
    """A', outputs x products; its elements are exact in float32."""

    @property
    def products(self) -> int:
        """Multiplications for one tile; as many inputs does it read."""
        return self.outputs + self.taps - 1


@cache
def transforms(outputs: int, taps: int) -> Transforms:
    """F(outputs, taps); F(1, 1) is the identity: an axis along which the window has one tap."""
    products = outputs + taps - 1
    assert 1 <= products <= MAX_PRODUCTS, f"F({outputs}, {taps}) needs more points than the table has"
    points = [Fraction(point) for point in _POINTS[products - 1]]
    inputs, filters = [], []
    for point in points:
        others = [other for other in points if other != point]
        divisor = Fraction(1)
        for other in others:
            divisor *= point - other
        inputs.append(_with_roots(others))
        filters.append([point**power / divisor for power in range(taps)])
    inputs.append(_with_roots(points))
    filters.append([Fraction(power == taps - 1) for power in range(taps)])
    outs = [[point**power for point in points] + [Fraction(power == outputs - 1)] for power in range(outputs)]
    return Transforms(
        outputs, taps, *(tuple(tuple(map(float, row)) for row in _padded(m)) for m in (inputs, filters, outs))
    )


def _with_roots(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), the constant first."""
    result = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *result]
        result = [s - root * c for s, c in zip(shifted, [*result, Fraction(0)], strict=True)]
    return result


def _padded(rows: list[list[Fraction]]) -> list[list[Fraction]]:
    width = max(len(row) for row in rows)
    return [row + [Fraction(0)] * (width - len(row)) for row in rows]
