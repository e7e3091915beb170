"""The Python interface: a model in, one shared library out."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from convc import target as targets
from convc.errors import ConvcError, ModelError, ShapeError, UnsupportedError
from convc.ir import Graph, Shape
from convc.passes import Decision, optimize
from convc.precision import Precision

Progress = Callable[[int, int, str], None]
"""Called as work goes on with (steps done, steps in all, what is being done)."""

Weights = str | os.PathLike[str]
"""A file with weights (.weights.h5, .h5, .keras or .npz), "random" or "random:SEED"."""

Model = str | os.PathLike[str] | dict[str, Any] | list[Any] | bytes | Any
"""A path, a config (dict, or the text of `to_json()`), a list of layer configs, a `keras.Model`, or an ONNX model as
`onnx.ModelProto` or as bytes."""

ACCEPTED = "a .keras, .h5, .json or .onnx file, a config, a list of layers, a keras.Model or an onnx.ModelProto"
PRECISIONS = tuple(precision.value for precision in Precision)
"""What a GPU computes with. A CPU computes in float32."""

_ELF = b"\x7fELF"


@dataclass(frozen=True)
class CompileReport:
    """What was compiled. Sizes are in bytes."""

    output: Path
    header: Path | None
    target: str
    groups: int
    """Fusion groups, each one kernel launch or a view."""
    kernels: int
    """Distinct kernels after deduplication by structure."""
    arena_bytes: int
    activation_bytes: int
    """Sum of all activations: what the arena would be without planning."""
    weights_bytes: int
    library_bytes: int
    seconds: float
    decisions: tuple[Decision, ...]
    """What the passes did and what they refused to do."""

    def summary(self) -> dict[str, object]:
        """The report without the decisions, as plain JSON values."""
        values = {name: value for name, value in vars(self).items() if name != "decisions"}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def compile(
    model: Model,
    output: str | os.PathLike[str],
    *,
    target: str = "native",
    precision: str = "float32",
    batch: int = 1,
    weights: Weights | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    header: bool = False,
    exact: bool = False,
    progress: Progress | None = None,
) -> CompileReport:
    """Compiles `model` to the shared library `output`; with `header`, its C header is written beside it as `.h`.

    `target` "cuda" or "cuda:sm_80,sm_90" compiles for GPUs, which takes nvcc but no GPU; `precision` is what they store
    and multiply numbers in ("float32", "tf32", "float16", "bfloat16"), while inputs, outputs and sums stay float32.
    `batch` is bound at compile time. `weights` is a file with weights, or "random" or "random:SEED" to draw them by the
    initializers that the config names; None takes those of the model's file, and is the only choice for ONNX.
    `input_shapes` gives shapes, batch included, to inputs whose shape the model leaves open; those of an ONNX model may
    have another first size than `batch`. `exact` excludes Winograd's and Strassen's algorithms, which are faster and
    round more. On any failure nothing is left at `output`, and a file that was there is kept.

    Raises `ModelError`, `ShapeError`, `UnsupportedError` (with all problems of the model), `TargetError`;
    `ConvcError` where `output` is not a place to write to.
    """
    started = time.perf_counter()
    resolved = targets.named(target)
    chosen = _precision(precision, resolved)
    library = _checked_output(Path(output), model, weights)
    header_path = library.with_suffix(".h") if header else None
    if header_path == library:
        raise ConvcError(f"output '{library}'", "this is the header's name", remedy="end the library's name in .so")
    report = progress or _silent

    report(0, 1, "reading the model")
    optimized = optimize(read(model, batch=batch, weights=weights, input_shapes=input_shapes))

    # TVM takes most of a second to import; a model that is refused need not wait for it.
    from convc.build.emit import emit

    emitted = emit(
        optimized.grouped,
        target=resolved,
        output=library,
        header=header_path,
        exact=exact,
        progress=report,
        precision=chosen,
    )
    return CompileReport(
        output=library,
        header=header_path,
        target=resolved.name,
        groups=len(optimized.grouped.groups),
        kernels=emitted.kernels,
        arena_bytes=emitted.arena_bytes,
        activation_bytes=emitted.activation_bytes,
        weights_bytes=emitted.weights_bytes,
        library_bytes=library.stat().st_size,
        seconds=time.perf_counter() - started,
        decisions=optimized.report.decisions,
    )


def _precision(name: str, target: targets.AnyTarget) -> Precision:
    subject = f"precision '{name}'"
    if name not in PRECISIONS:
        raise UnsupportedError(subject, "unknown precision", expected=", ".join(PRECISIONS), received=name)
    if name != Precision.FLOAT32.value and not isinstance(target, targets.CudaTarget):
        message, remedy = "is for GPUs", "compile with --target cuda, or leave it out"
        raise UnsupportedError(subject, message, expected="float32 on a CPU", received=target.name, remedy=remedy)
    if name == Precision.BFLOAT16.value and isinstance(target, targets.CudaTarget) and target.architectures[0] < 80:
        message, remedy = "older GPUs do not have it", "leave sm_75 out, or compile in float16"
        raise UnsupportedError(subject, message, expected="sm_80 or newer", received=target.name, remedy=remedy)
    return Precision(name)


def read(
    model: Model,
    *,
    batch: int = 1,
    weights: Weights | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
) -> Graph:
    """Parses `model` to a graph, without executing anything in it. The arguments are those of `compile`."""
    if batch < 1:
        raise ShapeError("batch", "not a batch size", expected="1 or more", received=str(batch))
    if _is_onnx(model):
        return _read_onnx(model, batch, weights, input_shapes)
    shapes = {name: _without_batch(name, shape, batch) for name, shape in (input_shapes or {}).items()}

    # h5py takes a while to import, and running a library needs none of it.
    from convc.frontends import keras

    if _is_keras_model(model):
        with tempfile.TemporaryDirectory() as folder:
            saved = _saved(model, Path(folder))
            return keras.load(saved, batch=batch, weights=weights, input_shapes=shapes)
    return keras.load(_source(model), batch=batch, weights=weights, input_shapes=shapes)


def _is_onnx(model: Model) -> bool:
    """Whether a model is an ONNX file, the bytes of one, or an onnx.ModelProto, without importing onnx."""
    if isinstance(model, bytes):
        return True
    path = _path(model)
    if path is not None:
        return path.suffix.lower() == ".onnx" and not is_artifact(path)
    return any(c.__name__ == "ModelProto" and c.__module__.startswith("onnx") for c in type(model).__mro__)


def _read_onnx(model: Any, batch: int, weights: Weights | None, input_shapes: Mapping[str, Shape] | None) -> Graph:
    if weights is not None:
        raise ModelError(f"weights '{weights}'", "an ONNX model holds its own", remedy="leave the option out")

    from convc.frontends import onnx

    return onnx.load(model, batch=batch, input_shapes=input_shapes)


def _saved(model: Any, folder: Path) -> Path:
    """The file that a live model saves itself to."""
    path = folder / "model.keras"
    try:
        model.save(path)
    except Exception as error:  # what a model of the user's own raises has any class
        message = "Keras cannot save it"
        raise ModelError(f"model '{model.name}'", message, received=" ".join(str(error).split())[:300]) from None
    return path


def _source(model: Model) -> str | Path | Mapping[str, Any] | list[Any]:
    """What a frontend reads; raises what is better said before one tries."""
    if isinstance(model, Mapping | list):
        return model
    if not isinstance(model, str | os.PathLike):
        raise ModelError("model", "not something to compile", expected=ACCEPTED, received=type(model).__name__)
    path = _path(model)
    if path is None:
        return str(model)
    if is_artifact(path):
        raise ModelError(f"'{path}'", "this is a compiled library, not a model", expected=ACCEPTED)
    return path


def _without_batch(name: str, shape: Shape, batch: int) -> Shape:
    if not shape or shape[0] != batch:
        raise ShapeError(
            f"input '{name}'", "its shape does not begin with the batch size", expected=str(batch), received=str(shape)
        )
    return shape[1:]


def is_artifact(path: Path) -> bool:
    """Whether the file is a shared library, by its first bytes. Raises `ModelError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_ELF)) == _ELF
    except FileNotFoundError:
        raise ModelError(f"'{path}'", "there is no such file") from None
    except IsADirectoryError:
        if (path / "saved_model.pb").exists():
            message, remedy = "this is a SavedModel of TensorFlow", "load it with Keras 2 and save it as .h5"
            raise UnsupportedError(f"'{path}'", message, expected=ACCEPTED, remedy=remedy) from None
        raise ModelError(f"'{path}'", "this is a folder", expected=ACCEPTED) from None
    except OSError as error:
        raise ModelError(f"'{path}'", f"cannot be read: {error.strerror}") from None


def _checked_output(output: Path, model: Model, weights: Weights | None) -> Path:
    """`output`, if a library can be written there; said before minutes of compiling, not after."""
    if output.is_dir():
        raise ConvcError(f"output '{output}'", "this is a folder", expected="a file name")
    if not output.parent.is_dir():
        raise ConvcError(f"output '{output}'", f"there is no folder '{output.parent}'", remedy="make it first")
    if not os.access(output.parent, os.W_OK):
        raise ConvcError(f"output '{output}'", f"the folder '{output.parent}' cannot be written to")
    source = _path(model)
    if source is not None and output.resolve() == source.resolve():
        raise ConvcError(f"output '{output}'", "this is the model itself", remedy="choose another output")
    if weights is not None and output.exists() and output.resolve() == Path(weights).resolve():
        raise ConvcError(f"output '{output}'", "this is the file with the weights", remedy="choose another output")
    return output


def _path(model: Model) -> Path | None:
    """The file that a model is read from, if any: the text of a config is not one."""
    if isinstance(model, str) and model.lstrip()[:1] in ("{", "["):
        return None
    return Path(model) if isinstance(model, str | os.PathLike) else None


def _is_keras_model(model: object) -> TypeGuard[Any]:
    """Whether an object is a keras.Model, without importing Keras."""
    return any(
        c.__name__ == "Model" and c.__module__.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
        for c in type(model).__mro__
    )


def _silent(done: int, total: int, what: str) -> None:
    pass
