"""From a Keras model to `convc.ir.Graph`: shapes are bound, weights are read, each call of a layer becomes nodes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError, merge
from convc.frontends.keras.calls import Call, Ref, Refs, loose, slots
from convc.frontends.keras.config import Fields, from_shape, show
from convc.frontends.keras.masking import computed, passed_on
from convc.frontends.keras.operator import Operator
from convc.frontends.keras.reader import open_weights, read
from convc.frontends.keras.registry import Layer, Masked, Masks, Weight, check_floats
from convc.frontends.keras.source import InputLayer, fits
from convc.frontends.keras.structure import Folded, Model, Parser, Unit
from convc.frontends.keras.truth import is_truth, truth
from convc.frontends.keras.weights import Place, Planned, Survey, Weights
from convc.frontends.keras.wrappers import fold, unfold
from convc.ir import Array, Graph, Node, Origin, Shape, make
from convc.ir.types import MAX_ELEMENTS
from convc.ops import Constant, constant

MAX_CALLS = 100_000
"""Calls of layers in one model; more come from models nested to multiply, and are taken for an attack."""


def load(
    source: str | Path | Mapping[str, object] | list[object],
    *,
    batch: int = 1,
    weights: str | os.PathLike[str] | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
) -> Graph:
    """The graph of a Keras model of the kind Sequential or Functional. Keras itself is not needed.

    `source` is the path of a .keras or .h5 file or of a .json config, the text of `model.to_json()`, a config as a
    dict, or a list of layer configs. `batch` replaces the batch size, whatever the config says of it. `weights` is None
    for those in the file, the path of another file with weights (.weights.h5, .h5, .keras or .npz), or "random" or
    "random:SEED" to draw them by the initializers that the config names.
    `input_shapes` binds sizes that the config leaves open, by the input's name and without the batch. A `data_format`
    that the config leaves out is channels_last, whatever a keras.json of the user says.

    Inputs have the names of their layers. Outputs have the names of their layers, made unique, or the keys where the
    model's outputs are a dict. Shapes and axis order are the model's own.

    Raises `ModelError`, `UnsupportedError` or `ShapeError` with one problem for everything that is wrong.
    """
    if batch < 1:
        raise ShapeError("batch", "not positive", expected="1 or more", received=str(batch))
    document = read(source)
    parser = Parser(document.dialect)
    try:
        model = parser.parse(document.config)
    except ConvcError as error:
        raise _all_of([*parser.problems, error]) from None
    inputs = _inputs(model, batch, input_shapes or {}, parser.problems)
    with closing(open_weights(document, weights)) as stored:
        if isinstance(stored, Planned):
            _plan(stored, model, inputs, parser.problems)
        builder = _Builder(stored, parser.problems)
        outputs = [node for node in builder.model(model, inputs) if node is not None]
    if builder.problems:
        raise _all_of(builder.problems)
    named = tuple(node for node in inputs if node is not None)
    assert len(named) == len(inputs), "an input without a shape is a problem"
    assert len(outputs) == len(model.outputs.items), "an output that is missing is a problem"
    names = tuple(_output_names(model.outputs))
    _refuse_truth(outputs, names)
    return Graph(model.name, named, tuple(outputs), names)


def _refuse_truth(outputs: Sequence[Node], names: Sequence[str]) -> None:
    """Raises `UnsupportedError` for outputs that Keras has as bool, which no tensor of the graph is."""
    remedy = "convert it in the model, by keras.ops.cast(x, 'float32')"
    problems = [
        UnsupportedError(f"output '{name}'", "it is of type bool", expected="float32 or int32", remedy=remedy)
        for node, name in zip(outputs, names, strict=True)
        if is_truth(node)
    ]
    if problems:
        raise _all_of(problems)


def _all_of(errors: Sequence[ConvcError]) -> ConvcError:
    """All problems, each once: a layer that is called twice may fail twice."""
    error = merge(errors)
    return type(error).of(dict.fromkeys(error.problems))


def _plan(source: Planned, model: Model, inputs: Sequence[Node | None], problems: list[ConvcError]) -> None:
    """Shows the source all weights that the model needs. Raises `ConvcError` for what is wrong with the model."""
    survey = Survey()
    _Builder(survey, problems).model(model, inputs)
    if problems:
        raise _all_of(problems)
    places = {place.path: place for place in reversed(list(_places(model, survey.wanted)))}
    source.plan(list(reversed(places.values())))


def _places(
    model: Model, wanted: Mapping[str, tuple[Weight, ...]], names: tuple[str, ...] = (), *, frozen: bool = False
) -> Iterator[Place]:
    """The layers with weights, in the order of the config; one that is shared comes more than once."""
    for name, unit in model.units.items():
        fixed = frozen or unit.config.get("trainable") is False
        body = unit.body.model if isinstance(unit.body, Folded) else unit.body
        if isinstance(body, Model):
            yield from _places(body, wanted, (*names, name), frozen=fixed)
        elif unit.path in wanted:
            yield Place(unit.origin, unit.path, (*names, name), unit.config, fixed, wanted[unit.path])


def _inputs(model: Model, batch: int, shapes: Mapping[str, Shape], problems: list[ConvcError]) -> list[Node | None]:
    """A graph input for each of the model's; None where there is a problem with it."""
    names = [ref.layer for ref in model.inputs.items]
    for name in shapes:
        if name not in names:
            problems.append(ModelError(f"input {name!r}", "no such input", expected=", ".join(map(repr, names))))
    nodes: list[Node | None] = []
    for name in names:
        node, body = None, model.units[name].body
        if isinstance(body, InputLayer):
            try:
                shape = _bound(body, name, shapes.get(name), batch)
                node = make(body.source((batch, *shape)), origin=Origin(name, "InputLayer", word="input"))
            except ConvcError as error:
                problems.append(error.about(f"input '{name}'"))
        nodes.append(node)
    return nodes


