"""Outputs in memory of the emulated device: taken by other libraries, and given back at any time."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convc import runtime
from convc.errors import ArtifactError
from convc.runtime import DeviceArray, Module
from tests.cuda.emulator import FakeCuda
from tests.cuda.runtime_support import (
    LEGACY,
    VERSIONED,
    Gpu,
    Taken,
    Tensor,
    answers,
    assert_nothing_is_left,
    assert_right,
    feeds,
    gpu,
    is_valid,
    library,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def other(fake_cuda: FakeCuda) -> Iterator[Gpu]:
    with gpu(fake_cuda) as library:
        yield library


@pytest.fixture
def given(other: Gpu) -> Iterator[dict[str, Tensor]]:
    tensors = {name: Tensor(other, value) for name, value in feeds().items()}
    yield tensors
    for tensor in tensors.values():
        tensor.free()


@pytest.fixture
def module(fake_cuda: FakeCuda) -> Iterator[Module]:
    with runtime.load(library()) as module:
        yield module


def held(cuda: FakeCuda) -> int:
    """Allocations that convc has, besides the two inputs of `given`."""
    return cuda.get("allocations") - 2


def test_what_an_array_says(module: Module, given: dict[str, Tensor]) -> None:
    y, z = module(given)
    assert (y.shape, y.dtype, y.device, y.__dlpack_device__()) == ((4, 32), np.float32, "cuda:0", (2, 0))
    assert (z.shape, z.dtype) == ((4,), np.int32)
    assert repr(y) == "<convc.DeviceArray float32[4, 32] on cuda:0>"
    assert y.pointer % 64 == 0


def test_copies_to_the_host(module: Module, given: dict[str, Tensor], other: Gpu) -> None:
    y = module.run(given, stream=other.stream)["y"]
    want = answers(feeds())["y"]
    copies = [np.asarray(y), np.array(y), y.__array__()]
    assert all(np.array_equal(copy, want) and copy.flags.writeable for copy in copies)
    assert np.asarray(y, np.float64).dtype == np.float64
    assert np.array_equal(np.asarray(y, np.float64), want.astype(np.float64))
    with pytest.raises(ValueError, match="cannot be used on the host without a copy"):
        np.array(y, copy=False)


@pytest.mark.parametrize("versioned", [False, True])
def test_another_library_takes_an_array(
    fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor], other: Gpu, versioned: bool
) -> None:
    got = module.run(given)
    taken = {name: Taken(other, array, versioned=versioned) for name, array in got.items()}
    pointers = {name: array.pointer for name, array in got.items()}
    assert {name: take.tensor.data for name, take in taken.items()} == pointers
    del got
    gc.collect()
    assert held(fake_cuda) >= 2
    assert_right({name: take.numpy() for name, take in taken.items()})
    before = held(fake_cuda)
    for take in taken.values():
        take.delete()
    assert held(fake_cuda) == before - 2


def test_the_consumer_waits_for_the_run(fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor]) -> None:
    """Nothing else does: the run is given to its stream, and another library takes the outputs on a third one."""
    with gpu(fake_cuda) as third:
        launched = fake_cuda.get("launches")
        got = module.run(given, stream=given["x"].gpu.stream)
        taken = {name: Taken(third, array) for name, array in got.items()}
        assert fake_cuda.get("launches") == launched
        assert_right({name: take.numpy() for name, take in taken.items()})
        for take in taken.values():
            take.delete()


@pytest.mark.parametrize(("stream", "waits"), [(None, 1), (0, 1), (1, 1), (-1, 0)])
def test_streams_of_consumers(
    fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor], stream: int | None, waits: int
) -> None:
    y = module.run(given)["y"]
    before = fake_cuda.get("cuStreamWaitEvent")
    assert is_valid(y.__dlpack__(stream=stream), LEGACY)
    assert fake_cuda.get("cuStreamWaitEvent") == before + waits


@pytest.mark.parametrize(
    ("version", "kind"),
    [(None, LEGACY), ((0, 8), LEGACY), ((1, 0), VERSIONED), ((1, 3), VERSIONED), ((2, 0), VERSIONED)],
)
def test_versions_of_consumers(
    module: Module, given: dict[str, Tensor], version: tuple[int, int] | None, kind: bytes
) -> None:
    y = module.run(given)["y"]
    assert is_valid(y.__dlpack__(max_version=version, dl_device=(2, 0), copy=False), kind)


@pytest.mark.parametrize("stream", ["1", 1.0, True, -2])
def test_no_stream(module: Module, given: dict[str, Tensor], stream: object) -> None:
    y = module.run(given)["y"]
    with pytest.raises(BufferError, match="is not a stream of CUDA"):
        y.__dlpack__(stream=stream)


def test_a_stream_that_cannot_wait(fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor]) -> None:
    y = module.run(given)["y"]
    fake_cuda.fail("cuStreamWaitEvent", 400)
    with pytest.raises(ArtifactError, match="the wait failed: got cuStreamWaitEvent: CUDA_ERROR_INVALID_HANDLE"):
        y.__dlpack__()


def test_copies_and_other_devices_are_not_offered(module: Module, given: dict[str, Tensor]) -> None:
    y = module.run(given)["y"]
    for options in ({"copy": True}, {"dl_device": (1, 0)}, {"dl_device": (2, 1)}):
        with pytest.raises(BufferError, match=r"is offered where it is; np.asarray copies it to the host"):
            y.__dlpack__(**options)


def test_numpy_does_not_take_it(fake_cuda: FakeCuda, given: dict[str, Tensor]) -> None:
    """It drops the capsule while it raises: what deletes it must not lose that exception."""
    with runtime.load(library()) as module:
        y = module.run(given)["y"]
        for _ in range(3):
            with pytest.raises((BufferError, RuntimeError), match=r"(?i)device"):
                np.from_dlpack(y)
        del y
    assert held(fake_cuda) == 0


def test_capsules_that_nobody_takes(fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor]) -> None:
    y = module.run(given)["y"]
    before = held(fake_cuda)
    capsules = [y.__dlpack__(), y.__dlpack__(max_version=(1, 0))]
    del y
    assert held(fake_cuda) == before
    capsules.pop()
    assert held(fake_cuda) == before
    capsules.pop()
    assert held(fake_cuda) == before - 1


def test_taken_twice(fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor], other: Gpu) -> None:
    y = module.run(given)["y"]
    before = held(fake_cuda)
    first, second = Taken(other, y), Taken(other, y, versioned=False)
    del y
    first.delete()
    assert np.array_equal(second.numpy(), answers(feeds())["y"])
    assert held(fake_cuda) == before
    second.delete()
    assert held(fake_cuda) == before - 1


def test_arrays_outlive_the_module(fake_cuda: FakeCuda) -> None:
    with gpu(fake_cuda) as other:
        tensors = {name: Tensor(other, value) for name, value in feeds().items()}
        with runtime.load(library()) as module:
            got = module.run(tensors, stream=other.stream)
        assert_right(got)
        taken = {name: Taken(other, array) for name, array in got.items()}
        del got, module
        assert_right({name: take.numpy() for name, take in taken.items()})
        for take in taken.values():
            take.delete()
        for tensor in tensors.values():
            tensor.free()
    assert_nothing_is_left(fake_cuda)


def test_a_forgotten_module_with_arrays(fake_cuda: FakeCuda) -> None:
    with gpu(fake_cuda) as other:
        tensors = {name: Tensor(other, value) for name, value in feeds().items()}
        y, z = runtime.load(library())(tensors)
        assert_right({"y": y, "z": z})
        del y
        assert_right({"y": answers(feeds())["y"], "z": z})
        del z
        for tensor in tensors.values():
            tensor.free()
    assert_nothing_is_left(fake_cuda)


def test_arrays_in_a_cycle(fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor]) -> None:
    cycle: list[object] = [module.run(given)]
    cycle.append(cycle)
    before = held(fake_cuda)
    del cycle
    gc.collect()
    assert held(fake_cuda) == before - 2


def test_an_array_that_is_forgotten_during_a_call(
    fake_cuda: FakeCuda, module: Module, given: dict[str, Tensor]
) -> None:
    """As by the garbage collector, in the thread that holds the context's lock: no deadlock, and no leak."""
    got = module.run(given)
    before = held(fake_cuda)
    with module._context:
        del got
        assert held(fake_cuda) == before
    assert held(fake_cuda) == before - 2


