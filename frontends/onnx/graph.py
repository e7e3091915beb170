"""From an ONNX model to `convc.ir.Graph`: shapes are bound, constants are folded, each operator becomes nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import numpy as np
from onnx import GraphProto, NodeProto

from convc.errors import ConvcError, ModelError, Problem, ShapeError, UnsupportedError, merge
from convc.frontends.onnx import legacy, registry
from convc.frontends.onnx.bodies import expanded
from convc.frontends.onnx.fold import FOLDED, Folder, foldable
from convc.frontends.onnx.functions import inlined
from convc.frontends.onnx.inputs import MAX_RANK, bind, check_batch
from convc.frontends.onnx.known import Known
from convc.frontends.onnx.reader import STANDARD, Source, array_of, attributes_of, dtype_of, opset_of, read, subgraphs
from convc.frontends.onnx.registry import Call, Value, as_node
from convc.frontends.onnx.scope import Scope, origin_of
from convc.ir import Array, Graph, Node, Origin, Shape, TensorType, make
from convc.ops import Input


def load(
    source: Source,
    *,
    batch: int = 1,
    input_shapes: Mapping[str, Shape] | None = None,
    bound: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of an ONNX model.

    `input_shapes` binds the sizes that the model leaves open, by the input's name, the batch included; an open first
    size is `batch` where nothing else binds it. `bound` has values of inputs that stand for constants (axes, sizes);
    it is asked for those that are needed, and only then. An input without elements is known, and not fed. Names, shapes
    and the axis order of inputs and outputs are the model's own. All floating point is computed in float32, integers in
    int32, truth values are 1.0 and 0.0.

    Raises `ModelError`, `UnsupportedError` or `ShapeError` with one problem for everything that is wrong.
    """
    model, folder = read(source)
    opset = opset_of(model)
    model = expanded(inlined(model), opset)
    builder = _Builder(model.graph, opset, folder, Known(bound or {}))
    builder.start(batch, input_shapes or {})
    outputs = builder.outputs()
    if builder.problems:
        raise _all_of(builder.problems)
    names = tuple(item.name for item in model.graph.output)
    return Graph(model.graph.name[:100] or "model", tuple(builder.inputs), tuple(outputs), names)


def _all_of(errors: Sequence[ConvcError]) -> ConvcError:
    """One error; what it quotes of the model is cut."""
    error = merge(errors)
    return type(error).of(dict.fromkeys(_short(problem) for problem in error.problems))


