"""Every environment variable that convc reads, in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Developer and host settings taken from the environment."""

    dump: Path | None
    """CONVC_DUMP: folder that receives the graph's text after each pass."""
    stop_after: int | None
    """CONVC_STOP_AFTER: number of rewrites after which the passes stop; bisects a wrong answer to one rewrite."""
    compiler: str | None
    """CC: the C compiler that builds the driver and links the library; by default cc, gcc or clang."""
    cuda_home: Path | None = None
    """CUDA_HOME: the folder of the CUDA toolkit that compiles kernels for GPUs; by default that of nvcc on the PATH."""


def from_environment() -> Settings:
    """The settings of this process."""
    names = ("CONVC_DUMP", "CONVC_STOP_AFTER", "CC", "CUDA_HOME")
    dump, stop, compiler, cuda = (os.environ.get(name) for name in names)
    return Settings(
        Path(dump) if dump else None,
        int(stop) if stop and stop.isdigit() else None,
        compiler or None,
        Path(cuda) if cuda else None,
    )
