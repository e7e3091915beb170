"""Functions of TensorFlow in configs of tf.keras 2, turned into the functions of keras.ops that compute the same.

TFOpLambda names the function, SlicingOpLambda is `x[…]`, and TensorFlowOpLayer (TensorFlow 2.0 to 2.3) holds a node of
a TensorFlow graph, which `tensorflow_graph` reads.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import is_integer, is_number, plain, show

CONSTANT = "_CONSTANT_VALUE"
"""Stands in place of a layer's name where the first argument is a constant, which is then third."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """The class of keras.ops that computes a function, and its parameters, "tensorflow=keras" where the names differ.

    `change` is called with the values by Keras's names, `fixed` are arguments that TensorFlow has no name for.
    """

    kind: str
    parameters: str
    change: Callable[[Values], None] | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Keras's names by those of TensorFlow, in the order of its parameters."""
        pairs = [name.partition("=") for name in self.parameters.split()]
        return {old: new or old for old, _, new in pairs}


def modern_function(entry: Mapping[str, object], kind: str, config: Mapping[str, object]) -> Mapping[str, object]:
    """A TFOpLambda or SlicingOpLambda as a function of keras.ops. Raises `ConvcError` with an empty subject."""
    rule = _rule(config.get("function") if kind == "TFOpLambda" else "__operators__.getitem")
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, Sequence) or isinstance(nodes, str):
        raise ModelError("", "'inbound_nodes' is wrong", expected="a list", received=show(nodes))
    return as_operator(entry, rule, [_call(node, rule) for node in nodes])


def as_operator(entry: Mapping[str, object], rule: Rule, calls: Sequence[Values]) -> Mapping[str, object]:
    """The entry of a function with calls of these arguments, by TensorFlow's names."""
    nodes = [{"args": [], "kwargs": _named(rule, call)} for call in calls]
    own: Values = {"class_name": rule.kind, "module": "keras.ops", "registered_name": None, "config": {}}
    return {**entry, **own, "inbound_nodes": nodes}


def rule_of(name: str) -> Rule | None:
    """The rule for a function, by the last part of its name."""
    return _RULES.get(name.rpartition(".")[2])


def refused(name: object) -> UnsupportedError:
    """The error for a function that no rule is known for."""
    short = str(name)[:100]
    close = difflib.get_close_matches(short.rpartition(".")[2], _RULES, n=1)
    remedy = f"the nearest that is supported is {close[0]}" if close else "docs/supported.md lists what is supported"
    return UnsupportedError("", f"the function tf.{short} is not supported", remedy=remedy)


def _rule(name: object) -> Rule:
    rule = rule_of(name) if isinstance(name, str) else None
    if rule is None:
        raise refused(name)
    return rule


def _call(node: object, rule: Rule) -> Values:
    """The arguments of a call. The first stands alone or as a list; the others are with it, or with its first item."""
    if not isinstance(node, Sequence) or isinstance(node, str) or not node:
        raise ModelError("", "a call is wrong", expected="[name, call, tensor, keywords]", received=show(node))
    single = isinstance(node[0], str)
    items = [node] if single else node
    tensors: list[Any] = []
    keywords: Values = {}
    for item in items:
        if not isinstance(item, Sequence) or isinstance(item, str) or not 3 <= len(item) <= 4:
            raise ModelError("", "a call is wrong", expected="[name, call, tensor, keywords]", received=show(item))
        tensors.append(item[2] if item[0] == CONSTANT else list(item[:3]))
        if len(item) == 4 and isinstance(item[3], Mapping):
            keywords = {**item[3], **keywords}
    if single or (len(tensors) == 1 and rule.parameters.partition(" ")[0] not in _LISTS):
        tensors = tensors[0]
    return {next(iter(rule.names)): tensors, **keywords}


def _named(rule: Rule, call: Values) -> Values:
    """The arguments by Keras's names. Raises `UnsupportedError` for one that is not supported, unless it is not set."""
    names = rule.names
    values: Values = dict(rule.fixed)
    for key, value in call.items():
        if key in names:
            values[names[key]] = value
        elif key != "name" and value is not None and value is not False:
            expected = ", ".join(names)
            raise UnsupportedError(
                "", f"the argument {show(key)} is not supported", expected=expected, received=show(value)
            )
    if rule.change is not None:
        rule.change(values)
    return values


