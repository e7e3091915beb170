"""What a layer of Keras is to this frontend, and the table of the classes that it knows."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc.errors import UnsupportedError
from convc.frontends.keras.config import Fields
from convc.frontends.keras.initializers import Initializer
from convc.ir import Node, Origin, Shape, TensorType


@dataclass(frozen=True)
class Weight:
    """A variable of a layer: its name, Keras's shape, and what draws it; `layout` is the IR's shape where it differs.

    The layout has the same elements in the same order. `integer` weights are counters, which nothing is computed with.
    """

    name: str
    shape: Shape
    initializer: Initializer
    layout: Shape | None = None
    integer: bool = False


class Layer(ABC):
    """A layer's parsed config. Subclasses are frozen dataclasses; strings are parsed before they are made.

    `arity` is the least and the most number of inputs (None: no limit). Methods raise `ConvcError` with an empty
    subject, which the caller fills in.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        """The variables for inputs of these types, in the order in which Keras stores them."""
        return ()

    @abstractmethod
    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        """The nodes that compute one call; `weights` has a constant for each of `self.weights(…)`, in order."""


@dataclass(frozen=True)
class Entry:
    """How a class is read, and what of it is supported, in a few words."""

    parse: Callable[[Fields], Layer]
    note: str


OPERATOR = "keras.ops."
"""What the names of functions of keras.ops begin with in the table."""

_entries: dict[str, Entry] = {}


def register(class_name: str, parse: Callable[[Fields], Layer], note: str) -> None:
    """Adds a Keras class, or `OPERATOR` and the name of a function of keras.ops. A name that is taken is refused."""
    if class_name in _entries:
        old, new = _entries[class_name].parse, parse
        raise ValueError(f"{class_name} is registered twice: by {old} and by {new}")
    _entries[class_name] = Entry(parse, note)


def parse_layer(class_name: str, fields: Fields) -> Layer:
    """The layer that a config describes. Raises `ConvcError` with an empty subject."""
    if class_name == "Lambda":
        raise UnsupportedError(
            "", "a Lambda holds Python code, which is never executed", remedy="replace it by layers that have a name"
        )
    if class_name not in _entries or class_name.startswith(OPERATOR):
        layers = tuple(name for name in _entries if not name.startswith(OPERATOR))
        raise UnsupportedError("", "this layer is not supported", remedy=nearest(class_name, layers))
    _refuse_quantized(fields)
    return _entries[class_name].parse(fields)


def parse_operator(class_name: str) -> Layer:
    """The function of keras.ops whose class has this name. Raises `UnsupportedError` with an empty subject."""
    key = OPERATOR + class_name.lower()
    if key not in _entries:
        names = ", ".join(name.removeprefix(OPERATOR) for name in sorted(_entries) if name.startswith(OPERATOR))
        remedy = f"use the layer {class_name}" if class_name in _entries else "use a layer of keras.layers"
        raise UnsupportedError("", "this operator of keras.ops is not supported", expected=names, remedy=remedy)
    return _entries[key].parse(Fields({}))


def supported_layers() -> dict[str, str]:
    """What is supported: Keras classes and functions of keras.ops, in alphabetical order, each with a note."""
    return {name: _entries[name].note for name in sorted(_entries)}


def nearest(name: str, names: Sequence[str]) -> str:
    """A remedy that names what is most like `name`, whatever its case, if anything is."""
    lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name[:100].lower(), lower, n=1)
    return (
        f"the nearest that is supported is {lower[close[0]]}" if close else "docs/supported.md lists what is supported"
    )


def _refuse_quantized(fields: Fields) -> None:
    """Floating point policies all compute in float32 here; a quantized layer has other weights."""
    policy = fields.raw("dtype")
    quantized = isinstance(policy, Mapping) and "Quantized" in str(policy.get("class_name"))[:100]
    if quantized or fields.raw("quantization_config") is not None:
        raise UnsupportedError(
            "", "the layer is quantized", expected="floating point weights", remedy="save the model before quantize()"
        )
