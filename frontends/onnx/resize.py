"""Resize and Upsample: tables of indices and weights for each axis.

An output's place in the input, x, follows from the coordinate transformation; the inputs around it are summed by a
kernel's values at their distances from it, or the nearest is taken. Beyond the ends the last element is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convc import ops
from convc.errors import ModelError
from convc.frontends.onnx.arithmetic import floats, integers, is_integer
from convc.frontends.onnx.registry import Call, handler
from convc.frontends.onnx.shape import axis_in
from convc.frontends.onnx.window import Ints, channels_last
from convc.frontends.tables import check_table, resample
from convc.ir import Array, Node

Floats = tuple[float, ...]

_ROUNDING: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True)
class _Form:
    """The attributes of Resize, by their names in ONNX; no `nearest_mode` before opset 11."""

    mode: str
    transformation: str
    nearest_mode: str
    cubic_coeff_a: float
    exclude_outside: bool
    antialias: bool

    def check(self) -> None:
        """Raises `ModelError` with an empty subject."""
        for name, value, allowed in (
            ("mode", self.mode, ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", self.transformation, tuple(_PLACES)),
            ("nearest_mode", self.nearest_mode, ("", *_ROUNDING)),
        ):
            if value not in allowed:
                raise ModelError("", f"'{name}' is wrong", expected=", ".join(allowed), received=value[:100])
        if self.antialias and self.mode == "nearest":
            raise ModelError("", "'antialias' is wrong", expected="0 for the nearest element", received="1")

    def table(self, axis: _Axis) -> tuple[Array, Array | None]:
        """Indices of (out, taps), and weights unless the nearest element is taken."""
        stretch = min(axis.scale, 1.0) if self.antialias else 1.0
        reach = math.ceil((1 if self.mode == "linear" else 2) / stretch)
        check_table(axis.out * (1 if self.mode == "nearest" else 2 * reach), axis.extent)
        x = axis.places(self.transformation)
        if self.mode == "nearest":
            nearest = _ROUNDING[self.nearest_mode](x) if self.nearest_mode else self._simple(x, axis)
            return np.clip(nearest, 0, axis.extent - 1).astype(np.int32)[:, None], None
        places = np.floor(x)[:, None] + np.arange(1 - reach, reach + 1)
        values = self._kernel(np.abs(places - x[:, None]) * stretch)
        if self.exclude_outside:
            values = np.where((places < 0) | (places > axis.extent - 1), 0.0, values)
        if self.exclude_outside or self.antialias:
            total = values.sum(axis=1, keepdims=True)
            values = values / np.where(total == 0, 1.0, total)
        return np.clip(places, 0, axis.extent - 1).astype(np.int32), values.astype(np.float32)

    @staticmethod
    def _simple(x: Array, axis: _Axis) -> Array:
        """What was done before there was a mode: down, or up where the result is smaller."""
        return np.ceil(x) if axis.scale < 1 else np.floor(x)

    def _kernel(self, x: Array) -> Array:
        """The kernel's value at a distance: a triangle, or Keys' cubic."""
        if self.mode == "linear":
            return np.maximum(0.0, 1.0 - x)
        a = self.cubic_coeff_a
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


@dataclass(frozen=True)
class _Axis:
    """One axis: its size before and after, the scale between them, and the part of it that is looked at."""

    extent: int
    out: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)

    def places(self, transformation: str) -> Array:
        """Where each output lies in the input, in float64."""
        return _PLACES[transformation](np.arange(self.out, dtype=np.float64), self)

    @property
    def length(self) -> float:
        """The size after scaling, which need not be whole."""
        return self.scale * self.extent


def _align_corners(i: Array, axis: _Axis) -> Array:
    return i * 0 if axis.length == 1 else i * (axis.extent - 1) / (axis.length - 1)


def _half_pixel(i: Array, axis: _Axis) -> Array:
    return (i + 0.5) / axis.scale - 0.5


def _half_pixel_symmetric(i: Array, axis: _Axis) -> Array:
    return axis.extent / 2 * (1 - axis.out / axis.length) + _half_pixel(i, axis)


def _crop_and_resize(i: Array, axis: _Axis) -> Array:
    first, last = axis.roi
    if axis.length == 1:
        return i * 0 + (first + last) * (axis.extent - 1) / 2
    return first * (axis.extent - 1) + i * (last - first) * (axis.extent - 1) / (axis.length - 1)


_PLACES: dict[str, Callable[[Array, _Axis], Array]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda i, axis: i * 0 if axis.length == 1 else _half_pixel(i, axis),
    "align_corners": _align_corners,
    "asymmetric": lambda i, axis: i / axis.scale,
    "tf_half_pixel_for_nn": lambda i, axis: (i + 0.5) / axis.scale,
    "tf_crop_and_resize": _crop_and_resize,
}


@handler("Resize")
def resize(
    call: Call,
    x: Node,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    antialias: bool = False,
    axes: Ints | None = None,
    coordinate_transformation_mode: str | None = None,
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str | None = None,
) -> Node:
    """The second input of opset 10 are the scales; its coordinates are asymmetric."""
    if call.opset < 11:
        roi, scales = None, roi
    old = "asymmetric" if call.opset < 11 else "half_pixel"
    transformation = coordinate_transformation_mode or old
    rounding = nearest_mode or ("" if call.opset < 11 else "round_prefer_floor")
    form = _Form(mode, transformation, rounding, cubic_coeff_a, exclude_outside, antialias)
    form.check()
    rank = x.type.rank
    along = tuple(range(rank)) if axes is None else tuple(axis_in(axis, rank) for axis in axes)
    given = [float(value) for value in roi.reshape(-1)] if roi is not None and roi.size else None
    if transformation != "tf_crop_and_resize":
        given = None
    elif given is None or len(given) != 2 * len(along):
        raise ModelError("", "'roi' is wrong", expected=f"{2 * len(along)} numbers", received=str(given)[:100])
    sides = _sides(x, along, _numbers(scales), _numbers(sizes), keep_aspect_ratio_policy)
    if given is not None:
        sides = {
            axis: _Axis(side.extent, side.out, side.scale, (given[place], given[place + len(along)]))
            for place, (axis, side) in enumerate((axis, sides[axis]) for axis in along)
        }
    return _resized(call, x, form, sides, extrapolation_value)


@handler("Upsample")
def upsample(
    call: Call, x: Node, given: Array | None = None, *, scales: Floats | None = None, mode: str = "nearest"
) -> Node:
    """Resize of opset 10, with the scales as an attribute before opset 9."""
    form = _Form(mode, "asymmetric", "", -0.75, False, False)
    form.check()
    factors = scales if given is None else _numbers(given)
    return _resized(call, x, form, _sides(x, tuple(range(x.type.rank)), factors, None, "stretch"), 0.0)


def _numbers(given: Array | None) -> Floats | None:
    return tuple(float(value) for value in given.reshape(-1)) if given is not None and given.size else None


def _sides(x: Node, along: Ints, scales: Floats | None, sizes: Floats | None, policy: str) -> dict[int, _Axis]:
    """The axes that are resized. Raises `ModelError` with an empty subject."""
    wanted = scales if sizes is None else sizes
    if (scales is None) == (sizes is None) or wanted is None or len(wanted) != len(along):
        expected = f"scales or sizes of {len(along)} axes"
        raise ModelError("", "the sizes are wrong", expected=expected, received=f"{scales} and {sizes}"[:200])
    if any(not 0 < value < 1 << 31 for value in wanted):
        raise ModelError("", "the sizes are wrong", expected="positive numbers", received=str(wanted)[:200])
    extents = {axis: x.type.shape[axis] for axis in along}
    if sizes is None:
        pairs = zip(extents.items(), wanted, strict=True)
        return {axis: _Axis(extent, int(extent * scale), scale) for (axis, extent), scale in pairs}
    ratios = [size / extent for size, extent in zip(wanted, extents.values(), strict=True)]
    if policy == "stretch":
        triples = zip(extents.items(), wanted, ratios, strict=True)
        return {axis: _Axis(extent, int(size), ratio) for (axis, extent), size, ratio in triples}
    if policy not in ("not_larger", "not_smaller"):
        expected = "stretch, not_larger or not_smaller"
        raise ModelError("", "'keep_aspect_ratio_policy' is wrong", expected=expected, received=policy[:100])
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return {axis: _Axis(extent, int(scale * extent + 0.5), scale) for axis, extent in extents.items()}


def _resized(call: Call, x: Node, form: _Form, sides: dict[int, _Axis], outside: float) -> Node:
    changed = {
        axis: side
        for axis, side in sorted(sides.items())
        if side.out != side.extent or not math.isclose(side.scale, 1.0) or side.roi != (0.0, 1.0)
    }
    empty = [side for side in changed.values() if side.out < 1]
    if empty:
        raise ModelError("", "nothing is left", received=f"{empty[0].extent} elements by {empty[0].scale}")
    if 2 < x.type.rank < 6 and min(changed, default=0) >= 2:
        inner = {axis - 1: side for axis, side in changed.items()}
        return channels_last(call, x, lambda y: _applied(call, y, form, inner, outside))
    return _applied(call, x, form, changed, outside)


def _applied(call: Call, x: Node, form: _Form, sides: dict[int, _Axis], outside: float) -> Node:
    tables = {axis: form.table(side) for axis, side in sides.items()}
    if is_integer(x) and form.mode == "nearest":
        for axis, (indices, _) in tables.items():
            x = call.make(ops.Take(axis), x, call.constant(np.ascontiguousarray(indices[:, 0])))
        return x
    y = resample(floats(call, x), tables, call.origin)
    if form.transformation == "tf_crop_and_resize":
        for axis, side in sides.items():
            places = side.places(form.transformation)
            beyond = (places < 0) | (places > side.extent - 1)
            if beyond.any():
                shape = (side.out,) + (1,) * (y.type.rank - 1 - axis)
                condition = call.constant(beyond.reshape(shape))
                y = call.make(ops.Where(), condition, call.constant(np.float32(outside)), y)
    return integers(call, y) if is_integer(x) else y
