"""What a schedule rule is: whether it applies, which knobs it chooses, and the transformation itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from tvm.s_tir import Schedule

from convc.target import CudaTarget, Target

Loop = Any
Block = Any
SomeTarget = TypeVar("SomeTarget", Target, CudaTarget)


@dataclass(frozen=True)
class Knobs:
    """A rule's free choices. `rows` and `columns` are what the lowering must round the last spatial extents up to,
    `lanes` the filters of a block, by default a vector of the target; `winograd` asks for that lowering, with its
    tile, `strassen` for the other."""

    rows: int = 1
    columns: int = 1
    lanes: int = 0
    winograd: tuple[int, int] | None = None
    strassen: bool = False


class Rule(ABC, Generic[SomeTarget]):
    """One way to schedule a kernel. Rules are tried in order; the first that applies is used."""

    name: ClassVar[str]
    exact: ClassVar[bool] = True
    """Whether rounding errors are those of the sums as they are defined."""

    @abstractmethod
    def applies(self, kernel: KernelView, target: SomeTarget) -> bool:
        """Whether the kernel has the blocks that the rule is made for, and `target` gains by it."""

    @abstractmethod
    def choose(self, kernel: KernelView, target: SomeTarget) -> Knobs:
        """Knobs from the kernel's extents and the machine's registers and caches, without measuring."""

    @abstractmethod
    def schedule(self, kernel: KernelView, knobs: Any, target: SomeTarget) -> Any:
        """Transforms `kernel.sch`; returns the scheduled PrimFunc."""


class KernelView:
    """A PrimFunc under a schedule, with the questions that rules ask of it."""

    def __init__(self, func: Any) -> None:
        self.sch = Schedule(func)
        children = self.sch.get_child_blocks(self.sch.get_sblock("root"))
        self.blocks = tuple(str(self.sch.get(block).name_hint) for block in children)

    def has(self, name: str) -> bool:
        """Whether there is a block of that name."""
        return name in self.blocks

    @property
    def func(self) -> Any:
        """The PrimFunc as it is now."""
        return self.sch.mod["main"]

    def block(self, name: str) -> Block:
        """The block of that name."""
        return self.sch.get_sblock(name)

    def loops(self, name: str) -> list[Loop]:
        """The loops around a block, outermost first."""
        return list(self.sch.get_loops(self.block(name)))

    def extent(self, loop: Loop) -> int:
        """A loop's extent."""
        return int(self.sch.get(loop).extent)

    def extents(self, name: str) -> tuple[int, ...]:
        """The extents of all loops around a block."""
        return tuple(self.extent(loop) for loop in self.loops(name))

    def domain(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Extents of a block's spatial and of its reduction axes, in the block's order."""
        spatial: list[int] = []
        reduction: list[int] = []
        for axis in self.sch.get(self.block(name)).iter_vars:
            (spatial if int(axis.iter_type) == 0 else reduction).append(int(axis.dom.extent))
        return tuple(spatial), tuple(reduction)