def test_a_module_that_is_closed_during_a_call(fake_cuda: FakeCuda, other: Gpu, given: dict[str, Tensor]) -> None:
    """By the owner of a tensor that it is asked for: the context and its stream live until the call returns."""
    module = runtime.load(library())

    class Closing:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

        def __dlpack__(self, *, stream: int, **options: object) -> object:
            module.close()
            gc.collect()
            return given["x"].__dlpack__(stream=stream, **options)

    with pytest.raises(ArtifactError, match="used after close"):
        module(Closing(), given["shift"])
    assert held(fake_cuda) == 0


def test_arrays_go_in_other_threads(fake_cuda: FakeCuda, given: dict[str, Tensor]) -> None:
    """While the module runs: every array is right when it is read, and none is left."""
    wrong: list[str] = []
    want = answers(feeds())
    with runtime.load(library()) as module:

        def read(array: DeviceArray, name: str) -> None:
            if not np.array_equal(np.asarray(array), want[name]):
                wrong.append(name)

        for _ in range(20):
            got = module.run(given)
            threads = [threading.Thread(target=read, args=(got.pop(name), name)) for name in ("y", "z")]
            for thread in threads:
                thread.start()
            module.run(given)
            for thread in threads:
                thread.join()
        assert wrong == []
        del threads
    gc.collect()
    assert held(fake_cuda) == 0


def run_alone(code: str) -> None:
    """In a process of its own: it ends well and says nothing."""
    command = [sys.executable, "-W", "ignore", "-c", PROLOGUE + code, str(library())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


PROLOGUE = """
import atexit, os, sys
from tests.cuda import emulator, runtime_support as support
at_the_end = []
atexit.register(lambda: [act() for act in at_the_end])   # after what convc registers
from convc import runtime

other = support.Gpu(emulator.fake())
given = {name: support.Tensor(other, value) for name, value in support.feeds().items()}
module = runtime.load(sys.argv[1])
got = module.run(given)
"""


def test_the_interpreter_exits(emulated: None) -> None:
    run_alone("module.run(given, stream=other.stream)\ncapsule = got['y'].__dlpack__()\nsys.kept = [got, capsule]\n")


def test_a_consumer_deletes_at_exit(emulated: None) -> None:
    run_alone("taken = support.Taken(other, got.pop('y'))\nmodule.close()\nat_the_end.append(taken.delete)\n")


def test_arrays_are_inherited_by_a_fork(emulated: None) -> None:
    """In the child they cannot be used, and go without harm; in the parent they can."""
    run_alone("""
import convc
pid = os.fork()
if pid == 0:
    try:
        got["y"].__array__()
    except convc.ArtifactError as error:
        failed = "fork" in str(error)
    got = given = None
    module.close()
    os._exit(0 if failed else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
support.assert_right(got)
support.assert_right(module.run(given))
""")
