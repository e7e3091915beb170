"""The generated driver through its C interface, by ctypes and from C, without convc.runtime."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convc.build import driver, header
from convc.build.link import link
from convc.build.program import Port, Program
from convc.ir import Array, TensorType
from convc.lower.cook_toom import transforms
from tests.build import kernels
from tests.support.process import constant_memory
from tests.tolerances import RELATIVE, assert_close, relative_error

EXAMPLE = Path(__file__).parents[2] / "examples" / "c" / "run_model.c"


class CModel:
    """The functions of a library's header."""

    def __init__(self, path: Path) -> None:
        library, name = ctypes.CDLL(str(path)), path.stem
        self.create, self.run, self.destroy, self.last_error = (
            getattr(library, f"{name}_{verb}") for verb in ("create", "run", "destroy", "last_error")
        )
        self.create.restype = ctypes.c_void_p
        self.destroy.argtypes = (ctypes.c_void_p,)
        self.last_error.argtypes, self.last_error.restype = (ctypes.c_void_p,), ctypes.c_char_p

    def call(self, context: int | None, *tensors: Array | None) -> int:
        pointers = (ctypes.c_void_p(None if t is None else t.ctypes.data) for t in tensors)
        result: int = self.run(ctypes.c_void_p(context), *pointers)
        return result

    def message(self, context: int | None) -> str:
        text: bytes = self.last_error(context)
        return text.decode()


