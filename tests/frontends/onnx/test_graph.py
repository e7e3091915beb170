"""From a model to a graph: open sizes, constants, shapes that are computed, functions and branches."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from convc import ops
from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.frontends.onnx import load
from convc.ir import Graph
from tests.support.onnx_models import BOOL, FLOAT, INT64, assert_same, branch, model, node

RELU = (node("Relu", ["x"], ["y"], name="r"),)


def kinds(graph: Graph) -> list[str]:
    """The ops that are computed."""
    return [n.op.kind for n in graph.nodes if not isinstance(n.op, ops.Input | ops.Constant)]


def test_names_and_shapes_are_the_models_own() -> None:
    graph = load(model(*RELU, inputs={"x": (1, 3, 5, 4)}))
    assert [n.name for n in graph.inputs] == ["x"]
    assert graph.inputs[0].type.shape == (1, 3, 5, 4)
    assert graph.output_names == ("y",)
    assert graph.name == "net"
    assert str(graph.outputs[0].origin) == "node 'r' (Relu)"


@pytest.mark.parametrize(
    ("declared", "batch", "given", "want"),
    [
        (("N", 3), 1, None, (1, 3)),
        (("N", 3), 4, None, (4, 3)),
        ((None, 3), 4, None, (4, 3)),
        (("N", "M"), 1, (2, 5), (2, 5)),
        (("N", None), 2, (2, 5), (2, 5)),
        (("N", "N"), 3, None, (3, 3)),
        ((FLOAT, None), 1, (2, 5), (2, 5)),
    ],
)
def test_open_sizes_are_bound(declared: Any, batch: int, given: tuple[int, ...] | None, want: tuple[int, ...]) -> None:
    made = model(*RELU, inputs={"x": declared})
    graph = load(made, batch=batch, input_shapes={"x": given} if given else None)
    assert graph.inputs[0].type.shape == graph.outputs[0].type.shape == want


def test_a_named_size_is_the_same_everywhere() -> None:
    made = model(node("Add", ["a", "b"], ["y"]), inputs={"a": ("N", "C"), "b": ("N", "C")})
    graph = load(made, input_shapes={"b": (2, 7)})
    assert [n.type.shape for n in graph.inputs] == [(2, 7), (2, 7)]
    with pytest.raises(ShapeError, match=r"input 'b': the given shape does not fit: expected \(N, C\), got \(2, 8\)"):
        load(made, input_shapes={"a": (2, 7), "b": (2, 8)})


def test_open_sizes_are_refused_by_name() -> None:
    made = model(node("Add", ["a", "b"], ["y"]), inputs={"a": ("N", 3, "H", None), "b": (FLOAT, None)})
    with pytest.raises(ModelError) as caught:
        load(made)
    assert str(caught.value).splitlines() == [
        "input 'a': the model leaves sizes open: got (N, 3, H, ?) (pass --input a=1x3x224x224, for example)",
        "input 'b': the model does not say its shape (pass --input b=1x3x224x224)",
    ]


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 1), (2,), ()])
def test_a_given_shape_fits(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"input 'x': the given shape does not fit: expected \(N, 3\)"):
        load(model(*RELU, inputs={"x": ("N", 3)}), input_shapes={"x": shape})


def test_no_such_input() -> None:
    with pytest.raises(ModelError, match="input 'z': no such input: expected 'x'"):
        load(model(*RELU, inputs={"x": (2, 3)}), input_shapes={"z": (2, 3)})


def test_a_batch_that_the_model_fixes() -> None:
    made = model(*RELU, inputs={"x": (2, 3)})
    assert load(made, batch=2).inputs[0].type.shape == (2, 3)
    assert load(made).inputs[0].type.shape == (2, 3)
    with pytest.raises(ShapeError, match=r"batch 4: no input has this first size: got x \(2, 3\)"):
        load(made, batch=4)


def test_an_initializer_that_is_also_an_input_is_a_constant() -> None:
    made = model(node("Add", ["x", "c"], ["y"]), inputs={"x": (2, 3), "c": (3,)}, constants={"c": [1.0, 2.0, 3.0]})
    assert [n.name for n in load(made).inputs] == ["x"]


def test_inputs_without_elements_are_known() -> None:
    made = model(node("CastLike", ["x", "like"], ["y"]), inputs={"x": (2, 3), "like": (FLOAT, (0,))})
    assert [n.name for n in load(made).inputs] == ["x"]


def test_unused_inputs_stay() -> None:
    made = model(*RELU, inputs={"x": (2, 3), "unused": (4, 5)})
    assert [n.name for n in load(made).inputs] == ["x", "unused"]


def test_nodes_in_any_order() -> None:
    made = model(node("Relu", ["a"], ["y"]), node("Neg", ["x"], ["a"]), inputs={"x": (2, 3)})
    assert kinds(load(made))[-1] == "Relu"


def test_nodes_that_no_output_needs_are_not_looked_at() -> None:
    made = model(*RELU, node("Loop", ["x"], ["z"]), node("Foo", ["x"], ["w"], domain="bar"), inputs={"x": (2, 3)})
    assert kinds(load(made)) == ["Relu"]


def test_unsupported_nodes_are_all_listed_at_once() -> None:
    made = model(
        node("Foo", ["x"], ["a"], name="first", domain="com.example"),
        node("Bar", ["a"], ["b"], name="second"),
        node("Loop", ["", "", "b"], ["c"], name="third", body=branch(outputs=["y"])),
        node("Relu", ["c"], ["y"], name="fourth"),
        inputs={"x": (2, 3)},
    )
    with pytest.raises(UnsupportedError) as caught:
        load(made)
    lines = str(caught.value).splitlines()
    assert lines[0] == "node 'first' (Foo): operators of the domain 'com.example' are not supported"
    assert lines[1].startswith("node 'second' (Bar): this operator is not supported")
    assert lines[2] == "node 'third' (Loop): control flow is not supported"
    assert len(lines) == 3


def test_an_output_that_no_one_reads_may_be_unsupported() -> None:
    pool = node("MaxPool", ["x"], ["y", "places"], kernel_shape=[2, 2])
    made = model(pool, inputs={"x": (1, 2, 4, 4)})
    assert load(made).outputs[0].type.shape == (1, 2, 3, 3)


@pytest.mark.parametrize("kind", ["Loop", "Scan", "SequenceMap"])
def test_control_flow_is_refused_by_name(kind: str) -> None:
    made = model(node(kind, ["x"], ["y"], name="flow", body=branch(outputs=["z"])), inputs={"x": (2, 3)})
    with pytest.raises(UnsupportedError, match=rf"node 'flow' \({kind}\): control flow is not supported"):
        load(made)


# Constants


def test_a_shape_that_is_computed() -> None:
    """What exporters write for flatten: Shape, Gather, Unsqueeze, Concat, Reshape."""
    made = model(
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "axis"], ["n1"]),
        node("Concat", ["n1", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["y"]),
        inputs={"x": ("N", 3, 4)},
        constants={"zero": np.int64(0), "axis": [0], "rest": [-1]},
    )
    assert kinds(assert_same(made, batch=2)) == ["Reshape"]


def test_arithmetic_on_shapes() -> None:
    """Sizes of an image, halved and multiplied, as an upsampling or a channel shuffle computes them."""
    made = model(
        node("Shape", ["x"], ["s"], start=2),
        node("Cast", ["s"], ["f"], to=FLOAT),
        node("Mul", ["f", "half"], ["g"]),
        node("Floor", ["g"], ["h"]),
        node("Cast", ["h"], ["i"], to=INT64),
        node("Shape", ["x"], ["t"], end=2),
        node("Slice", ["i", "zero", "one"], ["rows"]),
        node("Div", ["i", "i"], ["ones"]),
        node("Mul", ["ones", "minus"], ["m"]),
        node("ReduceProd", ["m"], ["p"], keepdims=1),
        node("Concat", ["t", "rows", "p"], ["shape"], axis=0),
        node("Where", ["no", "shape", "shape"], ["chosen"]),
        node("Reshape", ["x", "chosen"], ["y"]),
        inputs={"x": (2, 3, 5, 4)},
        constants={"half": 0.5, "zero": [0], "one": [1], "minus": [-1, 1], "no": np.array([False])},
    )
    graph = assert_same(made)
    assert kinds(graph) == ["Reshape"]
    assert graph.outputs[0].type.shape == (2, 3, 2, 10)


def test_constant_of_shape_and_range() -> None:
    value = onnx.helper.make_tensor("value", FLOAT, [1], [0.5])
    made = model(
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["s"], ["half"], value=value),
        node("Size", ["x"], ["n"]),
        node("Range", ["zero", "n", "one"], ["r"]),
        node("Cast", ["r"], ["f"], to=FLOAT),
        node("Reshape", ["f", "s"], ["g"]),
        node("Add", ["half", "g"], ["c"]),
        node("Add", ["x", "c"], ["y"]),
        inputs={"x": (2, 3)},
        constants={"zero": np.int64(0), "one": np.int64(1)},
    )
    assert kinds(assert_same(made)) == ["Add"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"value": onnx.helper.make_tensor("v", FLOAT, [2], [1.5, -2.0])},
        {"value_floats": [1.5, -2.0]},
        {"value_float": 3.0},
    ],
)
def test_forms_of_constant(attributes: dict[str, Any]) -> None:
    made = model(node("Constant", [], ["c"], **attributes), node("Add", ["x", "c"], ["y"]), inputs={"x": (3, 2)})
    assert kinds(assert_same(made)) == ["Add"]


def test_constants_as_outputs() -> None:
    made = model(
        node("Shape", ["x"], ["s"]),
        node("Identity", ["x"], ["same"]),
        inputs={"x": (2, 3)},
        outputs=("s", "same", "c"),
        constants={"c": [0.5]},
    )
    assert assert_same(made).output_names == ("s", "same", "c")


def test_random_operators_are_refused() -> None:
    made = model(node("RandomNormal", [], ["r"], shape=[3]), node("Add", ["x", "r"], ["y"]), inputs={"x": (2, 3)})
    with pytest.raises(UnsupportedError, match=r"node 'r' \(RandomNormal\)"):
        load(made)


def test_a_constant_that_cannot_be_computed() -> None:
    made = model(
        node("Reshape", ["c", "shape"], ["d"], name="bad"),
        node("Add", ["x", "d"], ["y"]),
        inputs={"x": (2, 3)},
        constants={"c": [1.0, 2.0], "shape": [3]},
    )
    with pytest.raises((ModelError, ShapeError), match=r"node 'bad' \(Reshape\): it"):
        load(made)


# Inputs that stand for constants


SUM = (node("ReduceSum", ["x", "axes"], ["y"], name="sum", keepdims=0),)
SUM_INPUTS: dict[str, Any] = {"x": (2, 3), "axes": (INT64, (1,))}


def test_inputs_are_bound_where_a_constant_is_wanted() -> None:
    graph = load(model(*SUM, inputs=SUM_INPUTS), bound={"axes": np.array([1])})
    assert graph.outputs[0].type.shape == (2,)
    assert [n.name for n in graph.inputs] == ["x", "axes"]


def test_what_is_computed_from_bound_inputs_is_bound() -> None:
    nodes = (node("Sub", ["axes", "two"], ["a"]), node("ReduceSum", ["x", "a"], ["y"], keepdims=0))
    made = model(*nodes, inputs=SUM_INPUTS, constants={"two": [2]})
    assert load(made, bound={"axes": np.array([2])}).outputs[0].type.shape == (3,)


def test_inputs_that_are_not_bound_are_refused() -> None:
    message = (
        r"node 'sum' \(ReduceSum\): the input '.*' is computed by the model: expected a constant, got input 'axes'"
    )
    with pytest.raises(UnsupportedError, match=message):
        load(model(*SUM, inputs=SUM_INPUTS))


# Functions


def function(name: str, *nodes: onnx.NodeProto, attributes: tuple[str, ...] = ()) -> onnx.FunctionProto:
    """A function of x to y."""
    imports = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("local", 1)]
    return onnx.helper.make_function("local", name, ["x"], ["y"], list(nodes), imports, attributes)


def test_functions_are_inlined() -> None:
    leaky = onnx.helper.make_node("LeakyRelu", ["a"], ["y"])
    leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    inner = function("Inner", node("Neg", ["x"], ["a"]), leaky, attributes=("slope",))
    outer = function("Outer", node("Inner", ["x"], ["b"], domain="local", slope=0.25), node("Abs", ["b"], ["y"]))
    made = model(
        node("Outer", ["x"], ["a"], domain="local"),
        node("Inner", ["a"], ["b"], domain="local", slope=0.5),
        node("Outer", ["b"], ["y"], domain="local"),
        inputs={"x": (2, 3)},
        functions=[inner, outer],
    )
    x = np.linspace(-2, 2, 6).reshape(2, 3)
    graph = load(made)
    want = x
    for slope, outermost in ((0.25, np.abs), (0.5, np.asarray), (0.25, np.abs)):
        want = outermost(np.where(want < 0, -want, -want * slope))
    np.testing.assert_allclose(ops.evaluate(graph, {"x": x.astype(np.float32)})[graph.outputs[0]], want, rtol=1e-6)


def test_functions_in_a_circle() -> None:
    first = function("First", node("Second", ["x"], ["y"], domain="local"))
    second = function("Second", node("First", ["x"], ["y"], domain="local"))
    made = model(node("First", ["x"], ["y"], domain="local"), inputs={"x": (2,)}, functions=[first, second])
    with pytest.raises(ModelError, match="function 'First': it calls itself"):
        load(made)


def test_functions_that_multiply() -> None:
    """Each calls the next twice: 2^60 nodes after inlining."""
    chain = [
        function(f"F{i}", *(node(f"F{i + 1}", [a], [b], domain="local") for a, b in (("x", "m"), ("m", "y"))))
        for i in range(60)
    ]
    last = function("F60", node("Relu", ["x"], ["y"]))
    made = model(node("F0", ["x"], ["y"], domain="local"), inputs={"x": (2,)}, functions=[*chain, last])
    with pytest.raises(ModelError, match="the model: it has too many nodes: expected at most 50000"):
        load(made)


# If


def chosen(condition: Any, **inputs: Any) -> onnx.ModelProto:
    """An If between x + 1, with a name that the other branch has too, and a Loop."""
    then = branch(node("Add", ["x", "one"], ["z"]), node("Neg", ["z"], ["w"]), outputs=["w"], constants={"one": [1.0]})
    other = branch(node("Loop", ["", "", "x"], ["z"], name="flow", body=branch(outputs=["q"])), outputs=["z"])
    return model(
        node("If", ["c"], ["y"], name="choice", then_branch=then, else_branch=other),
        inputs={"x": (2, 3), **inputs},
        constants={} if condition is None else {"c": condition},
    )


def test_an_if_folds_to_its_branch() -> None:
    graph = load(chosen(np.array(True)))
    assert kinds(graph)[0] == "Add"
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(ops.evaluate(graph, {"x": x})[graph.outputs[0]], -(x + 1))
    with pytest.raises(UnsupportedError, match=r"node 'flow' \(Loop\): control flow is not supported"):
        load(chosen(np.array(False)))


def test_an_if_with_a_bound_condition() -> None:
    made = chosen(None, c=(BOOL, ()))
    assert kinds(load(made, bound={"c": np.array(True)}))[0] == "Add"
    with pytest.raises(UnsupportedError, match=r"node 'choice' \(If\): the condition is computed by the model"):
        load(made)


def test_a_condition_on_the_rank() -> None:
    """What PyTorch exports for squeeze: the axis is removed if it has size one."""
    made = model(
        node("Shape", ["x"], ["s"], start=1, end=2),
        node("Equal", ["s", "one"], ["c"]),
        node(
            "If", ["c"], ["z"],
            then_branch=branch(node("Squeeze", ["x", "axis"], ["q"]), outputs=["q"], constants={"axis": [1]}),
            else_branch=branch(node("Identity", ["x"], ["q"]), outputs=["q"]),
        ),
        node("Relu", ["z"], ["y"]),
        inputs={"x": (2, "C", 3)},
        constants={"one": [1]},
    )  # fmt: skip
    assert load(made, input_shapes={"x": (2, 1, 3)}).outputs[0].type.shape == (2, 3)
    assert load(made, input_shapes={"x": (2, 4, 3)}).outputs[0].type.shape == (2, 4, 3)


def test_branches_within_branches() -> None:
    inner = node(
        "If", ["no"], ["d"],
        then_branch=branch(node("Neg", ["b"], ["e"]), outputs=["e"]),
        else_branch=branch(node("Mul", ["b", "a"], ["e"]), outputs=["e"]),
    )  # fmt: skip
    then = branch(node("Abs", ["a"], ["b"]), inner, outputs=["d"], constants={"no": np.array(False)})
    made = model(
        node("Relu", ["x"], ["a"]),
        node("If", ["yes"], ["y"], then_branch=then, else_branch=branch(node("Abs", ["x"], ["r"]), outputs=["r"])),
        inputs={"x": (2, 3)},
        constants={"yes": np.array(True)},
    )
    assert_same(made)


def test_a_branch_that_hands_on_what_is_outside() -> None:
    then = branch(outputs=["a"])
    made = model(
        node("Neg", ["x"], ["a"]),
        node("If", ["yes"], ["y"], then_branch=then, else_branch=then),
        inputs={"x": (2, 3)},
        constants={"yes": np.array(True)},
    )
    assert load(made).outputs[0].type.shape == (2, 3)


def test_a_branch_that_is_wrong() -> None:
    then = branch(node("Add", ["x", "nowhere"], ["z"], name="lost"), outputs=["z"])
    made = model(
        node("If", ["yes"], ["y"], name="choice", then_branch=then, else_branch=then),
        inputs={"x": (2, 3)},
        constants={"yes": np.array(True)},
    )
    with pytest.raises(ConvcError, match=r"node 'lost' \(Add\): nothing gives its input 'nowhere'"):
        load(made)
    made.graph.node[0].attribute.pop()
    made.graph.node[0].attribute.pop()
    with pytest.raises(ConvcError, match=r"node 'choice' \(If\)"):
        load(made)
