"""The generated driver for CUDA as text and as a file. What it does: tests/cuda/test_driver.py."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from convc import artifact
from convc.build import driver, nvcc
from convc.build.header import header
from convc.build.link import link
from convc.build.program import Buffer, Geometry, Program, Storage
from convc.errors import TargetError
from convc.target import CudaTarget
from tests.build import cuda_kernels as kernels
from tests.build import kernels as cpu_kernels
from tests.cuda.emulator.toolchain import headers

FUNCTIONS = ("create", "run", "run_on_device", "stream", "synchronize", "destroy", "last_error")


@pytest.fixture(scope="module")
def fatbin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for nvcc's output: linking does not look into it."""
    path = tmp_path_factory.mktemp("fatbin") / "kernels.fatbin"
    path.write_bytes(bytes(range(256)) * 3 + b"end")
    return path


@pytest.fixture(scope="module")
def library(fatbin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kernels.build(kernels.mixed(), fatbin, tmp_path_factory.mktemp("driver"), header=True)


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---- tables ----


def test_the_tables() -> None:
    text = driver.source(kernels.mixed(), kernels.target(), 100)
    assert '#include "cuda.h"' in text
    assert "driver_model = {2, 2, 3, 6, 8, UINT64_C(20544)};" in text
    assert "driver_code = {3, 2, 12000, UINT64_C(30848)};" in text
    assert "driver_architectures[] = {\n    80,\n    90,\n};" in text
    assert 'driver_kernels[] = {\n    {"matmul", 96},\n    {"add_relu", 0},\n    {"twice", 0},\n};' in text
    assert '{"dense_1", 0, 0, 3, {16, 2, 1}, {160, 1, 1}, 96},' in text
    assert '{"bias+relu", 1, 3, 3, {16, 1, 1}, {32, 10, 1}, 0},' in text
    assert '{"odd \\042name\\042\\134", 2, 6, 2, {40, 1, 1}, {128, 1, 1}, 0},' in text
    assert "{STORAGE_WEIGHTS, UINT64_C(128)}," in text
    assert ".device = 2," in text
    assert ".on_device = &driver_on_device," in text


def test_a_kernel_of_several_launches_has_the_most_shared_memory_that_one_asks_for() -> None:
    program = kernels.plain(times=3)
    asked = [replace(launch, geometry=Geometry((1, 1, 1), (1, 1, 1), 16 * (i % 2))) for i, launch in
             enumerate(program.launches)]  # fmt: skip
    text = driver.source(replace(program, launches=tuple(asked)), kernels.target(), 0)
    assert 'driver_kernels[] = {\n    {"twice", 16},\n};' in text


def test_cpu_libraries_have_no_device_table() -> None:
    text = driver.source(cpu_kernels.mixed(), cpu_kernels.target(), 100)
    assert ".device = 1," in text
    assert ".on_device = NULL," in text


def _with_geometry(program: Program, geometry: Geometry | None) -> Program:
    return replace(program, launches=(replace(program.launches[0], geometry=geometry), *program.launches[1:]))


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        Geometry((0, 1, 1), (32, 1, 1)),
        Geometry((1, 1, 1), (0, 1, 1)),
        Geometry((1, 65536, 1), (32, 1, 1)),
        Geometry((1, 1, 1), (32, 33, 1)),
        Geometry((1, 1, 1), (32, 1, 1), (227 << 10) + 1),
        Geometry((1, 1, 1), (32, 1, 1), -1),
    ],
)
def test_launches_that_cuda_does_not_take(geometry: Geometry | None) -> None:
    driver.check(kernels.mixed(), kernels.target())
    with pytest.raises(AssertionError):
        driver.check(_with_geometry(kernels.mixed(), geometry), kernels.target())


def test_programs_for_the_wrong_kind_of_target() -> None:
    with pytest.raises(AssertionError, match="kernel for CUDA"):
        driver.check(kernels.mixed(), cpu_kernels.target())
    with pytest.raises(AssertionError, match="kernel for the CPU"):
        driver.check(cpu_kernels.mixed(), kernels.target())


