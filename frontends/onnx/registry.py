"""What a handler of an ONNX operator is, and the table of the operators that are known.

A handler's signature is the operator's schema: inputs are positional, attributes are keyword-only with their defaults,
and the annotations say what is wanted of each:

    @handler("LeakyRelu")
    def leaky_relu(call: Call, x: Node, *, alpha: float = 0.01) -> Node: …

`Node` is a tensor, whether computed or constant; `Array` a constant, known when the model is compiled; `*xs: Node` any
number of tensors. What differs between opsets is decided in the handler, by `call.opset`.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convc.errors import ModelError, UnsupportedError
from convc.frontends.onnx.known import Known
from convc.ir import Array, Node, Op, Origin, make
from convc.ops import Input, constant

Value = Node | Array
"""A tensor of the model: computed when it runs, or known already, in any of NumPy's dtypes."""


@dataclass(frozen=True)
class Call:
    """One node of the model, as its handler sees it.

    `outputs` is the number of outputs that the node names, `bound` tells the values of inputs of the model that are
    bound when it is compiled, where a handler needs a constant.
    """

    origin: Origin
    opset: int
    outputs: int
    bound: Known

    def make(self, op: Op, *inputs: Node) -> Node:
        """A node of the IR for this one."""
        return make(op, *inputs, origin=self.origin)

    def constant(self, value: Array | float) -> Node:
        """A constant node; floating point and booleans become float32, integers int32."""
        return as_node(np.asarray(value), self.origin)


Handler = Callable[..., Any]


@dataclass(frozen=True)
class Parameter:
    """An input or an attribute of a handler: its name, the type wanted, and whether it may be absent."""

    name: str
    kind: Any
    required: bool


@dataclass(frozen=True)
class Entry:
    """A handler with its signature."""

    function: Handler
    inputs: tuple[Parameter, ...]
    variadic: Any
    """The type of further inputs; None where there are none."""
    attributes: Mapping[str, Parameter]


_entries: dict[str, Entry] = {}


def handler(*names: str) -> Callable[[Handler], Handler]:
    """Registers a function as what builds the operators of these names. A name that is taken is refused."""

    def register(function: Handler) -> Handler:
        entry = _entry(function)
        for name in names:
            if name in _entries:
                raise ValueError(f"{name} is registered twice: by {_entries[name].function} and by {function}")
            _entries[name] = entry
        return function

    return register


def supported_operators() -> tuple[str, ...]:
    """The operators that are known, in alphabetical order."""
    return tuple(sorted(_entries))


def is_known(op_type: str) -> bool:
    """Whether there is a handler."""
    return op_type in _entries


def unknown(op_type: str) -> UnsupportedError:
    """The error for an operator without a handler, with an empty subject."""
    close = difflib.get_close_matches(op_type[:100], _entries, n=1)
    remedy = f"the nearest that is supported is {close[0]}" if close else "docs/supported.md lists what is supported"
    return UnsupportedError("", "this operator is not supported", remedy=remedy)


def build(
    op_type: str, call: Call, inputs: Sequence[Value | None], attributes: Mapping[str, object]
) -> tuple[Value, ...]:
    """The outputs of one node. Absent inputs are None. Raises `ConvcError` with an empty subject."""
    entry = _entries[op_type]
    given = list(inputs)
    while given and given[-1] is None:
        given.pop()
    most = len(entry.inputs)
    if len(given) > most and entry.variadic is None:
        raise ModelError("", "too many inputs", expected=f"at most {most}", received=str(len(given)))
    arguments: list[object] = []
    for position, parameter in enumerate(entry.inputs):
        value = given[position] if position < len(given) else None
        if value is None and parameter.required:
            raise ModelError("", f"the input '{parameter.name}' is missing")
        arguments.append(None if value is None else _as(value, parameter, call))
    for value in given[most:]:
        if value is None:
            raise ModelError("", "an input is missing", received="an empty name")
        arguments.append(_as(value, Parameter("inputs", entry.variadic, True), call))
    keywords = {}
    for name, attribute in attributes.items():
        if name not in entry.attributes:
            raise UnsupportedError("", f"the attribute '{name[:100]}' is not supported")
        keywords[name] = _checked(attribute, entry.attributes[name])
    for name, parameter in entry.attributes.items():
        if parameter.required and name not in keywords:
            raise ModelError("", f"the attribute '{name}' is missing")
    result = entry.function(call, *arguments, **keywords)
    return result if isinstance(result, tuple) else (result,)


def as_node(value: Value, origin: Origin) -> Node:
    """A constant as a node: floating point and booleans as float32, integers as int32. Raises `UnsupportedError`."""
    if isinstance(value, Node):
        return value
    if not value.size:
        raise UnsupportedError("", "tensors without elements are not supported", received=str(value.shape))
    if value.dtype.kind == "f" or value.dtype.name == "bfloat16":
        return constant(np.asarray(value, np.float32), origin)
    if value.dtype.kind == "b":
        return constant(value.astype(np.float32), origin)
    if value.dtype.kind in "iu":
        wide = value.astype(np.int64) if value.dtype.kind != "u" or value.dtype.itemsize < 8 else value
        if value.size and (wide.max() > np.iinfo(np.int32).max or wide.min() < np.iinfo(np.int32).min):
            raise UnsupportedError("", "a constant does not fit", expected="32-bit integers", received=str(wide.max()))
        return constant(value.astype(np.int32), origin)
    raise UnsupportedError("", "a constant's type is not supported", received=str(value.dtype))


def _entry(function: Handler) -> Entry:
    hints = typing.get_type_hints(function)
    inputs, attributes, variadic = [], {}, None
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        kind, required = hints[parameter.name], parameter.default is inspect.Parameter.empty
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            variadic = kind
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            attributes[parameter.name] = Parameter(parameter.name, _plain(kind), required)
        else:
            inputs.append(Parameter(parameter.name, _plain(kind), required))
    return Entry(function, tuple(inputs), variadic, attributes)


def _plain(kind: Any) -> Any:
    """The type without "or None"."""
    members = [member for member in typing.get_args(kind) if member is not type(None)]
    optional = type(None) in typing.get_args(kind)
    return members[0] if optional and len(members) == 1 else kind


def _as(value: Value, parameter: Parameter, call: Call) -> Value:
    if parameter.kind is Node:
        return as_node(value, call.origin)
    if parameter.kind == Array and isinstance(value, Node):
        if value in call.bound:
            return call.bound[value]
        message = f"the input '{parameter.name}' is computed by the model"
        received = str(value.origin) if isinstance(value.op, Input) else f"the output of {value.origin}"
        raise UnsupportedError("", message, expected="a constant", received=received)
    return value


def _checked(value: object, parameter: Parameter) -> object:
    """The attribute, if it has the type that the handler wants."""
    kind = parameter.kind
    if kind is float and isinstance(value, float):
        return value
    if kind is int and isinstance(value, int):
        return value
    if kind is bool and value in (0, 1):
        return bool(value)
    if kind is str and isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if kind == Array and isinstance(value, np.ndarray):
        return value
    if typing.get_origin(kind) is tuple and isinstance(value, (list, tuple)):
        wanted = typing.get_args(kind)[0]
        if wanted is str and all(isinstance(item, bytes) for item in value):
            return tuple(item.decode("utf-8", "replace") for item in value)
        if all(isinstance(item, wanted) for item in value):
            return tuple(value)
    raise ModelError("", f"the attribute '{parameter.name}' is wrong", received=repr(value)[:100])
