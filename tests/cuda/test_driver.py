"""What the generated driver for CUDA does, on the emulator: answers, graphs, device arrays, threads, sharing."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convc.build.program import Buffer, Port, Storage
from convc.ir import Array, TensorType
from tests.build import cuda_kernels as kernels
from tests.cuda.emulator import FakeCuda, Order
from tests.cuda.emulator.toolchain import fake_cuda as fake_library
from tests.cuda.libraries import Library, alive, arrays, build
from tests.tolerances import RELATIVE, assert_close, relative_error

EXAMPLE = Path(__file__).parents[2] / "examples" / "c" / "run_model.c"

UPDATES = "cuGraphExecKernelNodeSetParams"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(kernels.mixed(), tmp_path_factory.mktemp("mixed"))


@pytest.fixture
def library(mixed: Path, fake_cuda: FakeCuda) -> Library:
    return Library(mixed)


@pytest.fixture
def context(library: Library, fake_cuda: FakeCuda) -> Iterator[int]:
    context = library.create()
    yield context
    library.table.destroy(context)
    assert alive(fake_cuda) == {}
    assert fake_cuda.get("overruns") == 0


def check(outputs: list[Array], want: dict[str, Array]) -> None:
    assert_close(outputs[0], want["y"])
    assert_close(outputs[1], want["z"])


# ---- arrays of the host ----


@pytest.mark.parametrize("order", Order)
def test_answers(library: Library, context: int, fake_cuda: FakeCuda, order: Order) -> None:
    fake_cuda.set("order", order)
    for seed in range(3):
        inputs, outputs, want = arrays(seed)
        assert library.run(context, inputs, outputs) == 0, library.message(context)
        check(outputs, want)
    assert library.message(context) == ""


def test_arrays_of_any_alignment(library: Library, context: int) -> None:
    inputs, _, want = arrays()
    shifted = [np.empty(a.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(a.shape) for a in inputs]
    for target, source in zip(shifted, inputs, strict=True):
        target[:] = source
    outputs = [np.empty(kernels.Y.bytes + 1, np.uint8)[1:].view(np.float32).reshape(kernels.Y.shape) for _ in "yz"]
    assert library.run(context, shifted, outputs) == 0
    check(outputs, want)


def test_host_runs_are_one_graph_that_never_changes(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    for seed in range(4):
        inputs, outputs, _ = arrays(seed)
        assert library.run(context, inputs, outputs) == 0
    assert fake_cuda.get("graph_launches") == 4
    assert fake_cuda.get("cuGraphInstantiateWithFlags") == 1
    assert fake_cuda.get("cuGraphAddKernelNode") == 3
    assert fake_cuda.get(UPDATES) == 0
    assert fake_cuda.get("cuLaunchKernel") == 0
    assert fake_cuda.get("cuMemHostAlloc") == 1


def test_nothing_for_host_arrays_is_made_before_they_are_needed(
    library: Library, context: int, fake_cuda: FakeCuda
) -> None:
    assert fake_cuda.get("pinned") == 0
    assert fake_cuda.get("allocations") == 2  # weights and arena


def test_large_arrays_are_copied_by_pieces(tmp_path: Path, fake_cuda: FakeCuda) -> None:
    """More than two pieces, and a rest; the kernel reads only the beginning of what is copied."""
    large = TensorType((2, 300_001))
    plain = kernels.plain("large")
    buffers = (Buffer(Storage.INPUT, 0, large), Buffer(Storage.OUTPUT, 0, kernels.Y))
    launch = replace(plain.launches[0], arguments=buffers)
    library = Library(build(replace(plain, inputs=(Port("x", large),), launches=(launch,)), tmp_path))
    context = library.create()
    x, y = np.random.default_rng(3).normal(size=large.shape).astype(np.float32), np.empty(kernels.Y.shape, np.float32)
    before = fake_cuda.get("cuMemcpyHtoDAsync_v2")
    assert library.run(context, [x], [y]) == 0
    assert fake_cuda.get("cuMemcpyHtoDAsync_v2") - before == -(-x.nbytes // (1 << 20))
    assert np.array_equal(y.reshape(-1), 2 * x.reshape(-1)[: y.size])
    library.table.destroy(context)


def test_int32_inputs(tmp_path: Path, fake_cuda: FakeCuda) -> None:
    library = Library(build(kernels.halves(), tmp_path))
    context = library.create()
    counts, halves = np.arange(-3, 4, dtype=np.int32), np.empty(7, np.float32)
    assert library.run(context, [counts], [halves]) == 0
    assert np.array_equal(halves, counts / 2)
    library.table.destroy(context)


# ---- arrays of the device ----


def put_all(library: Library, context: int, seed: int = 1) -> tuple[list[int], list[int], dict[str, Array]]:
    inputs, outputs, want = arrays(seed)
    return [library.put(context, a) for a in inputs], [library.put(context, a) for a in outputs], want


def get_all(library: Library, context: int, addresses: list[int]) -> list[Array]:
    like = np.empty(kernels.Y.shape, np.float32)
    return [library.get(context, address, like) for address in addresses]


def release_all(library: Library, context: int, *addresses: int) -> None:
    for address in addresses:
        library.device.release(context, address)


def test_device_runs_return_at_once(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    inputs, outputs, want = put_all(library, context)
    assert library.run_on_device(context, inputs, outputs) == 0, library.message(context)
    assert fake_cuda.get("launches") == 0
    assert library.device.synchronize(context) == 0
    assert fake_cuda.get("launches") == 3
    check(get_all(library, context, outputs), want)
    release_all(library, context, *inputs, *outputs)


def test_only_launches_whose_arrays_moved_are_set_anew(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    inputs, outputs, want = put_all(library, context)
    others, places, want_others = put_all(library, context, 7)
    for (x, shift), (y, z), expected, updates in [
        ((inputs[0], inputs[1]), (outputs[0], outputs[1]), want, 0),
        ((inputs[0], inputs[1]), (outputs[0], outputs[1]), want, 0),
        ((inputs[0], inputs[1]), (outputs[0], places[1]), want, 1),  # z: the last launch
        ((inputs[0], inputs[1]), (places[0], places[1]), want, 2),  # y: the last two
        ((others[0], others[1]), (places[0], places[1]), want_others, 2),  # x and shift: the first two
        ((others[0], others[1]), (outputs[0], outputs[1]), want_others, 2),
    ]:
        before = fake_cuda.get(UPDATES)
        assert library.run_on_device(context, [x, shift], [y, z]) == 0, library.message(context)
        assert fake_cuda.get(UPDATES) - before == updates
        check(get_all(library, context, [y, z]), expected)
    assert fake_cuda.get("cuGraphInstantiateWithFlags") == 1
    release_all(library, context, *inputs, *outputs, *others, *places)


def test_device_and_host_runs_in_turn(library: Library, context: int) -> None:
    for seed in range(3):
        inputs, outputs, want = put_all(library, context, seed)
        assert library.run_on_device(context, inputs, outputs) == 0
        on_host, results, want_on_host = arrays(seed + 10)
        assert library.run(context, on_host, results) == 0
        check(results, want_on_host)
        check(get_all(library, context, outputs), want)
        release_all(library, context, *inputs, *outputs)


def test_runs_in_a_row_are_done_in_order(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    """The second overwrites the outputs of the first; both use the same arena."""
    first, outputs, _ = put_all(library, context, 1)
    second, others, want = put_all(library, context, 2)
    assert library.run_on_device(context, first, outputs) == 0
    assert library.run_on_device(context, second, outputs) == 0
    assert fake_cuda.get("launches") == 0
    check(get_all(library, context, outputs), want)
    release_all(library, context, *first, *outputs, *second, *others)


def test_join_makes_another_stream_wait(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    cuda = fake_cuda.library
    inputs, outputs, want = put_all(library, context)
    primary, stream = ctypes.c_void_p(), ctypes.c_void_p()
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(primary), 0) == 0
    assert cuda.cuCtxPushCurrent_v2(primary) == 0
    assert cuda.cuStreamCreate(ctypes.byref(stream), 1) == 0
    assert library.run_on_device(context, inputs, outputs) == 0
    assert library.device.join(context, stream) == 0, library.message(context)
    assert fake_cuda.get("launches") == 0
    y = np.empty(kernels.Y.shape, np.float32)
    place = ctypes.c_void_p(y.ctypes.data)
    assert cuda.cuMemcpyDtoHAsync_v2(place, ctypes.c_uint64(outputs[0]), ctypes.c_size_t(y.nbytes), stream) == 0
    assert cuda.cuStreamSynchronize(stream) == 0
    assert_close(y, want["y"])
    assert library.device.join(context, None) == 0  # the default stream
    assert cuda.cuStreamDestroy_v2(stream) == 0
    assert cuda.cuCtxPopCurrent_v2(ctypes.byref(primary)) == 0
    assert cuda.cuDevicePrimaryCtxRelease_v2(0) == 0
    release_all(library, context, *inputs, *outputs)


def test_the_stream_is_the_contexts_own(library: Library, context: int) -> None:
    other = library.create()
    assert library.device.stream(context)
    assert library.device.stream(context) != library.device.stream(other)
    library.table.destroy(other)


def test_arrays_of_no_bytes(library: Library, context: int) -> None:
    address = library.device.allocate(context, 0)
    assert address
    assert library.device.read(context, ctypes.addressof(ctypes.c_int()), address, 0) == 0
    library.device.release(context, address)
    library.device.release(context, None)
    library.device.release(None, None)


# ---- profile ----


def test_profile(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    inputs, outputs, want = arrays()
    result, seconds = library.profile(context, inputs, outputs)
    assert result == 0, library.message(context)
    check(outputs, want)
    assert len(seconds) == 3
    assert all(0 <= second < 60 for second in seconds)
    assert fake_cuda.get("graph_launches") == 0
    assert fake_cuda.get("events") == 1  # the context's own


# ---- several contexts ----


def test_kernels_and_weights_are_loaded_once(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    copies = fake_cuda.get("copies")
    contexts = [library.create() for _ in range(3)]
    assert fake_cuda.get("cuModuleLoadData") == 1
    assert fake_cuda.get("copies") == copies == 1
    assert fake_cuda.get("allocations") == 2 + 3  # an arena each
    assert fake_cuda.get("contexts") == 1
    for other in contexts:
        inputs, outputs, want = arrays()
        assert library.run(other, inputs, outputs) == 0
        check(outputs, want)
        library.table.destroy(other)
    inputs, outputs, want = arrays()
    assert library.run(context, inputs, outputs) == 0
    check(outputs, want)


def test_after_the_last_destroy_all_is_given_back_and_loaded_again(library: Library, fake_cuda: FakeCuda) -> None:
    for count in range(1, 4):
        context = library.create()
        inputs, outputs, want = arrays(count)
        assert library.run(context, inputs, outputs) == 0
        check(outputs, want)
        library.table.destroy(context)
        assert alive(fake_cuda) == {}
        assert fake_cuda.get("cuModuleLoadData") == count


def test_devices_have_their_own_kernels_and_weights(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    fake_cuda.set("devices", 2)
    other = library.create(1)
    assert fake_cuda.get("cuModuleLoadData") == 2
    assert fake_cuda.get("contexts") == 2
    inputs, outputs, want = arrays()
    assert library.run(other, inputs, outputs) == 0
    check(outputs, want)
    library.table.destroy(other)
    assert fake_cuda.get("modules") == 1


def test_contexts_run_at_the_same_time(library: Library, fake_cuda: FakeCuda) -> None:
    """Threads create at the same time; each has its own inputs and must always get its own answer."""
    failures: list[str] = []
    together = threading.Barrier(3)

    def work(seed: int) -> None:
        together.wait()
        context = library.create()
        inputs, outputs, want = arrays(seed)
        for _ in range(10):
            outputs[0][:] = np.nan
            if library.run(context, inputs, outputs) or relative_error(outputs[0], want["y"]) > RELATIVE["float32"]:
                failures.append(f"seed {seed}: {library.message(context)}")
        library.table.destroy(context)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert alive(fake_cuda) == {}


def test_one_context_in_two_threads_is_refused_not_mixed_up(library: Library, context: int) -> None:
    unexpected: list[str] = []

    def work(seed: int) -> None:
        inputs, outputs, want = arrays(seed)
        for _ in range(30):
            outputs[0][:] = np.nan
            if library.run(context, inputs, outputs) == 0:
                if relative_error(outputs[0], want["y"]) > RELATIVE["float32"]:
                    unexpected.append("another thread's answer")
            elif "in use by another thread" not in library.message(context):
                unexpected.append(library.message(context))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unexpected == []


# ---- from C ----


def test_the_example_in_c(tmp_path: Path, fake_cuda: FakeCuda) -> None:
    """It makes a context on device 0 as it would on all cores of a CPU."""
    library = build(kernels.plain(), tmp_path)
    names = ("-DMODEL=plain", '-DHEADER="plain.h"', "-DINPUT=x", "-DOUTPUT=y")
    flags = ("-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}")
    program = tmp_path / "run_model"
    subprocess.run(["cc", *flags, *names, EXAMPLE, "-o", program, library], check=True)
    x = np.random.default_rng(5).normal(size=kernels.Y.shape).astype("<f4")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(fake_library().parent)}
    result = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True, env=environment)
    assert np.array_equal(np.array(result.stdout.split(), np.float32).reshape(x.shape), 2 * x)
    assert result.stderr == b""


# ---- the caller's own use of CUDA ----


def test_what_was_current_is_current_again(library: Library, context: int, fake_cuda: FakeCuda) -> None:
    """Neither a context that the caller made current nor none at all is disturbed, by successes and by failures."""
    cuda = fake_cuda.library
    fake_cuda.set("devices", 2)
    own, current = ctypes.c_void_p(), ctypes.c_void_p()
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(own), 1) == 0
    inputs, outputs, _ = arrays()
    on_device, places, _ = put_all(library, context)
    for chosen in (ctypes.c_void_p(), own):
        if chosen:
            assert cuda.cuCtxPushCurrent_v2(chosen) == 0
        second = library.create()
        assert library.run(context, inputs, outputs) == 0
        assert library.run(context, inputs, [outputs[0], None]) == -1
        assert library.run_on_device(context, on_device, places) == 0
        assert library.run_on_device(context, on_device, [places[0], places[0]]) == -1
        assert library.profile(context, inputs, outputs)[0] == 0
        library.device.release(context, library.put(context, inputs[0]))
        check(get_all(library, context, places), arrays()[2])
        library.table.destroy(second)
        assert cuda.cuCtxGetCurrent(ctypes.byref(current)) == 0
        assert current.value == chosen.value
    assert cuda.cuCtxPopCurrent_v2(ctypes.byref(current)) == 0
    assert cuda.cuDevicePrimaryCtxRelease_v2(1) == 0
    release_all(library, context, *on_device, *places)
