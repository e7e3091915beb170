"""The fake driver from Python: what tests set and count, and kernels run on NumPy arrays without a generated driver."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Sequence
from functools import cache
from typing import Any

from convc.ir import Array
from tests.cuda.emulator.toolchain import compiled, fake_cuda


class Order(enum.IntEnum):
    """In which order blocks run, and the threads of a block between two barriers."""

    FORWARD = 0
    BACKWARD = 1
    SHUFFLED = 2


class Copies(enum.IntEnum):
    """When an asynchronous copy is done: at the wait for it, at once, or either by chance."""

    LATE = 0
    EARLY = 1
    MIXED = 2


class KernelError(Exception):
    """A kernel failed: its name, block, thread and what was wrong."""


class FakeCuda:
    """The fake driver of this process."""

    def __init__(self) -> None:
        # Global, so that a later dlopen("libcuda.so.1") finds this one, by its soname.
        self.library = ctypes.CDLL(str(fake_cuda()), mode=ctypes.RTLD_GLOBAL)
        self.library.fake_cuda_get.restype = ctypes.c_long
        self.library.fake_cuda_set.restype = ctypes.c_bool
        self.library.fake_cuda_message.restype = ctypes.c_char_p

    def reset(self) -> None:
        """As at the start: everything is freed, what was set is forgotten, counters are 0."""
        self.library.fake_cuda_reset()

    def set(self, what: str, value: int) -> None:
        """Sets "devices", "driver_version", "capability" (80: sm_80), "memory" (bytes) or "pageable" (0 or 1) of the
        device, or how kernels run: "order", "copies" and "seed"."""
        assert self.library.fake_cuda_set(what.encode(), ctypes.c_long(value)), f"the fake driver has no {what!r}"

    def name(self, name: str) -> None:
        """What the device is called."""
        self.library.fake_cuda_name(name.encode())

    def fail(self, function: str, result: int, call: int = 1) -> None:
        """The call-th call of the function from now on gives that CUresult and does nothing."""
        self.library.fake_cuda_fail(function.encode(), ctypes.c_long(call), result)

    def get(self, what: str) -> int:
        """A counter.

        Alive: "allocations", "bytes" (of device memory), "pinned", "contexts" (times retained), "modules", "streams",
        "events", "graphs", "executables". Since the reset: "launches" (kernels run), "graph_launches", "copies",
        "overruns" (allocations that were written outside of, seen when freed), and each function's calls by its
        exported name.
        """
        return int(self.library.fake_cuda_get(what.encode()))

    @property
    def message(self) -> str:
        """Of the last kernel that failed."""
        return bytes(self.library.fake_cuda_message()).decode()


@cache
def fake() -> FakeCuda:
    """The fake driver, built and opened at the first use."""
    return FakeCuda()


def image(source: str, architectures: Sequence[str] = ()) -> bytes:
    """What cuModuleLoadData of the fake driver takes for these kernels: for all architectures where none is named."""
    return f"emulated CUDA\n{compiled(source)}\n{' '.join(architectures)}\n\0".encode()


class Kernels:
    """The kernels of a source, compiled once."""

    def __init__(self, source: str) -> None:
        self.image = image(source)

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared: int,
        arguments: Sequence[Array | int],
        order: Order = Order.FORWARD,
        copies: Copies = Copies.LATE,
        seed: int = 1,
    ) -> None:
        """Runs a kernel with `shared` bytes of dynamic memory; arrays are copied to the device and back.

        An array that is given twice is one buffer. Raises KernelError where the kernel fails.
        """
        cuda = fake()
        for what, value in (("order", order), ("copies", copies), ("seed", seed)):
            cuda.set(what, value)
        with _Context() as call:
            module, function = ctypes.c_void_p(), ctypes.c_void_p()
            call("cuModuleLoadData", ctypes.byref(module), self.image)
            call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
            call("cuFuncSetAttribute", function, 8, max(shared, 48 << 10))
            values = [ctypes.c_uint64(given if isinstance(given, int) else call.put(given)) for given in arguments]
            pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
            call("cuLaunchKernel", function, *grid, *block, shared, None, pointers, None)
            call("cuCtxSynchronize")
            for given, pointer in zip(arguments, values, strict=True):
                if not isinstance(given, int):
                    call("cuMemcpyDtoH_v2", _address(given), pointer, ctypes.c_size_t(given.nbytes))
            call.free()
            call("cuModuleUnload", module)


class _Context:
    """A current context; calls in it raise KernelError, and leave the driver reset."""

    def __enter__(self) -> _Context:
        self.context = ctypes.c_void_p()
        self.memory: dict[int, ctypes.c_uint64] = {}
        self("cuInit", 0)
        self("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), 0)
        self("cuCtxPushCurrent_v2", self.context)
        return self

    def __exit__(self, *_: object) -> None:
        library = fake().library
        library.cuCtxPopCurrent_v2(None)
        library.cuDevicePrimaryCtxRelease_v2(0)

    def __call__(self, function: str, *arguments: Any) -> None:
        result = getattr(fake().library, function)(*arguments)
        if result:
            message = fake().message or f"{function} gives {result}"
            fake().reset()
            raise KernelError(message)

    def put(self, value: Array) -> int:
        """A device pointer to a copy of the array, which is contiguous; the same one where it was put before."""
        assert value.flags.c_contiguous
        if value.ctypes.data not in self.memory:
            pointer = ctypes.c_uint64()
            self("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(value.nbytes))
            self("cuMemcpyHtoD_v2", pointer, _address(value), ctypes.c_size_t(value.nbytes))
            self.memory[value.ctypes.data] = pointer
        return self.memory[value.ctypes.data].value

    def free(self) -> None:
        """Frees what `put` made."""
        for pointer in self.memory.values():
            self("cuMemFree_v2", pointer)


def _address(value: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(value.ctypes.data)
