"""Conversion between integers and floating point, and functions of keras.ops that hand a tensor on."""

from __future__ import annotations

from collections.abc import Sequence

from convc import ops
from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import show
from convc.frontends.keras.operator import Arguments, register_function
from convc.frontends.keras.truth import as_number, truth
from convc.ir import DType, Node, Origin, make

FLOATS = ("float16", "float32", "float64", "bfloat16")
"""Floating point of any width is computed in float32."""
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
"""What an input may hold: whatever of it int32 holds."""
NARROW = ("int8", "int16", "uint8", "uint16", "uint32", "uint64")
"""Those whose sums wrap around elsewhere than those of int32, which is what int64 is without jax_enable_x64."""
WIDE = ("int32", "int64")
"""What tensors can be converted to: narrower integers would wrap around."""


def cast(x: Node, dtype: DType, origin: Origin) -> Node:
    """`x` as `dtype`; `x` itself where it is that already."""
    return x if x.type.dtype is dtype else make(ops.Cast(dtype), x, origin=origin)


def as_float(x: Node, origin: Origin) -> Node:
    """`x` as floating point."""
    return cast(x, DType.FLOAT32, origin)


def promoted(nodes: Sequence[Node], origin: Origin) -> tuple[Node, ...]:
    """Tensors of one type: integers become floating point beside floating point."""
    mixed = len({node.type.dtype for node in nodes}) > 1
    return tuple(as_float(node, origin) for node in nodes) if mixed else tuple(nodes)


def dtype_of(call: Arguments, default: DType, key: str = "dtype") -> DType:
    """The type that a function is asked to give. Raises `ModelError` or `UnsupportedError`."""
    value = call.values.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ModelError("", f"'{key}' is wrong", expected="the name of a type", received=show(value))
    if value in FLOATS:
        return DType.FLOAT32
    if value in WIDE:
        return DType.INT32
    raise UnsupportedError("", f"'{key}' is not supported", expected="float32, int32 or bool", received=show(value))


def _converted(x: Node, call: Arguments) -> Node:
    """`x` as the `dtype` of the call. Fractions are cut off towards zero."""
    dtype = call.values.get("dtype")
    if dtype is None:
        return x
    if dtype == "bool":
        return truth(x, call.origin)
    if dtype in WIDE:
        # Of integers too: they wrap around as int32 from here on.
        return make(ops.Cast(DType.INT32), x, origin=call.origin)
    return cast(as_number(x, call.origin), dtype_of(call, x.type.dtype), call.origin)


def _cast(call: Arguments) -> Node:
    if call.values.get("dtype") is None:
        raise ModelError("", "'dtype' is missing", expected="the name of a type")
    return _converted(call.tensor("x"), call)


register_function("cast", "x dtype", _cast, "float32 and int32", integers=True)
register_function("saturate_cast", "x dtype", _cast, "float32 and int32", integers=True)
for _name, _parameters in (
    ("convert_to_tensor", "x dtype sparse ragged"), ("array", "x dtype"), ("copy", "x"), ("stop_gradient", "variable"),
):  # fmt: skip

    def _build(call: Arguments, name: str = _parameters.split()[0]) -> Node:
        return _converted(call.tensor(name), call)

    register_function(_name, _parameters, _build, "hands the tensor on", integers=True)
