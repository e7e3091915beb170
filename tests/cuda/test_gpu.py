"""On a GPU: every case and whole networks against the references, and what only a real driver shows.

The same tests run on the emulator, a few of them by default, so that they are known to work.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from convc import runtime
from convc.errors import ArtifactError
from convc.precision import Precision
from convc.runtime import DeviceArray
from convc.target import CudaTarget
from tests.cuda import devices, networks, subjects
from tests.cuda.devices import Device, bits
from tests.cuda.emulator.toolchain import workspace
from tests.cuda.runtime_support import Gpu, Tensor, gpu
from tests.support.kernels import PARTS, Subject
from tests.tolerances import relative_error

GPU = pytest.param("gpu", marks=pytest.mark.gpu)
ON_BOTH = pytest.mark.parametrize("device", [GPU, "emulated"], indirect=True)
QUICK = {("cast-0", Precision.FLOAT32), ("attention", Precision.FLOAT16)}
"""What every run of the tests takes to the emulator; `test_cases.py` has all cases there."""


def over(names: Iterable[str]) -> pytest.MarkDecorator:
    """All names and their precisions on a GPU, and the quick ones on the emulator; the others there are slow."""
    pairs = [(name, precision) for name in names for precision in subjects.precisions(name)]
    made = []
    for name, precision in pairs:
        for device in ("gpu", "emulated"):
            slow = () if (name, precision) in QUICK else pytest.mark.slow
            marks = pytest.mark.gpu if device == "gpu" else slow
            made.append(pytest.param(device, name, precision, marks=marks, id=f"{device}-{name}-{precision.value}"))
    return pytest.mark.parametrize(("device", "name", "precision"), made, indirect=["device"])


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Device:
    """The GPU or the emulated one. A process has one libcuda.so.1: a real one only where no test is for the other."""
    if request.param == "emulated":
        fake = request.getfixturevalue("fake_cuda")
        fake.set("memory", 64 << 20)
        return Device(devices.target(90), fake.library, emulated=True)
    if reason := devices.missing():
        pytest.skip(reason)
    if "gpu" not in str(request.config.option.markexpr).split():
        pytest.skip("run by themselves: pytest -m gpu")
    number = devices.capability()
    assert number is not None
    return Device(devices.target(number), ctypes.CDLL("libcuda.so.1"), emulated=False)


@pytest.fixture
def other(device: Device) -> Iterator[Gpu]:
    """Another library in the process."""
    with gpu(device) as library:
        yield library


@cache
def library(target: CudaTarget, emulated: bool) -> tuple[Subject, Path]:
    """A network of several kernels with its library, which is for GPUs or for the emulator."""
    network = networks.SMALL["layers"]()
    path = workspace() / f"small_{emulated}.so"
    subjects.compile(network.graph, path, target)
    return network, path


@pytest.fixture
def small(device: Device) -> tuple[Subject, Path]:
    """What `library` gives for the device."""
    return library(device.target, device.emulated)


def check(path: Path, subject: Subject, limit: float) -> None:
    """Runs the library twice, which gives the same bits, and compares."""
    with runtime.load(path, device="cuda") as module:
        got = module.run(subject.feeds)
        assert bits(module.run(subject.feeds)) == bits(got)
    errors = {name: relative_error(got[name], want) for name, want in subject.want.items()}
    wrong = [f"{name}: relative error {error:.3g}" for name, error in errors.items() if not error <= limit]
    assert not wrong, "\n".join(wrong)


# ---- numbers ----


@over(PARTS)
def test_cases(device: Device, name: str, precision: Precision, tmp_path: Path) -> None:
    both = subjects.cases(name)
    subjects.compile(both.graph, tmp_path / "cases.so", device.target, precision)
    check(tmp_path / "cases.so", both, subjects.limit(precision))


@over(networks.SMALL)
def test_networks(device: Device, name: str, precision: Precision, tmp_path: Path) -> None:
    network = networks.SMALL[name]()
    subjects.compile(network.graph, tmp_path / "network.so", device.target, precision)
    check(tmp_path / "network.so", network, subjects.network_limit(network, precision))


@over(networks.FULL)
def test_models(device: Device, name: str, precision: Precision, tmp_path: Path) -> None:
    """The reference takes the place of the CPU's library, which is judged by it too."""
    network = networks.full(name)
    subjects.compile(network.graph, tmp_path / "model.so", device.target, precision)
    check(tmp_path / "model.so", network, subjects.network_limit(network, precision))


# ---- the driver ----