def test_an_output_may_be_any_argument_but_must_be_one() -> None:
    program = kernels.mixed()
    y = program.launches[1].arguments[0]
    assert y.storage is Storage.OUTPUT
    launches = tuple(
        replace(call, arguments=tuple(Buffer(Storage.ARENA, 64, b.type) if b == y else b for b in call.arguments))
        for call in program.launches
    )
    with pytest.raises(AssertionError, match="every output"):
        driver.check(replace(program, launches=launches), kernels.target())


def test_constants_and_structures_are_those_of_the_toolkit(tmp_path: Path) -> None:
    """cuda.h of the driver declares for itself what it needs of the toolkit's."""
    include = headers()
    if include is None:
        pytest.skip("no headers of the CUDA toolkit")
    ours = (Path(driver.__file__).parent / "templates" / "cuda.h").read_text()
    constants = re.findall(r"\b(CU(?:DA)?_[A-Z_]+) = (\d+)", ours)
    assert len(constants) == 16
    checks = [f"_Static_assert({name} == {value}, {name!r});".replace("'", '"') for name, value in constants]
    places = {"func": 0, "gridDimX": 8, "blockDimX": 20, "sharedMemBytes": 32, "kernelParams": 40, "extra": 48}
    checks += [
        f'_Static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS_v1, {field}) == {offset}, "{field}");'
        for field, offset in places.items()
    ]
    checks.append('_Static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS_v1) == 56, "size");')
    (tmp_path / "theirs.c").write_text("\n".join(("#include <cuda.h>", "#include <stddef.h>", *checks)))
    output_of("cc", "-fsyntax-only", f"-I{include}", tmp_path / "theirs.c")
    own = [
        f'_Static_assert(offsetof(CUDA_KERNEL_NODE_PARAMS, {field}) == {offset}, "{field}");'
        for field, offset in (("func", 0), ("grid", 8), ("block", 20), ("shared_bytes", 32), ("parameters", 40))
    ]
    own.append('_Static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS) == 56, "size");')
    (tmp_path / "ours.c").write_text("\n".join(('#include "cuda.h"', *own)))
    output_of("cc", "-fsyntax-only", f"-I{Path(driver.__file__).parent / 'templates'}", tmp_path / "ours.c")


# ---- the library ----


def test_metadata(library: Path) -> None:
    about = artifact.read(library)
    assert (about.device, about.architectures) == ("cuda", ("sm_80", "sm_90", "compute_90"))
    assert (about.driver_version, about.precision) == (12000, "float32")
    assert (about.target, about.features) == ("cuda:sm_80,sm_90", ())
    assert [launch.layers for launch in about.launches] == ["dense_1", "bias+relu", 'odd "name"\\']


def test_the_kernels_are_in_the_library_at_a_multiple_of_64(library: Path, fatbin: Path) -> None:
    (section,) = [line for line in output_of("readelf", "-SW", library).splitlines() if ".convc.kernels" in line]
    address, offset, size = (int(text, 16) for text in section.split("PROGBITS")[1].split()[:3])
    assert address % 64 == 0
    assert library.read_bytes()[offset : offset + size] == fatbin.read_bytes()


def test_only_libc_is_needed(library: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "-d", library))
    assert needed
    assert [name for name in needed if not re.fullmatch(r"lib(c|dl|pthread)\.so\.\d+|ld-linux.*", name)] == []


def test_only_the_interface_is_exported(library: Path) -> None:
    exported = {line.split()[-1] for line in output_of("nm", "-D", "--defined-only", library).splitlines()}
    assert exported == {f"mixed_{verb}" for verb in FUNCTIONS} | {"convc_module_v1"}


def test_the_library_is_hardened(library: Path) -> None:
    assert "BIND_NOW" in output_of("readelf", "-d", library)
    segments = output_of("readelf", "-lW", library)
    assert "GNU_RELRO" in segments
    assert not re.search(r"GNU_STACK.*RWE", segments)


def test_the_same_program_gives_the_same_bytes(library: Path, fatbin: Path, tmp_path: Path) -> None:
    assert kernels.build(kernels.mixed(), fatbin, tmp_path).read_bytes() == library.read_bytes()


