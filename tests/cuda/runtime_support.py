"""A small model for the emulated device, and another library's tensors on it, as DLPack describes them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from convc.build.link import link
from convc.build.program import Buffer, Geometry, Launch, Port, Program, Storage
from convc.ir import Array, DType, TensorType
from convc.target import CudaTarget, named
from tests.cuda import emulator
from tests.cuda.emulator import FakeCuda
from tests.cuda.emulator.toolchain import workspace

ROWS, COLUMNS = 4, 32

SOURCE = f"""
extern "C" __global__ void __launch_bounds__({COLUMNS}) scale(const float *x, const int *shift, const float *factor,
                                                            float *y) {{
  const int i = blockIdx.x * {COLUMNS} + threadIdx.x;
  y[i] = factor[threadIdx.x] * x[i] + shift[blockIdx.x];
}}
extern "C" __global__ void __launch_bounds__({ROWS}) after(const int *shift, int *z) {{
  z[threadIdx.x] = shift[threadIdx.x] + 1;
}}
"""
X, SHIFT = TensorType((ROWS, COLUMNS)), TensorType((ROWS,), DType.INT32)
FACTOR = np.linspace(-1, 2, COLUMNS, dtype=np.float32)


def program() -> Program:
    """y = factor * x + shift for rows of x; z = shift + 1 in integers."""
    shift = Buffer(Storage.INPUT, 1, SHIFT)
    arguments = (
        Buffer(Storage.INPUT, 0, X), shift, Buffer(Storage.WEIGHTS, 0, TensorType((COLUMNS,))),
        Buffer(Storage.OUTPUT, 0, X),
    )  # fmt: skip
    launches = (
        Launch("scale", "scale_1", arguments, 2 * X.elements, 2 * X.bytes, Geometry((ROWS, 1, 1), (COLUMNS, 1, 1))),
        Launch("after", "add_1", (shift, Buffer(Storage.OUTPUT, 1, SHIFT)), ROWS, 2 * SHIFT.bytes,
               Geometry((1, 1, 1), (ROWS, 1, 1))),
    )  # fmt: skip
    return Program(
        "pair", (Port("x", X), Port("shift", SHIFT)), (Port("y", X), Port("z", SHIFT)), launches, 0, 0,
        [(0, FACTOR)], FACTOR.nbytes, driver_version=13000,
    )  # fmt: skip


@cache
def library() -> Path:
    """The library of `program`, for devices of compute capability 8.0 and later."""
    target = named("cuda:sm_80")
    assert isinstance(target, CudaTarget)
    made = workspace() / "pair.so"
    fatbin = made.with_suffix(".fatbin")
    fatbin.write_bytes(emulator.emulated_fatbin(SOURCE, target))
    link(program(), fatbin, target, made, None)
    return made


def feeds(seed: int = 0) -> dict[str, Array]:
    """Inputs of `program`."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-64, 64, X.shape).astype(np.float32)
    return {"x": x, "shift": rng.integers(-9, 9, SHIFT.shape).astype(np.int32)}


def answers(inputs: dict[str, Array]) -> dict[str, Array]:
    """What `program` computes."""
    return {"y": FACTOR * inputs["x"] + inputs["shift"][:, None].astype(np.float32), "z": inputs["shift"] + 1}


def assert_nothing_is_left(cuda: FakeCuda) -> None:
    """Fails where the driver still has anything, or memory was written behind its end."""
    alive = ("allocations", "bytes", "pinned", "contexts", "modules", "streams", "events", "graphs", "executables")
    assert {what: cuda.get(what) for what in (*alive, "overruns")} == dict.fromkeys((*alive, "overruns"), 0)


def assert_right(got: Mapping[str, object], seed: int = 0) -> None:
    """Fails where `got`, by name, is not what `program` computes from `feeds(seed)`; copies it to the host."""
    for name, want in answers(feeds(seed)).items():
        assert np.array_equal(np.asarray(got[name]), want), name


