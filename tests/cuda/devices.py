"""The GPU of this machine, for tests that a GPU and the emulator both pass."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import numpy as np

from convc.build import nvcc
from convc.errors import TargetError
from convc.ir import Array
from convc.target import CudaTarget, named

_PROBE = """
import ctypes, json
cuda = ctypes.CDLL("libcuda.so.1")
version, count, device = (ctypes.c_int() for _ in range(3))
capability = ctypes.c_int(), ctypes.c_int()
calls = [
    cuda.cuInit(0),
    cuda.cuDeviceGetCount(ctypes.byref(count)),
    cuda.cuDeviceGet(ctypes.byref(device), 0),
    *(cuda.cuDeviceGetAttribute(ctypes.byref(c), a, device) for c, a in zip(capability, (75, 76))),
]
assert not any(calls) and count.value and not hasattr(cuda, "fake_cuda_get")
print(json.dumps(10 * capability[0].value + capability[1].value))
"""
"""Prints the first GPU's compute capability; 75 and 76 are the attributes of its parts."""


@dataclass(frozen=True)
class Device:
    """Where libraries run: a GPU, or the emulated one. `library` is its driver."""

    target: CudaTarget
    library: ctypes.CDLL
    emulated: bool


@cache
def capability() -> int | None:
    """That of the first GPU, 90 for 9.0; None where there is none. Another process asks: this one loads no driver."""
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False)
    return int(json.loads(done.stdout)) if done.returncode == 0 else None


def missing() -> str | None:
    """Why nothing can be compiled for, and run on, a GPU here; None where it can."""
    if capability() is None:
        return "there is no GPU of NVIDIA with a driver"
    try:
        nvcc.find()
    except TargetError as error:
        return str(error)
    return None


def target(number: int) -> CudaTarget:
    """GPUs of that compute capability."""
    made = named(f"cuda:sm_{number}")
    assert isinstance(made, CudaTarget)
    return made


def bits(answers: dict[str, Array]) -> dict[str, bytes]:
    """What is equal where all bits are."""
    return {name: np.asarray(value).tobytes() for name, value in answers.items()}
