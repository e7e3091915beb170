"""What the linker is given: a model as kernel launches over planned buffers."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from convc.ir import Array, TensorType
from convc.lower import SeparableMap

ALIGNMENT = 64
"""Bytes. Kernels assume that every buffer begins at a multiple of it, and do not check."""


class Storage(Enum):
    """Where a buffer lives."""

    INPUT = "input"
    OUTPUT = "output"
    ARENA = "arena"
    WEIGHTS = "weights"
    EXPANDED = "expanded"
    """Weights that the driver makes at load."""


@dataclass(frozen=True)
class Buffer:
    """A dense tensor. `position` is the port's index for INPUT and OUTPUT, a byte offset for the others."""

    storage: Storage
    position: int
    type: TensorType


@dataclass(frozen=True)
class Geometry:
    """How a CUDA kernel is launched: blocks, threads of a block, and bytes of dynamic shared memory."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int = 0


@dataclass(frozen=True)
class Launch:
    """One call of a kernel. `layers` names the source layers that it computes.

    On the CPU the last argument is the output. On CUDA, where `geometry` is not None, arguments are the device kernel's
    parameters, in its order.
    """

    kernel: str
    layers: str
    arguments: tuple[Buffer, ...]
    flops: int
    bytes: int
    """Bytes that have to be read and written at least: the sum of the arguments."""
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Port:
    """An input or output of the model."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class Expansion:
    """Weights that the driver makes at load by `map`, from planes of `count` float32 and to such."""

    source: int
    """Byte offset in the file's weights."""
    target: int
    """Byte offset in what is made at load."""
    count: int
    map: SeparableMap

    @property
    def source_bytes(self) -> int:
        """Size in the file."""
        return len(self.map.rows[0]) * len(self.map.columns[0]) * 4 * self.count

    @property
    def bytes(self) -> int:
        """Size at the target."""
        return len(self.map.rows) * len(self.map.columns) * 4 * self.count


@dataclass(frozen=True)
class Program:
    """A compiled model without its kernels' code. Every output is written by a launch."""

    name: str
    """A C identifier; see `identifier`."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    launches: tuple[Launch, ...]
    arena_bytes: int
    activation_bytes: int
    """Sum of all activations: what the arena would be without planning."""
    weights: list[tuple[int, Array]]
    """(byte offset, data); offsets are multiples of `ALIGNMENT`."""
    weights_bytes: int
    """In the file."""
    expansions: tuple[Expansion, ...] = ()
    precision: str = "float32"
    driver_version: int = 0
    """The CUDA version that a driver must have at least, 1000 * major; 0 on the CPU."""

    @property
    def expanded_bytes(self) -> int:
        """Weights that are made at load."""
        return max((expansion.target + expansion.bytes for expansion in self.expansions), default=0)


_KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    alignas alignof and and_eq asm bitand bitor bool catch class compl concept consteval constexpr constinit const_cast
    co_await co_return co_yield decltype delete dynamic_cast explicit export false friend mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast requires static_assert
    static_cast template this thread_local throw true try typeid typename typeof typeof_unqual using virtual wchar_t
    xor xor_eq main linux unix i386 errno NULL
"""
_LIBRARY = "pthread thrd tss mtx cnd timer epoll"
"""libc has functions like `pthread_create` and `timer_create`, which a model of that name would define again."""

_RESERVED = frozenset((*_KEYWORDS.split(), *_LIBRARY.split()))


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """`name` as an identifier that C and C++ accept and that is not in `taken`: "net-v2 1.0" -> "net_v2_1_0".

    A prefix "m_" goes before a digit, a keyword, and names that the C library keeps for itself; "_t" at the end, which
    POSIX keeps for types, becomes "_T"; "_2", "_3", … make the result unique. At most 64 characters.
    """
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)[:56].strip("_")
    if not text:
        text = "model"
    if text.endswith("_t"):
        text = f"{text[:-1]}T"
    if text[0].isdigit() or text in _RESERVED:
        text = f"m_{text}"
    result, count = text, 1
    while result in taken:
        count += 1
        result = f"{text}_{count}"
    return result
