"""Libraries for CUDA through their table for loaders, by ctypes, without convc.runtime; arrays on the fake device."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from convc.artifact import MODULE_SYMBOL, ModuleTable
from convc.build.program import Program
from convc.ir import Array
from tests.build import cuda_kernels as kernels
from tests.cuda import emulator

ALIVE = ("allocations", "pinned", "contexts", "modules", "streams", "events", "graphs", "executables")
"""Counters of what a library must have given back after the last destroy."""


def build(program: Program, folder: Path) -> Path:
    """Links `program` with the kernels of `cuda_kernels` for the emulator. Skips where there is none."""
    if reason := emulator.missing():
        pytest.skip(reason)
    fatbin = folder / "kernels.fatbin"
    fatbin.write_bytes(emulator.emulated_fatbin(kernels.SOURCE, kernels.target()))
    return kernels.build(program, fatbin, folder, header=True)


def arrays(seed: int = 1) -> tuple[list[Array], list[Array], dict[str, Array]]:
    """Of the program `mixed`: inputs, outputs full of NaN, and what they must become by name."""
    inputs = kernels.inputs_of_mixed(seed)
    outputs = [np.full(kernels.Y.shape, np.nan, np.float32) for _ in "yz"]
    return list(inputs.values()), outputs, kernels.outputs_of_mixed(inputs)


def _pointers(values: Sequence[int | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(len(values), 1))(*values)


def _addresses(arrays: Sequence[Array | None]) -> list[int | None]:
    return [None if array is None else array.ctypes.data for array in arrays]


class Library:
    """A library's functions. Contexts are as C gives them; `x` and `y` are addresses on the device."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.table = ModuleTable.in_dll(self.library, MODULE_SYMBOL)
        self.device = self.table.on_device.contents

    def create(self, device: int = 0) -> int:
        """A context; fails where there is none."""
        context: int | None = self.table.create(device)
        assert context, self.message(None)
        return context

    def run(self, context: int | None, inputs: Sequence[Array | None], outputs: Sequence[Array | None]) -> int:
        """`run` on arrays of the host."""
        result: int = self.table.run(context, _pointers(_addresses(inputs)), _pointers(_addresses(outputs)))
        return result

    def run_on_device(self, context: int | None, inputs: Sequence[int | None], outputs: Sequence[int | None]) -> int:
        """`run` on addresses of the device."""
        result: int = self.device.run(context, _pointers(inputs), _pointers(outputs))
        return result

    def profile(self, context: int, inputs: Sequence[Array], outputs: Sequence[Array]) -> tuple[int, list[float]]:
        """What `profile` returns, and the seconds, NaN where it wrote none."""
        seconds = (ctypes.c_double * self.table.launches)(*[np.nan] * self.table.launches)
        result = self.table.profile(context, _pointers(_addresses(inputs)), _pointers(_addresses(outputs)), seconds)
        return result, list(seconds)

    def message(self, context: int | None) -> str:
        """The last error."""
        text: bytes = self.table.last_error(context)
        return text.decode()

    def put(self, context: int, array: Array) -> int:
        """An array on the device with these values."""
        address: int | None = self.device.allocate(context, array.nbytes)
        assert address, self.message(context)
        write(address, array)
        return address

    def get(self, context: int, address: int, like: Array) -> Array:
        """What `read` gives."""
        values = np.full_like(like, -1)
        assert self.device.read(context, values.ctypes.data, address, values.nbytes) == 0, self.message(context)
        return values


def write(address: int, array: Array) -> None:
    """Writes to the fake device's memory, behind the back of the library."""
    cuda = emulator.fake().library
    primary = ctypes.c_void_p()
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(primary), 0) == 0
    assert cuda.cuCtxPushCurrent_v2(primary) == 0
    size = ctypes.c_size_t(array.nbytes)
    assert cuda.cuMemcpyHtoD_v2(ctypes.c_uint64(address), ctypes.c_void_p(array.ctypes.data), size) == 0
    assert cuda.cuCtxPopCurrent_v2(ctypes.byref(primary)) == 0
    assert cuda.cuDevicePrimaryCtxRelease_v2(0) == 0


def alive(cuda: emulator.FakeCuda) -> dict[str, int]:
    """What is alive on the fake device and not 0."""
    return {name: cuda.get(name) for name in ALIVE if cuda.get(name)}
