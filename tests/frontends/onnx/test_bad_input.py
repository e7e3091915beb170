"""Damaged and hostile models: an error of convc, a line that names the node, and little time and memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx import load
from tests.support.bounded import bounded  # noqa: F401
from tests.support.onnx_models import BOOL, FLOAT, INT64, branch, conv, model, node, refused

HUGE = 1 << 40


# Files


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x08", b"\x08\x09", bytes(100), b"\xff" * 100, b"\x3a\x00", b"\x3a\xff\xff\xff\x7f"]
)
def test_bytes_that_are_no_model(data: bytes) -> None:
    refused(data, "the model: this is not an ONNX model")


def test_every_prefix_of_a_model() -> None:
    data = conv(pads=[1, 1, 1, 1]).SerializeToString()
    for end in range(0, len(data) - 1, 7):
        with pytest.raises(ConvcError):
            load(data[:end])


@pytest.mark.parametrize("nested", [50, 5000])
def test_graphs_within_graphs(nested: int) -> None:
    """Protobuf itself refuses messages that are nested too deeply."""
    data = onnx.ValueInfoProto(name="y").SerializeToString()
    body = b"\x62" + bytes([len(data)]) + data
    for _ in range(nested):  # graph { node { attribute { g } } }
        for field in (0x32, 0x2A, 0x0A):
            body = bytes([field]) + _varint(len(body)) + body
    refused(b"\x3a" + _varint(len(body)) + body, "the model: ")


def _varint(value: int) -> bytes:
    result = b""
    while value > 127:
        result += bytes([value & 127 | 128])
        value >>= 7
    return result + bytes([value])


# Opsets and names


@pytest.mark.parametrize(
    ("opset", "remedy"), [(5, "converter"), (0, "converter"), (-1, "converter"), (99, "update"), (1 << 62, "update")]
)
def test_an_opset_that_is_not_known(opset: int, remedy: str) -> None:
    made = conv()
    made.opset_import[0].version = opset
    refused(made, "the model: its opset is not supported: expected 6 to ")
    with pytest.raises(UnsupportedError, match=remedy):
        load(made)


def test_too_many_axes() -> None:
    refused(model(node("Relu", ["x"], ["y"]), inputs={"x": (1,) * 33}), "input 'x': it has too many axes")


def test_no_opset() -> None:
    made = conv()
    del made.opset_import[:]
    refused(made, "the model: it does not say its opset: expected an opset_import for ''")


def test_an_unknown_domain() -> None:
    made = model(node("Relu", ["x"], ["y"], name="r", domain="com.example"), inputs={"x": (2, 3)})
    refused(made, "node 'r' (Relu): operators of the domain 'com.example' are not supported")


def test_no_graph_and_no_outputs() -> None:
    made = conv()
    del made.graph.output[:]
    refused(made.SerializeToString(), "the model: this is not an ONNX model")
    made.ClearField("graph")
    refused(made.SerializeToString(), "the model: this is not an ONNX model")


def test_an_operator_that_the_opset_does_not_have() -> None:
    nodes = [node("BitwiseNot", ["c"], ["m"], name="m"), node("Add", ["x", "m"], ["y"])]
    made = model(*nodes, inputs={"x": (INT64, (2,))}, constants={"c": [1]}, opset=9)
    refused(made, "node 'm' (BitwiseNot): there is no such operator in opset 9")


def test_duplicate_names() -> None:
    relu, neg = node("Relu", ["x"], ["y"], name="a"), node("Neg", ["x"], ["y"], name="b")
    refused(model(relu, neg, inputs={"x": (2,)}), "node 'b' (Neg): 'y' is defined twice")
    refused(model(node("Relu", ["x"], ["x"], name="a"), inputs={"x": (2,)}, outputs=["x"]), "'x' is defined twice")
    made = model(relu, inputs={"x": (2,)})
    made.graph.input.append(made.graph.input[0])
    refused(made, "the model: two inputs have the name 'x'")
    made = model(relu, inputs={"x": (2,)}, constants={"c": [1.0]})
    made.graph.initializer.append(made.graph.initializer[0])
    refused(made, "the model: two initializers have the name 'c'")
    refused(model(relu, inputs={"x": (2,)}, outputs=["y", "y"]), "the model: two outputs have the name 'y'")
    refused(model(node("Split", ["x"], ["y", "y"], name="s"), inputs={"x": (2,)}), "node 's' (Split): 'y' is defined")


def test_missing_names() -> None:
    refused(model(node("Relu", ["z"], ["y"], name="a"), inputs={"x": (2,)}), "node 'a' (Relu): nothing gives its input")
    refused(model(node("Relu", ["x"], ["y"]), inputs={"x": (2,)}, outputs=["z"]), "nothing gives its output 'z'")
    refused(model(node("Relu", ["x"], ["y"]), inputs={"": (2,), "x": (2,)}), "one of its inputs has no name")
    refused(model(node("Relu", [""], ["y"], name="a"), inputs={"x": (2,)}), "node 'a' (Relu): its inputs or")
    refused(model(node("Relu", [], ["y"], name="a"), inputs={"x": (2,)}), "node 'a' (Relu)")
    refused(model(node("Shape", [], ["y"], name="a"), inputs={"x": (2,)}), "node 'a' (Shape)")
    refused(model(node("Relu", ["x"] * 5, ["y"], name="a"), inputs={"x": (2,)}), "node 'a' (Relu): too many inputs")


def test_long_names_and_names_that_steer_a_terminal() -> None:
    name = "\x1b[2J" + "n" * 100_000
    made = model(node("Foo" * 10_000, ["x"], ["y"], name=name), inputs={"x": (2,)})
    refused(made, "this operator is not supported")


def test_a_loop() -> None:
    nodes = node("Add", ["x", "b"], ["a"], name="first"), node("Relu", ["a"], ["b"], name="second")
    refused(model(*nodes, inputs={"x": (2,)}, outputs=["b"]), "the nodes form a loop")
    refused(model(node("Relu", ["y"], ["y"], name="self"), inputs={"x": (2,)}), "node 'self' (Relu): the nodes form")


def test_a_loop_through_a_branch() -> None:
    then = branch(node("Neg", ["y"], ["z"]), outputs=["z"])
    made = model(
        node("If", ["c"], ["y"], name="choice", then_branch=then, else_branch=then),
        inputs={"x": (2,)},
        constants={"c": np.array(True)},
    )
    refused(made, "node 'choice' (If): the nodes form a loop")


def test_a_long_chain() -> None:
    nodes = [node("Relu", [f"x{i}"], [f"x{i + 1}"]) for i in range(3000)]
    assert load(model(*nodes, inputs={"x0": (2,)}, outputs=["x3000"])).outputs[0].type.shape == (2,)


def test_too_many_nodes() -> None:
    made = model(node("Relu", ["x"], ["y"]), inputs={"x": (2,)})
    for _ in range(16):
        made.graph.node.extend(list(made.graph.node))
    refused(made, "the model: it has too many nodes: expected at most 50000, got 65536")


# Attributes


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": 1}, {"pads": [1.0, 1.0]}, {"pads": "1"}, {"pads": [1, 1]}, {"pads": [-1, 0, 0, 0]},
        {"pads": [HUGE] * 4}, {"pads": [(1 << 63) - 1] * 4}, {"strides": [0, 0]}, {"strides": [-1, 1]},
        {"strides": [HUGE, HUGE], "pads": [-HUGE] * 4}, {"dilations": [HUGE, HUGE]}, {"dilations": [0, 1]},
        {"group": 0}, {"group": -1}, {"group": HUGE}, {"group": 2}, {"group": 1.0}, {"group": [1]},
        {"kernel_shape": [5, 5]}, {"kernel_shape": [HUGE, 3]}, {"auto_pad": "same"}, {"auto_pad": 1},
        {"auto_pad": "SAME_UPPER", "strides": [0, 1]}, {"unheard_of": 1}, {"auto_pad": b"\xff\xfe"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_attributes(attributes: dict[str, Any]) -> None:
    refused(conv(**attributes), "node 'c' (Conv)")


def test_an_attribute_that_is_there_twice() -> None:
    made = conv(group=1)
    made.graph.node[0].attribute.append(made.graph.node[0].attribute[0])
    refused(made, "node 'c' (Conv): the attribute 'group' is there twice")


def test_attributes_of_a_function_outside_of_one() -> None:
    made = conv(group=1)
    made.graph.node[0].attribute[0].ref_attr_name = "groups"
    refused(made, "node 'c' (Conv): the attribute 'group' is that of a function, and this is none")


@pytest.mark.parametrize("kind", [0, 9, 11, 13])
def test_types_of_attributes(kind: int) -> None:
    made = conv(group=1)
    made.graph.node[0].attribute[0].type = kind
    refused(made, "node 'c' (Conv)")


# Tensors


def test_a_tensor_without_its_data() -> None:
    made = conv()
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]
    refused(made, "initializer 'w': the tensor 'w' is damaged")
    made.graph.initializer[0].ClearField("raw_data")
    refused(made, "initializer 'w': the tensor 'w' is damaged")


@pytest.mark.parametrize("kind", [0, 99, -1])
def test_types_of_tensors(kind: int) -> None:
    made = conv()
    made.graph.initializer[0].data_type = kind
    refused(made, "initializer 'w': the type of the tensor 'w' is unknown")
    made = model(node("Relu", ["x"], ["y"]), inputs={"x": (2,)})
    made.graph.input[0].type.tensor_type.elem_type = kind
    refused(made, "input 'x': its type is not supported")


def test_text_and_other_types() -> None:
    strings = onnx.TensorProto.STRING
    refused(model(node("Relu", ["x"], ["y"]), inputs={"x": (strings, (2,))}), "input 'x': its type is not supported")
    text = model(node("Identity", ["c"], ["y"]), inputs={}, constants={"c": np.array(["a"], object)})
    refused(text, "output 'y': a constant's type is not supported")
    made = model(node("Relu", ["x"], ["y"]), inputs={"x": (2,)})
    made.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    refused(made, "input 'x': this type of input is not supported: expected a tensor, got sequence_type")


def test_integers_beyond_32_bits() -> None:
    made = model(node("Add", ["x", "c"], ["y"], name="a"), inputs={"x": (INT64, (2,))}, constants={"c": [HUGE, 1]})
    refused(made, "node 'a' (Add): a constant does not fit: expected 32-bit integers")


def test_sparse_tensors() -> None:
    made = model(node("Relu", ["x"], ["y"]), inputs={"x": (2,)})
    made.graph.sparse_initializer.add()
    refused(made, "the model: sparse initializers are not supported")


def test_conditions_that_are_none() -> None:
    then = branch(node("Neg", ["x"], ["z"]), outputs=["z"])
    for value in (np.array([True, False]), np.array([], bool)):
        made = model(
            node("If", ["c"], ["y"], name="choice", then_branch=then, else_branch=then),
            inputs={"x": (2,)},
            constants={"c": value},
        )
        refused(made, "node 'choice' (If)")
    made = model(node("If", ["c"], ["y"], name="choice"), inputs={"x": (2,), "c": (BOOL, ())})
    refused(made, "node 'choice' (If)")


def test_kinds_of_errors() -> None:
    with pytest.raises(ModelError):
        load(b"")
    with pytest.raises(ShapeError):
        load(conv(dilations=[9, 9]))
