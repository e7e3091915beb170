"""Functions of keras.ops, which Functional models call like layers: what one is, and the table of those known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.calls import Call, Slot
from convc.frontends.keras.config import ARRAY_CLASSES, Fields, array, class_of, plain, show
from convc.ir import Node, Origin
from convc.ops import constant

FLOATS = ("float32", "float16", "bfloat16")


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
            if dtype not in FLOATS:
                message = "the constant's dtype is not supported"
                raise UnsupportedError("", message, expected="float32", received=show(dtype))
        values = array(plain(value))
        if values is None:
            expected = "a tensor, or a constant of numbers that float32 can hold"
            received = show(plain(value))
            raise UnsupportedError("", "the call argument is not supported", expected=expected, received=received)
        return constant(np.atleast_1d(values).astype(np.float32), self.origin)


Build = Callable[[Arguments], "Node | tuple[Node, ...]"]
"""The nodes that compute one call."""


@dataclass(frozen=True)
class Function:
    """A function of keras.ops: the names of the parameters that its call has, in order, and how it is computed."""

    name: str
    parameters: tuple[str, ...]
    build: Build
    note: str


@dataclass(frozen=True, eq=False)
class Operator:
    """A function with what the config fixes of its arguments."""

    function: Function
    config: Mapping[str, object]

    def call(self, call: Call, nodes: Sequence[Node], origin: Origin) -> tuple[Node, ...]:
        """The outputs of one call. Raises `ConvcError` with an empty subject."""
        if not nodes:
            raise ModelError("", "a call reads no tensor", received=show(call.arguments))
        names = self.function.parameters
        if len(call.arguments) > len(names):
            expected, received = str(len(names)), str(len(call.arguments))
            raise ModelError("", "wrong number of inputs", expected=expected, received=received)
        values = {**self.config, **dict(zip(names, call.arguments, strict=False))}
        values.update({key: value for key, value in call.keywords.items() if value is not None or key not in values})
        result = self.function.build(Arguments(values, nodes, origin))
        return result if isinstance(result, tuple) else (result,)


_functions: dict[str, Function] = {}


def register_function(name: str, parameters: str, build: Build, note: str = "") -> None:
    """Adds a function of keras.ops. `parameters` are the names of its call's, in order: "x1 x2".

    The name is the function's own: its class in a config, but for case and underscores. One that is taken is refused.
    """
    key = _key(name)
    if key in _functions:
        raise ValueError(f"keras.ops.{name} is registered twice")
    _functions[key] = Function(name, tuple(parameters.split()), build, note)


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


def supported_functions() -> dict[str, str]:
    """The functions that are supported, in alphabetical order, each with a note."""
    return {function.name: function.note for function in sorted(_functions.values(), key=lambda f: f.name)}


def _key(name: str) -> str:
    return name.replace("_", "").lower()