def _bound(layer: InputLayer, name: str, given: Shape | None, batch: int) -> Shape:
    """The input's shape without the batch, from what the config declares and what the caller gives.

    What messages show has the batch, as `--input` and `input_shapes` take it.
    """
    declared = layer.shape
    if given is not None:
        if declared is not None and not fits(given, declared):
            raise ShapeError(
                "", "the given shape does not fit", expected=str((batch, *declared)), received=str((batch, *given))
            )
        return tuple(given)
    if declared is None:
        raise ModelError(
            "",
            "the config does not say its shape",
            remedy=f"pass --input {name}={from_shape((batch, None, None, 3))}, for example",
        )
    shape = tuple(extent for extent in declared if extent is not None)
    if len(shape) != len(declared):
        remedy = f"pass --input {name}={from_shape((batch, *declared))}, for example"
        raise ModelError("", "the config leaves sizes open", received=str((batch, *declared)), remedy=remedy)
    return shape


def _output_names(outputs: Refs) -> Iterator[str]:
    """Keys or layer names; the second "dense" is "dense_1"."""
    names = outputs.keys or tuple(ref.layer for ref in outputs.items)
    taken, repeats = set(names), dict.fromkeys(names, 0)
    used: set[str] = set()
    for name in names:
        unique = name
        while unique in used:
            repeats[name] += 1
            candidate = f"{name}_{repeats[name]}"
            unique = name if candidate in taken else candidate
        used.add(unique)
        yield unique


