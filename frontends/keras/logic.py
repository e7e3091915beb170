"""Functions of keras.ops that compare, join truth values and choose by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convc import ops
from convc.errors import UnsupportedError
from convc.frontends.keras.cast import as_float, promoted
from convc.frontends.keras.config import ARRAY_CLASSES, FLOAT32_MAX, array, class_of, plain
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.truth import negation, number, truth
from convc.ir import DType, Node, Origin, make


def choice(condition: Node, a: Node, b: Node, origin: Origin) -> Node:
    """`a` where the condition is not zero, `b` elsewhere."""
    return make(ops.Where(), as_float(condition, origin), *promoted((a, b), origin), origin=origin)


def operands(call: Arguments, *names: str) -> tuple[Node, ...]:
    """Tensors and constants of one type. Beside integers, constants without a fraction are integers, as in Keras."""
    nodes = [call.tensor(name) for name in names]
    if any(node.type.dtype is DType.INT32 for node in nodes):
        nodes = [_whole(call, name, node) for name, node in zip(names, nodes, strict=True)]
    return promoted(nodes, call.origin)


def _whole(call: Arguments, name: str, node: Node) -> Node:
    """`node`, a constant of INT32 where the config has one of integers."""
    value = call.values.get(name)
    if call.is_tensor(name) or (class_of(value) in ARRAY_CLASSES) or not _is_whole(plain(value)):
        return node
    values = array(plain(value))
    assert values is not None
    if np.abs(values).max() >= 1 << 31:
        raise UnsupportedError("", "the call argument is not supported", expected="integers that int32 can hold")
    return ops.constant(np.atleast_1d(values).astype(np.int32), call.origin)


def _is_whole(value: object) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_is_whole(item) for item in value)
    return isinstance(value, int)


def _compared(op: ops.Comparison, a: str, b: str) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        return make(op, *operands(call, a, b), origin=call.origin)

    return build


def _joined(op: ops.Binary) -> Callable[[Arguments], Node]:
    def build(call: Arguments) -> Node:
        a, b = (truth(call.tensor(name), call.origin) for name in ("x1", "x2"))
        return make(op, a, b, origin=call.origin)

    return build


def _where(call: Arguments) -> Node:
    if call.values.get("x1") is None or call.values.get("x2") is None:
        message = "without values to choose from, the output's shape would depend on the input's values"
        raise UnsupportedError("", message, expected="where(condition, x1, x2)")
    a, b = operands(call, "x1", "x2")
    return choice(call.tensor("condition"), a, b, call.origin)


def _select(call: Arguments) -> Node:
    """The choice of the first condition that holds, else the default."""
    conditions, choices = call.tensors("condlist"), call.tensors("choicelist")
    if len(conditions) != len(choices):
        expected = f"{len(conditions)} choices"
        raise UnsupportedError("", "'choicelist' is wrong", expected=expected, received=str(len(choices)))
    result = number(0, call.origin) if call.values.get("default") is None else call.tensor("default")
    for condition, a in zip(reversed(conditions), reversed(choices), strict=True):
        result = choice(condition, a, result, call.origin)
    return result


def _magnitude(call: Arguments) -> Node:
    return make(ops.Abs(), call.tensor("x"), origin=call.origin)


def _largest(call: Arguments, sign: float = 1.0) -> Node:
    return number(sign * FLOAT32_MAX, call.origin)


def _is_nan(call: Arguments) -> Node:
    """Nothing else is not at least 0 in magnitude."""
    at_least = make(ops.GreaterEqual(), _magnitude(call), number(0, call.origin), origin=call.origin)
    return negation(at_least, call.origin)


def _nan_to_num(call: Arguments) -> Node:
    x, fields, origin = call.tensor("x"), call.fields, call.origin
    above, below = (
        fields.number(key) if fields.raw(key) is not None else limit
        for key, limit in (("posinf", FLOAT32_MAX), ("neginf", -FLOAT32_MAX))
    )
    is_above = make(ops.Greater(), x, _largest(call), origin=origin)
    is_below = make(ops.Greater(), _largest(call, -1.0), x, origin=origin)
    bounded = choice(is_above, number(above, origin), choice(is_below, number(below, origin), x, origin), origin)
    return choice(_is_nan(call), number(fields.number("nan", 0.0), origin), bounded, origin)


_SIDES = "tensors and constants on either side"
for _name, _build in {
    "equal": _compared(ops.Equal(), "x1", "x2"),
    "not_equal": _compared(ops.NotEqual(), "x1", "x2"),
    "greater": _compared(ops.Greater(), "x1", "x2"),
    "greater_equal": _compared(ops.GreaterEqual(), "x1", "x2"),
    "less": _compared(ops.Greater(), "x2", "x1"),
    "less_equal": _compared(ops.GreaterEqual(), "x2", "x1"),
    "logical_and": _joined(ops.Multiply()),
    "logical_or": _joined(ops.Maximum()),
    "logical_xor": _joined(ops.NotEqual()),
}.items():
    register_function(_name, "x1 x2", _build, _SIDES, integers=True)
register_function("logical_not", "x", lambda call: negation(call.tensor("x"), call.origin), integers=True)
register_function("where", "condition x1 x2", _where, "with both values", integers=True)
register_function("select", "condlist choicelist default", _select, "any number of conditions", integers=True)
register_function("isnan", "x", _is_nan)
register_function("isinf", "x", lambda call: make(ops.Greater(), _magnitude(call), _largest(call), origin=call.origin))
register_function(
    "isfinite", "x", lambda call: make(ops.GreaterEqual(), _largest(call), _magnitude(call), origin=call.origin)
)
register_function(
    "isposinf", "x", lambda call: make(ops.Greater(), call.tensor("x"), _largest(call), origin=call.origin)
)
register_function(
    "isneginf", "x", lambda call: make(ops.Greater(), _largest(call, -1.0), call.tensor("x"), origin=call.origin)
)
register_function("nan_to_num", "x", _nan_to_num, "nan, posinf, neginf")