@pytest.fixture(scope="module")
def library(kernels_object: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kernels.build(kernels.mixed(), kernels_object, tmp_path_factory.mktemp("driver"), header=True)


@pytest.fixture
def model(library: Path) -> CModel:
    return CModel(library)


@pytest.fixture
def context(model: CModel) -> Iterator[int]:
    context = model.create(2)
    assert context, model.message(None)
    yield context
    model.destroy(context)


def empty(offset: int = 0) -> Array:
    """A float32 array of y's shape, `offset` bytes after a multiple of 64, filled with NaN."""
    memory = np.empty(kernels.Y.bytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view = memory[start : start + kernels.Y.bytes].view(np.float32).reshape(kernels.Y.shape)
    view[:] = np.nan
    return view


def shifted(array: Array, offset: int) -> Array:
    memory = np.empty(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view = memory[start : start + array.nbytes].view(np.float32).reshape(array.shape)
    view[:] = array
    return view


def close(got: Array, want: Array) -> bool:
    return relative_error(got, want) <= RELATIVE["float32"]


@pytest.mark.parametrize("threads", [0, 1, 2, 3, 4, 64])
def test_any_number_of_threads(model: CModel, threads: int) -> None:
    context = model.create(threads)
    for seed in range(5):
        inputs = kernels.inputs_of_mixed(seed)
        y, z = empty(), empty()
        assert model.call(context, inputs["x"], inputs["shift"], y, z) == 0
        assert_close(y, kernels.outputs_of_mixed(inputs)["y"])
        assert_close(z, kernels.outputs_of_mixed(inputs)["z"])
    model.destroy(context)


@pytest.mark.parametrize("offset", [0, 4, 16, 32, 60])
def test_pointers_of_any_alignment(model: CModel, context: int, offset: int) -> None:
    inputs = kernels.inputs_of_mixed()
    y, z = empty(offset), empty(4)
    assert model.call(context, shifted(inputs["x"], offset), shifted(inputs["shift"], 4), y, z) == 0
    assert_close(y, kernels.outputs_of_mixed(inputs)["y"])
    assert_close(z, kernels.outputs_of_mixed(inputs)["z"])


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (0, "input 'x' is NULL"),
        (1, "input 'shift' is NULL"),
        (2, "output 'y' is NULL"),
        (3, "output 'z' is NULL"),
    ],
)
def test_null_is_an_error(model: CModel, context: int, missing: int, message: str) -> None:
    inputs = kernels.inputs_of_mixed()
    tensors: list[Array | None] = [inputs["x"], inputs["shift"], empty(), empty()]
    whole = list(tensors)
    tensors[missing] = None
    assert model.call(context, *tensors) == -1
    assert model.message(context) == message
    assert model.call(context, *whole) == 0
    assert model.message(context) == ""


def test_null_context(model: CModel) -> None:
    inputs = kernels.inputs_of_mixed()
    assert model.call(None, inputs["x"], inputs["shift"], empty(), empty()) == -1
    assert model.message(None) == "the context is NULL"
    model.destroy(None)


def test_outputs_that_overlap(model: CModel, context: int) -> None:
    inputs = kernels.inputs_of_mixed()
    y = empty()
    assert model.call(context, inputs["x"], inputs["shift"], y, y) == -1
    assert model.message(context) == "output 'z' overlaps output 'y'"
    assert model.call(context, y, inputs["shift"], y.reshape(-1)[1:], empty()) == -1
    assert model.message(context) == "output 'y' overlaps input 'x'"


@pytest.mark.parametrize("threads", [-1, 1025, 1 << 30])
def test_a_number_of_threads_that_makes_no_sense(model: CModel, threads: int) -> None:
    assert not model.create(threads)
    assert model.message(None) == f"threads: expected 0 to 1024, got {threads}"


def test_the_kernels_own_refusal_is_reported_with_the_layer(kernels_object: Path, tmp_path: Path) -> None:
    broken = CModel(kernels.build(kernels.broken(), kernels_object, tmp_path))
    context = broken.create(1)
    assert broken.call(context, empty(), empty()) == -1
    assert broken.message(context).startswith("in 'layer_7': ValueError: ")
    assert "expected 16" in broken.message(context)
    broken.destroy(context)


def test_a_feature_that_the_cpu_lacks(kernels_object: Path, tmp_path: Path) -> None:
    strange = replace(kernels.target(), features=("sse4_2", "imaginary"))
    link(kernels.plain(), kernels_object, strange, tmp_path / "plain.so", None)
    model = CModel(tmp_path / "plain.so")
    assert not model.create(1)
    assert model.message(None) == "this CPU lacks 'imaginary', which the model was compiled for"


def test_every_feature_that_targets_ask_for_is_known_to_the_driver() -> None:
    from convc import target as targets

    source = (Path(driver.__file__).parent / "templates" / "cpu.c").read_text()
    for known in targets.known():
        assert all(f'{{"{feature}", ' in source for feature in known.features)


def test_contexts_run_at_the_same_time(model: CModel) -> None:
    """Each thread has its own inputs and must always get its own answer."""
    failures: list[str] = []

    def run(seed: int) -> None:
        inputs = kernels.inputs_of_mixed(seed)
        want = kernels.outputs_of_mixed(inputs)["y"]
        context = model.create(2)
        for _ in range(50):
            y, z = empty(), empty()
            if model.call(context, inputs["x"], inputs["shift"], y, z) != 0 or not close(y, want):
                failures.append(f"seed {seed}: {model.message(context)}")
        model.destroy(context)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_one_context_in_two_threads_is_refused_not_mixed_up(model: CModel, context: int) -> None:
    unexpected: list[str] = []

    def run(seed: int) -> None:
        inputs = kernels.inputs_of_mixed(seed)
        want = kernels.outputs_of_mixed(inputs)["y"]
        for _ in range(200):
            y, z = empty(), empty()
            if model.call(context, inputs["x"], inputs["shift"], y, z) == 0:
                if not close(y, want):
                    unexpected.append("another thread's answer")
            elif "in use by another thread" not in model.message(context):
                unexpected.append(model.message(context))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unexpected == []


def test_ctypes_alone_runs_it(library: Path) -> None:
    """A process with nothing but the standard library."""
    program = f"""
import ctypes, sys
lib = ctypes.CDLL({str(library)!r})
lib.mixed_create.restype = ctypes.c_void_p
ctx = ctypes.c_void_p(lib.mixed_create(0))
x, shift = (ctypes.c_float * 384)(), (ctypes.c_float * 320)(*([-1e9] * 319), 1e3)
y, z = (ctypes.c_float * 5120)(), (ctypes.c_float * 5120)()
assert lib.mixed_run(ctx, x, shift, y, z) == 0
assert y[0] == 0 and y[319] > 0 and z[319] == 2 * y[319]
lib.mixed_destroy(ctx)
assert not {{"numpy", "tvm", "convc"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-I", "-c", program], check=True)


def test_the_example_in_c(kernels_object: Path, tmp_path: Path) -> None:
    library = kernels.build(kernels.plain(), kernels_object, tmp_path, header=True)
    names = ("-DMODEL=plain", '-DHEADER="plain.h"', "-DINPUT=x", "-DOUTPUT=y")
    flags = ("-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}")
    program = tmp_path / "run_model"
    subprocess.run(["cc", *flags, *names, EXAMPLE, "-o", program, library], check=True)
    x = np.random.default_rng(5).normal(size=kernels.Y.shape).astype("<f4")
    result = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True)
    assert np.array_equal(np.array(result.stdout.split(), np.float32).reshape(x.shape), 2 * x)
    short = subprocess.run([program], input=b"1234", capture_output=True, check=False)
    assert short.returncode == 1
    assert short.stderr == b"expected 5120 float32 numbers on stdin\n"


def test_strings_and_comments_survive_any_name(kernels_object: Path, tmp_path: Path) -> None:
    nasty = 'a*/ "b" \\ ??/ é\n%s /* '
    plain = kernels.plain()
    launch = replace(plain.launches[0], layers=nasty)
    port = Port(nasty, plain.inputs[0].type)
    program = replace(plain, name="nasty", inputs=(port,), outputs=(port,), launches=(launch,))
    library = kernels.build(program, kernels_object, tmp_path, header=True)
    subprocess.run(["cc", "-Wall", "-Werror", "-fsyntax-only", "-x", "c", tmp_path / "nasty.h"], check=True)
    model = CModel(library)
    context = model.create(1)
    assert model.call(context, None, empty()) == -1
    assert model.message(context) == f"input '{nasty}' is NULL"
    model.destroy(context)


def test_a_header_names_shapes_and_types() -> None:
    text = header.header(kernels.halves(), kernels.target())
    assert "int halves_run(halves *context, const int32_t *counts, float *halves_2);" in text
    assert "counts  input 'counts': int32_t, 7 (7 elements)" in text


def test_a_scalar_has_no_shape_in_the_tables() -> None:
    plain = kernels.plain()
    scalar = TensorType(())
    buffers = tuple(replace(buffer, type=scalar) for buffer in plain.launches[0].arguments)
    launch = replace(plain.launches[0], arguments=buffers)
    program: Program = replace(plain, inputs=(Port("x", scalar),), outputs=(Port("y", scalar),), launches=(launch,))
    assert "{STORAGE_INPUT, 0, UINT64_C(0), NULL, {2, 32, 1}}" in driver.source(program, kernels.target(), 0)


def kernels_3x3(seed: int, count: int) -> Array:
    return np.random.default_rng(seed).standard_normal((9, count)).astype(np.float32)


def transformed(kernels: Array) -> Array:
    """G g G' of each, [36, count] in float64."""
    g = np.array(transforms(4, 3).filter)
    result: Array = np.einsum("ir,js,rsk->ijk", g, g, kernels.reshape(3, 3, -1).astype(np.float64))
    return result.reshape(36, -1)


def test_weights_that_are_made_at_load(kernels_object: Path, tmp_path: Path) -> None:
    """Two sets of kernels: more than the 256 that the driver takes at a time, and fewer."""
    sets = [kernels_3x3(1, 300), kernels_3x3(2, 145)]
    first, second = (transformed(kernels_).reshape(-1) for kernels_ in sets)
    # An output has 5120 elements: two for the beginning and the end of the first set, one for that of the second.
    starts = [(first, 0), (first, 5120), (first, 5680), (second, 0)]
    offsets = [0, 5120 * 4, 5680 * 4, 10800 * 4]
    program = kernels.expanded(sets, offsets)
    assert program.expanded_bytes == (10800 + 5220) * 4
    model = CModel(kernels.build(program, kernels_object, tmp_path))
    context = model.create(2)
    assert context, model.message(None)
    outputs = [empty() for _ in starts]
    assert model.call(context, *outputs) == 0
    for got, (values, start) in zip(outputs, starts, strict=True):
        want = values[start : start + kernels.Y.elements].astype(np.float32)
        np.testing.assert_array_max_ulp(got.reshape(-1) / 2, want, maxulp=1)
    model.destroy(context)


def test_weights_are_made_once_for_all_contexts(kernels_object: Path, tmp_path: Path) -> None:
    """Threads that create contexts at the same time all see the whole weights; what is mapped grows by one copy."""
    kernels_ = kernels_3x3(3, 40_000)
    program = kernels.expanded([kernels_], [0, 36 * 4 * 40_000 - kernels.Y.bytes], "once")
    model = CModel(kernels.build(program, kernels_object, tmp_path))
    want = transformed(kernels_).reshape(-1)[-kernels.Y.elements :].astype(np.float32)
    before, together = constant_memory(), threading.Barrier(4)
    results: list[tuple[int, Array]] = []

    def run() -> None:
        together.wait()
        context = model.create(1)
        y, z = empty(), empty()
        assert model.call(context, y, z) == 0
        results.append((context, z))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for context, z in results:
        np.testing.assert_array_max_ulp(z.reshape(-1) / 2, want, maxulp=1)
        model.destroy(context)
    assert constant_memory() - before == -(-program.expanded_bytes // mmap.PAGESIZE) * mmap.PAGESIZE


def test_weights_that_do_not_fit_in_memory(kernels_object: Path, tmp_path: Path) -> None:
    program = kernels.expanded([kernels_3x3(3, 400)], [0], "large")
    (expansion,) = program.expansions
    beyond = replace(program, expansions=(expansion, replace(expansion, target=1 << 47)))
    model = CModel(kernels.build(beyond, kernels_object, tmp_path))
    for _ in range(2):
        assert not model.create(1)
        assert "memory" in model.message(None)


def test_expanded_buffers_are_inside_what_is_made() -> None:
    program = kernels.expanded([kernels_3x3(3, 143)], [0])
    driver.check(program, kernels.target())
    with pytest.raises(AssertionError, match="outside its storage"):
        driver.check(replace(program, expansions=()), kernels.target())
    with pytest.raises(AssertionError, match="outside its storage"):
        driver.check(kernels.expanded([kernels_3x3(3, 143)], [128]), kernels.target())
    with pytest.raises(AssertionError, match="misaligned"):
        driver.check(kernels.expanded([kernels_3x3(3, 300)], [4]), kernels.target())