@pytest.mark.parametrize("compiler", ["cc", "clang"])
def test_the_driver_compiles_without_a_warning(
    compiler: str, fatbin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    monkeypatch.setenv("CC", f"{compiler} -Wpedantic -Wshadow -Wundef -Werror")
    for program in (kernels.mixed(), kernels.halves()):
        kernels.build(program, fatbin, tmp_path)


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_the_driver_is_compiled_for_the_host(architecture: str, fatbin: Path, tmp_path: Path) -> None:
    chosen = kernels.target()
    foreign: CudaTarget = replace(chosen, host=replace(chosen.host, arch=architecture))
    try:
        link(kernels.mixed(), fatbin, foreign, tmp_path / "m.so", None)
    except TargetError as error:
        pytest.skip(str(error))
    assert artifact.read(tmp_path / "m.so").arch == architecture


# ---- the header ----


def test_the_header_tells_host_and_device_pointers_apart() -> None:
    text = header(kernels.halves(), kernels.target())
    assert "halves *halves_create(int device);" in text
    assert "int halves_run(halves *context, const int32_t *counts, float *halves_2);" in text
    device = "const int32_t *device_counts, float *device_halves_2"
    assert f"int halves_run_on_device(halves *context, {device});" in text
    assert "void *halves_stream(halves *context);" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(("compiler", "suffix"), [("cc", "c"), ("c++", "cc")])
def test_the_header_is_c_and_cxx(compiler: str, suffix: str, library: Path, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    main = tmp_path / f"main.{suffix}"
    main.write_text(
        '#include "mixed.h"\n'
        "int main(void) { mixed *m = mixed_create(0); mixed_destroy(m); return m || !*mixed_last_error(0); }\n"
    )
    flags = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{library.parent}")
    output_of(compiler, *flags, main, library, "-o", tmp_path / "main")
    subprocess.run([tmp_path / "main"], env=_without_driver(tmp_path), check=True)


# ---- without a driver ----


def _without_driver(folder: Path) -> dict[str, str]:
    """An environment in which libcuda.so.1 cannot be loaded, on machines that have one too."""
    (folder / "libcuda.so.1").write_text("not a library")
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def _create_without_driver(library: Path, folder: Path) -> tuple[str, float]:
    """The message of create in a process without a driver, and how long it took."""
    program = f"""
import ctypes, time
lib = ctypes.CDLL({str(library)!r})
lib.mixed_create.restype, lib.mixed_last_error.restype = ctypes.c_void_p, ctypes.c_char_p
start = time.monotonic()
assert not lib.mixed_create(0) and not lib.mixed_create(0)
print(time.monotonic() - start, lib.mixed_last_error(None).decode())
"""
    command = [sys.executable, "-I", "-c", program]
    result = subprocess.run(command, env=_without_driver(folder), check=True, capture_output=True, text=True)
    assert result.stderr == ""
    seconds, _, message = result.stdout.strip().partition(" ")
    return message, float(seconds)


def test_without_a_driver_the_library_loads_and_says_what_is_missing(library: Path, tmp_path: Path) -> None:
    message, seconds = _create_without_driver(library, tmp_path)
    assert message.startswith("no NVIDIA driver: libcuda.so.1 cannot be loaded: ")
    assert message.endswith("; install the driver, or give the container the GPU")
    assert seconds < 1


def test_loading_alone_takes_no_driver_and_no_time(library: Path) -> None:
    start = time.monotonic()
    table = artifact.ModuleTable.in_dll(ctypes.CDLL(str(library)), artifact.MODULE_SYMBOL)
    assert time.monotonic() - start < 1
    assert (table.device, table.inputs, table.outputs, table.launches) == (2, 2, 2, 3)
    assert table.size == ctypes.sizeof(artifact.ModuleTable)
    assert table.on_device.contents.size == ctypes.sizeof(artifact.DeviceTable)


def test_what_nvcc_makes_is_taken_in(tmp_path: Path) -> None:
    try:
        made = nvcc.fatbin(kernels.SOURCE, kernels.target())
    except TargetError as error:
        pytest.skip(str(error))
    (tmp_path / "kernels.fatbin").write_bytes(made)
    library = kernels.build(kernels.mixed(), tmp_path / "kernels.fatbin", tmp_path)
    assert made in library.read_bytes()
    message, _ = _create_without_driver(library, tmp_path)
    assert message.startswith("no NVIDIA driver: ")
