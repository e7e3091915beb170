"""The structure of a Keras config: models of layers, and the order in which their calls can be computed.

Sequential and Functional models of Keras 3 and 2 become the same `Model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from convc.errors import ConvcError, ModelError, UnsupportedError
from convc.frontends.keras.calls import Call, Ref, Refs, after, read_calls, read_ends
from convc.frontends.keras.config import Fields, class_of, clipped, is_integer, show
from convc.frontends.keras.identity import AUGMENTATIONS
from convc.frontends.keras.legacy import Dialect, first_shape, modern
from convc.frontends.keras.operator import Operator, is_function, parse_operator
from convc.frontends.keras.registry import Layer, is_layer, parse_layer
from convc.frontends.keras.source import InputLayer, without_batch
from convc.ir import Origin

MODEL_CLASSES = ("Functional", "Model", "Sequential")
_OWN_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Classes that Keras exports under another name than their own, which its weights file goes by."""
_INDIFFERENT = (*AUGMENTATIONS, "CenterCrop", "Resizing")
"""Layers whose calls say training=True unless told otherwise; nothing depends on it."""
_OWN_MODULES = ("keras", "tf_keras", "keras_core", "tensorflow", "tf")
MAX_NESTING = 32
"""Models within models; more is taken for an attack."""


@dataclass(frozen=True, eq=False)
class Folded:
    """A TimeDistributed around a model."""

    model: Model


@dataclass(frozen=True, eq=False)
class Unit:
    """A layer or nested model, and its calls. `body` is None where it could not be read."""

    origin: Origin
    path: str
    """Where its variables lie in Keras's weights file."""
    body: Layer | Operator | Model | Folded | None
    calls: tuple[Call, ...]
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model:
    """Units by name, and the calls (unit, index) that the outputs need, each after what it reads."""

    name: str
    units: Mapping[str, Unit]
    inputs: Refs
    outputs: Refs
    order: tuple[tuple[str, int], ...]


