"""A compiled model that can be called: NumPy arrays in and out, or tensors of a GPU in and out."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from convc.artifact import LaunchInfo, Metadata, TensorSpec
from convc.errors import ArtifactError, ShapeError
from convc.runtime import arrays, dlpack, tensors
from convc.runtime.context import Context, Seconds
from convc.runtime.device import parse
from convc.runtime.device_array import DeviceArray
from convc.runtime.library import Library


@dataclass(frozen=True)
class LaunchTime:
    """One kernel call of a profiled run."""

    launch: LaunchInfo
    seconds: float


def load(path: str | os.PathLike[str], device: str | None = None, threads: int | None = None) -> Module:
    """The compiled model at `path`, ready to run on `device`: "cpu", "cuda" or "cuda:1", by default what it was
    compiled for. `threads` is for a CPU; None or 0: all cores that this process may use.

    Raises `ArtifactError` for a file that is missing, foreign, damaged or of another version, `TargetError` for a
    library of another machine or kind of device, and where there is no such device.
    """
    wanted = None if device is None else parse(device)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise ArtifactError("threads", "not a number of threads", expected="an integer or None", received=repr(threads))
    library = Library(Path(path), wanted)
    if library.device.kind != "cpu" and threads:
        raise ArtifactError(
            "threads", "the library runs on a GPU", received=str(threads), remedy="leave the threads out"
        )
    return Module(library, threads or 0)


class Module:
    """One model and one context of it (arena; threads or stream). Calls from several threads wait for each other.

    For runs at the same time, give each thread a `clone`: code and weights are shared. Also a context manager; `close`
    frees the context.
    """

    def __init__(self, library: Library, threads: int) -> None:
        self._library = library
        self._threads = threads
        on_cpu = library.device.kind == "cpu"
        self._context = Context(library, max(-1, min(threads, 1 << 30)) if on_cpu else library.device.ordinal)
        self._finalizer = weakref.finalize(self, self._context.abandon)
        self._finalizer.atexit = False  # a daemon thread may be in a run when the interpreter exits

    @property
    def metadata(self) -> Metadata:
        """What the library says about itself."""
        return self._library.metadata

    @property
    def device(self) -> str:
        """What it runs on: "cpu", or a GPU as "cuda:0"."""
        return str(self._library.device)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each input, in the order in which a call takes them."""
        return self.metadata.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each output, in the order in which a call returns them."""
        return self.metadata.outputs

    def __call__(self, *values: Any, out: Any = None, stream: int | None = None) -> Any:
        """Runs the model on one array per input, or on one dict by name; several outputs come as a tuple.

        Arrays of the host give NumPy arrays, on every device: any strides, byte order and dtype that casts to the
        input's do. On a GPU, tensors of its memory (of any library that has DLPack) are used where they are and give
        `DeviceArray`s; they must be dense and of the input's dtype.

        `out`, an array or tensor per output as a sequence, a dict by name or, of one output, alone, is written to and
        returned: nothing is allocated. It must not overlap inputs.

        The call returns when the outputs are there. With `stream`, the handle of the CUDA stream that the caller uses
        the tensors on, it returns at once, and that stream waits for the run.

        Raises `ShapeError` for arrays that do not fit, `ArtifactError` after `close` and where the run fails.
        """
        if len(values) == 1 and isinstance(values[0], Mapping):
            values = tuple(arrays.by_name("input", self.inputs, values[0]))
        outputs = self._execute(values, self._listed(out), stream)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def run(
        self, values: Mapping[str, Any], out: Mapping[str, Any] | None = None, stream: int | None = None
    ) -> dict[str, Any]:
        """Runs the model on inputs by name and returns the outputs by name. Otherwise like a call."""
        outputs = self._execute(arrays.by_name("input", self.inputs, values), self._listed(out), stream)
        return {spec.name: output for spec, output in zip(self.outputs, outputs, strict=True)}

    def profile(self, values: Mapping[str, Any]) -> tuple[LaunchTime, ...]:
        """Runs the model once on arrays of the host, and returns the time of each kernel call, in order.

        Raises what a call raises.
        """
        seconds = (ctypes.c_double * len(self.metadata.launches))()
        self._execute_on_host(arrays.by_name("input", self.inputs, values), None, seconds)
        return tuple(LaunchTime(launch, time) for launch, time in zip(self.metadata.launches, seconds, strict=True))

    def clone(self) -> Module:
        """The same model with a context of its own, for another thread."""
        return Module(self._library, self._threads)

    def close(self) -> None:
        """Frees the context; waits for a run that is in progress. The module cannot be used afterwards, but the
        `DeviceArray`s that it returned can."""
        self._context.close()

    def __enter__(self) -> Module:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        place = "" if self.device == "cpu" else f" on {self.device}"
        state = " closed" if self._context.closed else ""
        return f"<convc.Module {self.metadata.name} for {self.metadata.target}{place}{state}>"

    def _listed(self, out: Any) -> list[object] | None:
        """`out` as one object per output, as far as it can be seen without looking at them."""
        if out is None:
            return None
        if isinstance(out, Mapping):
            return arrays.by_name("output", self.outputs, out)
        return list(out) if isinstance(out, list | tuple) else [out]

    def _execute(self, values: Sequence[object], out: list[object] | None, stream: int | None) -> Sequence[Any]:
        if self._library.device.kind != "cpu":
            places = {dlpack.on_gpu(value) for value in (*values, *(out or ()))}
            if len(places) > 1:
                raise ShapeError(
                    "inputs" if out is None else "inputs and outputs",
                    "some are in memory of the host and some of the GPU",
                    expected="all in the same",
                    remedy=f"move them all to {self.device}",
                )
            if True in places:
                return self._execute_on_device(values, out, stream)
        if stream is not None:
            raise ShapeError(
                "stream", "only tensors of a GPU are used on a stream", remedy="leave the stream out, or give tensors"
            )
        return self._execute_on_host(values, out)

    def _execute_on_host(
        self, values: Sequence[object], out: list[object] | None, seconds: Seconds | None = None
    ) -> Sequence[Any]:
        inputs = arrays.prepare(self.inputs, values)
        outputs = [arrays.allocate(s) for s in self.outputs] if out is None else arrays.writable(self.outputs, out)
        self._context.run([x.ctypes.data for x in inputs], [y.ctypes.data for y in outputs], seconds)
        return outputs

    def _execute_on_device(
        self, values: Sequence[object], out: list[object] | None, stream: int | None
    ) -> Sequence[Any]:
        if stream is not None and (isinstance(stream, bool) or not isinstance(stream, int) or stream < 0):
            raise ShapeError("stream", "not a handle of a CUDA stream", expected="an integer", received=repr(stream))
        device = self._library.device
        with self._context.streaming() as own:
            inputs = tensors.inputs(self.inputs, values, device.ordinal, own)
            sources = [x.pointer for x in inputs]
            if out is not None:
                views = tensors.outputs(self.outputs, out, device.ordinal, own)
                self._context.run_on_device(sources, [y.pointer for y in views], stream)
                return out
            made = [DeviceArray(self._context, device, spec) for spec in self.outputs]
            self._context.run_on_device(sources, [y.pointer for y in made], stream)
            return made
