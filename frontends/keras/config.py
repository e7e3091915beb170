"""Typed access to the JSON of a Keras config. What is read is checked; keys that nobody asks for are ignored."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import ModelError
from convc.ir import Array

ARRAY_CLASSES = ("__numpy__", "__tensor__")
"""How Keras 3 names the constants {"value", "dtype"} of a config."""
MAX_RANK = 8
"""Axes of a constant in a config."""
MAX_ITEMS = 20_000_000
"""Values in a config of Python objects; as text it would be larger than any config that is read."""
FLOAT32_MAX = float(np.finfo(np.float32).max)


def show(value: object) -> str:
    """`value` for a message: short, and safe for configs nested without end."""
    return clipped(reprlib.repr(value))


def clipped(text: str, most: int = 200) -> str:
    """`text`, without its middle where it is long."""
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 + 3 :]}"


def class_of(value: object) -> str | None:
    """The class name of a serialised object `{"class_name": …, "config": …}`, else None."""
    name = value.get("class_name") if isinstance(value, Mapping) else None
    return name if isinstance(name, str) else None


def plain(value: object) -> object:
    """Unwraps Keras's `__tuple__`, `__numpy__` and `__tensor__` objects, one level."""
    if isinstance(value, Mapping):
        if class_of(value) == "__tuple__":
            return value.get("items")
        if class_of(value) in ARRAY_CLASSES and isinstance(value.get("config"), Mapping):
            return value["config"].get("value")
    return value


def as_json(value: object) -> object:
    """A copy of Python objects as JSON has them: lists for tuples and NumPy's arrays, numbers for NumPy's.

    They may be nested without end and hold themselves. Raises `ModelError` where they are too many.
    """
    result: list[object] = [None]
    stack: list[tuple[object, dict[str, object] | list[object], str | int]] = [(value, result, 0)]
    seen: dict[int, object] = {}
    count = 0
    while stack:
        item, parent, key = stack.pop()
        count += 1
        if count > MAX_ITEMS:
            raise ModelError("the config", "the config is too large", expected=f"at most {MAX_ITEMS} values")
        if isinstance(item, (np.ndarray, np.generic)):
            item = item.tolist()
        elif id(item) in seen:
            item = seen[id(item)]
        elif isinstance(item, Mapping):
            copy: dict[str, object] = {}
            seen[id(item)] = copy
            stack.extend((inner, copy, str(name)) for name, inner in item.items())
            item = copy
        elif isinstance(item, (list, tuple)):
            items: list[object] = [None] * len(item)
            seen[id(item)] = items
            stack.extend((inner, items, place) for place, inner in enumerate(item))
            item = items
        parent[key] = item  # type: ignore[index]
    return result[0]