class _Builder:
    """Makes nodes, and goes on after a problem, so that all of them are found. A node that is missing is None."""

    def __init__(self, weights: Weights, problems: list[ConvcError]) -> None:
        self.problems = problems
        self._weights = weights
        self._constants: dict[str, dict[str, Node]] = {}
        self._masks: dict[Node, Node] = {}
        """The mask that a tensor carries. Keras too lets the first one stay that a tensor gets."""
        self._calls = 0

    def model(self, model: Model, inputs: Sequence[Node | None]) -> list[Node | None]:
        """The outputs of one call of a model. What cannot be made because of what it reads is None without a word."""
        fed = {ref.layer: node for ref, node in zip(model.inputs.items, inputs, strict=True)}
        values: dict[tuple[str, int], list[Node | None]] = {}
        for name, call in model.order:
            unit = model.units[name]
            if name in fed:
                sources = [fed[name]]
            elif call < len(unit.calls):
                sources = [self._tensor(values, ref, unit) for ref in unit.calls[call].reads.items]
            else:
                sources = [None]
            self._calls += 1
            if self._calls > MAX_CALLS:
                raise ModelError(str(unit.origin), "the model has too many layers", expected=f"at most {MAX_CALLS}")
            values[name, call] = self._call(unit, call, sources)
        return [self._tensor(values, ref, None) for ref in model.outputs.items]

    def _call(self, unit: Unit, call: int, sources: Sequence[Node | None]) -> list[Node | None]:
        inputs = [node for node in sources if node is not None]
        if unit.body is None or len(inputs) < len(sources):
            return [None]
        try:
            made = unit.calls[call] if call < len(unit.calls) else Call(Refs(()))
            if isinstance(unit.body, Operator):
                return [*unit.body.call(made, inputs, unit.origin)]
            layer, tensors = _bound_call(unit.body, made, inputs)
            if isinstance(layer, Model):
                return self.model(layer, _arranged(layer.inputs, made.reads.keys, tensors))
            masks = self._masks_of(unit, layer, made, inputs, tensors)
            if isinstance(layer, Folded):
                return [*self._folded(unit, layer, tensors, masks)]
            return [*self._layer(unit, layer, tensors, masks)]
        except ConvcError as error:
            self.problems.append(error.about(str(unit.origin)))
            return [None]

    def _tensor(self, values: Mapping[tuple[str, int], list[Node | None]], ref: Ref, unit: Unit | None) -> Node | None:
        outputs = values[ref.layer, ref.call]
        if ref.tensor < len(outputs):
            return outputs[ref.tensor]
        if outputs != [None]:
            subject = str(unit.origin) if unit is not None else "the model's outputs"
            message = f"it reads output {ref.tensor} of {ref.layer[:100]!r}"
            self.problems.append(ModelError(subject, message, expected=f"at most {len(outputs) - 1}"))
        return None

    def _masks_of(
        self, unit: Unit, layer: Layer | Folded, call: Call, inputs: Sequence[Node], tensors: Sequence[Node]
    ) -> Masks:
        """Keras passes an input's mask to the layer where that is the only argument with a tensor."""
        known = layer.keywords if isinstance(layer, Layer) else ()
        given = [] if "mask" in known else [inputs[place] for place in slots(call.keywords.get("mask"))]
        carried = tuple(self._masks.get(node) for node in tensors)
        if len(given) == 1:
            return Masks(truth(given[0], unit.origin), carried)
        arguments = [*call.arguments, *call.keywords.values()]
        alone = sum(1 for argument in arguments if next(slots(argument), None) is not None) == 1
        return Masks(carried[0] if alone and len(carried) == 1 else None, carried)

    def _folded(self, unit: Unit, body: Folded, inputs: Sequence[Node], masks: Masks) -> Sequence[Node | None]:
        """A model on every step."""
        if len(inputs) != 1:
            raise ModelError("", "wrong number of inputs", expected="1", received=str(len(inputs)))
        if masks.argument is not None:
            raise UnsupportedError("", "a mask reaches the model in it", remedy="mask nothing before this layer")
        (x,) = inputs
        outputs = self.model(body.model, _arranged(body.model.inputs, None, [fold(x, unit.origin)]))
        if len(outputs) > 1:
            raise UnsupportedError("", "the model in it has several outputs", expected="one")
        return [None if node is None else unfold(node, x, unit.origin) for node in outputs]

    def _layer(self, unit: Unit, layer: Layer, inputs: Sequence[Node], masks: Masks) -> tuple[Node, ...]:
        least, most = layer.arity
        if len(inputs) < least or (most is not None and len(inputs) > most):
            wanted = str(least) if most == least else f"{least} or more"
            raise ModelError("", "wrong number of inputs", expected=wanted, received=str(len(inputs)))
        if not layer.integers:
            check_floats(inputs)
        wanted_weights = layer.weights(*(node.type for node in inputs))
        weights = self._constants_of(unit, wanted_weights)
        if isinstance(layer, Masked):
            pairs = layer.masked(inputs, masks, weights, unit.origin)
            for node in inputs if layer.clears else ():
                self._masks.pop(node, None)
        elif (special := computed(layer, inputs, masks, unit.origin)) is not None:
            pairs = special
        else:
            mask = passed_on(unit.origin.kind, layer, inputs, masks, unit.origin)
            first, *rest = layer.outputs(inputs, weights, unit.origin)
            pairs = [(first, mask), *((node, None) for node in rest)]
        for node, mask in pairs:
            if mask is not None:
                self._masks.setdefault(node, mask)
        return tuple(node for node, _ in pairs)

    def _constants_of(self, unit: Unit, wanted: Sequence[Weight]) -> Mapping[str, Node]:
        """One constant for each variable, the same ones for all calls of a layer."""
        for weight in wanted:
            if math.prod(weight.shape) > MAX_ELEMENTS:
                expected, received = f"at most {MAX_ELEMENTS} elements", str(weight.shape)
                raise ShapeError("", f"weight '{weight.name}' is too large", expected=expected, received=received)
        shapes = {weight.name: weight.layout or weight.shape for weight in wanted}
        if unit.path in self._constants:
            nodes = self._constants[unit.path]
            known = {name: node.type.shape for name, node in nodes.items()}
            if known != shapes:
                message = "it is called with inputs that need other weights"
                raise ShapeError("", message, expected=str(known), received=str(shapes))
            return nodes
        values: list[Array] = []
        if wanted:
            try:
                values = self._weights.read(unit.path, wanted)
            except ConvcError as error:
                self.problems.append(error.about(str(unit.origin)))
        if values:
            pairs = zip(shapes.items(), values, strict=True)
            nodes = {name: constant(value.reshape(shape), unit.origin) for (name, shape), value in pairs}
        else:  # of the right type and without memory, so that the layers that follow are checked too
            zero = np.float32(0)
            stand_ins = {name: Constant(np.broadcast_to(zero, shape)) for name, shape in shapes.items()}
            nodes = {name: make(op, origin=unit.origin) for name, op in stand_ins.items()}
        self._constants[unit.path] = nodes
        return nodes


