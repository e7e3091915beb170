"""The tables of a model that every driver has, in C: what templates/interface.h declares as generated."""

from __future__ import annotations

from convc.build.c_text import array, commas, string
from convc.build.program import Buffer, Port, Program


def buffers(program: Program) -> list[Buffer]:
    """The distinct arguments of the launches, in the order of a driver's table of tensors."""
    return list(dict.fromkeys(buffer for launch in program.launches for buffer in launch.arguments))


def tables(program: Program) -> str:
    """The model's counts, its ports and the arguments of its launches."""
    index = {buffer: i for i, buffer in enumerate(buffers(program))}
    arguments = [index[buffer] for launch in program.launches for buffer in launch.arguments]
    counts = (len(program.inputs), len(program.outputs), len(program.launches), len(index), len(arguments))
    return "\n\n".join(
        (
            f"const struct model driver_model = {{{commas(counts)}, UINT64_C({program.arena_bytes})}};",
            array("struct port driver_ports", map(_port_row, (*program.inputs, *program.outputs))),
            array("uint32_t driver_arguments", map(str, arguments)),
        )
    )


def _port_row(port: Port) -> str:
    return f"{{{string(port.name)}, UINT64_C({port.type.bytes})}}"