# ---- another library ----


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_DESTRUCTOR = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


class _Legacy(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p), ("deleter", _DELETER),
        ("flags", ctypes.c_uint64), ("tensor", _Tensor),
    )  # fmt: skip


def _api(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


new_capsule = _api("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _DESTRUCTOR)
_raw_is_valid = _api("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
is_valid = _api("PyCapsule_IsValid", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_pointer = _api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_rename = _api("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)

LEGACY, VERSIONED = b"dltensor", b"dltensor_versioned"
_USED = {LEGACY: b"used_dltensor", VERSIONED: b"used_dltensor_versioned"}


class Driver(Protocol):
    """What has loaded a driver, the fake one or a real one."""

    @property
    def library(self) -> ctypes.CDLL:
        """The driver."""


class Gpu:
    """What another library does on the device, through the driver: memory, a stream of its own, copies."""

    def __init__(self, cuda: Driver, ordinal: int = 0) -> None:
        self._library, self.ordinal = cuda.library, ordinal
        self.call("cuInit", 0)
        self._context, self._stream = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), ordinal)
        self.call("cuCtxPushCurrent_v2", self._context)
        self.call("cuStreamCreate", ctypes.byref(self._stream), 1)

    def call(self, function: str, *arguments: Any) -> None:
        """Fails the test where the driver refuses."""
        result = getattr(self._library, function)(*arguments)
        assert result == 0, f"{function} gives {result}"

    @property
    def stream(self) -> int:
        """The library's stream."""
        return self._stream.value or 0

    def allocate(self, size: int) -> int:
        """Device memory."""
        pointer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        return pointer.value

    def free(self, pointer: int) -> None:
        """Gives it back."""
        self.call("cuMemFree_v2", ctypes.c_uint64(pointer))

    def write(self, pointer: int, value: Array) -> None:
        """Gives a copy to the stream; `value` must live until it is done."""
        size, source = ctypes.c_size_t(value.nbytes), ctypes.c_void_p(value.ctypes.data)
        self.call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(pointer), source, size, self._stream)

    def read(self, pointer: int, value: Array) -> Array:
        """Copies to `value` on the stream, after what it was given before, and waits."""
        size, target = ctypes.c_size_t(value.nbytes), ctypes.c_void_p(value.ctypes.data)
        self.call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(pointer), size, self._stream)
        self.call("cuStreamSynchronize", self._stream)
        return value

    def wait_on(self, stream: int) -> None:
        """`stream` waits for what this stream was given."""
        event = ctypes.c_void_p()
        self.call("cuEventCreate", ctypes.byref(event), 2)
        self.call("cuEventRecord", event, self._stream)
        self.call("cuStreamWaitEvent", ctypes.c_void_p(stream), event, 0)
        self.call("cuEventDestroy_v2", event)

    def close(self) -> None:
        """Gives everything back but memory."""
        self.call("cuStreamDestroy_v2", self._stream)
        self.call("cuCtxPopCurrent_v2", None)
        self.call("cuDevicePrimaryCtxRelease_v2", self.ordinal)


@contextmanager
def gpu(cuda: Driver, ordinal: int = 0) -> Iterator[Gpu]:
    """A `Gpu` for a while."""
    library = Gpu(cuda, ordinal)
    try:
        yield library
    finally:
        library.close()


_immortal: list[object] = []


class Tensor:
    """A tensor of another library. What its capsule says can be changed by the attributes before it is asked for."""

    def __init__(self, gpu: Gpu, value: Array, kind: bytes = VERSIONED, *, offset: int = 0) -> None:
        self.gpu, self.kind, self.value = gpu, kind, np.ascontiguousarray(value)
        self.pointer = gpu.allocate(self.value.nbytes + offset)
        gpu.write(self.pointer + offset, self.value)
        self.device = (2, gpu.ordinal)
        self.shape: tuple[int, ...] = value.shape
        self.strides: tuple[int, ...] | None = tuple(s // value.itemsize for s in self.value.strides)
        self.code, self.bits, self.lanes = {"i": 0, "f": 2}[value.dtype.kind], 8 * value.itemsize, 1
        self.version, self.flags = (1, 0), 0
        self.base, self.byte_offset = self.pointer, offset
        self.streams: list[int | None] = []
        """What was passed as stream to each `__dlpack__`."""
        self.deleted = 0
        """How many of its capsules have been given back."""
        _immortal.append(self)  # copies may be under way, and capsules may outlive all who know the tensor

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> object:
        if self.kind == LEGACY and options:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        assert options.get("max_version", (1, 0)) == (1, 0)
        self.streams.append(stream)
        if stream is not None:
            self.gpu.wait_on(stream)
        return self.capsule()

    def capsule(self) -> object:
        """A new capsule."""
        rank, numbers = len(self.shape), ctypes.c_int64 * len(self.shape)
        shape, strides = numbers(*self.shape), numbers(*(self.strides or (0,) * rank))
        pointers = [ctypes.cast(n, ctypes.POINTER(ctypes.c_int64)) for n in (shape, strides)]
        tensor = _Tensor(
            self.base, *self.device, rank, self.code, self.bits, self.lanes, pointers[0],
            pointers[1] if self.strides is not None else None, self.byte_offset,
        )  # fmt: skip
        deleter = _DELETER(self._delete)
        managed: ctypes.Structure
        if self.kind == LEGACY:
            managed = _Legacy(tensor, None, deleter)
        else:
            managed = _Versioned(*self.version, None, deleter, self.flags, tensor)
        destructor = _DESTRUCTOR(lambda raw: deleter(None) if _raw_is_valid(raw, self.kind) else None)
        _immortal.extend((shape, strides, deleter, managed, destructor))
        return new_capsule(ctypes.addressof(managed), self.kind, destructor)

    def _delete(self, managed: int) -> None:
        self.deleted += 1

    def numpy(self) -> Array:
        """What is in its memory, after what the library's stream was given."""
        size = math.prod(self.value.shape) * self.value.itemsize
        whole = self.gpu.read(self.pointer, np.empty(self.byte_offset + size, np.uint8))
        return whole[self.byte_offset :].view(self.value.dtype).reshape(self.value.shape)

    def free(self) -> None:
        """Gives the memory back."""
        self.gpu.free(self.pointer)


class Taken:
    """An array as another library takes it from convc: on its stream, until `delete`."""

    def __init__(self, gpu: Gpu, source: Any, *, versioned: bool = True) -> None:
        options = {"max_version": (1, 1)} if versioned else {}
        capsule = source.__dlpack__(stream=gpu.stream, **options)
        name = VERSIONED if versioned else LEGACY
        assert is_valid(capsule, name)
        self._managed = (_Versioned if versioned else _Legacy).from_address(_pointer(capsule, name))
        assert _rename(capsule, _USED[name]) == 0
        self.gpu, self.tensor = gpu, self._managed.tensor

    def numpy(self) -> Array:
        """A copy, made on the library's stream."""
        tensor = self.tensor
        shape = tuple(tensor.shape[: tensor.ndim])
        dtype = np.dtype(f"{ {0: 'i', 2: 'f'}[tensor.code] }{tensor.bits // 8}")
        assert (tensor.device_type, tensor.device_id, tensor.lanes) == (2, self.gpu.ordinal, 1)
        assert tuple(tensor.strides[: tensor.ndim]) == tuple(
            s // dtype.itemsize for s in np.empty(shape, dtype).strides
        )
        return self.gpu.read(tensor.data + tensor.byte_offset, np.empty(shape, dtype))

    def delete(self) -> None:
        """Gives it back, from any thread."""
        self._managed.deleter(ctypes.addressof(self._managed))
