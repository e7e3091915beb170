"""Turns a program and its kernels' object file into one shared library, by the system's C compiler."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np

from convc import settings
from convc.build import driver
from convc.build import header as c_header
from convc.build.program import Program
from convc.errors import ArtifactError, TargetError, UnsupportedError
from convc.target import AnyTarget, CudaTarget, host_arch

MAX_WEIGHTS = (2 << 30) - (64 << 20)
"""Bytes. The code reaches the weights by 32-bit offsets."""

_COMPILE = (
    "-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-plt", "-ffunction-sections", "-fdata-sections",
    "-Wall", "-Wextra", "-Werror=implicit-function-declaration",
)  # fmt: skip
_VECTORS = {"avx2": "-mavx2", "fma": "-mfma"}
"""Features of a target that weights.c, which runs after they were checked, is compiled for."""
_LINK = (
    "-shared", "-static-libgcc",
    "-Wl,-z,relro,-z,now,-z,noexecstack,-z,defs", "-Wl,--hash-style=gnu,--gc-sections,--as-needed",
    "-Wl,--build-id=none,--strip-debug", "-Wl,--version-script=exports.map",
)  # fmt: skip
_LIBRARIES = ("-lpthread", "-ldl", "-lm")
"""With --as-needed: glibc before 2.34 has threads and dlopen apart, and not every kernel needs libm."""


def link(program: Program, kernels: Path, target: AnyTarget, output: Path, header: Path | None) -> None:
    """Writes the library of `program` to `output`, and its C header to `header` unless None.

    `kernels` is an object file for a CPU, a fatbin for CUDA.

    The bytes depend on the arguments and on the toolchain only, not on folders or the time. What is at `output` is
    replaced in one step, and kept on failure. Raises `TargetError` where there is no fitting C compiler,
    `UnsupportedError` for more than `MAX_WEIGHTS` bytes of weights, `ArtifactError` where `output` cannot be written.
    """
    driver.check(program, target)
    if program.weights_bytes > MAX_WEIGHTS:
        raise UnsupportedError(
            f"model '{program.name}'",
            "the weights are too large for one library",
            expected=f"at most {MAX_WEIGHTS} bytes",
            received=f"{program.weights_bytes} bytes",
        )
    compiler = find_compiler(target)
    try:
        with tempfile.TemporaryDirectory(prefix=".convc-", dir=output.absolute().parent) as name:
            folder = Path(name)
            _write_sources(program, target, folder)
            sources = ["model.c", *(name for name in driver.templates(target) if name.endswith(".c"))]
            objects = ["data.o", *(f"{source}.o" for source in sources)]
            if isinstance(target, CudaTarget):
                shutil.copyfile(kernels, folder / "kernels.fatbin")
            else:
                shutil.copyfile(kernels, folder / "kernels.o")
                objects.append("kernels.o")
            _invoke(compiler, ["-c", "data.s", "-o", "data.o"], folder)
            for source in sources:
                flags = (*_COMPILE, *_vectors(target)) if source == "weights.c" else _COMPILE
                _invoke(compiler, [*flags, "-c", source, "-o", f"{source}.o"], folder)
            _invoke(compiler, [*_LINK, "-o", "library.so", *objects, *_LIBRARIES], folder)
            if header:
                (folder / "model.h").write_text(c_header.header(program, target), encoding="ascii")
                os.replace(folder / "model.h", header)
            os.replace(folder / "library.so", output)
    except OSError as error:
        raise ArtifactError(str(output), "cannot be written", received=error.strerror or str(error)) from None


def _vectors(target: AnyTarget) -> tuple[str, ...]:
    return ("-O3", *(_VECTORS[feature] for feature in target.features if feature in _VECTORS))


def find_compiler(target: AnyTarget) -> list[str]:
    """The command of a C compiler for `target`: CC, else cc, gcc, clang, or a cross gcc. Raises `TargetError`."""
    chosen = settings.from_environment().compiler
    if chosen:
        command = shlex.split(chosen)
        machine = _machine(command)
        if machine is None:
            raise TargetError(
                "CC",
                "not a C compiler that runs",
                received=chosen,
                remedy="set CC to one, or unset it to use cc, gcc or clang",
            )
        if _arch(machine) != target.arch:
            raise TargetError(
                f"target '{target.name}'",
                "CC compiles for another machine",
                expected=target.arch,
                received=f"{machine} ({chosen})",
                remedy=f"set CC to a compiler for {target.arch}",
            )
        return command
    if target.arch == host_arch():
        names, remedy = ["cc", "gcc", "clang"], "install gcc or clang, or set CC"
    else:
        names = [f"{target.arch}-linux-gnu-gcc"]
        remedy = f"install gcc for {target.arch} (on Debian gcc-{target.arch.replace('_', '-')}-linux-gnu), or set CC"
    for name in names:
        if shutil.which(name) and _arch(_machine([name]) or "") == target.arch:
            return [name]
    raise TargetError(
        f"target '{target.name}'", "no C compiler to link with", expected=" or ".join(names), remedy=remedy
    )


def _machine(command: list[str]) -> str | None:
    """The platform that a compiler compiles for, like "x86_64-linux-gnu"; None where it does not run."""
    try:
        result = subprocess.run(
            [*command, "-dumpmachine"], capture_output=True, text=True, errors="replace", check=True
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def _arch(machine: str) -> str:
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.partition("-")[0], machine.partition("-")[0])


def _write_sources(program: Program, target: AnyTarget, folder: Path) -> None:
    about = driver.metadata(program, target).to_json()
    (folder / "metadata.json").write_text(about, encoding="ascii")
    (folder / "model.c").write_text(driver.source(program, target, len(about)), encoding="ascii")
    (folder / "data.s").write_text(driver.stub(target), encoding="ascii")
    (folder / "exports.map").write_text(driver.exports(program, target), encoding="ascii")
    templates = resources.files("convc.build") / "templates"
    for name in driver.templates(target):
        (folder / name).write_bytes((templates / name).read_bytes())
    with (folder / "weights.bin").open("wb") as file:
        for offset, data in program.weights:
            file.seek(offset)
            file.write(np.ascontiguousarray(data, data.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data)
        file.truncate(max(program.weights_bytes, 1))


def _invoke(compiler: list[str], arguments: list[str], folder: Path) -> None:
    result = subprocess.run(
        [*compiler, *arguments],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines()[-1:]
        raise TargetError(
            f"compiler '{shlex.join(compiler)}'",
            "could not build the library",
            received=(lines[0] if lines else f"exit status {result.returncode}")[:300],
            remedy="set CC to another gcc or clang",
        )
