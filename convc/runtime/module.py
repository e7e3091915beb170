"""A compiled model that can be called: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from convc.artifact import LaunchInfo, Metadata, TensorSpec
from convc.errors import ArtifactError, TargetError
from convc.runtime import arrays
from convc.runtime.arrays import Array
from convc.runtime.library import Library


@dataclass(frozen=True)
class LaunchTime:
    """One kernel call of a profiled run."""

    launch: LaunchInfo
    seconds: float


def load(path: str | os.PathLike[str], device: str = "cpu", threads: int | None = None) -> Module:
    """The compiled model at `path`, ready to run. `threads` None or 0: all cores that this process may use.

    Raises `ArtifactError` for a file that is missing, foreign, damaged or of another version, `TargetError` for a
    library of another machine and for a device other than "cpu".
    """
    if device != "cpu":
        raise TargetError(f"device '{device}'", "no such device", expected="cpu", remedy="load with device='cpu'")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise ArtifactError("threads", "not a number of threads", expected="an integer or None", received=repr(threads))
    return Module(Library(Path(path)), threads or 0)


class Module:
    """One model and one context of it (arena, threads). Calls from several threads wait for each other.

    For runs at the same time, give each thread a `clone`: code and weights are shared. Also a context manager; `close`
    frees the context.
    """

    def __init__(self, library: Library, threads: int) -> None:
        self._library = library
        self._threads = threads
        self._lock = threading.Lock()
        self._table = library.table
        context = self._table.create(max(-1, min(threads, 1 << 30)))
        if not context:
            raise ArtifactError(str(library.path), "cannot be started", received=self._message(None))
        self._context: int | None = context
        self._finalizer = weakref.finalize(self, self._table.destroy, context)
        self._finalizer.atexit = False  # a daemon thread may be in a run when the interpreter exits

    @property
    def metadata(self) -> Metadata:
        """What the library says about itself."""
        return self._library.metadata

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each input, in the order in which a call takes them."""
        return self.metadata.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each output, in the order in which a call returns them."""
        return self.metadata.outputs

    def __call__(self, *values: Any) -> Array | tuple[Array, ...]:
        """Runs the model on one array per input, or on one dict by name; several outputs come as a tuple.

        Any strides, byte order and dtype that casts to the input's do. Raises `ShapeError` for arrays that do not fit,
        `ArtifactError` after `close` and where the run fails.
        """
        if len(values) == 1 and isinstance(values[0], Mapping):
            values = tuple(arrays.by_name(self.inputs, values[0]))
        outputs = self._execute(values)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def run(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """Runs the model on inputs by name and returns the outputs by name. Raises what a call raises."""
        outputs = self._execute(arrays.by_name(self.inputs, values))
        return {spec.name: output for spec, output in zip(self.outputs, outputs, strict=True)}

    def profile(self, values: Mapping[str, Any]) -> tuple[LaunchTime, ...]:
        """Runs the model once and returns the time of each kernel call, in order. Raises what a call raises."""
        seconds = (ctypes.c_double * len(self.metadata.launches))()
        self._execute(arrays.by_name(self.inputs, values), seconds)
        return tuple(LaunchTime(launch, time) for launch, time in zip(self.metadata.launches, seconds, strict=True))

    def clone(self) -> Module:
        """The same model with a context of its own, for another thread."""
        return Module(self._library, self._threads)

    def close(self) -> None:
        """Frees the context; waits for a run that is in progress. The module cannot be used afterwards."""
        with self._lock:
            self._context = None
            self._finalizer()

    def __enter__(self) -> Module:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._context else " closed"
        return f"<convc.Module {self.metadata.name} for {self.metadata.target}{state}>"

    def _execute(self, values: Sequence[object], seconds: ctypes.Array[ctypes.c_double] | None = None) -> list[Array]:
        inputs = arrays.prepare(self.inputs, values)
        outputs = [arrays.allocate(spec) for spec in self.outputs]
        with self._lock:
            if self._context is None:
                raise ArtifactError(str(self._library.path), "used after close", remedy="load it again")
            pointers = (self._context, _pointers(inputs), _pointers(outputs))
            failed = self._table.profile(*pointers, seconds) if seconds else self._table.run(*pointers)
            if failed:
                raise ArtifactError(str(self._library.path), "the run failed", received=self._message(self._context))
        return outputs

    def _message(self, context: int | None) -> str:
        text: bytes | None = self._table.last_error(context)
        return (text or b"").decode(errors="replace")


def _pointers(values: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
