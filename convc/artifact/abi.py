"""The C structure by which a loader runs a library whose name it does not know: `convc_module_v1`."""

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


class ModuleTable(ctypes.Structure):
    """`struct convc_module` of the driver's driver.h, field for field.

    `run` and `profile` take one pointer per input and per output, and return 0, or -1 with a message in `last_error`.
    `profile` also writes the seconds of each of the `launches` kernel calls.
    """

    _fields_ = (
        ("format_version", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("inputs", ctypes.c_uint32),
        ("outputs", ctypes.c_uint32),
        ("launches", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("metadata", ctypes.c_void_p),
        ("metadata_bytes", ctypes.c_uint64),
        ("create", CREATE),
        ("run", RUN),
        ("profile", PROFILE),
        ("destroy", DESTROY),
        ("last_error", LAST_ERROR),
    )
