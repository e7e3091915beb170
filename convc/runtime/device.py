"""Which device a library runs on: what the caller asked for, held against what it was compiled for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from convc.artifact import Metadata
from convc.errors import TargetError

_FORM = re.compile(r"cpu|cuda(?::(\d{1,9}))?")


@dataclass(frozen=True)
class Device:
    """The CPU, or a GPU by CUDA's number of it. `kind` is one of `artifact.DEVICES`."""

    kind: str
    ordinal: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.ordinal}"


def parse(text: str) -> Device:
    """The device that "cpu", "cuda" (the first GPU) or "cuda:1" names. Raises `TargetError`."""
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise TargetError(
            f"device {text!r}", "no such device", expected="cpu, cuda or cuda:N", remedy="leave the device out"
        )
    return Device(text.partition(":")[0], int(match[1] or 0))


def choose(subject: str, metadata: Metadata, wanted: Device | None) -> Device:
    """`wanted`, by default what the library was compiled for. Raises `TargetError` where it is of the other kind."""
    device = wanted or Device(metadata.device)
    if device.kind == metadata.device:
        return device
    compiled, target = ("the CPU", "cuda") if metadata.device == "cpu" else ("GPUs", "native")
    raise TargetError(
        subject,
        f"compiled for {compiled}",
        expected=f"device '{Device(metadata.device).kind}'",
        received=f"device '{device}'",
        remedy=f"leave the device out, or compile the model with --target {target}",
    )
