"""Mathematical functions of one tensor."""

from __future__ import annotations

from collections.abc import Mapping

from convc import ops
from convc.frontends.onnx.registry import Call, Handler, handler
from convc.ir import Node, Op

_FUNCTIONS: Mapping[str, Op] = {
    "Acos": ops.Acos(), "Acosh": ops.Acosh(), "Asin": ops.Asin(), "Asinh": ops.Asinh(), "Atan": ops.Atan(),
    "Atanh": ops.Atanh(), "Ceil": ops.Ceil(), "Cos": ops.Cos(), "Cosh": ops.Cosh(), "Erf": ops.Erf(),
    "Exp": ops.Exp(), "Floor": ops.Floor(), "Log": ops.Log(), "Reciprocal": ops.Reciprocal(), "Round": ops.Round(),
    "Sin": ops.Sin(), "Sinh": ops.Sinh(), "Sqrt": ops.Sqrt(), "Tan": ops.Tan(),
}  # fmt: skip


def _function(op: Op) -> Handler:
    def build(call: Call, x: Node) -> Node:
        return call.make(op, x)

    return build


for _name, _op in _FUNCTIONS.items():
    handler(_name)(_function(_op))
