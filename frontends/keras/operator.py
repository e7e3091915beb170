"""Functions of keras.ops, which Functional models call like layers: what one is, and the table of those known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.calls import Call, Slot
from convc.frontends.keras.config import ARRAY_CLASSES, Fields, array, class_of, plain, show
from convc.frontends.keras.registry import check_floats
from convc.frontends.keras.wrapping import check_wrapping
from convc.ir import Array, DType, Node, Origin
from convc.ops import constant

FLOATS = ("float32", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, eq=False)
class Arguments:
    """What a function is called with, by the names of its parameters, those of the config among them.

    `fields` reads what is no tensor. Methods raise `ConvcError` with an empty subject.
    """

    values: Mapping[str, object]
    nodes: Sequence[Node]
    origin: Origin

    @property
    def fields(self) -> Fields:
        """Typed access to numbers, flags and lists of them."""
        return Fields(self.values)

    def is_tensor(self, name: str) -> bool:
        """Whether the argument is the output of another layer."""
        return isinstance(self.values.get(name), Slot)

    def tensor(self, name: str) -> Node:
        """A tensor, or a constant of numbers as float32; a number alone is a vector of one."""
        return self._node(self.values.get(name))

    def tensors(self, name: str) -> tuple[Node, ...]:
        """A list of tensors and constants."""
        value = self.values.get(name)
        if not isinstance(value, list) or not value:
            raise ModelError("", f"'{name}' is wrong", expected="a list of tensors", received=show(value))
        return tuple(self._node(item) for item in value)

    def _node(self, value: object) -> Node:
        if isinstance(value, Slot):
            return self.nodes[value.index]
        if value is None:
            raise ModelError("", "wrong number of inputs", expected="a tensor or a constant", received="nothing")
        if class_of(value) in ARRAY_CLASSES:
            assert isinstance(value, Mapping)
            config = value.get("config")
            dtype = config.get("dtype") if isinstance(config, Mapping) else None
            if dtype in INTEGERS:
                return self._integers(value)
            if dtype not in FLOATS:
                message = "the constant's dtype is not supported"
                raise UnsupportedError("", message, expected="float32", received=show(dtype))
        values = array(plain(value))
        if values is None:
            expected = "a tensor, or a constant of numbers that float32 can hold"
            received = show(plain(value))
            raise UnsupportedError("", "the call argument is not supported", expected=expected, received=received)
        return self._constant(values, np.float32)

    def _integers(self, value: object) -> Node:
        """A constant of integers: beside tensors of integers INT32, else floating point."""
        values = array(plain(value))
        if values is None or np.abs(values).max() >= 1 << 31 or not np.array_equal(values, np.trunc(values)):
            expected, received = "a constant of integers that int32 can hold", show(plain(value))
            raise UnsupportedError("", "the call argument is not supported", expected=expected, received=received)
        beside = any(node.type.dtype is DType.INT32 for node in self.nodes)
        return self._constant(values, np.int32 if beside else np.float32)

    def _constant(self, values: Array, dtype: type[np.float32] | type[np.int32]) -> Node:
        """A number alone is a vector of one beside tensors that have axes: they are the same there, and fold alike."""
        shaped = np.atleast_1d(values) if any(node.type.rank for node in self.nodes) else values
        return constant(shaped.astype(dtype), self.origin)


Build = Callable[[Arguments], "Node | tuple[Node, ...]"]
"""The nodes that compute one call."""


@dataclass(frozen=True)
class Function:
    """A function of keras.ops: the names of the parameters that its call has, in order, and how it is computed."""

    name: str
    parameters: tuple[str, ...]
    build: Build
    note: str
    integers: bool = False
    """Whether it takes tensors of INT32."""


@dataclass(frozen=True, eq=False)
class Operator:
    """A function with what the config fixes of its arguments."""

    function: Function
    config: Mapping[str, object]

    def call(self, call: Call, nodes: Sequence[Node], origin: Origin) -> tuple[Node, ...]:
        """The outputs of one call. Raises `ConvcError` with an empty subject."""
        if not nodes:
            raise ModelError("", "a call reads no tensor", received=show(call.arguments))
        if not self.function.integers:
            check_floats(nodes)
        names = self.function.parameters
        if len(call.arguments) > len(names):
            expected, received = str(len(names)), str(len(call.arguments))
            raise ModelError("", "wrong number of inputs", expected=expected, received=received)
        values = {**self.config, **dict(zip(names, call.arguments, strict=False))}
        values.update({key: value for key, value in call.keywords.items() if value is not None or key not in values})
        result = self.function.build(Arguments(values, nodes, origin))
        made = result if isinstance(result, tuple) else (result,)
        check_wrapping(made, nodes)
        return made


_functions: dict[str, Function] = {}


def register_function(
    name: str, parameters: str, build: Build, note: str = "", *, integers: bool = False, class_name: str = ""
) -> None:
    """Adds a function of keras.ops. `parameters` are the names of its call's, in order: "x1 x2". Without `integers` it
    takes floating point only.

    The name is the function's own, and that of its class in a config but for case and underscores, unless a
    `class_name` is given. One that is taken is refused.
    """
    key = _key(class_name or name)
    if key in _functions:
        raise ValueError(f"keras.ops.{name} is registered twice")
    _functions[key] = Function(name, tuple(parameters.split()), build, note, integers)


def parse_operator(class_name: str, config: object) -> Operator:
    """The function whose class has this name. Raises `UnsupportedError` with an empty subject."""
    function = _functions.get(_key(class_name))
    if function is None:
        close = difflib.get_close_matches(_key(class_name[:100]), _functions, n=1)
        remedy = (
            f"the nearest that is supported is keras.ops.{_functions[close[0]].name}"
            if close
            else "docs/supported.md lists what is supported"
        )
        raise UnsupportedError("", "this function of keras.ops is not supported", remedy=remedy)
    return Operator(function, config if isinstance(config, Mapping) else {})


def is_function(class_name: str) -> bool:
    """Whether the class with this name is that of a function that is supported."""
    return _key(class_name) in _functions


def supported_functions() -> dict[str, str]:
    """The functions that are supported, in alphabetical order, each with a note."""
    return {function.name: function.note for function in sorted(_functions.values(), key=lambda f: f.name)}


def _key(name: str) -> str:
    return name.rpartition(".")[2].replace("_", "").lower()
