"""The C structures by which a loader runs a library whose name it does not know: `convc_module_v1`."""

from __future__ import annotations

import ctypes

MODULE_SYMBOL = "convc_module_v1"
METADATA_SECTION = ".convc.metadata"

_POINTERS = ctypes.POINTER(ctypes.c_void_p)

CREATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int)
RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, _POINTERS, _POINTERS)
PROFILE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, _POINTERS, _POINTERS, ctypes.POINTER(ctypes.c_double))
DESTROY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
LAST_ERROR = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)

STREAM = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
JOIN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
SYNCHRONIZE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
READ = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)


class DeviceTable(ctypes.Structure):
    """`struct convc_device` of the driver: what a library for a GPU also offers, on memory of the device.

    `run` takes device pointers, gives the work to the context's stream and returns at once; `join` makes another stream
    wait for what the context was given so far; `read` copies to the host after it and waits, `synchronize` only waits.
    Functions that return an int return 0, or -1 with a message in `last_error`; `allocate` returns NULL with one.
    """

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("run", RUN),
        ("stream", STREAM),
        ("join", JOIN),
        ("synchronize", SYNCHRONIZE),
        ("allocate", ALLOCATE),
        ("release", RELEASE),
        ("read", READ),
    )


class ModuleTable(ctypes.Structure):
    """`struct convc_module` of the driver's interface.h, field for field.

    `create` takes the number of threads on a CPU, the ordinal of the device on a GPU. `run` and `profile` take one
    pointer to host memory per input and per output, and return 0, or -1 with a message in `last_error`. `profile` also
    writes the seconds of each of the `launches` kernel calls. `device` is DLPack's number, `on_device` NULL on a CPU.
    """

    _fields_ = (
        ("format_version", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("inputs", ctypes.c_uint32),
        ("outputs", ctypes.c_uint32),
        ("launches", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("metadata", ctypes.c_void_p),
        ("metadata_bytes", ctypes.c_uint64),
        ("create", CREATE),
        ("run", RUN),
        ("profile", PROFILE),
        ("destroy", DESTROY),
        ("last_error", LAST_ERROR),
        ("on_device", ctypes.POINTER(DeviceTable)),
    )
