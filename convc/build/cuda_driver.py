"""The generated part of the driver for CUDA: the model's tables in C, over what templates/cuda.h declares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from convc.build import tables as common
from convc.build.c_text import array, commas, string
from convc.build.program import Buffer, Launch, Program, Storage
from convc.target import CudaTarget

HEADER = "cuda.h"
TEMPLATES = (
    "cuda.h", "cuda_api.c", "cuda_device.c", "cuda_graph.c", "cuda_profile.c", "cuda_host.c", "cuda_memory.c",
    "cuda_context.c",
)  # fmt: skip

PORT_ALIGNMENT = 16
"""Bytes. Kernels assume that the caller's arrays in the device's memory begin at a multiple of it."""

MOST_THREADS = 1024
"""Of a block."""
MOST_BLOCKS = ((1 << 31) - 1, 65535, 65535)
MOST_SHARED = 227 << 10
"""Bytes of shared memory that a block can have on the largest of the GPUs."""


def check(program: Program) -> None:
    """Asserts what this driver relies on, besides `driver.check`: launches that CUDA takes, no weights made at load."""
    assert not program.expansions, "weights are not made at load on a GPU"
    for launch in program.launches:
        geometry = launch.geometry
        assert geometry is not None, f"{launch.kernel} is a kernel for the CPU"
        assert min(*geometry.grid, *geometry.block) > 0, f"{launch.kernel} has an empty grid"
        assert all(n <= most for n, most in zip(geometry.grid, MOST_BLOCKS, strict=True)), f"grid of {launch.kernel}"
        assert math.prod(geometry.block) <= MOST_THREADS, f"{launch.kernel} has too many threads"
        assert 0 <= geometry.shared <= MOST_SHARED, f"{launch.kernel} has too much shared memory"
        for buffer in launch.arguments:
            assert buffer.storage is not Storage.EXPANDED, "weights are not made at load on a GPU"


def tables(program: Program, target: CudaTarget) -> str:
    """What cuda.h declares as generated."""
    shared: dict[str, int] = {}
    for launch in program.launches:
        shared[launch.kernel] = max(shared.get(launch.kernel, 0), launch.geometry.shared if launch.geometry else 0)
    kernels = {name: i for i, name in enumerate(shared)}
    counts = (len(kernels), len(target.architectures), program.driver_version)
    return "\n\n".join(
        (
            common.tables(program),
            f"const struct code driver_code = {{{commas(counts)}, UINT64_C({program.weights_bytes})}};",
            array("uint32_t driver_architectures", map(str, target.architectures)),
            array("struct kernel driver_kernels", (f"{{{string(name)}, {size}}}" for name, size in shared.items())),
            array("struct tensor driver_tensors", map(_tensor_row, common.buffers(program))),
            array("struct launch driver_launches", _launch_rows(program.launches, kernels)),
        )
    )


def _tensor_row(buffer: Buffer) -> str:
    return f"{{STORAGE_{buffer.storage.name}, UINT64_C({buffer.position})}}"


def _launch_rows(launches: Iterable[Launch], kernels: Mapping[str, int]) -> Iterable[str]:
    first = 0
    for launch in launches:
        assert launch.geometry is not None
        numbers = f"{kernels[launch.kernel]}, {first}, {len(launch.arguments)}"
        grid, block = commas(launch.geometry.grid), commas(launch.geometry.block)
        yield f"{{{string(launch.layers)}, {numbers}, {{{grid}}}, {{{block}}}, {launch.geometry.shared}}}"
        first += len(launch.arguments)
