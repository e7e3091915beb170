from __future__ import annotations

import ctypes
import gc
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convc
from convc import runtime
from convc.build.program import Program
from convc.errors import ArtifactError, ShapeError, TargetError
from convc.runtime import Module, TensorSpec
from tests.build import kernels
from tests.tolerances import RELATIVE, assert_close, relative_error

Build = Callable[[Program], Path]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(mixed: Path) -> Iterator[Module]:
    with runtime.load(mixed, threads=2) as module:
        yield module


@pytest.mark.parametrize("threads", [None, 0, 1, 2, 4])
def test_the_answer(mixed: Path, threads: int | None) -> None:
    inputs = kernels.inputs_of_mixed()
    with runtime.load(str(mixed), threads=threads) as module:
        y, z = module(inputs["x"], inputs["shift"])
    assert_close(y, kernels.outputs_of_mixed(inputs)["y"])
    assert_close(z, kernels.outputs_of_mixed(inputs)["z"])


def test_another_answer_would_be_noticed(module: Module) -> None:
    inputs = kernels.inputs_of_mixed(1)
    y, _ = module(inputs["x"], inputs["shift"])
    assert relative_error(y, kernels.outputs_of_mixed(kernels.inputs_of_mixed(2))["y"]) > 100 * RELATIVE["float32"]


def test_specs(module: Module) -> None:
    assert module.inputs == (TensorSpec("x", (16, 24), "float32"), TensorSpec("shift", (320,), "float32"))
    assert [spec.name for spec in module.outputs] == ["y", "z"]
    assert repr(module) == "<convc.Module mixed for x86-64-v2>"


def test_by_name(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    outputs = module.run({"shift": inputs["shift"], "x": inputs["x"]})
    assert list(outputs) == ["y", "z"]
    y, z = module(inputs)
    assert np.array_equal(outputs["y"], y)
    assert np.array_equal(outputs["z"], z)


def test_one_output_is_an_array(build: Build) -> None:
    with runtime.load(build(kernels.halves())) as module:
        y = module(np.arange(7))
    assert isinstance(y, np.ndarray)
    assert y.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]