def _only(key: str, *allowed: object) -> Callable[[Values], None]:
    """Drops an argument that may only be one of `allowed`."""

    def change(values: Values) -> None:
        value = values.pop(key, allowed[0])
        if value not in allowed:
            expected = " or ".join(map(repr, allowed))
            raise UnsupportedError("", f"'{key}' is not supported", expected=expected, received=show(value))

    return change


def _getitem(values: Values) -> None:
    """Slices are dicts {start, stop, step}; a single index stands alone."""
    spec = plain(values.get("key"))
    items = spec if isinstance(spec, (list, tuple)) else [spec]
    values["key"] = [
        {"class_name": "__slice__", "config": {key: item.get(key) for key in ("start", "stop", "step")}}
        if isinstance(item, Mapping) and "class_name" not in item and "start" in item
        else item
        for item in items
    ]


def _split(values: Values) -> None:
    """TensorFlow takes sizes where Keras takes places."""
    sizes = values.get("indices_or_sections")
    values.setdefault("axis", 0)
    if isinstance(sizes, (list, tuple)):
        if not all(is_integer(size, 0) for size in sizes):
            raise UnsupportedError("", "'num_or_size_splits' is not supported", expected="sizes", received=show(sizes))
        values["indices_or_sections"] = [sum(sizes[:count]) for count in range(1, len(sizes))]


def _pad(values: Values) -> None:
    mode = values.get("mode") or "constant"
    values["mode"] = mode.lower() if isinstance(mode, str) else mode
    if values["mode"] == "constant":
        values["constant_values"] = values.get("constant_values", 0)
    else:
        values.pop("constant_values", None)


def _resize(values: Values) -> None:
    method = values.get("interpolation", "bilinear")
    if not isinstance(method, str) or method.lower() not in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"):
        expected = "bilinear, nearest, bicubic, lanczos3 or lanczos5"
        raise UnsupportedError("", "'method' is not supported", expected=expected, received=show(method))
    values["interpolation"] = method.lower()
    values["data_format"] = "channels_last"


def _l2_normalize(values: Values) -> None:
    """TensorFlow bounds the squared norm, Keras the norm."""
    epsilon = values.get("epsilon", 1e-12)
    if is_number(epsilon) and epsilon >= 0:
        values["epsilon"] = float(epsilon) ** 0.5
    values.setdefault("axis", None)


def _block(values: Values) -> None:
    order = values.get("data_format", "NHWC")
    if order not in ("NHWC", "NCHW"):
        raise UnsupportedError("", "'data_format' is not supported", expected="NHWC or NCHW", received=show(order))
    values["data_format"] = "channels_last" if order == "NHWC" else "channels_first"


def _default(**defaults: object) -> Callable[[Values], None]:
    def change(values: Values) -> None:
        for key, value in defaults.items():
            values.setdefault(key, value)

    return change


_LISTS = ("values",)
"""First parameters that are lists of tensors, even where they have one."""

_BINARY = {
    "add": "Add", "subtract": "Subtract", "sub": "Subtract", "multiply": "Multiply", "mul": "Multiply",
    "divide": "Divide", "truediv": "Divide", "div": "Divide", "realdiv": "Divide", "divide_no_nan": "DivideNoNan",
    "maximum": "Maximum", "minimum": "Minimum", "pow": "Power", "floordiv": "FloorDivide", "floor_div": "FloorDivide",
    "mod": "Mod", "floormod": "Mod", "greater": "Greater", "gt": "Greater", "greater_equal": "GreaterEqual",
    "ge": "GreaterEqual", "less": "Less", "lt": "Less", "less_equal": "LessEqual", "le": "LessEqual",
    "equal": "Equal", "eq": "Equal", "not_equal": "NotEqual", "ne": "NotEqual", "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr", "logical_xor": "LogicalXor", "atan2": "Arctan2",
}  # fmt: skip
_REVERSED = {
    "radd": "Add", "rsub": "Subtract", "rmul": "Multiply", "rtruediv": "Divide", "rdiv": "Divide", "rpow": "Power",
    "rfloordiv": "FloorDivide", "rmod": "Mod",
}  # fmt: skip
_UNARY = {
    "relu": "Relu", "relu6": "Relu6", "elu": "Elu", "selu": "Selu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp",
    "log": "Log", "log1p": "Log1p", "expm1": "Expm1", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "square": "Square",
    "abs": "Absolute", "negative": "Negative", "neg": "Negative", "sign": "Sign", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Arcsin", "acos": "Arccos", "atan": "Arctan",
    "sinh": "Sinh", "cosh": "Cosh", "asinh": "Arcsinh", "acosh": "Arccosh", "atanh": "Arctanh", "erf": "Erf",
    "softplus": "Softplus", "softsign": "Softsign", "log_sigmoid": "LogSigmoid", "reciprocal": "Reciprocal",
    "logical_not": "LogicalNot", "identity": "Copy", "convert_to_tensor": "Copy",
    "zeros_like": "ZerosLike", "ones_like": "OnesLike",
}  # fmt: skip
_REDUCTIONS = {
    "reduce_mean": "Mean", "reduce_sum": "Sum", "reduce_max": "Max", "reduce_min": "Min", "reduce_prod": "Prod",
    "reduce_std": "Std", "reduce_variance": "Var", "reduce_logsumexp": "Logsumexp", "reduce_any": "Any",
    "reduce_all": "All",
}  # fmt: skip

