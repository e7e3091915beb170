"""Calls of layers in a Functional config: which outputs of which calls a call reads, and with what arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import ARRAY_CLASSES, class_of, is_integer, plain, show

MAX_DEPTH = 64
"""Lists and dicts within a call's arguments; more is taken for an attack."""


@dataclass(frozen=True)
class Ref:
    """One output of one call of a layer."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True, eq=False)
class Refs:
    """Tensors in order, with their keys where they were given as a dict; those are sorted."""

    items: tuple[Ref, ...]
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Slot:
    """Stands for a tensor among a call's arguments: its place in `Call.reads`."""

    index: int


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, a model or a function of keras.ops.

    `arguments` and `keywords` are JSON as in the config, with a `Slot` for every tensor, lists for tuples. The tensors
    of the arguments come first in `reads`, then those of the keywords.
    """

    reads: Refs
    arguments: tuple[object, ...] = ()
    keywords: Mapping[str, object] = field(default_factory=dict)


def after(layer: str) -> Call:
    """A call on the output of a layer that is called once, as in a Sequential model."""
    return Call(Refs((Ref(layer, 0, 0),)), (Slot(0),))


def read_ends(config: Mapping[str, object], key: str, built: set[str]) -> Refs:
    """The tensors under `input_layers` or `output_layers`: one, a list or a dict of [name, call, tensor].

    Calls of the layers in `built` are counted from 1. Raises `ModelError` where there are none.
    """
    struct = config.get(key)
    refs: list[Ref] = []
    _slotted(struct, refs, built)
    if not refs:
        raise ModelError("", f"'{key}' is empty")
    return Refs(tuple(refs), _keys(struct, len(refs)))


def read_calls(nodes: object, built: set[str], *, indifferent: bool = False) -> Iterator[Call]:
    """The calls of a layer, by its `inbound_nodes`; calls of the layers in `built` are counted from 1.

    Keras 3 writes {"args", "kwargs"} for a call, Keras 2 [[name, call, tensor, kwargs], …]. Raises `ModelError`, and
    `UnsupportedError` for a call that trains, unless the layer is `indifferent` to that.
    """
    if not isinstance(nodes, Sequence) or isinstance(nodes, str):
        raise ModelError("", "'inbound_nodes' is wrong", expected="a list", received=show(nodes))
    for node in nodes:
        args, kwargs = (node.get("args"), node.get("kwargs")) if isinstance(node, Mapping) else _legacy_call(node)
        if not isinstance(args, Sequence) or isinstance(args, str):
            raise ModelError("", "a call is wrong", expected="a list 'args'", received=show(node))
        named = {str(key): value for key, value in kwargs.items()} if isinstance(kwargs, Mapping) else {}
        if not args and "inputs" in named:
            args = [named.pop("inputs")]
        if named.pop("training", None) is True and not indifferent:
            raise UnsupportedError("", "it is called with training=True", remedy="convc compiles for inference only")
        refs: list[Ref] = []
        arguments = tuple(_slotted(value, refs, built) for value in args)
        keywords = {key: _slotted(value, refs, built) for key, value in named.items()}
        yield Call(Refs(tuple(refs), _keys(args[0], len(refs)) if args else None), arguments, keywords)


def slots(struct: object) -> Iterator[int]:
    """The places of the tensors in nested lists and dicts."""
    return (item.index for item in _walk(struct) if isinstance(item, Slot))


def loose(struct: object) -> Iterator[object]:
    """What in nested lists and dicts is no tensor, and neither None nor False."""
    return (item for item in _walk(struct) if not isinstance(item, Slot) and item is not None and item is not False)


def _legacy_call(node: object) -> tuple[Sequence[object], object]:
    """Arguments and keywords of a call as Keras 2 writes it: the keywords stand with the first tensor."""
    items = node if isinstance(node, Sequence) and not isinstance(node, str) else []
    if _is_leaf(items):
        items = [items]
    first = items[0] if items else None
    kwargs = first[3] if _is_leaf(first) and len(first) == 4 else {}  # type: ignore[index,arg-type]
    return ([list(items)] if len(items) > 1 else list(items)), kwargs


def _slotted(struct: object, refs: list[Ref], built: set[str], depth: int = 0) -> object:
    """`struct` with its tensors, which are appended to `refs`, replaced by slots. Raises `ModelError`.

    Tensors are histories of Keras 3, or lists [name, call, tensor, …]. Keras counts the tensors of a dict in the order
    of its sorted keys.
    """
    if depth > MAX_DEPTH:
        raise ModelError("", "the arguments of a call are nested too deeply", expected=f"at most {MAX_DEPTH} levels")
    if class_of(struct) == "__keras_tensor__":
        assert isinstance(struct, Mapping)
        config = struct.get("config")
        struct = config.get("keras_history") if isinstance(config, Mapping) else None
        if not _is_leaf(struct):
            raise ModelError("", "a tensor has no history", expected="[name, call, tensor]", received=show(struct))
    if _is_leaf(struct):
        ref = Ref(*struct[:3])  # type: ignore[index]
        refs.append(Ref(ref.layer, ref.call - 1, ref.tensor) if ref.layer in built else ref)
        return Slot(len(refs) - 1)
    if class_of(struct) in ARRAY_CLASSES:
        return struct
    struct = plain(struct)
    if isinstance(struct, Mapping):
        return {key: _slotted(struct[key], refs, built, depth + 1) for key in sorted(struct, key=str)}
    if isinstance(struct, Sequence) and not isinstance(struct, str):
        return [_slotted(item, refs, built, depth + 1) for item in struct]
    return struct


def _keys(struct: object, count: int) -> tuple[str, ...] | None:
    if not isinstance(struct, Mapping) or class_of(struct) is not None:
        return None
    keys = tuple(sorted(str(key) for key in struct))
    return keys if len(keys) == count else None


def _walk(struct: object) -> Iterator[object]:
    """The leaves of nested lists and dicts, in order; a constant is one."""
    stack = [struct]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping) and class_of(item) not in ARRAY_CLASSES:
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            stack.extend(reversed(item))
        else:
            yield item


def _is_leaf(item: object) -> bool:
    return (
        isinstance(item, Sequence)
        and len(item) in (3, 4)
        and isinstance(item[0], str)
        and all(is_integer(number, 0) for number in item[1:3])
    )