def test_misaligned_and_strided_inputs(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    want = kernels.outputs_of_mixed(inputs)["y"]
    memory = np.empty(inputs["x"].nbytes + 68, np.uint8)
    for offset in (1, 4, 32):
        x = memory[offset : offset + inputs["x"].nbytes].view(np.float32).reshape(16, 24)
        x[:] = inputs["x"]
        assert_close(module(x, inputs["shift"])[0], want)
    assert_close(module(np.asfortranarray(inputs["x"]), inputs["shift"].astype(">f8"))[0], want)


def test_outputs_are_fresh(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    first = module.run(inputs)
    kept = first["y"].copy()
    second = module.run(kernels.inputs_of_mixed(2))
    assert not np.shares_memory(first["y"], second["y"])
    assert np.array_equal(first["y"], kept)


def test_inputs_that_do_not_fit(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    with pytest.raises(ShapeError, match=r"input 'shift': wrong shape: expected \(320,\), got \(5,\)"):
        module(inputs["x"], np.zeros(5))
    with pytest.raises(ShapeError, match="wrong number of arrays: expected 2"):
        module(inputs["x"])
    with pytest.raises(ShapeError, match="wrong names: expected x, shift, got x"):
        module.run({"x": inputs["x"]})
    assert_close(module(inputs)[0], kernels.outputs_of_mixed(inputs)["y"])


def test_a_run_that_fails_says_why(build: Build) -> None:
    with (
        runtime.load(build(kernels.broken())) as module,
        pytest.raises(ArtifactError, match="in 'layer_7': ValueError"),
    ):
        module(np.zeros((320, 16), np.float32))


def test_profile(module: Module) -> None:
    times = module.profile(kernels.inputs_of_mixed())
    assert [time.launch.layers for time in times] == ["dense_1", "bias+relu", 'odd "name"\\']
    assert all(time.seconds > 0 for time in times)
    assert times[0].launch.flops == 2 * 24 * 16 * 320


def test_close(mixed: Path) -> None:
    module = runtime.load(mixed)
    other = module.clone()
    module.close()
    module.close()
    assert repr(module) == "<convc.Module mixed for x86-64-v2 closed>"
    inputs = kernels.inputs_of_mixed()
    for use in (lambda: module(inputs), lambda: module.run(inputs), lambda: module.profile(inputs)):
        with pytest.raises(ArtifactError, match="used after close"):
            use()
    assert_close(other(inputs)[0], kernels.outputs_of_mixed(inputs)["y"])


def test_a_forgotten_module_frees_its_threads(mixed: Path) -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    modules = [runtime.load(mixed, threads=3) for _ in range(3)]
    assert len(list(Path("/proc/self/task").iterdir())) == before + 6
    del modules
    gc.collect()
    assert len(list(Path("/proc/self/task").iterdir())) == before


def test_one_thread_starts_none(mixed: Path) -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    with runtime.load(mixed, threads=1) as module:
        module(kernels.inputs_of_mixed())
        assert len(list(Path("/proc/self/task").iterdir())) == before


def test_clones_run_at_the_same_time(module: Module) -> None:
    """Threads with a clone each, and two that share a module, always get their own answers."""
    wrong: list[int] = []

    def run(mine: Module, seed: int) -> None:
        inputs = kernels.inputs_of_mixed(seed)
        want = kernels.outputs_of_mixed(inputs)["y"]
        wrong.extend(seed for _ in range(40) if relative_error(mine(inputs)[0], want) > RELATIVE["float32"])

    modules = [module, module, module.clone(), module.clone()]
    threads = [threading.Thread(target=run, args=(mine, seed)) for seed, mine in enumerate(modules)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_same_library_twice_and_two_models(mixed: Path, build: Build) -> None:
    inputs = kernels.inputs_of_mixed()
    with runtime.load(mixed) as first, runtime.load(mixed) as second, runtime.load(build(kernels.plain())) as plain:
        assert np.array_equal(first(inputs)[0], second(inputs)[0])
        x = np.ones(kernels.Y.shape, np.float32)
        assert np.array_equal(plain(x), 2 * x)
        assert_close(first(inputs)[0], kernels.outputs_of_mixed(inputs)["y"])


@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_device_of_a_library(mixed: Path, device: str | None) -> None:
    with runtime.load(mixed, device) as module:
        assert module.device == "cpu"


@pytest.mark.parametrize("device", ["", "CPU", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:0 ", "tpu", 0])
def test_no_device(mixed: Path, device: object) -> None:
    with pytest.raises(TargetError, match=r"^device .*: no such device: expected cpu, cuda or cuda:N"):
        runtime.load(mixed, device=device)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_library_of_the_other_device(mixed: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", None)  # nothing of the library runs
    with pytest.raises(TargetError) as caught:
        runtime.load(mixed, device=device)
    assert str(caught.value) == (
        f"{mixed}: compiled for the CPU: expected device 'cpu', got device 'cuda:{device[5:] or 0}' "
        "(leave the device out, or compile the model with --target cuda)"
    )


def test_outputs_of_the_caller(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    want = kernels.outputs_of_mixed(inputs)
    y, z = np.full((16, 320), np.nan, np.float32), np.full((16, 320), np.nan, np.float32)
    for out in ([y, z], (y, z), {"z": z, "y": y}):
        y[:], z[:] = np.nan, np.nan
        got = module(inputs, out=out)
        assert got[0] is y
        assert got[1] is z
        assert_close(y, want["y"])
        assert_close(z, want["z"])
    y[:] = np.nan
    assert module.run(inputs, out={"y": y, "z": z})["y"] is y
    assert_close(y, want["y"])


def test_the_only_output_of_the_caller(build: Build) -> None:
    y = np.empty(7, np.float32)
    with runtime.load(build(kernels.halves())) as module:
        assert module(np.arange(7), out=y) is y
        assert y.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
        assert module(np.ones(7, int), out=[y]) is y
        assert y.tolist() == [0.5] * 7


def test_outputs_of_the_caller_at_any_address(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    memory = np.empty(2 * 16 * 320 + 3, np.float32)
    y, z = (memory[start : start + 16 * 320].reshape(16, 320) for start in (1, 16 * 320 + 2))
    module(inputs, out=(y, z))
    assert_close(y, kernels.outputs_of_mixed(inputs)["y"])
    assert_close(z, kernels.outputs_of_mixed(inputs)["z"])


def frozen() -> np.ndarray[Any, Any]:
    array = np.zeros((16, 320), np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[0.0]], "output 'y': not a NumPy array: expected float32 of shape (16, 320), got list"),
        (np.zeros((16, 321), np.float32), "output 'y': wrong shape: expected (16, 320), got (16, 321)"),
        (np.zeros((16, 320)), "output 'y': wrong dtype: expected float32, got float64"),
        (np.zeros((16, 320), ">f4"), "output 'y': wrong dtype: expected float32, got >f4"),
        (np.zeros((320, 16), np.float32).T, "output 'y': not dense: expected row-major elements without gaps"),
        (frozen(), "output 'y': read-only: expected row-major elements without gaps that may be written to"),
    ],
)
def test_outputs_of_the_caller_that_do_not_fit(module: Module, y: object, message: str) -> None:
    z = np.zeros((16, 320), np.float32)
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}"):
        module(kernels.inputs_of_mixed(), out=(y, z))


def test_wrong_lists_of_outputs(module: Module) -> None:
    inputs, y = kernels.inputs_of_mixed(), np.zeros((16, 320), np.float32)
    with pytest.raises(ShapeError, match=r"outputs: wrong number of arrays: expected 2 .*, got 1"):
        module(inputs, out=y)
    with pytest.raises(ShapeError, match="outputs: wrong names: expected y, z, got y"):
        module.run(inputs, out={"y": y})
    with pytest.raises(ArtifactError, match="output 'z' overlaps output 'y'"):
        module(inputs, out=(y, y))
    with pytest.raises(ShapeError, match="stream: only tensors of a GPU are used on a stream"):
        module(inputs, stream=1)


class OnGpu:
    """A tensor of a GPU that is never looked at."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def test_a_tensor_of_a_gpu_for_a_cpu(module: Module) -> None:
    inputs = kernels.inputs_of_mixed()
    with pytest.raises(ShapeError, match=r"input 'x': in memory of a GPU: .*\(copy it to the host first\)"):
        module(OnGpu(), inputs["shift"])
    with pytest.raises(ShapeError, match="output 'y': not a NumPy array"):
        module(inputs, out=(OnGpu(), OnGpu()))


@pytest.mark.parametrize("threads", [-1, 1025, 1 << 40, -(1 << 40)])
def test_a_number_of_threads_out_of_range(mixed: Path, threads: int) -> None:
    with pytest.raises(ArtifactError, match="threads: expected 0 to 1024"):
        runtime.load(mixed, threads=threads)


@pytest.mark.parametrize("threads", [1.5, "2", True])
def test_threads_of_a_wrong_type(mixed: Path, threads: object) -> None:
    with pytest.raises(ArtifactError, match="threads: not a number of threads"):
        runtime.load(mixed, threads=threads)  # type: ignore[arg-type]


def test_the_package_offers_load_and_errors(mixed: Path) -> None:
    assert convc.load is runtime.load
    assert convc.ArtifactError is ArtifactError
    assert "load" in dir(convc)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        convc.nothing  # noqa: B018


def test_the_version_is_that_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    declared = re.search(r'^version = "(.*)"$', text, re.MULTILINE)
    assert declared is None or declared[1] == convc.__version__


def test_importing_the_runtime_is_light() -> None:
    program = """
import sys, convc, convc.runtime
heavy = {"tvm", "tvm_ffi", "onnx", "h5py", "click", "rich", "keras", "convc.ir", "convc.ops", "convc.api"}
sys.exit(", ".join(heavy & set(sys.modules)) or None)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


AFFINITY = """
import os, sys
from convc import runtime

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
before = len(os.listdir("/proc/self/task"))
with runtime.load(sys.argv[1]):
    assert len(os.listdir("/proc/self/task")) == before
"""


def test_threads_are_as_many_as_the_cores_that_the_process_may_use(mixed: Path) -> None:
    subprocess.run([sys.executable, "-c", AFFINITY, str(mixed)], check=True, timeout=60, cwd=ROOT)


PAUSES = """
import os, sys, time
import numpy as np
from convc import runtime

allowed = os.sched_getaffinity(0)
x, shift = np.zeros((16, 24)), np.zeros(320)
with runtime.load(sys.argv[1], threads=2) as module:
    for _ in range(20):
        time.sleep(0.002)
        module(x, shift)
    time.sleep(0.1)
    assert all(os.sched_getaffinity(int(task)) == allowed for task in os.listdir("/proc/self/task"))
"""


def test_threads_that_slept_may_run_where_they_might_before(mixed: Path) -> None:
    subprocess.run([sys.executable, "-c", PAUSES, str(mixed)], check=True, timeout=60, cwd=ROOT)


EXIT = """
import sys, threading
import numpy as np
from convc import runtime

module = runtime.load(sys.argv[1], threads=2)
x, shift, started = np.zeros((16, 24)), np.zeros(320), threading.Event()

def run():
    while True:
        module(x, shift)
        started.set()

threading.Thread(target=run, daemon=True).start()
started.wait()
"""


def test_the_interpreter_exits_during_a_run(mixed: Path) -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", EXIT, str(mixed)], check=True, timeout=60, cwd=ROOT)


FORK = """
import os, sys
import numpy as np
from convc import runtime

module = runtime.load(sys.argv[1], threads=4)
x, shift = np.load(sys.argv[2]), np.zeros(320, np.float32)
want = module(x, shift)[0]

def child(runs):
    ok = all(np.array_equal(module(x, shift)[0], want) for _ in range(runs))
    with runtime.load(sys.argv[1], threads=2) as own:
        ok = ok and np.array_equal(own(x, shift)[0], want)
    threads = len(os.listdir("/proc/self/task"))
    ok = ok and threads == (4 if runs else 1)
    if runs:
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if np.array_equal(module(x, shift)[0], want) else 1)
        ok = ok and os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 0
    module.close()
    os._exit(0 if ok else 1)

for runs in (20, 0):
    pid = os.fork()
    if pid == 0:
        child(runs)
    assert all(np.array_equal(module(x, shift)[0], want) for _ in range(20))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
module.close()
"""


def test_a_fork_in_the_middle(mixed: Path, tmp_path: Path) -> None:
    """Workers are started again in the child that runs the model, and only there; closing without a run is safe too."""
    np.save(tmp_path / "x.npy", kernels.inputs_of_mixed()["x"])
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(mixed), str(tmp_path / "x.npy")]
    subprocess.run(command, check=True, timeout=60, cwd=ROOT)