def _short(problem: Problem) -> Problem:
    return Problem(*(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…" for text in vars(problem).values()))


MAX_TEXT = 300
"""Characters of each part of a message."""


class _Step(Enum):
    """What is to be done about a node: `ENTER` what it reads, then `BUILD` it; `LEAVE` a branch that was built."""

    ENTER = 0
    BUILD = 1
    LEAVE = 2


_Place = tuple[Scope, int]
"""A node, by its graph and its index there."""


class _Builder:
    """Makes nodes, and goes on after a problem, so that all of them are found."""

    def __init__(self, graph: GraphProto, opset: int, folder: Path | None, known: Known) -> None:
        self.problems: list[ConvcError] = []
        self.inputs: list[Node] = []
        self._opset = opset
        self._folder = folder
        self._known = known
        self._fold = Folder(max(opset, legacy.OPSET))
        self._scope = Scope(graph)
        self._done: dict[_Place, bool] = {}
        """Absent: not met; False: being visited; True: done."""
        self._branches: dict[_Place, Scope] = {}
        """The chosen branches of If."""

    def start(self, batch: int, shapes: Mapping[str, Shape]) -> None:
        """Checks names, and makes the inputs. Raises `ConvcError` with all that is wrong with them."""
        graph = self._scope.graph
        problems = list(self._scope.problems())
        fed = [item for item in graph.input if item.name not in self._scope.initializers]
        for name in [name for name in shapes if name not in {item.name for item in fed}]:
            expected = ", ".join(repr(item.name[:100]) for item in fed)[:300]
            problems.append(ModelError(f"input '{name}'", "no such input", expected=expected))
        dtypes = {item.name: dtype_of(item.type.tensor_type.elem_type) for item in fed}
        types: dict[str, TensorType] = {}
        for name, found in bind(fed, shapes, batch).items():
            try:
                if isinstance(found, ConvcError):
                    raise found
                types[name] = found
                if not found.elements:
                    self._scope.values[name] = np.zeros(found.shape, dtypes[name])
                    continue
                node = make(Input(found), origin=Origin(name, "Input", word="input"))
                self.inputs.append(node)
                self._scope.values[name] = node
            except ConvcError as error:
                problems.append(error)
        if graph.sparse_initializer:
            problems.append(UnsupportedError("the model", "sparse initializers are not supported"))
        if problems:
            raise _all_of([*problems, *self._unknown(graph)])
        check_batch(types, batch)

    def _unknown(self, graph: GraphProto) -> list[ConvcError]:
        """Operators that are not known, for a model that is refused before they are met."""
        met = [(node, _refusal(node)) for node in graph.node if node.op_type not in FOLDED]
        return [error.about(str(origin_of(node))) for node, error in met if error is not None]

    def outputs(self) -> list[Node]:
        """The model's outputs; constants are nodes too."""
        names = [item.name for item in self._scope.graph.output]
        self._build(self._scope, names)
        result = []
        for name in names:
            value = self._value(self._scope, name)
            if value is not None:
                try:
                    result.append(as_node(value, Origin(name, "Constant", word="output")))
                except ConvcError as error:
                    self.problems.append(error.about(f"output '{name[:100]}'"))
        return result

    def _build(self, scope: Scope, names: Sequence[str]) -> None:
        """Every node that the names need, after what it reads."""
        stack = self._needed(scope, names)
        while stack:
            step, place = stack.pop()
            inner, index = place
            node = inner.nodes[index]
            if step is _Step.ENTER:
                if place in self._done:
                    if not self._done[place]:
                        raise _all_of([*self.problems, ModelError(str(origin_of(node)), "the nodes form a loop")])
                    continue
                self._done[place] = False
                stack.append((_Step.BUILD, place))
                stack += self._needed(inner, node.input)
            elif step is _Step.BUILD:
                branch = self._branch(inner, node)
                if branch is not None:
                    self._branches[place] = branch
                    stack.append((_Step.LEAVE, place))
                    stack += self._needed(branch, [item.name for item in branch.graph.output])
                else:
                    self._finish(place, self._attempt(inner, node))
            else:
                branch = self._branches.pop(place)
                self._finish(place, tuple(self._value(branch, item.name) for item in branch.graph.output))

    def _needed(self, scope: Scope, names: Sequence[str]) -> list[tuple[_Step, _Place]]:
        """What gives these names, the first of them last: it is taken from the end."""
        homes = [(scope.home(name), name) for name in reversed(names) if name]
        return [(_Step.ENTER, (home, home.producer[name])) for home, name in homes if home and name in home.producer]

    def _finish(self, place: _Place, values: Sequence[Value | None]) -> None:
        scope, index = place
        node = scope.nodes[index]
        self._done[place] = True
        for name, value in zip(node.output, values, strict=False):
            scope.values[name] = value
        for name in node.output[len(values) :]:
            scope.values[name] = None
            message = f"its output '{name[:100]}' is not supported"
            scope.absent[name] = UnsupportedError(str(origin_of(node)), message)

    def _value(self, scope: Scope, name: str) -> Value | None:
        home = scope.home(name)
        if home is None:
            return None
        if name in home.initializers and name not in home.values:
            try:
                home.values[name] = array_of(home.initializers[name], self._folder)
            except ConvcError as error:
                home.values[name] = None
                self.problems.append(error.about(f"initializer '{name[:100]}'"))
        if name in home.absent:
            self.problems.append(home.absent.pop(name))
        return home.values.get(name)

    def _attempt(self, scope: Scope, node: NodeProto) -> tuple[Value | None, ...]:
        try:
            return self._node(scope, node)
        except ConvcError as error:
            self.problems.append(error.about(str(origin_of(node))))
        except MemoryError:
            self.problems.append(ModelError(str(origin_of(node)), "it takes more memory than there is"))
        return (None,) * len(node.output)

    def _node(self, scope: Scope, node: NodeProto) -> tuple[Value | None, ...]:
        inputs = [self._value(scope, name) if name else None for name in node.input]
        refusal = _refusal(node)
        if any(name and value is None for name, value in zip(node.input, inputs, strict=True)):
            if refusal is not None and node.op_type not in FOLDED:
                raise refusal
            return (None,) * len(node.output)
        attributes = attributes_of(node, self._folder)
        if node.op_type in ("Shape", "Size") and inputs and isinstance(inputs[0], Node):
            inputs[0] = _stand_in(inputs[0])
        if any(isinstance(value, np.ndarray) and not value.size for value in inputs):
            inputs = [self._known[v] if isinstance(v, Node) and v in self._known else v for v in inputs]
        used = len(node.output) - next((i for i, name in enumerate(reversed(node.output)) if name), 0)
        call = Call(origin_of(node), max(self._opset, legacy.OPSET), used, self._known)
        if self._opset < legacy.OPSET:
            inputs = legacy.updated(node.op_type, call, inputs, attributes)
        arrays = [value for value in inputs if not isinstance(value, Node)]
        if len(arrays) == len(inputs) and foldable(node, arrays):
            return self._fold(node, arrays, attributes)
        if refusal is not None:
            raise refusal
        values = registry.build(node.op_type, call, inputs, attributes)
        if any(value.type.rank > MAX_RANK for value in values if isinstance(value, Node)):
            raise ShapeError("", "its output has too many axes", expected=f"at most {MAX_RANK}")
        return values

    def _branch(self, scope: Scope, node: NodeProto) -> Scope | None:
        """The graph that an If stands for, where its condition is known."""
        if node.op_type != "If" or node.domain not in STANDARD or len(node.input) != 1:
            return None
        value = self._value(scope, node.input[0])
        if isinstance(value, Node) and value in self._known:
            value = self._known[value]
        if not isinstance(value, np.ndarray) or value.size != 1:
            return None
        wanted = "then_branch" if value.reshape(-1)[0] else "else_branch"
        graphs = [item.g for item in node.attribute if item.name == wanted and item.HasField("g")]
        if len(graphs) != 1 or len(graphs[0].output) != len(node.output) or graphs[0].input:
            self.problems.append(ModelError(str(origin_of(node)), f"its '{wanted}' is wrong"))
            return None
        branch = Scope(graphs[0], scope)
        problems = list(branch.problems())
        self.problems += problems
        return None if problems else branch


def _refusal(node: NodeProto) -> UnsupportedError | None:
    """Why an operator cannot be built from what is computed, if so."""
    if node.domain not in STANDARD:
        return UnsupportedError("", f"operators of the domain '{node.domain[:100]}' are not supported")
    if subgraphs(node):
        what = "the condition is computed by the model" if node.op_type == "If" else "control flow is not supported"
        return UnsupportedError("", what, expected="a constant" if node.op_type == "If" else "")
    return None if registry.is_known(node.op_type) else registry.unknown(node.op_type)


def _stand_in(node: Node) -> Array:
    """An array of the node's shape that takes no memory."""
    return np.broadcast_to(np.float32(0), node.type.shape)
