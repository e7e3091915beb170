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
from convc.ir import DType, Node, Origin, Shape, TensorType


@dataclass(frozen=True)
class Weight:
    """A variable of a layer: its name, Keras's shape, and what draws it; `layout` is the IR's shape where it differs.

    The name is unique within the layer: "query/kernel" where several layers inside it have a kernel. The layout has the
    same elements in the same order. `integer` weights are counters, which nothing is computed with. `path` is the place
    of the layer inside that owns the variable, as the attributes that lead there: "query_dense", "forward_layer/cell".
    """

    name: str
    shape: Shape
    initializer: Initializer
    layout: Shape | None = None
    integer: bool = False
    path: str = ""


class Layer(ABC):
    """A layer's parsed config. Subclasses are frozen dataclasses; strings are parsed before they are made.

    `arity` is the least and the most number of inputs (None: no limit), `keywords` the names of the tensors that a call
    may give by name, in their order behind those given by position. Only where `integers` is set do inputs of INT32
    reach it. Methods raise `ConvcError` with an empty subject, which the caller fills in.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    keywords: ClassVar[tuple[str, ...]] = ()
    integers: ClassVar[bool] = False

    def called(self, arguments: Fields) -> Layer:
        """The layer as a call has it that gives these arguments by name, which are no tensors and not None or False."""
        raise UnsupportedError("", f"the call arguments {sorted(arguments.values)} are not supported")

    def placed(self, arguments: Sequence[object], keywords: Mapping[str, object]) -> Layer:
        """The layer as a call has it that gives its tensors, each a `Slot`, in these places; most need not know."""
        return self

    def weights(self, *inputs: TensorType) -> tuple[Weight, ...]:
        """The variables for inputs of these types, in the order of Keras's `layer.weights`.

        Keras stores those of one `path` as "0", "1", … in this order.
        """
        return ()

    @abstractmethod
    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        """The node that computes one call; `weights` has a constant for each of `self.weights(…)`, in order."""

    def outputs(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> tuple[Node, ...]:
        """All outputs of one call, for layers that may have several; `build` gives the first."""
        return (self.build(inputs, weights, origin),)


@dataclass(frozen=True)
class Masks:
    """What a call knows of masks: tensors of 1 for the steps that count and 0 for those that do not."""

    argument: Node | None = None
    """What the layer's `call` gets as `mask`: the call's own, or else that of the input where it is the only one."""
    inputs: tuple[Node | None, ...] = ()
    """Those that the inputs carry."""

    @property
    def first(self) -> Node | None:
        """What Keras hands on: the argument, or else the first input's."""
        return self.argument or (self.inputs[0] if self.inputs else None)


class Masked(Layer):
    """A layer that computes with masks, or makes one. For all others, masking.py says what happens to masks."""

    @property
    def clears(self) -> bool:
        """Whether Keras takes the masks off its inputs, so that no later layer finds them."""
        return False

    @abstractmethod
    def masked(
        self, inputs: Sequence[Node], masks: Masks, weights: Mapping[str, Node], origin: Origin
    ) -> Sequence[tuple[Node, Node | None]]:
        """All outputs of one call with their masks."""

    def build(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> Node:
        return self.outputs(inputs, weights, origin)[0]

    def outputs(self, inputs: Sequence[Node], weights: Mapping[str, Node], origin: Origin) -> tuple[Node, ...]:
        return tuple(node for node, _ in self.masked(inputs, Masks(), weights, origin))


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


def is_layer(class_name: str) -> bool:
    """Whether a Keras class is a layer that is supported."""
    return class_name in _entries


def check_floats(inputs: Sequence[Node]) -> None:
    """Raises `UnsupportedError` with an empty subject where a tensor holds integers."""
    for node in inputs:
        if node.type.dtype is not DType.FLOAT32:
            raise UnsupportedError(
                "",
                "it does not take integers",
                expected=DType.FLOAT32.value,
                received=f"{node.type.dtype.value} from {node.origin}",
                remedy="convert them in the model, by keras.ops.cast(x, 'float32') or a Rescaling layer",
            )


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
