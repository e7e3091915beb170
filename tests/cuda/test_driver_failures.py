"""What the generated driver for CUDA says where something is wrong, and what it leaves behind: on the emulator."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convc.ir import Array
from tests.build import cuda_kernels as kernels
from tests.cuda.emulator import FakeCuda
from tests.cuda.libraries import Library, alive, arrays, build
from tests.tolerances import assert_close

OUT_OF_MEMORY, UNKNOWN, NOT_SUPPORTED = 2, 999, 801
ILLEGAL_ADDRESS = "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("failures")


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Path:
    return build(kernels.mixed(), folder)


@pytest.fixture
def library(mixed: Path, fake_cuda: FakeCuda) -> Library:
    return Library(mixed)


@pytest.fixture
def context(library: Library, fake_cuda: FakeCuda) -> Iterator[int]:
    context = library.create()
    yield context
    library.table.destroy(context)
    assert alive(fake_cuda) == {}


def refused(library: Library, device: int = 0) -> str:
    """The message of a create that must fail."""
    start = time.monotonic()
    assert not library.table.create(device)
    assert time.monotonic() - start < 1
    return library.message(None)


# ---- create ----


def test_no_device(library: Library, fake_cuda: FakeCuda) -> None:
    fake_cuda.set("devices", 0)
    message = refused(library)
    reason = "cuInit: CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected)"
    assert message == f"no GPU that CUDA can use: {reason}; see nvidia-smi and CUDA_VISIBLE_DEVICES"
    fake_cuda.set("devices", 1)
    library.table.destroy(library.create())


def test_a_driver_that_does_not_start(library: Library, fake_cuda: FakeCuda) -> None:
    fake_cuda.fail("cuInit", UNKNOWN)
    message = "the NVIDIA driver does not start: cuInit: CUDA_ERROR_UNKNOWN (unknown error); see nvidia-smi"
    assert refused(library) == message


def test_an_error_without_a_name(library: Library, fake_cuda: FakeCuda) -> None:
    fake_cuda.fail("cuStreamCreate", 12345, 2)
    assert refused(library) == "cuStreamCreate: error 12345"
    assert alive(fake_cuda) == {}


@pytest.mark.parametrize("ordinal", [-1, 2, 1 << 30])
def test_a_device_that_is_not_there(library: Library, fake_cuda: FakeCuda, ordinal: int) -> None:
    fake_cuda.set("devices", 2)
    assert refused(library, ordinal) == f"device: expected 0 to 1, got {ordinal}"
    assert alive(fake_cuda) == {}


@pytest.mark.parametrize("version", [11080, 0])
def test_a_driver_that_is_too_old(library: Library, fake_cuda: FakeCuda, version: int) -> None:
    fake_cuda.set("driver_version", version)
    assert refused(library) == (
        f"the NVIDIA driver is for CUDA {version // 1000}.{version % 1000 // 10}, the model needs 12.0: update the "
        "driver, or compile the model with an older CUDA toolkit"
    )


@pytest.mark.parametrize("version", [12000, 12040, 13000])
def test_a_driver_that_is_new_enough(library: Library, fake_cuda: FakeCuda, version: int) -> None:
    fake_cuda.set("driver_version", version)
    library.table.destroy(library.create())


@pytest.mark.parametrize("capability", [50, 70, 75])
def test_a_gpu_that_is_too_old(library: Library, fake_cuda: FakeCuda, capability: int) -> None:
    fake_cuda.set("capability", capability)
    fake_cuda.name("Tesla Old")
    assert refused(library) == (
        f"device 0, Tesla Old, is of compute capability {capability // 10}.{capability % 10}; the model was compiled "
        f"for 8.0, 9.0 and what is newer: compile it with --target cuda:sm_{capability}"
    )
    assert alive(fake_cuda) == {}


@pytest.mark.parametrize("capability", [80, 86, 89, 90, 100, 120])
def test_gpus_that_the_kernels_run_on(library: Library, fake_cuda: FakeCuda, capability: int) -> None:
    """8.x by the machine code of 8.0, 9.0 by its own, later ones by PTX."""
    fake_cuda.set("capability", capability)
    library.table.destroy(library.create())


def test_a_kernel_that_is_missing(tmp_path: Path, fake_cuda: FakeCuda) -> None:
    program = kernels.plain("missing")
    launches = (replace(program.launches[0], kernel="nowhere"),)
    library = Library(build(replace(program, launches=launches), tmp_path))
    reason = "cuModuleGetFunction: CUDA_ERROR_NOT_FOUND (named symbol not found)"
    assert refused(library) == f"kernel 'nowhere' is missing: {reason}"
    assert alive(fake_cuda) == {}


def test_more_shared_memory_than_the_device_has(tmp_path: Path, fake_cuda: FakeCuda) -> None:
    program = kernels.plain("shared")
    (launch,) = program.launches
    assert launch.geometry
    launches = (replace(launch, geometry=replace(launch.geometry, shared=120 << 10)),)
    library = Library(build(replace(program, launches=launches), tmp_path))
    library.table.destroy(library.create())
    fake_cuda.set("capability", 86)
    message = refused(library)
    assert message.startswith(
        "kernel 'twice' needs 122880 bytes of shared memory, which device 0 does not have: cuFunc"
    )
    assert alive(fake_cuda) == {}


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (30_000, "out of memory on the device: 30848 bytes for the weights: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"),
        (40_000, "out of memory on the device: 20544 bytes for activations: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_memory_that_create_needs(library: Library, fake_cuda: FakeCuda, memory: int, message: str) -> None:
    fake_cuda.set("memory", memory)
    assert refused(library).startswith(message)
    assert alive(fake_cuda) == {}
    fake_cuda.set("memory", 1 << 30)
    library.table.destroy(library.create())


# ---- memory that runs and arrays need ----


def test_memory_of_the_device_for_host_runs(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    fake_cuda.set("memory", 60_000)
    inputs, outputs, want = arrays()
    assert library.run(context, inputs, outputs) == -1
    size = 1536 + 1280 + 2 * kernels.Y.bytes
    assert library.message(context).startswith(f"out of memory on the device: {size} bytes for inputs and outputs: ")
    fake_cuda.set("memory", 1 << 30)
    assert library.run(context, inputs, outputs) == 0
    assert_close(outputs[1], want["z"])


def test_page_locked_memory(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    fake_cuda.fail("cuMemHostAlloc", OUT_OF_MEMORY)
    inputs, outputs, want = arrays()
    assert library.run(context, inputs, outputs) == -1
    assert library.message(context).startswith("out of memory: 43776 bytes, page-locked, for inputs and outputs: cuMem")
    assert library.run(context, inputs, outputs) == 0
    assert_close(outputs[1], want["z"])


def test_memory_for_an_array(library: Library, context: int) -> None:
    assert not library.device.allocate(context, 1 << 60)
    assert library.message(context).startswith(f"out of memory on the device: {1 << 60} bytes for an array: cuMemAlloc")


# ---- arrays that are refused ----


@pytest.mark.parametrize(
    ("missing", "message"),
    [(0, "input 'x' is NULL"), (1, "input 'shift' is NULL"), (2, "output 'y' is NULL"), (3, "output 'z' is NULL")],
)
@pytest.mark.parametrize("on_device", [False, True])
def test_null(library: Library, context: int, on_device: bool, missing: int, message: str) -> None:
    inputs, outputs, want = arrays()
    if on_device:
        addresses: list[int | None] = [library.put(context, array) for array in (*inputs, *outputs)]
        given = [None if i == missing else address for i, address in enumerate(addresses)]
        assert library.run_on_device(context, given[:2], given[2:]) == -1
        for address in addresses:
            library.device.release(context, address)
    else:
        tensors: list[Array | None] = [*inputs, *outputs]
        tensors[missing] = None
        assert library.run(context, tensors[:2], tensors[2:]) == -1
    assert library.message(context) == message
    assert library.run(context, inputs, outputs) == 0
    assert library.message(context) == ""
    assert_close(outputs[0], want["y"])


def test_null_contexts_and_lists(library: Library, context: int) -> None:
    table, device = library.table, library.device
    for function, given in (
        (table.run, (None, None, None)),
        (table.profile, (None, None, None, None)),
        (device.run, (None, None, None)),
        (device.join, (None, None)),
        (device.synchronize, (None,)),
        (device.read, (None, None, None, 1)),
    ):
        assert function(*given) == -1
        assert library.message(None) == "the context is NULL"
    assert not device.stream(None)
    assert not device.allocate(None, 1)
    table.destroy(None)
    assert table.run(context, None, None) == -1
    assert library.message(context) == "the array of pointers is NULL"
    assert device.run(context, None, None) == -1
    assert library.message(context) == "the array of pointers is NULL"
    assert device.read(context, None, None, 1) == -1
    assert library.message(context) == "the array is NULL"
    assert device.synchronize(context) == 0
    assert library.message(context) == ""


def test_outputs_that_overlap(library: Library, context: int) -> None:
    inputs, (y, _), _ = arrays()
    assert library.run(context, inputs, [y, y]) == -1
    assert library.message(context) == "output 'z' overlaps output 'y'"
    address = library.put(context, np.zeros(4 * kernels.Y.elements, np.float32))
    x, shift = address, address + kernels.X.bytes
    assert library.run_on_device(context, [x, shift], [shift + 16, shift + 16 + kernels.Y.bytes]) == -1
    assert library.message(context) == "output 'y' overlaps input 'shift'"
    library.device.release(context, address)


def test_arrays_on_the_device_that_are_not_aligned(library: Library, context: int) -> None:
    address = library.put(context, np.zeros(4 * kernels.Y.elements, np.float32))
    places = [address, address + 2048, address + 4096, address + 8192 + kernels.Y.bytes]
    names = ("input 'x'", "input 'shift'", "output 'y'", "output 'z'")
    for i in range(4):
        given: list[int | None] = [place + (4 if j == i else 0) for j, place in enumerate(places)]
        assert library.run_on_device(context, given[:2], given[2:]) == -1
        assert library.message(context) == f"{names[i]} is not at a multiple of 16 bytes"
    assert library.run_on_device(context, list(places[:2]), list(places[2:])) == 0
    library.device.release(context, address)


def test_arrays_of_the_host_are_not_arrays_of_the_device(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    memory = np.zeros(8 * kernels.Y.elements, np.float32)
    base = -(-memory.ctypes.data // 16) * 16
    places: list[int | None] = [base + i * kernels.Y.bytes for i in range(4)]
    assert library.run_on_device(context, places[:2], places[2:]) == -1
    assert library.message(context) == "input 'x' is not in memory of the device; run takes arrays of the host"
    assert fake_cuda.get("graph_launches") == 0


def test_arrays_of_the_device_are_not_arrays_of_the_host(library: Library, context: int) -> None:
    inputs, outputs, want = arrays()
    place = library.put(context, inputs[0])
    pointers = (
        (ctypes.c_void_p * 2)(place, inputs[1].ctypes.data),
        (ctypes.c_void_p * 2)(*(y.ctypes.data for y in outputs)),
    )
    assert library.table.run(context, *pointers) == -1
    assert library.message(context) == "input 'x' is in memory of the device; run_on_device takes such arrays"
    library.device.release(context, place)
    assert library.run(context, inputs, outputs) == 0
    assert_close(outputs[0], want["y"])


def test_some_devices_read_memory_of_the_host(folder: Path, fake_cuda: FakeCuda) -> None:
    fake_cuda.set("pageable", 1)
    library = Library(build(kernels.plain("pageable"), folder))
    context = library.create()
    assert library.run_on_device(context, [1 << 20], [1 << 21]) == 0, library.message(context)
    library.table.destroy(context)


def test_arrays_of_another_device(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    fake_cuda.set("devices", 2)
    other = library.create(1)
    inputs, outputs, _ = arrays()
    places: list[int | None] = [library.put(context, array) for array in (*inputs, *outputs)]
    foreign = library.device.allocate(other, kernels.Y.bytes)
    assert library.run_on_device(context, places[:2], [places[2], foreign]) == -1
    assert library.message(context) == "output 'z' is on device 1, the context on device 0"
    library.device.release(other, foreign)
    for place in places:
        library.device.release(context, place)
    library.table.destroy(other)


# ---- kernels that fail ----


def test_a_kernel_that_fails_is_found_at_the_end_of_a_run(folder: Path, fake_cuda: FakeCuda) -> None:
    library = Library(build(kernels.stray("stray_run"), folder))
    context = library.create()
    x, y = np.ones(kernels.Y.shape, np.float32), np.ones(kernels.Y.shape, np.float32)
    assert library.run(context, [x], [y]) == -1
    assert library.message(context) == f"the kernels failed: cuStreamSynchronize: {ILLEGAL_ADDRESS}"
    assert library.run(context, [x], [y]) == -1  # the fault stays
    assert ILLEGAL_ADDRESS in library.message(context)
    library.table.destroy(context)


def test_a_kernel_that_fails_on_device_arrays_is_found_by_synchronize(folder: Path, fake_cuda: FakeCuda) -> None:
    library = Library(build(kernels.stray("stray_on_device"), folder))
    context = library.create()
    x, y = (library.put(context, np.ones(kernels.Y.shape, np.float32)) for _ in "xy")
    assert library.run_on_device(context, [x], [y]) == 0
    assert library.device.synchronize(context) == -1
    assert library.message(context) == f"the kernels failed: cuStreamSynchronize: {ILLEGAL_ADDRESS}"
    library.table.destroy(context)


def test_profile_names_the_kernel_that_fails(folder: Path, fake_cuda: FakeCuda) -> None:
    library = Library(build(kernels.stray("stray_profile"), folder))
    context = library.create()
    x, y = np.ones(kernels.Y.shape, np.float32), np.ones(kernels.Y.shape, np.float32)
    assert library.profile(context, [x], [y])[0] == -1
    assert library.message(context) == f"in 'lost': the kernels failed: cuStreamSynchronize: {ILLEGAL_ADDRESS}"
    library.table.destroy(context)


def test_a_launch_that_fails_is_named(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    inputs, outputs, want = arrays()
    fake_cuda.fail("cuGraphAddKernelNode", UNKNOWN, 2)
    assert library.run(context, inputs, outputs) == -1
    assert library.message(context) == "in 'bias+relu': cuGraphAddKernelNode: CUDA_ERROR_UNKNOWN (unknown error)"
    fake_cuda.fail("cuLaunchKernel", UNKNOWN, 3)
    assert library.profile(context, inputs, outputs)[0] == -1
    assert library.message(context) == "in 'odd \"name\"\\': cuLaunchKernel: CUDA_ERROR_UNKNOWN (unknown error)"
    assert library.run(context, inputs, outputs) == 0
    assert_close(outputs[0], want["y"])


# ---- where there are no graphs ----


@pytest.mark.parametrize("function", ["cuGraphCreate", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags"])
def test_without_graphs_launches_are_given_one_by_one(
    library: Library, context: int, fake_cuda: FakeCuda, function: str
) -> None:
    fake_cuda.fail(function, NOT_SUPPORTED)
    for _ in range(3):
        inputs, outputs, want = arrays()
        assert library.run(context, inputs, outputs) == 0, library.message(context)
        assert_close(outputs[1], want["z"])
    places: list[int | None] = [library.put(context, array) for array in (*inputs, *outputs)]
    assert library.run_on_device(context, places[:2], places[2:]) == 0
    assert_close(library.get(context, places[2] or 0, outputs[0]), want["y"])
    for place in places:
        library.device.release(context, place)
    assert fake_cuda.get("cuLaunchKernel") == 4 * 3
    assert fake_cuda.get("graph_launches") == 0
    assert fake_cuda.get(function) == 1
    assert fake_cuda.get("graphs") == 0
