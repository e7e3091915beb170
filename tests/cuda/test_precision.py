"""Whole small graphs in 16 bits: what each kernel stores is its result, rounded once."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from convc import lower, ops
from convc.build import nvcc
from convc.build.device import generate
from convc.build.kernels import build
from convc.errors import TargetError
from convc.ir import Array, DType
from convc.ir.group import GroupedGraph
from convc.lower import storage
from convc.precision import Precision
from convc.schedules.cuda.implicit_gemm import ImplicitGemmRule
from convc.target import CudaTarget, named
from tests.cuda import emulator
from tests.support.kernels import kernel_groups
from tests.support.storage import NETS, Net, assert_rounded_once, builder, grouped, masked_attention

NARROW = [Precision.FLOAT16, Precision.BFLOAT16]


def target() -> CudaTarget:
    found = named("cuda")
    assert isinstance(found, CudaTarget)
    return found


class Program:
    """The scheduled kernels of a graph, in order, and how the emulator runs them."""

    def __init__(self, graph: GroupedGraph, types: lower.StoredTypes) -> None:
        self.kernels: list[lower.Kernel] = []
        self.products: set[str] = set()
        """Kernels on tensor cores."""
        for group in kernel_groups(graph):
            made = build(group, target(), bounded=True, exact=False, storage=types)
            arguments = lower.arguments_of(group, made.layout, bounded=True, storage=types)
            self.kernels.append(lower.Kernel(made.name, made.func, arguments))
            if made.rule == ImplicitGemmRule.name:
                self.products.add(made.name)
        self.source, self.functions = generate({kernel.name: kernel.func for kernel in self.kernels}, target())

    @cached_property
    def device(self) -> emulator.Kernels:
        """The compiled kernels."""
        return emulator.Kernels(self.source)

    def run(self, kernel: lower.Kernel, inputs: Sequence[Array]) -> Array:
        """The kernel's output; what it writes is NaN before."""
        function = self.functions[kernel.name]
        out = np.full(kernel.arguments[-1].type.shape, np.nan, kernel.arguments[-1].type.dtype.numpy)
        buffers = {name: np.full(size, 255, np.uint8) for name, size in function.scratch.items()}
        buffers |= dict(zip(function.parameters, (*inputs, out), strict=True))
        for launch in function.launches:
            arrays = [buffers[name].view(np.uint8) for name in launch.parameters]
            geometry = launch.geometry
            self.device.launch(launch.kernel, geometry.grid, geometry.block, geometry.shared, arrays)
        return out


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_kernels_round_what_they_store_and_nothing_else(net: Callable[[], Net], precision: Precision) -> None:
    b, graph = net()
    types = storage(graph, precision)
    program = Program(graph, types)
    operands = dict.fromkeys(program.products, DType(precision.storage))
    values = assert_rounded_once(graph, b.feeds, types, program.kernels, program.run, operands)
    if net is masked_attention:
        (shares,) = (value for node, value in values.items() if isinstance(node.op, ops.Softmax))
        assert (shares[0, 0] == 0.25).all(), "a query that sees nothing attends to all alike"


def moved(precision: Precision, shape: tuple[int, ...], *, stores: bool) -> Program:
    """A kernel that turns a matrix; it writes 16 bits where it `stores`, and reads them where not."""
    b = builder()
    graph = grouped(b, b.apply(ops.Transpose((1, 0)), b.input(*shape)))
    (output,) = graph.graph.outputs
    return Program(graph, {output if stores else output.inputs[0]: DType(precision.storage)})


def all_numbers(precision: Precision) -> Array:
    """Every bit pattern of 16 bits."""
    return np.arange(1 << 16, dtype=np.uint16).view(DType(precision.storage).numpy)


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("precision", NARROW)
def test_every_number_is_read_as_it_is(precision: Precision) -> None:
    value = all_numbers(precision).reshape(256, 256)
    program = moved(precision, value.shape, stores=False)
    got = program.run(program.kernels[0], [value])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, value.astype(np.float32).T)


@pytest.mark.usefixtures("emulated")
@pytest.mark.parametrize("precision", NARROW)
def test_what_is_stored_is_rounded_to_nearest_even(precision: Precision) -> None:
    """Midpoints of neighbours and what lies beside them; infinities, NaN, and what is out of range."""
    narrow = DType(precision.storage)
    finite = all_numbers(precision).astype(np.float32)
    finite = np.sort(finite[np.isfinite(finite)])
    middles = finite[1:] / 2 + finite[:-1] / 2
    beyond = np.array([np.inf, np.nan, np.finfo(np.float32).max], np.float32)
    first_infinite = np.float32(narrow.largest * (1 + narrow.epsilon / 4))
    ends = np.array([first_infinite, np.nextafter(first_infinite, np.float32(0))])
    up, down = (np.nextafter(middles, np.float32(end)) for end in ("inf", "-inf"))
    value = np.concatenate([finite, middles, up, down, beyond, -beyond, ends, -ends], dtype=np.float32)
    value = np.pad(value, (0, -value.size % 64)).reshape(64, -1)
    program = moved(precision, value.shape, stores=True)
    got = program.run(program.kernels[0], [value]).T
    with np.errstate(over="ignore", invalid="ignore"):
        want = value.astype(narrow.numpy)
    assert (np.isnan(got) == np.isnan(value)).all()
    kept = ~np.isnan(value)
    np.testing.assert_array_equal(got.view(np.uint16)[kept], want.view(np.uint16)[kept])


@pytest.fixture
def compiler() -> str:
    """nvcc, without which the test is skipped."""
    try:
        return nvcc.find()
    except TargetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize(("precision", "instruction"), [
    (Precision.FLOAT16, "cvt.rn.f16.f32"), (Precision.BFLOAT16, "cvt.rn.bf16.f32"),
])  # fmt: skip
def test_a_gpu_rounds_to_nearest_even(
    precision: Precision, instruction: str, architecture: int, compiler: str, tmp_path: Path
) -> None:
    """The instructions do; they keep NaN, and make infinities of what is out of range."""
    program = moved(precision, (8, 8), stores=True)
    (tmp_path / "kernel.cu").write_text(program.source, encoding="ascii")
    flags = ["-ptx", f"-arch=compute_{architecture}", "-diag-suppress=177", "-o", "kernel.ptx"]
    subprocess.run([compiler, *flags, "kernel.cu"], cwd=tmp_path, check=True, capture_output=True)
    body = (tmp_path / "kernel.ptx").read_text(encoding="ascii")
    assert set(re.findall(r"cvt\.[\w.]*f(?:16|32)[\w.]*", body)) == {instruction}
