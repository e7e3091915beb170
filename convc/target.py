"""The machines that code is made for: a CPU with its vector width, caches and features, or CUDA architectures."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from convc.errors import TargetError


@dataclass(frozen=True)
class Target:
    """A CPU to compile for. Sizes are in bytes; `lanes` is float32 elements per vector register."""

    name: str
    arch: str
    mcpu: str
    features: tuple[str, ...]
    """CPU flags that the code needs, as /proc/cpuinfo spells them; checked at load."""
    lanes: int
    vector_registers: int
    l1: int = 32 << 10
    l2: int = 1 << 20
    cores: int = 2
    fma_per_cycle: float = 2.0
    """Multiply-adds of whole vectors that a core can begin in a cycle."""
    memory_bytes: float = 3.0
    """Bytes per cycle that one core reads from behind its L2 cache, from where weights come: measured."""
    cache_bytes: float = 6.0
    """Bytes per cycle of one core at which Winograd's transforms read and write: measured."""

    @property
    def triple(self) -> str:
        """LLVM's name of the platform."""
        return f"{self.arch}-unknown-linux-gnu"


@dataclass(frozen=True)
class CudaTarget:
    """GPUs of NVIDIA to compile for: machine code for each of `architectures` (compute capabilities, 80 is 8.0), which
    also runs on later ones of the same major version, and PTX of the last, for what comes after it.

    `host` is the CPU that the driver is compiled for.
    """

    name: str
    architectures: tuple[int, ...]
    host: Target
    tf32: bool = False
    """Whether tensor cores may round float32 operands of products to tf32, which has 10 bits of mantissa."""

    @property
    def arch(self) -> str:
        """The host's architecture."""
        return self.host.arch

    @property
    def features(self) -> tuple[str, ...]:
        """CPU flags that the driver needs."""
        return self.host.features

    @property
    def codes(self) -> tuple[str, ...]:
        """What the library holds, by nvcc's names: "sm_80", …, and the PTX, "compute_90"."""
        return (*(f"sm_{number}" for number in self.architectures), f"compute_{self.architectures[-1]}")


AnyTarget = Target | CudaTarget

_V2 = ("sse4_2", "popcnt")
_V3 = (*_V2, "avx2", "fma", "f16c", "bmi2", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

_KNOWN = {
    target.name: target
    for target in (
        Target("x86-64-v2", "x86_64", "x86-64-v2", _V2, lanes=4, vector_registers=16, l2=256 << 10),
        Target("x86-64-v3", "x86_64", "x86-64-v3", _V3, lanes=8, vector_registers=16, l2=512 << 10),
        Target("x86-64-v4", "x86_64", "x86-64-v4", _V4, lanes=16, vector_registers=32),
        Target("skylake-avx512", "x86_64", "skylake-avx512", _V4, lanes=16, vector_registers=32),
        # LLVM's model of znver4 unrolls the sum around a full register tile, and spills: ResNet50 in 85 ms, not 63.
        Target("znver4", "x86_64", "skylake-avx512", (*_V4, "avx512_vnni", "avx512_bf16"), lanes=16,
               vector_registers=32, fma_per_cycle=1.0, memory_bytes=7.0, cache_bytes=10.0),
        Target("sapphirerapids", "x86_64", "sapphirerapids", (*_V4, "avx512_vnni", "avx512_bf16", "avx512_fp16"),
               lanes=16, vector_registers=32, l1=48 << 10, l2=2 << 20),
        Target("aarch64", "aarch64", "generic", (), lanes=4, vector_registers=32, l1=64 << 10, l2=512 << 10),
    )
}  # fmt: skip

CUDA = "cuda"
CUDA_ARCHITECTURES = (75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)
"""Those that nvcc 13 compiles for. 7.5 cannot copy to shared memory asynchronously: its kernels are plain ones."""
DEFAULT_ARCHITECTURES = (80, 90)
"""Each brings some more megabytes; 8.6, 8.7 and 8.9 run code of 8.0."""

_ALIASES = {"arm64": "aarch64", "amd64": "x86_64"}


def known() -> tuple[Target, ...]:
    """The named targets, in order."""
    return tuple(_KNOWN.values())


def named(name: str) -> AnyTarget:
    """The target of that name: of a CPU, or "cuda:sm_80,sm_90" for GPUs. Raises `TargetError`."""
    return _cuda(name) if name.partition(":")[0] == CUDA else resolve(name)


def resolve(name: str) -> Target:
    """The CPU of that name; "native" is this machine's. Raises `TargetError`."""
    if name == "native":
        return native()
    if name not in _KNOWN:
        raise TargetError(
            f"target '{name}'",
            "unknown target",
            expected=f"native, {', '.join(_KNOWN)}, {CUDA}",
            remedy="'convc targets' lists them",
        )
    return _KNOWN[name]


def _cuda(name: str) -> CudaTarget:
    _, colon, listed = name.partition(":")
    names = [part.strip() for part in listed.split(",")] if colon else [f"sm_{n}" for n in DEFAULT_ARCHITECTURES]
    known = {f"sm_{number}": number for number in CUDA_ARCHITECTURES}
    unknown = [part for part in names if part not in known]
    if unknown:
        raise TargetError(
            f"target '{name}'",
            "unknown architecture of GPUs",
            expected=", ".join(known),
            received=", ".join(unknown),
            remedy="name them like cuda:sm_80,sm_90, or leave them out",
        )
    numbers = tuple(sorted({known[part] for part in names}))
    return CudaTarget(name, numbers, Target("host", host_arch(), "generic", (), lanes=4, vector_registers=16))


def native() -> Target:
    """This machine: the widest known target whose features it has, with its own cache sizes and cores."""
    arch, features = host_arch(), host_features()
    fitting = [t for t in known() if t.arch == arch and set(t.features) <= features and t.name != "x86-64-v4"]
    if not fitting:
        raise TargetError(
            "target 'native'",
            "this machine is not one that convc compiles for",
            expected="x86-64 with SSE4.2, or aarch64",
            received=platform.machine(),
        )
    best = fitting[-1]
    return replace(best, l1=_cache(1, best.l1), l2=_cache(2, best.l2), cores=usable_cores())


def host_arch() -> str:
    """This machine's architecture under LLVM's name."""
    machine = platform.machine().lower()
    return _ALIASES.get(machine, machine)


def host_features() -> frozenset[str]:
    """The CPU flags of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut to the control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        pass
    return cores


def _cache(level: int, default: int) -> int:
    """Size in bytes of one core's data cache of that level."""
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, size = (index / "type").read_text().strip(), (index / "size").read_text().strip()
            if kind != "Instruction" and int((index / "level").read_text()) == level and size.endswith("K"):
                return int(size[:-1]) << 10
        except (OSError, ValueError):
            continue
    return default
