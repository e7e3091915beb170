"""DLPack by ctypes: tensors of other libraries looked at where they are, and a device's memory offered to them.

Layout: dlpack.h of DLPack 1.0, which older capsules precede. Protocol: `__dlpack__` of the Python array API standard.
"""

from __future__ import annotations

import ctypes
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

CUDA = 2
CUDA_MANAGED = 13
"""Memory that moves between the host and a GPU: kernels read it like their own."""

VERSION = (1, 0)

DEFAULT_STREAM = 1
"""CUDA's default stream of a process: what a consumer means that names none."""
NO_STREAM = -1
"""A consumer passes it that does without waiting."""

_READ_ONLY = 1
_MAX_RANK = 64
_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex"}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("manager", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_LAYOUTS: dict[bytes, type[_Managed | _Versioned]] = {b"dltensor_versioned": _Versioned, b"dltensor": _Managed}
"""What a capsule of each name points to, as long as nobody took it."""

_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class DLPackError(Exception):
    """Why an object's tensor cannot be taken, in words."""


@dataclass(frozen=True)
class View:
    """Another library's tensor, valid as long as this object: `capsule` then gives it back to its owner.

    `strides` is in elements, None where the owner left them out: row-major. `dtype` is NumPy's name where it has one.
    """

    pointer: int
    device: tuple[int, int]
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: str
    read_only: bool
    capsule: object

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie row-major and without gaps. Strides along axes of one element do not matter."""
        step = 1
        for extent, stride in zip(reversed(self.shape), reversed(self.strides or ()), strict=False):
            if extent != 1 and stride != step:
                return False
            step *= extent
        return True


def device_of(value: object) -> tuple[int, int] | None:
    """DLPack's kind of device and its ordinal, of an object that offers a tensor; None for all others."""
    if isinstance(value, np.ndarray | type) or not hasattr(value, "__dlpack_device__"):
        return None
    try:
        kind, ordinal = value.__dlpack_device__()
        return operator.index(kind), operator.index(ordinal)
    except Exception:  # other libraries raise what they like; NumPy may still know what the object is
        return None


def on_gpu(value: object) -> bool:
    """Whether an object offers a tensor in memory of a CUDA device."""
    device = device_of(value)
    return device is not None and device[0] in (CUDA, CUDA_MANAGED)


def borrow(value: Any, stream: int) -> View:
    """The tensor that `value` offers; CUDA's `stream` is made to wait for what its owner still computes.

    Raises `DLPackError` where the owner refuses, and where what it offers is not understood.
    """
    try:
        try:
            capsule = value.__dlpack__(stream=stream, max_version=VERSION)
        except TypeError:  # from before there were versions
            capsule = value.__dlpack__(stream=stream)
    except Exception as error:  # other libraries raise what they like
        raise DLPackError(" ".join(str(error).split())[:200] or type(error).__name__) from None
    name = next((name for name in _LAYOUTS if _is_valid(capsule, name)), None)
    if name is None:
        raise DLPackError(f"no DLPack capsule but {type(capsule).__name__}, or a capsule that was taken before")
    held = _LAYOUTS[name].from_address(_pointer(capsule, name))
    if isinstance(held, _Versioned) and held.major != VERSION[0]:
        raise DLPackError(f"version {held.major}.{held.minor} of DLPack, not {VERSION[0]}.x")
    tensor, rank = held.tensor, held.tensor.rank
    if not tensor.data or not 0 <= rank <= _MAX_RANK or (rank and not tensor.shape):
        raise DLPackError("a DLPack tensor without data or shape")
    lanes = f"x{tensor.lanes}" if tensor.lanes != 1 else ""
    return View(
        pointer=tensor.data + tensor.byte_offset,
        device=(tensor.device_type, tensor.device_id),
        shape=tuple(tensor.shape[:rank]) if rank else (),
        strides=tuple(tensor.strides[:rank]) if rank and tensor.strides else None,
        dtype=f"{_KINDS.get(tensor.code, f'type {tensor.code} of ')}{tensor.bits}{lanes}",
        read_only=isinstance(held, _Versioned) and bool(held.flags & _READ_ONLY),
        capsule=capsule,
    )


class _Keeper:
    """What NumPy takes for the owner of an array at `pointer`, which it does not read: it is no memory of the host."""

    def __init__(self, owner: object, pointer: int, shape: tuple[int, ...], dtype: str) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (pointer, False),
            "shape": shape,
            "typestr": np.dtype(dtype).str,
        }


def offer(
    owner: object, pointer: int, device: tuple[int, int], shape: tuple[int, ...], dtype: str, versioned: bool
) -> object:
    """A capsule over dense, writable memory of a device; `owner` lives until the consumer is done with it.

    NumPy makes the capsule, and only the device in it is changed. What deletes it is then C code, which may be called
    from any thread, while an exception is raised, and after Python has ended: a callback of ctypes may not.
    """
    array = np.asarray(_Keeper(owner, pointer, shape, dtype))
    try:
        capsule = array.__dlpack__(max_version=VERSION) if versioned else array.__dlpack__()
    except TypeError:  # NumPy 2.0 and older has no versions, and a consumer must take that
        capsule = array.__dlpack__()
    name = next(name for name in _LAYOUTS if _is_valid(capsule, name))
    tensor = _LAYOUTS[name].from_address(_pointer(capsule, name)).tensor
    tensor.device_type, tensor.device_id = device
    return capsule
