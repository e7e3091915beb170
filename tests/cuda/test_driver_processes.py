"""The generated driver for CUDA in processes of its own, on the emulator: drivers that lack functions, and forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.build import cuda_kernels as kernels
from tests.cuda.emulator.toolchain import fake_cuda as fake_library
from tests.cuda.libraries import build

OF_GRAPHS = (
    "cuGraphCreate", "cuGraphDestroy", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags", "cuGraphExecDestroy",
    "cuGraphExecKernelNodeSetParams", "cuGraphLaunch",
)  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(kernels.plain(), tmp_path_factory.mktemp("plain"))


BEGIN = """
import ctypes, os, sys
lib = ctypes.CDLL(sys.argv[1])
lib.plain_create.restype = ctypes.c_void_p
lib.plain_run.argtypes = lib.plain_run_on_device.argtypes = [ctypes.c_void_p] * 3
lib.plain_synchronize.argtypes = lib.plain_destroy.argtypes = lib.plain_last_error.argtypes = [ctypes.c_void_p]
lib.plain_last_error.restype = ctypes.c_char_p
say = lambda context: lib.plain_last_error(context).decode()
x, y = (ctypes.c_float * 5120)(*range(5120)), (ctypes.c_float * 5120)()
def run(context):
    assert lib.plain_run(context, x, y) == 0, say(context)
    assert list(y) == [2 * value for value in range(5120)]
"""


def process(script: str, library: Path, driver_folder: Path) -> str:
    """What a process prints that has nothing but the library and the libcuda.so.1 of a folder."""
    result = subprocess.run(
        [sys.executable, "-I", "-c", BEGIN + script, library],
        env={**os.environ, "LD_LIBRARY_PATH": str(driver_folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


def without(symbol: str, folder: Path) -> Path:
    """A folder with a fake driver that lacks a function."""
    data, name = fake_library().read_bytes(), f"\0{symbol}\0".encode()
    assert name in data
    folder.mkdir()
    (folder / "libcuda.so.1").write_bytes(data.replace(name, f"\0{symbol[:-1]}?\0".encode()))
    return folder


def test_a_process_of_its_own(plain: Path) -> None:
    script = "context = lib.plain_create(0); run(context); lib.plain_destroy(context); print('done')"
    assert process(script, plain, fake_library().parent) == "done"


def test_a_driver_without_a_function(plain: Path, tmp_path: Path) -> None:
    script = "assert not lib.plain_create(0); assert not lib.plain_create(0); print(say(None))"
    message = "the NVIDIA driver is too old: libcuda.so.1 has no cuStreamWaitEvent; update it"
    assert process(script, plain, without("cuStreamWaitEvent", tmp_path / "old")) == message


@pytest.mark.parametrize("symbol", OF_GRAPHS)
def test_a_driver_without_graphs(plain: Path, tmp_path: Path, symbol: str) -> None:
    script = "context = lib.plain_create(0); run(context); run(context); lib.plain_destroy(context); print('done')"
    assert process(script, plain, without(symbol, tmp_path / "old")) == "done"


FORK = """
def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(error, flush=True)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_the_child_of_a_fork_is_refused_and_the_parent_goes_on(plain: Path) -> None:
    script = """
context, twin = lib.plain_create(0), lib.plain_create(0)
run(context)
def work():
    for call in (lambda: lib.plain_run(context, x, y), lambda: lib.plain_run_on_device(context, 64, 128),
                 lambda: lib.plain_synchronize(context)):
        assert call() == -1
        assert say(context).startswith("CUDA does not work in the child of a fork"), say(context)
    assert not lib.plain_create(0)
    assert say(None).startswith("CUDA does not work in the child of a fork"), say(None)
    lib.plain_destroy(context)
in_child(work)
run(context)
lib.plain_destroy(context)
run(twin)
lib.plain_destroy(twin)
print("done")
"""
    assert process(FORK + script, plain, fake_library().parent) == "done"


def test_a_child_may_use_cuda_where_the_parent_did_not(plain: Path, tmp_path: Path) -> None:
    """Also where the parent tried, but there was no driver to use."""
    script = """
def work():
    context = lib.plain_create(0)
    run(context)
    lib.plain_destroy(context)
in_child(work)
print("done")
"""
    assert process(FORK + script, plain, fake_library().parent) == "done"
    (tmp_path / "libcuda.so.1").write_text("not a library")
    script = """
assert not lib.plain_create(0)
def work():
    assert not lib.plain_create(0)
    assert say(None).startswith("no NVIDIA driver"), say(None)
in_child(work)
print("done")
"""
    assert process(FORK + script, plain, tmp_path) == "done"