@dataclass(frozen=True, eq=False)
class Fields:
    """The config of one layer, activation or initializer.

    Readers raise `ModelError` with an empty subject. A key without a default must be there. `legacy` is set for
    configs written by Keras 2, whose names and meanings differ in places.
    """

    values: Mapping[str, object]
    legacy: bool = False

    def raw(self, key: str, default: object = None) -> object:
        """The value as it stands, `__tuple__` and `__numpy__` unwrapped."""
        return plain(self.values.get(key, default))

    def flag(self, key: str, default: bool) -> bool:
        """A boolean."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise _unexpected(key, "true or false", value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self.raw(key, default)
        if not is_number(value):
            raise _unexpected(key, "a finite number", value)
        return float(value)  # type: ignore[arg-type]

    def numbers(self, key: str, default: float | None = None) -> Array:
        """A finite number, or a list of them, as a float32 vector."""
        value = self.raw(key, default)
        values = array(value)
        if values is None or values.ndim > 1:
            raise _unexpected(key, "a finite number or a list of them", value)
        return np.atleast_1d(values).astype(np.float32)

    def array(self, key: str) -> Array | None:
        """Finite numbers in lists of lists, or one alone, as float64; None where the config has none."""
        value = self.raw(key)
        values = array(value)
        if value is not None and values is None:
            raise _unexpected(key, "a finite number, or lists of them of one length", value)
        return values

    def integer(self, key: str, default: int | None = None, *, minimum: int | None = 1) -> int:
        """An integer, at least `minimum` where there is one."""
        value = self.raw(key, default)
        if not is_integer(value, minimum):
            raise _unexpected(key, _wanted(minimum), value)
        return int(value)  # type: ignore[call-overload,no-any-return]

    def integers(
        self, key: str, count: int | None, default: int | None = None, *, minimum: int | None = 1
    ) -> tuple[int, ...]:
        """`count` integers (None: any number of them); one alone stands for all."""
        value = self.raw(key, default)
        if count is not None and is_integer(value, minimum):
            return (int(value),) * count  # type: ignore[call-overload]
        if (
            not isinstance(value, Sequence)
            or (count is not None and len(value) != count)
            or not all(is_integer(item, minimum) for item in value)
        ):
            number = "a list" if count is None else f"{count}"
            raise _unexpected(key, f"{number} of: {_wanted(minimum)}", value)
        return tuple(int(item) for item in value)

    def pairs(self, key: str, count: int, default: int | None = None) -> tuple[tuple[int, int], ...]:
        """(low, high) for each of `count` axes, from 0 up: one number alone, or one for each axis, stands for both.

        At count 1 a pair of numbers alone is (low, high).
        """
        value = self.raw(key, default)
        items = [value] * count if is_integer(value, 0) else value
        if count == 1 and _is_list(items) and len(items) == 2:  # type: ignore[arg-type]
            items = [items]
        widths = [_pair(item) for item in items] if _is_list(items) else []  # type: ignore[attr-defined]
        pairs = tuple(pair for pair in widths if pair is not None)
        if len(widths) != count or len(pairs) != count:
            raise _unexpected(key, f"{count} integers from 0 up, or {count} pairs", value)
        return pairs

    def choice(self, key: str, default: str, options: Sequence[str]) -> str:
        """One of `options`, in any case."""
        value = self.raw(key, default)
        if not isinstance(value, str) or value.lower() not in options:
            raise _unexpected(key, " or ".join(map(repr, options)), value)
        return value.lower()

    def channels_first(self) -> bool:
        """Whether `data_format` says that channels come before the spatial axes; last is the default."""
        if self.raw("data_format") is None:
            return False
        return self.choice("data_format", "channels_last", ("channels_last", "channels_first")) == "channels_first"


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def array(value: object) -> Array | None:
    """Lists of lists of numbers that float32 can hold, or one alone, as float64. None where it is anything else."""
    shape: list[int] = []
    items: list[object] = [value]
    while any(_is_list(item) for item in items):
        lengths = {len(item) if _is_list(item) else 0 for item in items}  # type: ignore[arg-type]
        if len(lengths) > 1 or 0 in lengths or len(shape) == MAX_RANK:
            return None
        shape.extend(lengths)
        items = [inner for item in items for inner in item]  # type: ignore[attr-defined]
    if not all(is_number(item) and abs(item) <= FLOAT32_MAX for item in items):  # type: ignore[arg-type]
        return None
    return np.array(items, np.float64).reshape(shape)


def is_integer(value: object, minimum: int | None = None) -> bool:
    """Whether a JSON value is an integer, at least `minimum` and below 2**63."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return (minimum is None or value >= minimum) and abs(value) < 1 << 63


def extents(value: object) -> tuple[int | None, ...] | None:
    """A shape as Keras writes it: positive integers, None where the size is open. None where it is not one."""
    value = plain(value)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    if not all(item is None or is_integer(item, 1) for item in value):
        return None
    return tuple(value)


def from_shape(shape: Sequence[int | None]) -> str:
    """A shape as the command line takes it: "1x224x224x3", open sizes filled with 224."""
    return "x".join(str(extent or 224) for extent in shape)


def axis_in(axis: int, rank: int) -> int:
    """`axis` counted from the front. Raises `ModelError` where it is outside a tensor of `rank` axes."""
    if not -rank <= axis < rank:
        raise ModelError("", "axis is outside the input", expected=f"{-rank} to {rank - 1}", received=str(axis))
    return axis % rank


def _pair(value: object) -> tuple[int, int] | None:
    value = plain(value)
    if is_integer(value, 0):
        return (value, value)  # type: ignore[return-value]
    if _is_list(value) and len(value) == 2 and all(is_integer(item, 0) for item in value):  # type: ignore[arg-type,attr-defined]
        return (value[0], value[1])  # type: ignore[index]
    return None


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _wanted(minimum: int | None) -> str:
    return "an integer" if minimum is None else f"an integer from {minimum} up"


def _unexpected(key: str, expected: str, value: object) -> ModelError:
    received = "nothing" if value is None else show(value)
    return ModelError("", f"'{key}' is wrong", expected=expected, received=received)
