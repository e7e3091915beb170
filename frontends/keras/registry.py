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

    `arity` is the least and the most number of inputs (None: no limit), `keywords` the names of the tensors that a call
    may give by name, in their order behind those given by position. Methods raise `ConvcError` with an empty subject,
    which the caller fills in.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    keywords: ClassVar[tuple[str, ...]] = ()

    def called(self, arguments: Fields) -> Layer:
        """The layer as a call has it that gives these arguments by name, which are no tensors and not None or False."""
        raise UnsupportedError("", f"the call arguments {sorted(arguments.values)} are not supported")

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        """The variables for inputs of these types, in the order in which Keras stores them."""
        return ()

    @abstractmethod
    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        """The node that computes one call; `weights` has a constant for each of `self.weights(…)`, in order."""

    def outputs(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> tuple[Node, ...]:
        """All outputs of one call, for layers that may have several; `build` gives the first."""
        return (self.build(inputs, weights, origin),)


@dataclass(frozen=True)
class Entry:
    """How a class is read, and what of it is supported, in a few words."""

    parse: Callable[[Fields], Layer]
    note: str


_entries: dict[str, Entry] = {}


def register(class_name: str, parse: Callable[[Fields], Layer], note: str) -> None:
    """Adds a Keras class. A name that is taken is refused."""
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
    if class_name not in _entries:
        raise UnsupportedError("", "this layer is not supported", remedy=nearest(class_name, tuple(_entries)))
    _refuse_quantized(fields)
    return _entries[class_name].parse(fields)


def supported_layers() -> dict[str, str]:
    """The Keras classes that are supported, in alphabetical order, each with a note."""
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
