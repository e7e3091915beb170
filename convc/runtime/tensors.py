"""The caller's tensors in memory of a GPU, checked against the model's ports: they are used where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convc.artifact import TensorSpec
from convc.errors import ShapeError
from convc.runtime import dlpack
from convc.runtime.arrays import each
from convc.runtime.dlpack import DLPackError, View

ALIGNMENT = 16
"""Bytes that kernels read at once, and that a tensor must begin at a multiple of."""


def inputs(specs: Sequence[TensorSpec], values: Sequence[object], ordinal: int, stream: int) -> list[View]:
    """Views of `values`, in order; `stream` waits for what their owners still compute.

    Raises `ShapeError` that names every input that does not fit.
    """
    return each("input", specs, values, _viewer(ordinal, stream, writable=False))


def outputs(specs: Sequence[TensorSpec], values: Sequence[object], ordinal: int, stream: int) -> list[View]:
    """The same for tensors that a run writes to."""
    return each("output", specs, values, _viewer(ordinal, stream, writable=True))


def _viewer(ordinal: int, stream: int, *, writable: bool) -> Callable[[str, TensorSpec, object], View]:
    def view(subject: str, spec: TensorSpec, value: object) -> View:
        try:
            result = dlpack.borrow(value, stream)
        except DLPackError as error:
            message = "its tensor cannot be taken"
            raise ShapeError(subject, message, expected="what DLPack 1.0 describes", received=str(error)) from None
        _check(subject, spec, result, ordinal)
        if writable and result.read_only:
            raise ShapeError(subject, "read-only", remedy="give a tensor that may be written to")
        return result

    return view


def _check(subject: str, spec: TensorSpec, view: View, ordinal: int) -> None:
    if view.device[1] != ordinal or view.device[0] not in (dlpack.CUDA, dlpack.CUDA_MANAGED):
        raise ShapeError(
            subject,
            "on another device",
            expected=f"cuda:{ordinal}",
            received=f"cuda:{view.device[1]}",
            remedy=f"move it there, or load the library with device='cuda:{view.device[1]}'",
        )
    if view.dtype != spec.dtype:
        raise ShapeError(
            subject,
            "wrong dtype",
            expected=spec.dtype,
            received=view.dtype,
            remedy=f"convert it to {spec.dtype}: on a GPU that is not done unasked",
        )
    if view.shape != spec.shape:
        raise ShapeError(subject, "wrong shape", expected=str(spec.shape), received=str(view.shape))
    if not view.is_dense:
        raise ShapeError(
            subject,
            "not dense",
            expected="row-major elements without gaps",
            received=f"strides {view.strides}",
            remedy="copy it with .contiguous()",
        )
    if view.pointer % ALIGNMENT:
        raise ShapeError(
            subject,
            "begins at an odd address",
            expected=f"a multiple of {ALIGNMENT} bytes",
            received=hex(view.pointer),
            remedy="copy it with .clone()",
        )