def _bound_call(
    body: Layer | Model | Folded, call: Call, inputs: Sequence[Node]
) -> tuple[Layer | Model | Folded, Sequence[Node]]:
    """The layer as it is called, and its tensors: those given by name behind the others, in the layer's order."""
    for value in loose(list(call.arguments)):
        raise UnsupportedError("", f"the call argument {show(value)} is not supported", expected="tensors only")
    known = body.keywords if isinstance(body, Layer) else ()
    named = {key: list(slots(value)) for key, value in call.keywords.items()}
    for key, places in named.items():
        if places and key not in known and key != "mask":
            raise UnsupportedError("", f"the call argument {key[:100]!r} is not supported", expected="tensors in front")
    behind = [place for key in known for place in named.get(key, [])]
    first = len(inputs) - sum(map(len, named.values()))
    settings = {k: v for k, v in call.keywords.items() if not named[k] and v is not None and v is not False}
    if isinstance(body, Layer) and settings:
        body = body.called(Fields(settings))
    if isinstance(body, Layer):
        body = body.placed(call.arguments, call.keywords)
    return body, [*inputs[:first], *(inputs[place] for place in behind)]


def _arranged(declared: Refs, keys: Sequence[str] | None, inputs: Sequence[Node]) -> Sequence[Node]:
    """The arguments of a nested model in the order of its inputs; a dict is matched by keys, or by input names."""
    names = declared.keys or tuple(ref.layer for ref in declared.items)
    if len(inputs) != len(names):
        raise ModelError("", "wrong number of inputs", expected=str(len(names)), received=str(len(inputs)))
    if keys is None or set(keys) != set(names):
        return inputs
    given = dict(zip(keys, inputs, strict=True))
    return [given[name] for name in names]
