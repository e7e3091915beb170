"""The interface `onnx.backend.base.Backend`: ONNX models are compiled to libraries, which are loaded and run.

    import convc.onnx_backend as backend

    prepared = backend.prepare(onnx.load("resnet50.onnx"))
    (scores,) = prepared.run([image])

Shapes are static in a library, so the first run compiles: for the shapes of its inputs, and for the values of those
that stand for constants (the axes of a reduction, the sizes of a Resize). A run with others compiles anew, and keeps
what was compiled before.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from convc import runtime
from convc.build.emit import emit
from convc.errors import ModelError, UnsupportedError
from convc.frontends.onnx import load
from convc.ir import Array, Shape
from convc.passes import optimize
from convc.target import Target, resolve

MAX_LIBRARIES = 16
"""Libraries that one model keeps; the one that was not used for longest goes first."""


class CompiledModel(BackendRep):
    """A model that is compiled when it runs. Integers are computed in 32 bits, floating point in float32.

    `threads` is how many a run takes; None stands for all cores of the process.
    """

    def __init__(self, model: onnx.ModelProto, *, target: str = "native", threads: int | None = None) -> None:
        initial = {tensor.name for tensor in model.graph.initializer}
        self.inputs = tuple(item.name for item in model.graph.input if item.name not in initial)
        """Names of the inputs, in the order that `run` takes them."""
        self.outputs = {item.name: _dtype(item) for item in model.graph.output}
        """NumPy's dtypes of the outputs, by name."""
        self._model = model
        self._target: Target = resolve(target)
        self._threads = threads
        self._folder = Path(tempfile.mkdtemp(prefix="convc-"))
        weakref.finalize(self, shutil.rmtree, self._folder, True)
        self.libraries: OrderedDict[_Key, runtime.Module] = OrderedDict()
        """What was compiled, by the shapes and values it is for; the last used is the last."""
        self._compiles = 0
        self._constants: set[str] = set()
        """Inputs whose values some library was compiled for."""

    def run(self, inputs: Any, **options: Any) -> tuple[Array, ...]:
        """The outputs, in order and in the model's types. `inputs` are in the model's order, or by name.

        Raises `ConvcError` where the model cannot be compiled for them.
        """
        if options:
            raise ModelError("run", "options are not supported", received=", ".join(options))
        values = self._named(inputs)
        module = self._compiled(values)
        feeds = {spec.name: self._fed(spec.name, values[spec.name], spec.dtype) for spec in module.inputs}
        answers = module.run(feeds)
        return tuple(_cast(answers[name], dtype) for name, dtype in self.outputs.items())

    def _named(self, inputs: Any) -> dict[str, Array]:
        if isinstance(inputs, Mapping):
            given = {str(name): np.asarray(value) for name, value in inputs.items()}
        else:
            items = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
            if len(items) != len(self.inputs):
                received = f"{len(items)} arrays"
                raise ModelError("run", "the inputs do not fit", expected=", ".join(self.inputs), received=received)
            given = {name: np.asarray(value) for name, value in zip(self.inputs, items, strict=True)}
        if set(given) != set(self.inputs):
            names = ", ".join(given)
            raise ModelError("run", "the inputs do not fit", expected=", ".join(self.inputs), received=names)
        return given

    def _fed(self, name: str, value: Array, dtype: str) -> Array:
        """The value as the library takes it. Raises `UnsupportedError` where integers do not fit."""
        if np.dtype(dtype).kind == "i" and value.dtype.itemsize >= 4 and value.size:
            info = np.iinfo(dtype)
            if value.max() > info.max or value.min() < info.min:
                if name not in self._constants:
                    message = "a value does not fit"
                    raise UnsupportedError(f"input '{name}'", message, expected="32-bit integers")
                value = np.clip(value, info.min, info.max)
        return np.asarray(value, dtype, order="C")

    def _compiled(self, values: Mapping[str, Array]) -> runtime.Module:
        """The library for inputs like these: that of the cache, or a new one."""
        key = self._key(values)
        if key in self.libraries:
            self.libraries.move_to_end(key)
            return self.libraries[key]
        wanted = _Asked({name: value for name, value in values.items() if value.dtype.kind in "iufb"})
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        grouped = optimize(load(self._model, input_shapes=shapes, bound=wanted)).grouped
        self._constants |= wanted.asked
        self._compiles += 1
        library = self._folder / f"{self._compiles}.so"
        emit(grouped, target=self._target, output=library, header=None, exact=False, progress=lambda *_: None)
        module = runtime.load(library, threads=self._threads)
        self.libraries[self._key(values)] = module
        if len(self.libraries) > MAX_LIBRARIES:
            self.libraries.popitem(last=False)[1].close()
        return module

    def _key(self, values: Mapping[str, Array]) -> _Key:
        constants = {name: values[name] for name in sorted(self._constants)}
        return (
            tuple(tuple(values[name].shape) for name in self.inputs),
            tuple((name, str(value.dtype), value.tobytes()) for name, value in constants.items()),
        )


_Key = tuple[tuple[Shape, ...], tuple[tuple[str, str, bytes], ...]]
"""The shapes of all inputs, and the values of those that stand for constants."""


class _Asked(Mapping[str, Array]):
    """Arrays by name; `asked` has the names whose values were looked at."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self.asked: set[str] = set()
        self._values = values

    def __getitem__(self, name: str) -> Array:
        value = self._values[name]
        self.asked.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class ConvcBackend(Backend):
    """convc as a backend of the package onnx; the module has its methods as functions too."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> CompiledModel:
        """The model, to be run. `options` are those of `CompiledModel`. Raises `ConvcError`."""
        if not cls.supports_device(device):
            raise UnsupportedError(f"device '{device}'", "not supported", expected="CPU")
        return CompiledModel(model, **options)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **options: Any) -> tuple[Array, ...]:
        """The model's outputs for these inputs."""
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **options: Any,
    ) -> tuple[Array, ...]:
        """The outputs of one node; their types are inferred unless `outputs_info` has them.

        `opset_version` among the options is the version of the operators, by default the newest.
        """
        opset = int(options.pop("opset_version", onnx.defs.onnx_opset_version()))
        names = list(dict.fromkeys(name for name in node.input if name))
        values = [np.asarray(inputs[key]) for key in (names if isinstance(inputs, Mapping) else range(len(names)))]
        infos = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in zip(names, values, strict=True)
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        for item, info in zip(outputs, outputs_info or (), strict=False):
            item.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(info[0]))
        graph = onnx.helper.make_graph([node], "node", infos, outputs)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])
        if not outputs_info:
            model = onnx.shape_inference.infer_shapes(model)
        return cls.prepare(model, device, **options).run(values)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models can be compiled for a device of this name: "CPU" is the only one."""
        return device.partition(":")[0] == "CPU"


def _dtype(item: onnx.ValueInfoProto) -> np.dtype[Any] | None:
    """NumPy's dtype of an output; None where the model does not say it."""
    kind = item.type.tensor_type.elem_type
    try:
        return onnx.helper.tensor_dtype_to_np_dtype(kind) if kind else None
    except (KeyError, ValueError):
        raise UnsupportedError(f"output '{item.name[:100]}'", "its type is unknown", received=str(kind)) from None


def _cast(value: Array, dtype: np.dtype[Any] | None) -> Array:
    with np.errstate(all="ignore"):
        return value if dtype is None else value.astype(dtype, copy=False)


is_compatible = ConvcBackend.is_compatible
prepare = ConvcBackend.prepare
run_model = ConvcBackend.run_model
run_node = ConvcBackend.run_node
supports_device = ConvcBackend.supports_device
