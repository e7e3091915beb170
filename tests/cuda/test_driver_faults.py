"""Every call of CUDA that the generated driver makes, failing in turn, on the emulator: it is reported and harmless."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest

from convc.build import driver
from convc.ir import Array
from tests.build import cuda_kernels as kernels
from tests.cuda.emulator import FakeCuda
from tests.cuda.libraries import Library, alive, arrays, build
from tests.tolerances import assert_close

UNKNOWN = 999

API = (Path(driver.__file__).parent / "templates" / "cuda.h").read_text()
FUNCTIONS = tuple(re.findall(r'^  F\(\w+, "(\w+)"', API, re.MULTILINE))
"""All that the driver calls, by their exported names."""
GIVING_BACK = tuple(name for name in FUNCTIONS if re.search("Free|Destroy|Unload|Release", name))
ABOUT_ERRORS = ("cuGetErrorName", "cuGetErrorString")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(kernels.mixed(), tmp_path_factory.mktemp("mixed"))


@pytest.fixture
def library(mixed: Path, fake_cuda: FakeCuda) -> Library:
    return Library(mixed)


class Arrays:
    """The arrays of `mixed` on the fake device, made without the library, whose calls are counted."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.inputs, self.outputs, self.want = arrays()
        self.library, primary = cuda.library, ctypes.c_void_p()
        assert self.library.cuInit(0) == 0
        assert self.library.cuDevicePrimaryCtxRetain(ctypes.byref(primary), 0) == 0
        assert self.library.cuCtxPushCurrent_v2(primary) == 0
        self.places = [self._put(array) for array in (*self.inputs, *self.outputs)]
        assert self.library.cuCtxPopCurrent_v2(ctypes.byref(primary)) == 0

    def _put(self, array: Array) -> int:
        address, size = ctypes.c_uint64(), ctypes.c_size_t(array.nbytes)
        assert self.library.cuMemAlloc_v2(ctypes.byref(address), size) == 0
        assert self.library.cuMemcpyHtoD_v2(address, ctypes.c_void_p(array.ctypes.data), size) == 0
        return address.value


class Scenario:
    """A use of a library from create to destroy. It notes each call that fails and goes on; what succeeds is right."""

    def __init__(self, library: Library, given: Arrays) -> None:
        self.library, self.given = library, given
        self.failures: list[tuple[str, str]] = []
        self.context: int = library.table.create(0) or 0
        if not self.context:
            self.failures.append(("create", library.message(None)))
            return
        self._use()
        library.table.destroy(self.context)

    def _succeeds(self, call: str, result: int) -> bool:
        if result:
            self.failures.append((call, self.library.message(self.context)))
        return not result

    def _use(self) -> None:
        device, places = self.library.device, self.given.places
        self._run_on_host("run")
        self._run_on_host("run again")
        for y, z in ((2, 3), (3, 2), (2, 3)):
            result = self.library.run_on_device(self.context, places[:2], [places[y], places[z]])
            if self._succeeds("run on device", result):
                self._read(places[y], self.given.want["y"])
                self._read(places[z], self.given.want["z"])
        self._succeeds("join", device.join(self.context, None))
        self._succeeds("synchronize", device.synchronize(self.context))
        result, _ = self.library.profile(self.context, self.given.inputs, self.given.outputs)
        if self._succeeds("profile", result):
            assert_close(self.given.outputs[0], self.given.want["y"])
        memory = device.allocate(self.context, 1000)
        self._succeeds("allocate", not memory)
        device.release(self.context, memory)
        self._run_on_host("last run")

    def _run_on_host(self, call: str) -> None:
        if self._succeeds(call, self.library.run(self.context, self.given.inputs, self.given.outputs)):
            assert_close(self.given.outputs[1], self.given.want["z"])

    def _read(self, place: int, want: Array) -> None:
        values = np.empty(want.shape, np.float32)
        result = self.library.device.read(self.context, values.ctypes.data, place, values.nbytes)
        if self._succeeds("read", result):
            assert_close(values, want)


def begin(cuda: FakeCuda) -> tuple[Arrays, dict[str, int]]:
    """A fresh fake device with the arrays on it, and what is alive there."""
    cuda.reset()
    return Arrays(cuda), alive(cuda)


def count_calls(library: Library, cuda: FakeCuda, function: str) -> int:
    """How often the scenario calls a function."""
    given, before = begin(cuda)
    called = cuda.get(function)
    assert Scenario(library, given).failures == []
    assert alive(cuda) == before
    return cuda.get(function) - called


NOT_REPORTED = {"cuCtxPushCurrent_v2": 3, "cuCtxPopCurrent_v2": 3, "cuStreamSynchronize": 1}
"""Calls of destroy and release, which have nobody to tell: both push and pop, destroy does it twice."""


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name not in (*GIVING_BACK, *ABOUT_ERRORS)])
def test_every_call_that_fails_is_reported_and_leaves_nothing_behind(
    library: Library, fake_cuda: FakeCuda, function: str
) -> None:
    """One call of the library fails, naming CUDA's function; calls after it are right again."""
    count = count_calls(library, fake_cuda, function)
    assert count > 0
    silent = 0
    for call in range(1, count + 1):
        given, before = begin(fake_cuda)
        fake_cuda.fail(function, UNKNOWN, call)
        failures = Scenario(library, given).failures
        assert len(failures) <= 1, f"call {call}: {failures}"
        for _, message in failures:
            assert f"{function.removesuffix('_v2').removesuffix('WithFlags')}: CUDA_ERROR_UNKNOWN" in message
            assert alive(fake_cuda) == before, f"call {call}: {failures}"
        silent += not failures
    assert silent == NOT_REPORTED.get(function, 0)


@pytest.mark.parametrize("function", GIVING_BACK)
def test_what_cannot_be_given_back_does_no_harm(library: Library, fake_cuda: FakeCuda, function: str) -> None:
    for call in range(1, count_calls(library, fake_cuda, function) + 1):
        given, _ = begin(fake_cuda)
        fake_cuda.fail(function, UNKNOWN, call)
        failures = Scenario(library, given).failures
        assert len(failures) <= (function == "cuStreamDestroy_v2"), f"call {call}: {failures}"  # of load_weights