class Parser:
    """Reads a config. What is wrong with single layers is collected in `problems`, so that all of it is reported."""

    def __init__(self, dialect: Dialect) -> None:
        self.problems: list[ConvcError] = []
        self._dialect = dialect
        self._paths: dict[object, str] = {}

    def parse(self, config: Mapping[str, object]) -> Model:
        """The model that a whole config describes. Raises `ConvcError` where its structure makes no sense."""
        origin = Origin(clipped(_name(config) or "model"), clipped(class_of(config) or "?"), word="model")
        if origin.kind not in MODEL_CLASSES:
            raise UnsupportedError(str(origin), "only Sequential and Functional models are supported")
        try:
            return self._model(config, "", "", 0)
        except ConvcError as error:
            raise error.about(str(origin)) from None

    def _model(self, entry: Mapping[str, object], scope: str, path: str, depth: int) -> Model:
        if depth > MAX_NESTING:
            raise ModelError("", "models are nested too deeply", expected=f"at most {MAX_NESTING} levels")
        config = entry.get("config")
        if isinstance(config, list):  # Keras before 2.2 wrote a Sequential as the list of its layers
            config = {"layers": config}
        layers = config.get("layers") if isinstance(config, Mapping) else None
        if not isinstance(config, Mapping) or not isinstance(layers, Sequence) or not layers:
            raise ModelError("", "the model has no layers", expected="a config with a list 'layers'")
        entries = list(self._entries(layers))
        sequential = class_of(entry) == "Sequential"
        if sequential and class_of(entries[0][1]) != "InputLayer":
            entries.insert(0, self._input_of(config, entries[0]))
        units = dict(self._units(entries, scope, f"{path}layers/", depth, sequential=sequential))
        if sequential:
            inputs, outputs = (Refs((Ref(name, 0, 0),)) for name in (entries[0][0], entries[-1][0]))
        else:
            built = {name for name, layer in entries if self._starts_with_a_call(class_of(layer), outputs=True)}
            inputs, outputs = read_ends(config, "input_layers", set()), read_ends(config, "output_layers", built)
            _check_inputs(inputs, units)
        return Model(_name(entry) or "model", units, inputs, outputs, _order(units, outputs))

    def _entries(self, layers: Sequence[object]) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The layers in Keras 3's form, by name; those without one get one as Keras makes them up."""
        taken: set[str] = set()
        given = [_name(layer) if isinstance(layer, Mapping) else None for layer in layers]
        for position, (layer, name) in enumerate(zip(layers, given, strict=True)):
            if not isinstance(layer, Mapping) or class_of(layer) is None or (name is None and _has_name(layer)):
                raise ModelError(
                    "",
                    f"entry {position} of 'layers' is wrong",
                    expected="a class_name and a name",
                    received=show(layer),
                )
            layer = self._modern(layer)
            if name is None:
                stem = snake_case(class_of(layer) or "")
                numbered = (f"{stem}_{number}" if number else stem for number in range(2 * len(layers) + 1))
                name = next(free for free in numbered if free not in taken and free not in given)
            if name in taken:
                raise ModelError("", f"two layers have the name {name[:100]!r}")
            taken.add(name)
            yield name, layer

    def _modern(self, layer: Mapping[str, object]) -> Mapping[str, object]:
        """The entry in Keras 3's form; the error where there is none takes the place of its config."""
        try:
            return modern(layer, self._dialect)
        except ConvcError as error:
            return {**layer, "config": error}

    def _input_of(
        self, config: Mapping[str, object], first: tuple[str, Mapping[str, object]]
    ) -> tuple[str, Mapping[str, object]]:
        """An entry for the input that a Sequential config leaves out; its shape may stand in several places."""
        name, layer = first
        own: dict[str, object] = {"name": f"{name}_input"}
        for _ in range(MAX_NESTING):
            own.update({"dtype": "int32"} if class_of(layer) == "Embedding" else {})
            if class_of(layer) not in MODEL_CLASSES or not (inner := _first_of(layer)):
                break
            layer = self._modern(inner)
        own["batch_shape"] = first_shape(layer) or config.get("build_input_shape")
        without_batch(own["batch_shape"])
        return f"{name}_input", {"class_name": "InputLayer", "config": own}

    def _units(
        self,
        entries: Sequence[tuple[str, Mapping[str, object]]],
        scope: str,
        path: str,
        depth: int,
        *,
        sequential: bool,
    ) -> Iterator[tuple[str, Unit]]:
        """Keras numbers the variables' paths by class: conv2d, conv2d_1, …; an object met before keeps its path."""
        counts: dict[str, int] = {}
        built = {name for name, layer in entries if self._starts_with_a_call(class_of(layer), outputs=False)}
        chain: tuple[Call, ...] = ()
        for name, layer in entries:
            kind = class_of(layer) or ""
            origin = Origin(clipped(scope + name), clipped(kind))
            stem = snake_case(_OWN_NAMES.get(kind, kind))
            number = counts.get(stem, 0)
            if not _is_operator(layer):
                counts[stem] = number + 1
            place = path + (f"{stem}_{number}" if number else stem)
            if is_integer(shared := layer.get("shared_object_id")):
                place = self._paths.setdefault(shared, place)
            problem: ConvcError | None = None
            body: Layer | Operator | Model | Folded | None = None
            calls = chain
            try:
                if not sequential:
                    indifferent = origin.kind in _INDIFFERENT
                    calls = tuple(read_calls(layer.get("inbound_nodes"), built, indifferent=indifferent))
            except ConvcError as error:
                problem = error
            try:
                body = self._body(layer, f"{origin.name}/", place, depth)
            except ConvcError as error:  # goes first: what is not supported may have arguments that are not
                problem = error
            if problem is not None:
                self.problems.append(problem.about(str(origin)))
            inner = layer.get("config")
            config = inner if isinstance(inner, Mapping) else {}
            yield name, Unit(origin, place, body if problem is None else None, calls, config)
            chain = (after(name),)

    def _body(
        self, layer: Mapping[str, object], scope: str, path: str, depth: int
    ) -> Layer | Operator | Model | Folded:
        kind, config = class_of(layer) or "", layer.get("config")
        if isinstance(config, ConvcError):
            raise config
        if _is_operator(layer):
            return parse_operator(kind, config)
        if is_custom(layer):
            received = f"module {show(layer.get('module'))}"
            raise UnsupportedError(
                "", "custom layers are not supported", expected="a layer of Keras", received=received
            )
        if kind in MODEL_CLASSES:
            return self._model(layer, scope, f"{path}/", depth + 1)
        if not isinstance(config, Mapping):
            raise ModelError("", "the layer has no config", received=show(config))
        inner = config.get("layer")
        if kind == "TimeDistributed" and class_of(inner) in MODEL_CLASSES:
            assert isinstance(inner, Mapping)
            if is_custom(inner):
                raise UnsupportedError("", "the model in it is of a custom class", expected="a model of Keras")
            return Folded(self._model(inner, scope, f"{path}/layer/", depth + 1))
        return parse_layer(kind, Fields(config, self._dialect.legacy))

    def _starts_with_a_call(self, kind: str | None, *, outputs: bool) -> bool:
        """Whether call numbers of such a unit start at 1, for Keras counts the model's own making as a call.

        Keras 3 does so for Functional models in `output_layers`, Keras 2 everywhere and for Sequential models too.
        """
        return kind in MODEL_CLASSES and (self._dialect.legacy or (outputs and kind != "Sequential"))