@ON_BOTH
def test_contexts_on_threads(small: tuple[Subject, Path]) -> None:
    """Each has its own arena and stream: runs at the same time do not mix."""
    network, path = small
    feeds = [{name: x * (1 + i) for name, x in network.feeds.items()} for i in range(4)]
    with runtime.load(path, device="cuda") as first, first.clone() as second:
        want = [bits(first.run(values)) for values in feeds]
        together = threading.Barrier(2)

        def rounds(module: runtime.Module) -> list[dict[str, bytes]]:
            together.wait()
            return [bits(module.run(feeds[i % 4])) for i in range(40)]

        with ThreadPoolExecutor(2) as pool:
            for got in pool.map(rounds, (first, second)):
                assert got == [want[i % 4] for i in range(40)]


@ON_BOTH
def test_changed_pointers(small: tuple[Subject, Path], other: Gpu) -> None:
    """The graph's nodes follow the caller's tensors; those of the call before keep what they have."""
    network, path = small
    (name,), (output,) = network.feeds, network.want
    values = [network.feeds[name] * (1 + i) for i in range(3)]
    with runtime.load(path, device="cuda") as module:
        want = [bits(module.run({name: value})) for value in values]
        given = [Tensor(other, value) for value in values]
        results = [Tensor(other, np.full(network.want[output].shape, np.nan, np.float32)) for _ in values]
        for i in (0, 1, 2, 2, 0, 1):
            module.run({name: given[i]}, out={output: results[i]}, stream=other.stream)
        assert [bits({output: result.numpy()}) for result in results] == want
        for tensor in (*given, *results):
            tensor.free()


@ON_BOTH
def test_arrays_of_the_device(small: tuple[Subject, Path], other: Gpu) -> None:
    """Nothing is copied: what comes out is read from where the kernels wrote it."""
    network, path = small
    ((name, value),) = network.feeds.items()
    with runtime.load(path, device="cuda") as module:
        given = Tensor(other, value)
        (array,) = module.run({name: given}).values()
        assert isinstance(array, DeviceArray)
        own = other.read(array.pointer, np.empty(array.shape, array.dtype))
        assert np.array_equal(np.asarray(array), own)
        assert bits({"y0": own}) == bits(module.run(network.feeds))
        given.free()


@ON_BOTH
def test_profile(device: Device, small: tuple[Subject, Path]) -> None:
    network, path = small
    with runtime.load(path, device="cuda") as module:
        times = module.profile(network.feeds)
        assert [time.launch for time in times] == list(module.metadata.launches)
        assert all(0 < time.seconds < 1 for time in times)


@ON_BOTH
def test_out_of_memory(device: Device, small: tuple[Subject, Path], other: Gpu) -> None:
    """It is said, and over when memory is free again."""
    network, path = small
    filled = fill(device, other)
    with pytest.raises(ArtifactError, match="memory"):
        runtime.load(path, device="cuda")
    for pointer in filled:
        other.free(pointer)
    with runtime.load(path, device="cuda") as module:
        module.run(network.feeds)


@ON_BOTH
def test_nothing_grows(small: tuple[Subject, Path], other: Gpu) -> None:
    """The primary context stays, as another library has it; the driver may keep some memory after the first times."""
    network, path = small
    seen = []
    for _ in range(50):
        with runtime.load(path, device="cuda") as module:
            module.run(network.feeds)
        seen.append(free_memory(other))
    assert seen[-1] >= seen[9]


def fill(device: Device, other: Gpu) -> list[int]:
    """Allocates all memory of the device, in ever smaller pieces; the last ones are smaller than a page of it."""
    filled = []
    size = 1 << int(math.log2(free_memory(other)))
    while size >= 256:
        pointer = ctypes.c_uint64()
        if device.library.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(size)) == 0:
            filled.append(pointer.value)
        else:
            size //= 2
    return filled


def free_memory(other: Gpu) -> int:
    """Bytes of the device."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    other.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value


# ---- other libraries ----


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_torch(device: Device, small: tuple[Subject, Path]) -> None:
    torch = pytest.importorskip("torch")
    network, path = small
    (value,) = network.feeds.values()
    with runtime.load(path, device="cuda") as module:
        want = module(value)
        x = torch.from_numpy(value).cuda()
        array = module(x)
        y = torch.from_dlpack(array)
        assert y.data_ptr() == array.pointer
        assert np.array_equal(y.cpu().numpy(), want)
        stream, out = torch.cuda.Stream(), torch.empty_like(y)
        with torch.cuda.stream(stream):
            for _ in range(3):
                assert module(x, out=out, stream=stream.cuda_stream) is out
                assert np.array_equal((2 * out).cpu().numpy(), 2 * want)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_cupy(device: Device, small: tuple[Subject, Path]) -> None:
    cupy = pytest.importorskip("cupy")
    network, path = small
    (value,) = network.feeds.values()
    with runtime.load(path, device="cuda") as module:
        want = module(value)
        array = module(cupy.asarray(value))
        y = cupy.from_dlpack(array)
        assert y.data.ptr == array.pointer
        assert np.array_equal(cupy.asnumpy(y), want)
