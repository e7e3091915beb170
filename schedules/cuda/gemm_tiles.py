"""How a product of matrices is cut into blocks of threads: the tiles there are, and a model of what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

from convc.schedules.cuda.loops import WARP

PITCH = 8
"""Floats by which a row of the finished tile in shared memory is longer than the tile: see gemm.cuh."""
SHARED_LIMIT = 99 << 10
"""Bytes of shared memory that a block may have on all GPUs from 8.0 on."""


@dataclass(frozen=True)
class Element:
    """How products are computed: the device code's name of it, bytes of a number in memory, and the multiply-adds that
    a multiprocessor does in a cycle, by the GPU's major version."""

    name: str
    size: int
    rates: tuple[float, float]

    def rate(self, architecture: int) -> float:
        """Multiply-adds of a multiprocessor in a cycle."""
        return self.rates[architecture >= 90]


# On 9.x, mma.sync reaches about 0.6 of the tensor cores' rate, which is wgmma's.
FLOAT16 = Element("Float16", 2, (1024, 1300))
BFLOAT16 = Element("BFloat16", 2, (1024, 1300))
TFLOAT32 = Element("TFloat32", 4, (512, 650))
FLOAT32 = Element("Float32", 4, (64, 128))


@dataclass(frozen=True)
class Gpu:
    """Multiprocessors, cycles per second, bytes per second of memory and of the L2 cache, and bytes of shared memory on
    each multiprocessor."""

    processors: int
    clock: float
    memory: float
    cache: float
    shared: int


GPUS = {
    80: Gpu(108, 1.41e9, 1.9e12, 4.0e12, 164 << 10),
    86: Gpu(84, 1.7e9, 0.9e12, 2.5e12, 100 << 10),
    89: Gpu(128, 2.3e9, 1.0e12, 4.0e12, 100 << 10),
    90: Gpu(132, 1.7e9, 4.8e12, 5.5e12, 228 << 10),
    100: Gpu(148, 1.8e9, 8.0e12, 8.0e12, 228 << 10),
    120: Gpu(170, 2.4e9, 1.8e12, 6.0e12, 100 << 10),
}
"""A large one of each architecture, in round numbers; what the cache gives is an estimate."""

LATENCY = 0.7e-6
"""Seconds until the first copies of a block have come."""
EXPOSED = 0.1e-6
"""Seconds of a step that a block spends on a barrier, and on waiting for its first reads of shared memory and its last
products; other blocks of the same processor use them."""
LAUNCH = 2.0e-6
"""Seconds that a second kernel takes before it does anything: it begins when the first has ended."""
KEPT = 152
"""Sums and copies of a thread, of its 255 registers; nvcc spills from 160 on."""
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


@dataclass(frozen=True)
class Tile:
    """What a block computes: rows x columns outputs by down x across warps, in steps of `depth` summands, of which
    `stages` are on their way through shared memory."""

    rows: int
    columns: int
    depth: int
    down: int
    across: int
    stages: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return WARP * self.down * self.across

    def shared(self, size: int) -> int:
        """Bytes of shared memory for elements of `size` bytes: the stages, and afterwards the finished tile."""
        stages = self.stages * (self.rows + self.columns) * self.depth * size
        return max(stages, self.rows * (self.columns + PITCH) * 4)


TILES = {
    2: (
        Tile(128, 128, 32, 2, 2, 4),
        Tile(128, 64, 64, 2, 2, 3),
        Tile(64, 64, 64, 2, 2, 4),
        Tile(64, 32, 64, 2, 2, 4),
        Tile(32, 32, 64, 2, 1, 4),
        Tile(16, 64, 64, 1, 4, 4),
    ),
    4: (
        Tile(128, 128, 16, 2, 2, 4),
        Tile(128, 64, 32, 2, 2, 3),
        Tile(64, 64, 32, 2, 2, 4),
        Tile(32, 32, 32, 2, 1, 4),
        Tile(16, 64, 32, 1, 4, 4),
    ),
}
"""For tensor cores, by the size of an element: warps of 64 x 64 where the product is large, since each read of shared
memory then feeds the most products, and small ones where there are few blocks otherwise."""
FLOAT32_TILES = (
    Tile(128, 128, 16, 4, 2, 4),
    Tile(128, 64, 16, 4, 1, 4),
    Tile(64, 64, 16, 2, 2, 4),
    Tile(32, 64, 16, 1, 2, 4),
    Tile(16, 64, 16, 2, 2, 4),
)
"""For multiply-adds in float32: at most 8 x 8 outputs of a thread."""