def snake_case(class_name: str) -> str:
    """Keras's rule for variable paths: Conv2D is conv2d, BatchNormalization is batch_normalization."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _name(entry: Mapping[str, object]) -> str | None:
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return name if isinstance(name, str) else None


def _is_operator(layer: Mapping[str, object]) -> bool:
    """Whether it is a function of keras.ops in a Functional model, which may share its name with a layer.

    HDF5 files leave out the module; `modern` adds it where the name alone does not tell.
    """
    if layer.get("module") is None:
        kind = class_of(layer) or ""
        return kind.isalnum() and is_function(kind) and not is_layer(kind)
    return str(layer["module"])[:100].startswith(("keras.ops", "keras.src.ops"))


def is_custom(layer: Mapping[str, object]) -> bool:
    """Whether the class is the user's own; such a class may have the name of one of Keras's."""
    module, registered = layer.get("module"), layer.get("registered_name")
    own = module is None or (isinstance(module, str) and module.split(".")[0] in _OWN_MODULES)
    return not own or (isinstance(registered, str) and ">" in registered)


def _has_name(entry: Mapping[str, object]) -> bool:
    """Whether an entry has something in place of a name."""
    config = entry.get("config")
    return entry.get("name") is not None or (isinstance(config, Mapping) and config.get("name") is not None)


def _first_of(model: Mapping[str, object]) -> Mapping[str, object] | None:
    """The entry of a model's first layer."""
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, Mapping) else config
    first = layers[0] if isinstance(layers, list) and layers else None
    return first if isinstance(first, Mapping) else None


def _check_inputs(inputs: Refs, units: Mapping[str, Unit]) -> None:
    seen = set()
    for name in (ref.layer for ref in inputs.items):
        if name not in units or units[name].origin.kind != "InputLayer":
            raise ModelError("", f"the input {name[:100]!r} is wrong", expected="the name of an InputLayer")
        if name in seen:
            raise ModelError("", f"the input {name[:100]!r} is there twice")
        seen.add(name)


def _order(units: Mapping[str, Unit], outputs: Refs) -> tuple[tuple[str, int], ...]:
    """Every call that `outputs` need, after what it reads. Raises `ModelError` for loops and loose ends."""
    order: list[tuple[str, int]] = []
    state: dict[tuple[str, int], bool] = {}
    """Absent: not met; False: being visited; True: done."""
    for root in outputs.items:
        stack = [(root, False)]
        while stack:
            ref, left = stack.pop()
            key = (ref.layer, ref.call)
            if left:
                state[key] = True
                order.append(key)
                continue
            if key in state:
                if not state[key]:
                    raise ModelError("", f"the layers form a loop through {ref.layer[:100]!r}")
                continue
            state[key] = False
            stack.append((ref, True))
            stack.extend((source, False) for source in reversed(_reads(units, ref)))
    return tuple(order)


def _reads(units: Mapping[str, Unit], ref: Ref) -> tuple[Ref, ...]:
    unit = units.get(ref.layer)
    if unit is not None and 0 <= ref.call < len(unit.calls):
        return unit.calls[ref.call].reads.items
    failed = unit is not None and unit.body is None and ref.call >= 0
    source = unit is not None and isinstance(unit.body, InputLayer) and ref.call == 0
    if not failed and not source:
        missing = f"call {ref.call} of layer {ref.layer[:100]!r}"
        raise ModelError("", "the model is cut apart", expected=missing, received="none such in the config")
    return ()
