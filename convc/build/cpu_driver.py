"""The generated part of the driver for CPUs: the model's tables in C, over what templates/driver.h declares."""

from __future__ import annotations

from collections.abc import Iterable

from convc.build import tables as common
from convc.build.c_text import array, commas, string
from convc.build.program import Buffer, Expansion, Launch, Program
from convc.target import Target

HEADER = "driver.h"
TEMPLATES = ("driver.h", "context.c", "pool.c", "workspace.c", "weights.c", "cpu.c")

MOST_TAPS = 16
"""Columns of a matrix that weights.c has room for."""

_DLPACK_CODE = {"i": 0, "f": 2}


def check(program: Program) -> None:
    """Asserts what this driver relies on, besides `driver.check`."""
    for expansion in program.expansions:
        assert len(expansion.map.columns[0]) <= MOST_TAPS, "weights.c has no room for that many taps"
    for launch in program.launches:
        assert launch.geometry is None, f"{launch.kernel} is a kernel for CUDA"


def tables(program: Program, target: Target) -> str:
    """What driver.h declares as generated."""
    buffers = common.buffers(program)
    kernels = dict.fromkeys(launch.kernel for launch in program.launches)
    shapes = {shape: i for i, shape in enumerate(dict.fromkeys(b.type.shape for b in buffers if b.type.shape))}
    return "\n\n".join(
        (
            "\n".join(f"extern Kernel __tvm_ffi_{kernel};" for kernel in kernels),
            "\n".join(f"static const int64_t shape_{i}[] = {{{commas(shape)}}};" for shape, i in shapes.items()),
            common.tables(program),
            f"const struct expanded driver_expanded = {{UINT64_C({program.expanded_bytes}), "
            f"{len(program.expansions)}}};",
            *_expansions(program),
            array("struct tensor driver_tensors", (_tensor_row(buffer, shapes) for buffer in buffers)),
            array("struct launch driver_launches", _launch_rows(program.launches)),
            array("char *const driver_features", (*map(string, target.features), "NULL")),
        )
    )


def _expansions(program: Program) -> tuple[str, str]:
    """The tables of matrices, each once, and of expansions, which name the places of theirs. Neither is empty."""
    maps = [expansion.map for expansion in program.expansions]
    matrices = tuple(dict.fromkeys(matrix for made in maps for matrix in (made.rows, made.columns)))
    starts = [sum(len(matrix) * len(matrix[0]) for matrix in matrices[:place]) for place in range(len(matrices))]
    places = dict(zip(matrices, starts, strict=True))

    def row(expansion: Expansion) -> str:
        numbers = (expansion.source, expansion.target, expansion.count)
        axes = (f"{{{places[m]}, {len(m)}, {len(m[0])}}}" for m in (expansion.map.rows, expansion.map.columns))
        return f"{{{', '.join((*(f'UINT64_C({number})' for number in numbers), *axes))}}}"

    coefficients = (float(value).hex() for matrix in matrices for line in matrix for value in line)
    return (
        array("double driver_coefficients", (*coefficients, "0")),
        array("struct expansion driver_expansions", (*map(row, program.expansions), "{0}")),
    )


def _tensor_row(buffer: Buffer, shapes: dict[tuple[int, ...], int]) -> str:
    shape = f"shape_{shapes[buffer.type.shape]}" if buffer.type.shape else "NULL"
    dtype = buffer.type.dtype.numpy
    code = f"{{{_DLPACK_CODE[dtype.kind]}, {8 * dtype.itemsize}, 1}}"
    position = f"UINT64_C({buffer.position})"
    return f"{{STORAGE_{buffer.storage.name}, {buffer.type.rank}, {position}, {shape}, {code}}}"


def _launch_rows(launches: Iterable[Launch]) -> Iterable[str]:
    first = 0
    for launch in launches:
        yield f"{{__tvm_ffi_{launch.kernel}, {string(launch.layers)}, {first}, {len(launch.arguments)}}}"
        first += len(launch.arguments)
