"""The fake driver: what it leaves undone until something waits, and errors that tests of a generated driver need."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from convc.ir import Array
from tests.cuda.emulator import FakeCuda, image

SOURCE = """
extern "C" __global__ void twice(const float *x, float *y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2 * x[i];
}
extern "C" __global__ void bad(float *x) { x[200] = 1; }
"""
COUNT, BYTES = 100, 400
NO_DEVICE, INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED, INVALID_CONTEXT = 100, 1, 2, 3, 201
INVALID_IMAGE, NO_BINARY, INVALID_HANDLE, NOT_FOUND, NOT_READY, ILLEGAL_ADDRESS = 200, 209, 400, 500, 600, 700


class KernelNode(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS of version 1."""

    _fields_ = [
        ("function", ctypes.c_void_p),
        *[(name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz", "shared")],
        ("parameters", ctypes.c_void_p),
        ("extra", ctypes.c_void_p),
    ]


class Device:
    """The fake driver with a context that is current, a stream and the kernels."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.library = cuda.library
        self("cuInit", 0)
        self.context = self.made("cuDevicePrimaryCtxRetain", 0)
        self("cuCtxPushCurrent_v2", self.context)
        self.stream = self.made("cuStreamCreate", 1)
        self.module = self.made("cuModuleLoadData", image(SOURCE))

    def raw(self, function: str, *arguments: Any) -> int:
        """The result of a call."""
        return int(getattr(self.library, function)(*arguments))

    def __call__(self, function: str, *arguments: Any) -> None:
        """A call that succeeds."""
        result = self.raw(function, *arguments)
        assert result == 0, f"{function} gives {result}"

    def made(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        """What a call writes through its first parameter."""
        result = ctypes.c_void_p()
        self(function, ctypes.byref(result), *arguments)
        return result

    def memory(self) -> ctypes.c_void_p:
        """Device memory for an array."""
        return self.made("cuMemAlloc_v2", ctypes.c_size_t(BYTES))

    def pinned(self, values: Array | float) -> tuple[ctypes.c_void_p, Array]:
        """Pinned memory, and the array in it."""
        pointer = self.made("cuMemHostAlloc", ctypes.c_size_t(BYTES), 0)
        array = np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (COUNT,))
        array[:] = values
        return pointer, array

    def twice(self, x: ctypes.c_void_p, y: ctypes.c_void_p) -> KernelNode:
        """The parameters of a launch of `twice`; they own what they point to."""
        values = (x, y, ctypes.c_int(COUNT))
        pointers = (ctypes.c_void_p * 3)(*(ctypes.addressof(value) for value in values))
        function = self.made("cuModuleGetFunction", self.module, b"twice")
        node = KernelNode(function, 4, 1, 1, 32, 1, 1, 0, ctypes.addressof(pointers), None)
        node.owned = values, pointers
        return node

    def launch(self, x: ctypes.c_void_p, y: ctypes.c_void_p) -> None:
        """`twice` in the stream."""
        node = self.twice(x, y)
        self("cuLaunchKernel", ctypes.c_void_p(node.function), 4, 1, 1, 32, 1, 1, 0, self.stream, node.owned[1], None)

    def copy_in(self, to: ctypes.c_void_p, source: ctypes.c_void_p) -> None:
        """From pinned memory in the stream."""
        self("cuMemcpyHtoDAsync_v2", to, source, ctypes.c_size_t(BYTES), self.stream)

    def copy_out(self, to: ctypes.c_void_p, source: ctypes.c_void_p) -> None:
        """To pinned memory in the stream."""
        self("cuMemcpyDtoHAsync_v2", to, source, ctypes.c_size_t(BYTES), self.stream)


@pytest.fixture
def device(fake_cuda: FakeCuda) -> Iterator[Device]:
    made = Device(fake_cuda)
    yield made
    made.raw("cuCtxPopCurrent_v2", None)


def test_work_is_done_when_it_is_waited_for(device: Device) -> None:
    (source, x), (target, y) = device.pinned(np.arange(COUNT)), device.pinned(-1)
    a, b = device.memory(), device.memory()
    device.copy_in(a, source)
    device.launch(a, b)
    device.copy_out(target, b)
    x += 1  # too early: the copy is still to be done
    assert (y == -1).all()
    assert device.raw("cuStreamQuery", device.stream) == NOT_READY
    device("cuStreamSynchronize", device.stream)
    assert np.array_equal(y, 2 * (np.arange(COUNT) + 1))
    assert device.raw("cuStreamQuery", device.stream) == 0


def test_synchronous_copies_do_not_wait_for_other_streams(device: Device) -> None:
    source, _ = device.pinned(1)
    a, got = device.memory(), np.zeros(COUNT, np.float32)
    device.copy_in(a, source)
    device("cuMemcpyDtoH_v2", ctypes.c_void_p(got.ctypes.data), a, ctypes.c_size_t(BYTES))
    assert np.isnan(got).all()
    device("cuStreamSynchronize", device.stream)
    device("cuMemcpyDtoH_v2", ctypes.c_void_p(got.ctypes.data), a, ctypes.c_size_t(BYTES))
    assert (got == 1).all()


def test_events_order_streams(device: Device) -> None:
    (source, _), (target, y) = device.pinned(3), device.pinned(-1)
    a, b = device.memory(), device.memory()
    other = device.made("cuStreamCreate", 1)
    event, end = device.made("cuEventCreate", 0), device.made("cuEventCreate", 0)
    device.copy_in(a, source)
    device("cuEventRecord", event, device.stream)
    device("cuStreamWaitEvent", other, event, 0)
    device.stream, first = other, device.stream
    device.launch(a, b)
    device.copy_out(target, b)
    device("cuEventRecord", end, other)
    milliseconds = ctypes.c_float(-1)
    assert device.raw("cuEventElapsedTime_v2", ctypes.byref(milliseconds), event, end) == NOT_READY
    device("cuEventSynchronize", end)
    assert (y == 6).all()
    device("cuEventElapsedTime_v2", ctypes.byref(milliseconds), event, end)
    assert milliseconds.value >= 0
    for stream in (first, other):
        device("cuStreamDestroy_v2", stream)
    for made in (event, end):
        device("cuEventDestroy_v2", made)


def graph_of(device: Device, depend: bool) -> tuple[ctypes.c_void_p, ctypes.c_void_p, Array, list[ctypes.c_void_p]]:
    """x to y, y to z: an executable, its second node, what z becomes, and device memory."""
    source, _ = device.pinned(5)
    target, got = device.pinned(-1)
    x, y, z = (device.memory() for _ in range(3))
    device.copy_in(x, source)
    graph = device.made("cuGraphCreate", 0)
    first = device.made("cuGraphAddKernelNode", graph, None, ctypes.c_size_t(0), ctypes.byref(device.twice(x, y)))
    after = (ctypes.c_void_p * 1)(first), ctypes.c_size_t(1)
    none = None, ctypes.c_size_t(0)
    node = device.twice(y, z)
    second = device.made("cuGraphAddKernelNode", graph, *(after if depend else none), ctypes.byref(node))
    executable = device.made("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
    device("cuGraphLaunch", executable, device.stream)
    device.copy_out(target, z)
    assert (got == -1).all()
    device("cuStreamSynchronize", device.stream)
    return executable, second, got, [x, y, z, target]


def test_graphs(device: Device, fake_cuda: FakeCuda) -> None:
    executable, second, got, (x, _, z, target) = graph_of(device, True)
    assert (got == 20).all()
    node = device.twice(x, z)
    device("cuGraphExecKernelNodeSetParams", executable, second, ctypes.byref(node))
    device("cuGraphLaunch", executable, device.stream)
    device.copy_out(target, z)
    device("cuStreamSynchronize", device.stream)
    assert (got == 10).all()
    assert (fake_cuda.get("graph_launches"), fake_cuda.get("launches")) == (2, 4)
    device("cuGraphExecDestroy", executable)
    assert fake_cuda.get("executables") == 0


def test_a_missing_dependency_shows(device: Device) -> None:
    _, _, got, _ = graph_of(device, False)
    assert np.isnan(got).all()


def test_what_is_alive_is_counted(device: Device, fake_cuda: FakeCuda) -> None:
    memory = [device.memory(), device.memory()]
    host, _ = device.pinned(0)
    names = ("allocations", "bytes", "pinned", "contexts", "modules", "streams")
    assert [fake_cuda.get(name) for name in names] == [2, 2 * BYTES, 1, 1, 1, 1]
    for pointer in memory:
        device("cuMemFree_v2", pointer)
    device("cuMemFreeHost", host)
    device("cuModuleUnload", device.module)
    device("cuStreamDestroy_v2", device.stream)
    device("cuDevicePrimaryCtxRelease_v2", 0)
    assert [fake_cuda.get(name) for name in names] == [0] * 6
    assert fake_cuda.get("cuMemFree_v2") == 2
    assert device.raw("cuMemFree_v2", memory[0]) == INVALID_CONTEXT


def test_errors_of_memory(device: Device, fake_cuda: FakeCuda) -> None:
    a, b = device.memory(), np.zeros(COUNT, np.float32)
    host, size = ctypes.c_void_p(b.ctypes.data), ctypes.c_size_t(BYTES)
    beyond = ctypes.c_void_p((a.value or 0) + 4)
    assert device.raw("cuMemcpyHtoD_v2", beyond, host, size) == INVALID_VALUE
    assert device.raw("cuMemcpyHtoD_v2", host, host, size) == INVALID_VALUE
    device("cuMemFree_v2", a)
    assert device.raw("cuMemFree_v2", a) == INVALID_VALUE
    assert device.raw("cuMemcpyHtoD_v2", a, host, size) == INVALID_VALUE
    fake_cuda.set("memory", 1000)
    kept = [device.memory(), device.memory()]
    assert device.raw("cuMemAlloc_v2", ctypes.byref(ctypes.c_void_p()), size) == OUT_OF_MEMORY
    assert len(kept) == 2


@pytest.mark.parametrize("fault", ["a pointer of the host", "an address behind the end"])
def test_a_faulting_kernel_breaks_the_context(
    device: Device, fake_cuda: FakeCuda, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if fault == "a pointer of the host":
        values = np.zeros(COUNT, np.float32)
        device.launch(ctypes.c_void_p(values.ctypes.data), device.memory())
    else:
        pointer = device.memory()
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(pointer))
        bad = device.made("cuModuleGetFunction", device.module, b"bad")
        device("cuLaunchKernel", bad, 1, 1, 1, 1, 1, 1, 0, device.stream, parameters, None)
    assert device.raw("cuStreamSynchronize", device.stream) == ILLEGAL_ADDRESS
    assert device.raw("cuMemAlloc_v2", ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(4)) == ILLEGAL_ADDRESS
    assert fake_cuda.message in capfd.readouterr().err


def test_writes_between_an_allocation_and_its_page_show(device: Device, fake_cuda: FakeCuda) -> None:
    source = 'extern "C" __global__ void k(float *x) { x[100] = 1; }'
    module = device.made("cuModuleLoadData", image(source))
    pointer = device.memory()
    parameters = (ctypes.c_void_p * 1)(ctypes.addressof(pointer))
    function = device.made("cuModuleGetFunction", module, b"k")
    device("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, device.stream, parameters, None)
    assert device.raw("cuMemFree_v2", pointer) == ILLEGAL_ADDRESS
    assert fake_cuda.get("overruns") == 1


def test_errors_of_handles_and_images(device: Device, fake_cuda: FakeCuda) -> None:
    nothing = ctypes.byref(ctypes.c_void_p())
    assert device.raw("cuModuleGetFunction", nothing, device.module, b"thrice") == NOT_FOUND
    assert device.raw("cuModuleLoadData", nothing, b"\x7fELF\0") == INVALID_IMAGE
    assert device.raw("cuStreamSynchronize", ctypes.c_void_p(64)) == INVALID_HANDLE
    for capability, architectures, works in [
        (90, ["sm_80"], False),
        (89, ["sm_80", "sm_90"], True),
        (75, ["sm_80", "compute_80"], False),
        (120, ["sm_80", "compute_80"], True),
    ]:
        fake_cuda.set("capability", capability)
        result = device.raw("cuModuleLoadData", nothing, image(SOURCE, architectures))
        assert result == (0 if works else NO_BINARY)


def test_without_a_device_a_context_or_what_is_made_to_fail(fake_cuda: FakeCuda) -> None:
    library: Callable[[str], Any] = lambda name: getattr(fake_cuda.library, name)  # noqa: E731
    fake_cuda.set("devices", 0)
    assert library("cuInit")(0) == NO_DEVICE
    assert library("cuDeviceGetCount")(ctypes.byref(ctypes.c_int())) == NOT_INITIALIZED
    fake_cuda.set("devices", 2)
    fake_cuda.fail("cuInit", 999, call=2)
    assert [library("cuInit")(0) for _ in range(3)] == [0, 999, 0]
    assert library("cuMemAlloc_v2")(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(4)) == INVALID_CONTEXT
    fake_cuda.name("A device")
    name, version = ctypes.create_string_buffer(64), ctypes.c_int()
    assert library("cuDeviceGetName")(name, 64, 1) == 0
    assert name.value == b"A device"
    fake_cuda.set("driver_version", 12040)
    assert library("cuDriverGetVersion")(ctypes.byref(version)) == 0
    assert version.value == 12040
    text = ctypes.c_char_p()
    assert library("cuGetErrorName")(NO_BINARY, ctypes.byref(text)) == 0
    assert text.value == b"CUDA_ERROR_NO_BINARY_FOR_GPU"
