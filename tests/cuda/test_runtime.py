"""A library for a GPU in the runtime: devices, arrays of the host, and what is refused. Its kernels are emulated."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convc import artifact, runtime
from convc.errors import ArtifactError, ShapeError, TargetError
from convc.ir import Array
from convc.runtime import Module
from tests.cuda.emulator import FakeCuda
from tests.cuda.runtime_support import answers, assert_nothing_is_left, assert_right, feeds, library

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(fake_cuda: FakeCuda) -> Iterator[Module]:
    with runtime.load(library()) as module:
        yield module


def test_arrays_of_the_host(module: Module) -> None:
    got = module.run(feeds())
    assert all(type(value) is np.ndarray for value in got.values())
    assert_right(got)
    inputs = feeds(2)
    y, z = module(np.asfortranarray(inputs["x"]).astype(np.float64), inputs["shift"].astype(np.int64))
    assert_right({"y": y, "z": z}, 2)


class OfTheHost:
    """What other libraries' tensors in memory of the host look like."""

    def __init__(self, value: Array) -> None:
        self.value = value

    def __array__(self, *_: object, **options: object) -> Array:
        return self.value

    def __dlpack__(self, **options: object) -> object:
        raise AssertionError("NumPy takes it")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def test_tensors_of_the_host(module: Module) -> None:
    inputs = feeds()
    got = module.run({"x": OfTheHost(inputs["x"]), "shift": inputs["shift"].tolist()})
    assert all(type(value) is np.ndarray for value in got.values())
    assert_right(got)


def test_outputs_of_the_caller(module: Module) -> None:
    y, z = np.empty((4, 32), np.float32), np.empty(4, np.int32)
    first, second = module(feeds(), out=(y, z))
    assert first is y
    assert second is z
    assert_right({"y": y, "z": z})
    assert module.run(feeds(3), out={"y": y, "z": z})["y"] is y
    assert_right({"y": y, "z": z}, 3)


def test_everything_is_given_back(fake_cuda: FakeCuda) -> None:
    with runtime.load(library()) as module:
        module.run(feeds())
        with module.clone() as other:
            assert_right(other.run(feeds()))
        assert fake_cuda.get("modules") == 1
    assert_nothing_is_left(fake_cuda)


def test_a_forgotten_module_gives_everything_back(fake_cuda: FakeCuda) -> None:
    module = runtime.load(library())
    module.run(feeds())
    del module
    assert_nothing_is_left(fake_cuda)


def test_after_close(module: Module) -> None:
    module.close()
    with pytest.raises(ArtifactError, match="used after close"):
        module.run(feeds())
    assert repr(module) == "<convc.Module pair for cuda:sm_80 on cuda:0 closed>"


def test_profile(module: Module) -> None:
    times = module.profile(feeds())
    assert [time.launch.layers for time in times] == ["scale_1", "add_1"]
    assert all(time.seconds >= 0 for time in times)


def test_metadata(emulated: None) -> None:
    held = artifact.read(library())
    assert (held.device, held.architectures, held.driver_version, held.precision) == (
        "cuda", ("sm_80", "compute_80"), 13000, "float32",
    )  # fmt: skip


@pytest.mark.parametrize(("device", "used"), [(None, 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_devices(fake_cuda: FakeCuda, device: str | None, used: int) -> None:
    fake_cuda.set("devices", 2)
    with runtime.load(library(), device) as module:
        assert module.device == f"cuda:{used}"
        assert repr(module) == f"<convc.Module pair for cuda:sm_80 on cuda:{used}>"
        assert_right(module.run(feeds()))
        with module.clone() as other:
            assert other.device == module.device


def test_the_cpu_is_refused_before_anything_runs(emulated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = library()
    monkeypatch.setattr(ctypes, "CDLL", None)
    with pytest.raises(TargetError) as caught:
        runtime.load(path, "cpu")
    assert str(caught.value) == (
        f"{path}: compiled for GPUs: expected device 'cuda', got device 'cpu' "
        "(leave the device out, or compile the model with --target native)"
    )


def test_threads_are_for_cpus(fake_cuda: FakeCuda) -> None:
    with pytest.raises(ArtifactError, match=r"threads: the library runs on a GPU: got 2 \(leave the threads out\)"):
        runtime.load(library(), threads=2)
    runtime.load(library(), threads=0).close()


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("devices", 0, "no GPU that CUDA can use"),
        ("driver_version", 12080, "the NVIDIA driver is for CUDA 12.8, the model needs 13.0: update the driver"),
        ("capability", 75, "is of compute capability 7.5; the model was compiled for 8.0"),
    ],
)
def test_a_machine_that_does_not_fit(fake_cuda: FakeCuda, what: str, value: int, message: str) -> None:
    fake_cuda.set(what, value)
    started = time.perf_counter()
    with pytest.raises(TargetError, match=f"cannot be started: got .*{message}"):
        runtime.load(library())
    assert time.perf_counter() - started < 1
    assert_nothing_is_left(fake_cuda)


def test_a_device_that_is_not_there(fake_cuda: FakeCuda) -> None:
    with pytest.raises(TargetError, match="device: expected 0 to 0, got 3"):
        runtime.load(library(), "cuda:3")
    assert_nothing_is_left(fake_cuda)


def test_a_machine_without_a_driver(emulated: None) -> None:
    """In a process of its own, which the fake driver is not loaded in."""
    code = (
        "import sys, convc\ntry:\n    convc.load(sys.argv[1])\nexcept convc.TargetError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, library()], cwd=ROOT, capture_output=True, text=True, check=True)
    if "libcuda.so.1" not in done.stdout:
        pytest.skip("this machine has a driver of NVIDIA's")
    assert "no NVIDIA driver: libcuda.so.1 cannot be loaded" in done.stdout
    assert "install the driver" in done.stdout


def test_too_little_memory(fake_cuda: FakeCuda) -> None:
    fake_cuda.set("memory", 64)
    with pytest.raises(ArtifactError, match="out of memory on the device"):
        runtime.load(library())
    fake_cuda.set("memory", 300)
    with runtime.load(library()) as module, pytest.raises(ArtifactError, match="the run failed: got out of memory"):
        module.run(feeds())
    assert_nothing_is_left(fake_cuda)


def test_a_failure_of_the_device_says_so(fake_cuda: FakeCuda) -> None:
    with runtime.load(library()) as module:
        fake_cuda.fail("cuStreamSynchronize", 719)
        with pytest.raises(ArtifactError, match=r"the run failed: got .*CUDA_ERROR_LAUNCH_FAILED"):
            module.run(feeds())
        assert_right(module.run(feeds()))


def test_inputs_that_do_not_fit(module: Module) -> None:
    inputs = feeds()
    with pytest.raises(ShapeError, match=r"input 'x': wrong shape: expected \(4, 32\)"):
        module(inputs["shift"], inputs["shift"])
    with pytest.raises(ShapeError, match="stream: only tensors of a GPU are used on a stream"):
        module(inputs, stream=0)


def test_clones_in_threads(fake_cuda: FakeCuda) -> None:
    with runtime.load(library()) as module:
        wrong: list[int] = []

        def work(seed: int) -> None:
            with module.clone() as own:
                for _ in range(20):
                    got = own.run(feeds(seed))
                    wrong.extend(seed for name, want in answers(feeds(seed)).items() if (got[name] != want).any())

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
    assert_nothing_is_left(fake_cuda)
