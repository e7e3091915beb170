"""Functions of keras.ops that cut tensors: x[...], slice, split and their kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convc import ops
from convc.errors import ModelError, ShapeError, UnsupportedError
from convc.frontends.keras.arguments import axes_of, axis_of, integers, sizes
from convc.frontends.keras.cast import promoted
from convc.frontends.keras.config import class_of, is_integer, show
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.slice import cut, resolved
from convc.ir import Node, Origin, Shape, make

MAX_PARTS = 1 << 12
"""Most tensors that one split makes."""


def _get_item(call: Arguments) -> Node:
    """NumPy's basic indexing: integers, slices, None for a new axis, and one ellipsis."""
    x = call.tensor("x")
    key = call.values.get("key")
    items = _expanded(key if isinstance(key, list) else [key], x.type.rank)
    starts, lengths, steps, shape = [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        extent = x.type.shape[axis]
        start, length, step = _bounds(item, extent, axis)
        starts.append(start)
        lengths.append(length)
        steps.append(step)
        if not is_integer(item):
            shape.append(length)
        axis += 1
    piece = make(ops.Slice(tuple(starts), tuple(lengths), tuple(steps)), x, origin=call.origin)
    return make(ops.Reshape(tuple(shape)), piece, origin=call.origin)


def _expanded(items: list[object], rank: int) -> list[object]:
    """One item for each axis, and None for each new one. Raises `ShapeError` or `UnsupportedError`."""
    everything = {"class_name": "__slice__", "config": {}}
    for item in items:
        if item is not None and not is_integer(item) and class_of(item) not in ("__slice__", "__ellipsis__"):
            raise UnsupportedError(
                "",
                "the index is not supported",
                expected="integers, slices, None and ... that are constant",
                received="a tensor or a list" if not isinstance(item, (str, bool, float)) else show(item),
                remedy="keras.ops.take picks elements by a tensor of indices",
            )
    dots = [place for place, item in enumerate(items) if class_of(item) == "__ellipsis__"]
    if len(dots) > 1:
        raise ModelError("", "the index is wrong", expected="one ellipsis at most", received=str(len(dots)))
    used = sum(item is not None for item in items) - len(dots)
    if used > rank:
        raise ShapeError("", "too many indices", expected=f"at most {rank}", received=str(used))
    place = dots[0] if dots else len(items)
    return [*items[:place], *[everything] * (rank - used), *items[place + 1 :]]


def _bounds(item: object, extent: int, axis: int) -> tuple[int, int, int]:
    """Start, size and step of an integer or a slice."""
    if isinstance(item, int):
        return resolved(item, extent), 1, 1
    assert isinstance(item, Mapping)
    config = item.get("config")
    parts = [config.get(part) if isinstance(config, Mapping) else None for part in ("start", "stop", "step")]
    for part in parts:
        if part is not None and not is_integer(part):
            raise UnsupportedError("", "the slice is not supported", expected="constant integers", received=show(part))
    if parts[2] == 0:
        raise ModelError("", "the slice is wrong", expected="a step that is not 0", received="0")
    taken = range(*slice(*parts).indices(extent))
    if not taken:
        received = ":".join("" if part is None else str(part) for part in parts)
        expected = f"some of 0 to {extent - 1}"
        raise ShapeError("", f"nothing is left of axis {axis}", expected=expected, received=received)
    return taken.start, len(taken), taken.step if len(taken) > 1 else 1


def _slice(call: Arguments) -> Node:
    """A box; a size of -1 reaches to the end. Starts below 0 count from the end."""
    x = call.tensor("inputs")
    starts = integers(call, "start_indices")
    if starts is None:
        raise UnsupportedError("", "'start_indices' is not supported", expected="constants", received="a tensor")
    shape = sizes(call, "shape", minimum=-1)
    if starts.shape != (x.type.rank,) or len(shape) != x.type.rank:
        received = f"{starts.size} starts, {len(shape)} sizes"
        raise ShapeError("", "the slice does not fit the input", expected=f"{x.type.rank} of each", received=received)
    begins = tuple(resolved(int(start), extent) for start, extent in zip(starts, x.type.shape, strict=True))
    lengths = tuple(
        extent - begin if size == -1 else size for size, begin, extent in zip(shape, begins, x.type.shape, strict=True)
    )
    return make(ops.Slice(begins, lengths, (1,) * len(shape)), x, origin=call.origin)


def _split(call: Arguments, axis: int, *, uneven: bool = False) -> tuple[Node, ...]:
    """Parts of one size, or between places; `uneven` parts may differ by one."""
    x = call.tensor("x")
    extent = x.type.shape[axis]
    key = "indices_or_sections"
    if is_integer(call.values.get(key)):
        count = call.fields.integer(key)
        if extent % count and not uneven:
            expected = f"a number that divides {extent}"
            raise ShapeError("", f"axis {axis} cannot be split evenly", expected=expected, received=str(count))
        _check_parts(count, extent)
        base, longer = divmod(extent, count)
        lengths = [base + (place < longer) for place in range(count)]
        ends = [sum(lengths[: place + 1]) for place in range(count)]
        bounds = list(zip([0, *ends[:-1]], ends, strict=True))
    else:
        places = sizes(call, key, minimum=None)
        _check_parts(len(places) + 1, extent)
        bounds = [slice(*pair).indices(extent)[:2] for pair in zip((0, *places), (*places, extent), strict=True)]
    for start, end in bounds:
        if start >= end:
            raise ShapeError("", "a part is empty", expected="1 element or more", received=f"{start} to {end}")
    return tuple(cut(x, axis, start, end - start, call.origin) for start, end in bounds)


def _check_parts(count: int, extent: int) -> None:
    if count > min(extent, MAX_PARTS):
        expected = f"at most {min(extent, MAX_PARTS)}"
        raise ShapeError("", "too many parts", expected=expected, received=str(count))


def _split_along(axis: int, call: Arguments) -> tuple[Node, ...]:
    rank = call.tensor("x").type.rank
    if rank <= axis:
        raise ShapeError("", "the input has too few axes", expected=f"{axis + 1} or more", received=str(rank))
    return _split(call, axis)


def _hsplit(call: Arguments) -> tuple[Node, ...]:
    return _split_along(min(1, call.tensor("x").type.rank - 1), call)


def _unstack(call: Arguments) -> tuple[Node, ...]:
    """The slices along one axis, without it."""
    x = call.tensor("x")
    axis = axis_of(call, x.type.rank, default=0)
    extent = x.type.shape[axis]
    if call.values.get("num") is not None and call.fields.integer("num") != extent:
        received = str(call.fields.integer("num"))
        raise ShapeError("", "'num' does not fit the input", expected=f"{extent}, as axis {axis}", received=received)
    _check_parts(extent, extent)
    shape = x.type.shape[:axis] + x.type.shape[axis + 1 :]
    pieces = (cut(x, axis, place, 1, call.origin) for place in range(extent))
    return tuple(make(ops.Reshape(shape), piece, origin=call.origin) for piece in pieces)


def flipped(x: Node, axes: Sequence[int], call: Arguments) -> Node:
    """`x` backwards along some axes."""
    shape: Shape = x.type.shape
    starts = tuple(extent - 1 if axis in axes else 0 for axis, extent in enumerate(shape))
    steps = tuple(-1 if axis in axes and extent > 1 else 1 for axis, extent in enumerate(shape))
    return make(ops.Slice(starts, shape, steps), x, origin=call.origin)


def _flip(call: Arguments) -> Node:
    x = call.tensor("x")
    rank = x.type.rank
    return flipped(x, range(rank) if call.values.get("axis") is None else axes_of(call, rank), call)


def _flip_along(axis: int, call: Arguments) -> Node:
    x = call.tensor("x")
    if x.type.rank <= axis:
        raise ShapeError("", "the input has too few axes", expected=f"{axis + 1} or more", received=str(x.type.rank))
    return flipped(x, (axis,), call)


def _slice_update(call: Arguments) -> Node:
    """The input, but for a box of it."""
    x, updates = promoted((call.tensor("inputs"), call.tensor("updates")), call.origin)
    starts = integers(call, "start_indices")
    if starts is None:
        raise UnsupportedError("", "'start_indices' is not supported", expected="constants", received="a tensor")
    if starts.shape != (x.type.rank,) or updates.type.rank != x.type.rank:
        received = f"{starts.size} starts, updates of {updates.type.shape}"
        raise ShapeError("", "the slice does not fit the input", expected=f"{x.type.rank} axes", received=received)
    for axis, (start, size) in enumerate(zip(starts.tolist(), updates.type.shape, strict=True)):
        if not 0 <= start <= x.type.shape[axis] - size:
            expected = (
                f"a start from 0 to {x.type.shape[axis] - size}" if size <= x.type.shape[axis] else "a smaller box"
            )
            raise ShapeError("", f"axis {axis} of the slice is outside", expected=expected, received=str(start))
    return _updated(x, updates, starts.tolist(), call.origin)


def _updated(x: Node, updates: Node, starts: list[int], origin: Origin) -> Node:
    """What is left of the box, the box along the other axes, and what is right of it."""
    for axis, (start, size, extent) in enumerate(zip(starts, updates.type.shape, x.type.shape, strict=True)):
        if size < extent:
            inner = _updated(
                cut(x, axis, start, size, origin), updates, [*starts[:axis], 0, *starts[axis + 1 :]], origin
            )
            parts = [cut(x, axis, 0, start, origin)] if start else []
            behind = start + size
            rest = [cut(x, axis, behind, extent - behind, origin)] if behind < extent else []
            return make(ops.Concat(axis), *parts, inner, *rest, origin=origin)
    return updates


register_function("get_item", "x key", _get_item, "integers, slices, None and ... that are constant", integers=True)
register_function("slice_update", "inputs start_indices updates", _slice_update, "constant starts", integers=True)
register_function("slice", "inputs start_indices", _slice, "constant starts", integers=True)
register_function(
    "split", "x", lambda call: _split(call, axis_of(call, call.tensor("x").type.rank, default=0)), "parts or places",
    integers=True,
)  # fmt: skip
register_function(
    "array_split", "x",
    lambda call: _split(call, axis_of(call, call.tensor("x").type.rank, default=0), uneven=True),
    "parts or places", integers=True,
)  # fmt: skip
register_function("hsplit", "x", _hsplit, "parts or places", integers=True)
register_function("vsplit", "x", lambda call: _split_along(0, call), "parts or places", integers=True)
register_function("dsplit", "x", lambda call: _split_along(2, call), "parts or places", integers=True)
register_function("unstack", "x", _unstack, "any axis", integers=True)
register_function("flip", "x", _flip, "any axes", integers=True)
register_function("flipud", "x", lambda call: _flip_along(0, call), integers=True)
register_function("fliplr", "x", lambda call: _flip_along(1, call), integers=True)
