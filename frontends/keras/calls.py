"""Calls of layers in a Functional config: which outputs of which calls a call reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import ARRAY_CLASSES, array, class_of, is_integer, plain, show
from convc.ir import Array


@dataclass(frozen=True)
class Ref:
    """One output of one call of a layer."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True, eq=False)
class Refs:
    """Tensors in order, with their keys where they were given as a dict; those are sorted.

    `constants` are operands that are no tensors, each with its place among all operands.
    """

    items: tuple[Ref, ...]
    keys: tuple[str, ...] | None = None
    constants: tuple[tuple[int, Array], ...] = ()


def read_ends(config: Mapping[str, object], key: str, built: set[str]) -> Refs:
    """The tensors under `input_layers` or `output_layers`: one, a list or a dict of [name, call, tensor].

    Calls of the layers in `built` are counted from 1. Raises `ModelError` where there are none.
    """
    struct = config.get(key)
    refs = tuple(_shifted(ref, built) for ref in _leaves(struct))
    if not refs:
        raise ModelError("", f"'{key}' is empty")
    return Refs(refs, _keys(struct, len(refs)))


def read_calls(nodes: object, built: set[str]) -> Iterator[Refs]:
    """What each call of a layer reads, by its `inbound_nodes`; calls of the layers in `built` are counted from 1.

    Keras 3 writes {"args", "kwargs"} for a call, Keras 2 [[name, call, tensor, kwargs], …]. Raises `ModelError`, and
    `UnsupportedError` for arguments that are not tensors and would change the result.
    """
    if not isinstance(nodes, Sequence):
        raise ModelError("", "'inbound_nodes' is wrong", expected="a list", received=show(nodes))
    for node in nodes:
        if isinstance(node, Mapping):
            yield _call(node, built)
        else:
            items = node if isinstance(node, Sequence) else ()
            for item in items:
                if isinstance(item, Sequence) and len(item) == 4 and isinstance(item[3], Mapping):
                    _refuse_training(item[3])
            yield Refs(tuple(_shifted(ref, built) for ref in _leaves(node)))


def read_operands(nodes: object, built: set[str]) -> Iterator[Refs]:
    """What each call of an operator of keras.ops reads: tensors and float32 constants. Raises as `read_calls` does."""
    if not isinstance(nodes, Sequence):
        raise ModelError("", "'inbound_nodes' is wrong", expected="a list", received=show(nodes))
    for node in nodes:
        args = node.get("args") if isinstance(node, Mapping) else None
        if not isinstance(args, Sequence):
            raise ModelError("", "a call is wrong", expected="a list 'args'", received=show(node))
        if node.get("kwargs"):
            raise UnsupportedError(
                "", "call arguments by name are not supported", expected="tensors and constants by position"
            )
        items: list[Ref] = []
        constants: list[tuple[int, Array]] = []
        for position, argument in enumerate(args):
            if class_of(argument) == "__keras_tensor__" or _is_leaf(argument):
                items.extend(_shifted(ref, built) for ref in _leaves(argument))
            else:
                constants.append((position, _operand(argument)))
        if not items:
            raise ModelError("", "a call reads no tensor", received=show(args))
        yield Refs(tuple(items), None, tuple(constants))


def _operand(value: object) -> Array:
    """A constant operand as float32; a number alone is a vector of one."""
    if class_of(value) in ARRAY_CLASSES:
        assert isinstance(value, Mapping)
        config = value.get("config")
        dtype = config.get("dtype") if isinstance(config, Mapping) else None
        if dtype not in ("float32", "float16", "bfloat16"):
            raise UnsupportedError(
                "", "the constant's dtype is not supported", expected="float32", received=show(dtype)
            )
    values = array(plain(value))
    if values is None:
        expected = "a tensor, or a constant of numbers that float32 can hold"
        raise UnsupportedError("", "the call argument is not supported", expected=expected, received=show(plain(value)))
    return np.atleast_1d(values).astype(np.float32)


def _call(node: Mapping[str, object], built: set[str]) -> Refs:
    kwargs = node.get("kwargs")
    kwargs = dict(kwargs) if isinstance(kwargs, Mapping) else {}
    args: object = node.get("args")
    if not args and "inputs" in kwargs:
        args = [kwargs.pop("inputs")]
    _refuse_training(kwargs)
    for key, value in kwargs.items():
        if any(_leaves(value)):
            raise UnsupportedError("", f"the call argument {key[:100]!r} is not supported", expected="tensors in front")
    args = args if isinstance(args, Sequence) else []
    for value in _walk(args):
        if not isinstance(value, Ref):
            raise UnsupportedError("", f"the call argument {show(value)} is not supported", expected="tensors only")
    refs = tuple(_shifted(ref, built) for ref in _leaves(args))
    return Refs(refs, _keys(args[0], len(refs)) if args else None)


def _refuse_training(kwargs: Mapping[str, object]) -> None:
    if kwargs.get("training") is True:
        raise UnsupportedError("", "it is called with training=True", remedy="convc compiles for inference only")


def _shifted(ref: Ref, built: set[str]) -> Ref:
    return Ref(ref.layer, ref.call - 1, ref.tensor) if ref.layer in built else ref


def _keys(struct: object, count: int) -> tuple[str, ...] | None:
    if not isinstance(struct, Mapping) or class_of(struct) is not None:
        return None
    keys = tuple(sorted(str(key) for key in struct))
    return keys if len(keys) == count else None


def _leaves(struct: object) -> Iterator[Ref]:
    """The tensors in nested lists and dicts."""
    return (item for item in _walk(struct) if isinstance(item, Ref))


def _walk(struct: object) -> Iterator[object]:
    """The tensors in nested lists and dicts, and the numbers and constants, but for None and False.

    Tensors are histories of Keras 3, or lists [name, call, tensor, …], and come as `Ref`. Keras counts the tensors of
    a dict in the order of its sorted keys.
    """
    stack = [struct]
    while stack:
        item = stack.pop()
        if class_of(item) in ARRAY_CLASSES:
            yield plain(item)
            continue
        item = plain(item)
        if class_of(item) == "__keras_tensor__":
            assert isinstance(item, Mapping)
            config = item.get("config")
            item = config.get("keras_history") if isinstance(config, Mapping) else None
            if not _is_leaf(item):
                raise ModelError("", "a tensor has no history", expected="[name, call, tensor]", received=show(item))
        if _is_leaf(item):
            yield Ref(*item[:3])  # type: ignore[index]
        elif isinstance(item, Mapping):
            stack.extend(item[key] for key in sorted(item, key=str, reverse=True))
        elif isinstance(item, Sequence) and not isinstance(item, str):
            stack.extend(reversed(item))
        elif isinstance(item, (int, float)) and item is not False:
            yield item


def _is_leaf(item: object) -> bool:
    return (
        isinstance(item, Sequence)
        and len(item) in (3, 4)
        and isinstance(item[0], str)
        and all(is_integer(number, 0) for number in item[1:3])
    )
