"""Compiles the fake driver and kernels with g++."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from convc.build.nvcc import find
from convc.errors import TargetError
from tests.cuda.emulator.source import prepare

HERE = Path(__file__).parent
HEADER = "emulated_cuda.h"
FLAGS = ("-std=c++17", "-fPIC", "-fno-strict-aliasing", "-w")
KERNEL_FLAGS = (*FLAGS, "-O1", "-march=native", "-fsanitize=alignment,bounds")


def missing() -> str | None:
    """Why kernels cannot be emulated here; None where they can."""
    if platform.machine() != "x86_64":
        return "the CUDA emulator switches stacks on x86-64 only"
    if shutil.which("g++") is None:
        return "the CUDA emulator needs g++"
    if headers() is None:
        return "the CUDA emulator needs the headers of the CUDA toolkit"
    return None


@cache
def headers() -> Path | None:
    """The toolkit's include directory, found beside nvcc."""
    try:
        nvcc = find()
    except TargetError:
        return None
    # nvcc on the path may be a script that runs the real one; it says itself where it stands.
    told = subprocess.run([nvcc, "--dryrun", "-c", "none.cu"], capture_output=True, text=True, check=False).stderr
    tops = re.findall(r"^#\$ TOP=(.*)$", told, re.MULTILINE)
    found = [Path(top.strip()) / "include" for top in tops]
    return next((path.resolve() for path in found if (path / "cuda_fp16.h").exists()), None)


def compiled(source: str) -> Path:
    """The shared object of these kernels. Raises RuntimeError with g++'s messages, ValueError as `prepare` does."""
    prepared = prepare(source)
    place = workspace() / hashlib.sha256(prepared.encode()).hexdigest()[:24]
    library = place.with_suffix(".so")
    if not library.exists():
        written = place.with_suffix(".cpp")
        written.write_text(prepared, encoding="utf-8")
        compiled = place.with_suffix(".o")
        _run("g++", *KERNEL_FLAGS, *_include(), "-include", built() / HEADER, "-c", written, "-o", compiled)
        # Not with KERNEL_FLAGS, which would add libubsan: the fake driver stands in for it.
        _run("g++", "-shared", compiled, fake_cuda(), "-o", library)
    return library


def fake_cuda() -> Path:
    """The libcuda.so.1 that runs kernels on the CPU."""
    return built() / "libcuda.so.1"


@cache
def built() -> Path:
    """A directory with libcuda.so.1 and the precompiled header, made once for their sources, headers and g++."""
    about = subprocess.run(["g++", "--version"], capture_output=True, check=True).stdout + str(headers()).encode()
    sources = sorted(path for path in HERE.iterdir() if path.suffix in (".cpp", ".h", ".py"))
    key = hashlib.sha256(about + b"".join(source.read_bytes() for source in sources)).hexdigest()[:24]
    place = HERE / "__pycache__" / key  # where Python keeps what it compiles, and as it does, by renaming what is whole
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as name:
            made = Path(name) / key
            made.mkdir()
            _build_library(made)
            _build_header(made)
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(place)
    return place


def _build_library(place: Path) -> None:
    sources = sorted(HERE.glob("*.cpp"))
    objects = [place / f"{source.stem}.o" for source in sources]
    with ThreadPoolExecutor() as pool:
        for running in [
            pool.submit(_run, "g++", *FLAGS, "-O1", *_include(), "-c", source, "-o", target)
            for source, target in zip(sources, objects, strict=True)
        ]:
            running.result()
    _run("g++", "-shared", "-Wl,-soname,libcuda.so.1", "-o", place / "libcuda.so.1", *objects, "-ldl")


def _build_header(place: Path) -> None:
    """A header with its precompiled form beside it, which -include finds."""
    header = place / HEADER
    header.write_text(f'#include "{HERE / HEADER}"\n', encoding="utf-8")
    _run("g++", *KERNEL_FLAGS, *_include(), "-x", "c++-header", header, "-o", f"{header}.gch")


@cache
def workspace() -> Path:
    """A directory of this process for its kernels."""
    directory = tempfile.mkdtemp(prefix="convc-emulator-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _include() -> tuple[str, ...]:
    return f"-I{HERE}", f"-I{headers()}"


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")