_RULES: dict[str, Rule] = {
    **{name: Rule(kind, "x=x1 y=x2") for name, kind in _BINARY.items()},
    **{name: Rule(kind, "y=x2 x=x1") for name, kind in _REVERSED.items()},
    **{name: Rule(kind, "x features=x input=x") for name, kind in _UNARY.items()},
    **{name: Rule(kind, "input_tensor=x axis keepdims keep_dims=keepdims") for name, kind in _REDUCTIONS.items()},
    "stop_gradient": Rule("StopGradient", "input=variable"),
    "silu": Rule("Silu", "features=x beta", _only("beta", 1.0, 1)),
    "swish": Rule("Silu", "features=x beta", _only("beta", 1.0, 1)),
    "gelu": Rule("Gelu", "features=x approximate", _default(approximate=False)),
    "leaky_relu": Rule("LeakyRelu", "features=x alpha=negative_slope", _default(negative_slope=0.2)),
    "softmax": Rule("Softmax", "logits=x axis dim=axis", _default(axis=-1)),
    "log_softmax": Rule("LogSoftmax", "logits=x axis", _default(axis=-1)),
    "clip_by_value": Rule("Clip", "t=x clip_value_min=x_min clip_value_max=x_max"),
    "l2_normalize": Rule("Normalize", "x axis epsilon dim=axis", _l2_normalize, {"order": 2}),
    "bias_add": Rule("Add", "value=x1 bias=x2 data_format", _only("data_format", None, "NHWC", "N...C")),
    "matmul": Rule("Matmul", "a=x1 b=x2"),
    "where": Rule("Where", "condition x=x1 y=x2"),
    "argmax": Rule("Argmax", "input=x axis output_type", _only("output_type", "int64", "int32")),
    "argmin": Rule("Argmin", "input=x axis output_type", _only("output_type", "int64", "int32")),
    "cumsum": Rule("Cumsum", "x axis", _default(axis=0)),
    "cast": Rule("Cast", "x dtype"),
    "reshape": Rule("Reshape", "tensor=x shape=newshape"),
    "transpose": Rule("Transpose", "a=x perm=axes"),
    "expand_dims": Rule("ExpandDims", "input=x axis dim=axis"),
    "squeeze": Rule("Squeeze", "input=x axis squeeze_dims=axis"),
    "concat": Rule("Concatenate", "values=xs axis"),
    "stack": Rule("Stack", "values=x axis", _default(axis=0)),
    "unstack": Rule("Unstack", "value=x num axis", _default(axis=0)),
    "split": Rule("Split", "value=x num_or_size_splits=indices_or_sections axis", _split),
    "tile": Rule("Tile", "input=x multiples=repeats"),
    "repeat": Rule("Repeat", "input=x repeats axis"),
    "broadcast_to": Rule("BroadcastTo", "input=x shape"),
    "reverse": Rule("Flip", "tensor=x axis"),
    "roll": Rule("Roll", "input=x shift axis"),
    "gather": Rule("Take", "params=x indices axis", _default(axis=0)),
    "pad": Rule("Pad", "tensor=x paddings=pad_width mode constant_values", _pad),
    "getitem": Rule("GetItem", "tensor=x slice_spec=key", _getitem),
    "resize": Rule("Resize", "images size method=interpolation antialias", _resize),
    "depth_to_space": Rule("DepthToSpace", "input=x block_size data_format", _block),
    "space_to_depth": Rule("SpaceToDepth", "input=x block_size data_format", _block),
}  # fmt: skip
"""By the last part of TensorFlow's name: "math.add" is add, "compat.v1.transpose" transpose."""