@dataclass(frozen=True)
class Size:
    """`batch` products of matrices: rows x columns sums of `depth` products each. `left` and `right` elements of the
    operands can be copied at once."""

    rows: int
    columns: int
    depth: int
    left: int
    right: int
    batch: int = 1


@dataclass(frozen=True)
class Cut:
    """A tile, and the parts that sums are made in."""

    tile: Tile
    splits: int


def tiles(element: Element, size: Size) -> tuple[Tile, ...]:
    """The tiles that may be chosen: a thread's sums and what it copies in a step must fit into its registers."""
    known = FLOAT32_TILES if element is FLOAT32 else TILES[element.size]

    def kept(tile: Tile) -> int:
        copies = tile.depth * tile.rows // size.left + tile.depth * tile.columns // size.right
        return (tile.rows * tile.columns + copies) // tile.threads

    return tuple(tile for tile in known if kept(tile) <= KEPT)


def at_once(element: Element, length: int, pitch: int) -> int:
    """Elements that are copied at once from rows of `length` elements, `pitch` from one row to the next, as gemm.cuh
    does."""
    return gcd(16 // element.size, length, pitch)


def choose(size: Size, element: Element, architecture: int) -> Cut:
    """The cut that takes the least time by `seconds`; sums are made in parts where there is one product."""

    def cost(cut: Cut) -> tuple[float, int, int]:
        return seconds(cut, size, element, architecture), cut.splits, cut.tile.rows * cut.tile.columns

    return min(_cuts(size, element), key=cost)


def seconds(cut: Cut, size: Size, element: Element, architecture: int) -> float:
    """What a product takes on a GPU that has nothing else to do: an estimate, fitted to no measurement.

    A step of a block takes the longer of two things: its products at the processor's rate and what they leave exposed,
    and its copies at the processor's share of the cache; blocks on the same processor share both. Blocks come in waves
    of as many as fit on all processors; each wave waits `LATENCY` for its first copies. Nothing is faster than reading
    the weights from memory once. A sum in parts writes and reads the parts in float32, mostly in the cache, and takes
    one launch more.
    """
    tile, gpu = cut.tile, gpu_of(architecture)
    steps = -(-size.depth // tile.depth)
    part = -(-steps // cut.splits)
    blocks = -(-size.rows // tile.rows) * -(-size.columns // tile.columns) * cut.splits * size.batch
    resident = min(_fitting(tile, element, gpu), -(-blocks // gpu.processors))
    products = tile.rows * tile.columns * tile.depth * resident / (element.rate(architecture) * gpu.clock)
    copied = (tile.rows + tile.columns) * tile.depth * element.size
    copies = copied * min(blocks, resident * gpu.processors) / gpu.cache
    waves = -(-blocks // (resident * gpu.processors))
    total = waves * (LATENCY + part * max(products + EXPOSED / resident, copies))
    floor = size.depth * size.columns * element.size / gpu.memory
    parts = 2 * 4 * cut.splits * size.rows * size.columns / gpu.cache + LAUNCH if cut.splits > 1 else 0.0
    return max(total, floor) + parts


def _fitting(tile: Tile, element: Element, gpu: Gpu) -> int:
    """Blocks that a processor holds at once: by shared memory, of which each takes one KiB more, and by registers, of
    which a thread takes some 90 beside its sums."""
    registers = tile.rows * tile.columns // tile.threads + 90
    return max(1, min(gpu.shared // (tile.shared(element.size) + 1024), (64 << 10) // (registers * tile.threads)))


def gpu_of(architecture: int) -> Gpu:
    """What is known of an architecture, or of the one before it."""
    return GPUS[max((known for known in GPUS if known <= architecture), default=80)]


def _cuts(size: Size, element: Element) -> Iterator[Cut]:
    for tile in tiles(element, size):
        steps = -(-size.depth // tile.depth)
        for splits in SPLITS if size.batch == 1 else (1,):
            part = -(-steps // splits)
            if -(-steps // part) == splits:
                yield Cut(tile, splits)
