"""Compiles CUDA source to a fatbin with NVIDIA's compiler, on machines without a GPU too."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from convc import settings
from convc.errors import TargetError
from convc.target import CudaTarget

_FLAGS = ("-fatbin", "-std=c++17", "-O3", "-Xfatbin=-compress-all", "--threads=0", "-diag-suppress=177,550,1046")
"""Generated code has unused variables (177), some that are only set (550), and constants that are rounded (1046)."""
_OLDEST = 12
DEFAULT_HOME = Path("/usr/local/cuda")
"""Where the toolkit's installer puts it."""


def find() -> str:
    """nvcc: of CUDA_HOME, on the PATH, or at `DEFAULT_HOME`. Raises `TargetError` where there is none."""
    home = settings.from_environment().cuda_home
    places = [home / "bin" / "nvcc"] if home else []
    found = shutil.which("nvcc")
    places += [Path(found)] if found else []
    places.append(DEFAULT_HOME / "bin" / "nvcc")
    for place in places:
        if os.access(place, os.X_OK):
            return str(place)
    raise TargetError(
        "target 'cuda'",
        "there is no nvcc to compile the kernels with",
        expected="NVIDIA's CUDA toolkit, 12 or newer",
        remedy="install it, put nvcc on the PATH or set CUDA_HOME; a GPU is not needed to compile",
    )


def version(nvcc: str) -> tuple[int, int]:
    """The toolkit's version, like (13, 0). Raises `TargetError` for one that does not run or is too old."""
    try:
        result = subprocess.run([nvcc, "--version"], capture_output=True, text=True, errors="replace", check=False)
        found = re.search(r"release (\d+)\.(\d+)", result.stdout)
    except OSError:
        found = None
    if not found or int(found[1]) < _OLDEST:
        received = f"release {found[1]}.{found[2]}" if found else "something that does not say its release"
        raise TargetError(
            f"'{nvcc}'", "not an nvcc that fits", expected=f"release {_OLDEST} or newer", received=received
        )
    return int(found[1]), int(found[2])


def driver_version(nvcc: str) -> int:
    """The least CUDA version of a driver that runs what `nvcc` makes, as the driver counts: 1000 * major.

    A driver runs machine code of every toolkit of its own major version ("CUDA Compatibility", minor versions).
    """
    return 1000 * version(nvcc)[0]


def fatbin(source: str, target: CudaTarget) -> bytes:
    """`source` compiled for the target's architectures, and PTX of the last. Raises `TargetError`."""
    nvcc = find()
    version(nvcc)
    codes = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in target.architectures]
    last = target.architectures[-1]
    codes.append(f"-gencode=arch=compute_{last},code=compute_{last}")
    with tempfile.TemporaryDirectory(prefix="convc-") as name:
        folder = Path(name)
        (folder / "kernels.cu").write_text(source, encoding="ascii")
        # The names of files would get into the code; relative ones are the same in every run.
        result = subprocess.run(
            [nvcc, *_FLAGS, *codes, "-o", "kernels.fatbin", "kernels.cu"],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            lines = [line for line in (result.stderr + result.stdout).splitlines() if "error" in line.lower()]
            raise TargetError(
                f"target '{target.name}'",
                "nvcc could not compile the kernels",
                received=(lines[0] if lines else f"exit status {result.returncode}")[:300],
                remedy="does this toolkit know the architectures? 'nvcc --list-gpu-arch' says so",
            )
        return (folder / "kernels.fatbin").read_bytes()
