"""Every case and every fused graph as a loaded library; and what the library is planned like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convc import artifact, runtime
from convc.build import emit as module
from convc.build.emit import EmitReport, emit
from convc.build.kernels import Kernels
from convc.build.program import Program, Storage
from convc.errors import TargetError, UnsupportedError
from convc.ir import Array, Graph, Node, Origin, TensorType, make
from convc.ir.group import Group
from convc.lower import Argument
from convc.ops import Add, Concat, Conv, Input, MaxPool, Relu, Reshape, Sigmoid
from convc.passes import optimize
from convc.target import Target, host_arch, host_features, known, native
from tests.cases import ALL, fused
from tests.cli.conftest import LAYERS
from tests.support.kernels import PARTS, Subject, check, joined, kernel_groups
from tests.support.process import constant_memory
from tests.tolerances import assert_close

ROOT = Path(__file__).parents[2]


def built(graph: Graph, output: Path, target: Target | None = None, *, exact: bool = False) -> EmitReport:
    """Writes the library of `graph`."""
    grouped = optimize(graph).grouped
    quiet = lambda *call: None  # noqa: E731
    return emit(grouped, target=target or native(), output=output, header=None, exact=exact, progress=quiet)


def answers(library: Path, feeds: Mapping[str, Array], threads: int) -> dict[str, Array]:
    with runtime.load(library, threads=threads) as model:
        return model.run(feeds)


@pytest.mark.parametrize("part", PARTS)
def test_cases(part: str, tmp_path: Path) -> None:
    """Side by side in one library, by one thread, two, and more than there are cores."""
    both = joined(PARTS[part])
    built(both.graph, tmp_path / "cases.so")
    for threads in (1, 2, 5):
        got = answers(tmp_path / "cases.so", both.feeds, threads)
        assert got.keys() == both.want.keys()
        check({both: got}.__getitem__, [both])


def builder() -> fused.Builder:
    return fused.Builder(np.random.default_rng(7))


def graph_of(b: fused.Builder, *outputs: Node) -> Graph:
    return Graph("net", tuple(b.inputs), outputs, tuple(f"output{i}" for i in range(len(outputs))))


def planned(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program that the library of `graph` is linked from."""
    programs: list[Program] = []
    monkeypatch.setattr(module, "link", lambda program, *rest: programs.append(program))
    built(graph, tmp_path / "net.so")
    return programs[0]


def test_equal_layers_share_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b = builder()
    y = b.apply(Relu(), b.conv(b.input(1, 6, 6, 8), 8, bias=True))
    for _ in range(3):
        y = b.apply(Relu(), b.conv(y, 8, bias=True))
    y = b.apply(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0))), y)
    program = planned(graph_of(b, y), tmp_path, monkeypatch)
    kernels = [launch.kernel for launch in program.launches]
    assert len(kernels) == 5
    assert kernels[1] == kernels[2] == kernels[3] != kernels[4]
    weights = [
        buffer.position
        for launch in program.launches
        for buffer in launch.arguments
        if buffer.storage is Storage.WEIGHTS
    ]
    assert len(set(weights)) == len(weights) == len(program.weights) == 8


def test_the_arena_is_smaller_than_all_activations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b = builder()
    y = b.input(1, 8, 8, 8)
    for _ in range(6):
        y = b.conv(y, 8)
    program = planned(graph_of(b, y), tmp_path, monkeypatch)
    assert program.activation_bytes == 5 * 8 * 8 * 8 * 4
    assert program.arena_bytes == 2 * 8 * 8 * 8 * 4


def test_what_a_kernel_reads_is_never_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = planned(joined(PARTS["fused-0"]).graph, tmp_path, monkeypatch)
    for launch in program.launches:
        *reads, write = launch.arguments
        for read in reads:
            if read.storage is not write.storage:
                continue
            if read.storage is Storage.ARENA:
                apart = (
                    read.position + read.type.bytes <= write.position
                    or write.position + write.type.bytes <= read.position
                )
                assert apart, launch
            else:
                assert read.position != write.position, launch


def test_reshapes_are_views(tmp_path: Path) -> None:
    """Of an input, in a chain in the middle, of an output that is also read, and in a chain that ends in an output."""
    b = builder()
    x = b.input(2, 4, 6, 3)
    y = b.conv(b.apply(Reshape((2, 6, 4, 3)), x), 8)
    y = b.apply(Reshape((2, 3, 8, 8)), b.apply(Reshape((2, 24, 8)), y))
    z = b.apply(Relu(), b.conv(y, 6, 1))
    flat = b.apply(Reshape((2, 144)), b.apply(Reshape((288,)), z))
    graph = graph_of(b, flat, b.apply(Sigmoid(), z), b.apply(Reshape((72, 2)), x), x)
    report = built(graph, tmp_path / "net.so")
    # The two convolutions, the sigmoid, and the copies of the input.
    assert len(artifact.read(tmp_path / "net.so").launches) == 5
    assert report.kernels == 5
    subject = Subject("views", graph, b.feeds)
    check(lambda subject: answers(tmp_path / "net.so", subject.feeds, 2), [subject])


@pytest.mark.parametrize("count", [1, 2])
def test_an_output_that_is_an_input(tmp_path: Path, count: int) -> None:
    """There is nothing to compute; the copies are kernels."""
    b = builder()
    x = b.input(2, 3, 5)
    graph = graph_of(b, *[x] * count)
    built(graph, tmp_path / "net.so")
    got = answers(tmp_path / "net.so", b.feeds, 1)
    assert got.keys() == set(graph.output_names)
    for value in got.values():
        np.testing.assert_array_equal(value, b.feeds["input0"])


def test_an_output_that_is_a_constant(tmp_path: Path) -> None:
    b = builder()
    x = b.input(3)
    fixed = b.weights(2, 5)
    graph = graph_of(b, fixed, b.apply(Relu(), x), b.apply(Reshape((10,)), fixed))
    built(graph, tmp_path / "net.so")
    check(lambda subject: answers(tmp_path / "net.so", subject.feeds, 1), [Subject("constant", graph, b.feeds)])


def test_an_output_read_later_is_still_right(tmp_path: Path) -> None:
    """Outputs are the caller's memory, of any address: nothing behind them may be read."""
    b = builder()
    x = b.input(1, 5, 5, 7)
    first = b.apply(Relu(), b.conv(x, 9, 1, bias=True))
    second = b.conv(first, 6, 1)
    third = b.conv(b.apply(Concat(3), first, second), 5, 1)
    graph = graph_of(b, third, second, first, b.apply(Add(), first, first))
    built(graph, tmp_path / "net.so")
    check(lambda subject: answers(tmp_path / "net.so", subject.feeds, 2), [Subject("outputs", graph, b.feeds)])


def test_only_the_arena_is_overread() -> None:
    """Kernels of pointwise convolutions read rows behind their input only where the arena has room for them."""
    b = builder()
    first = b.conv(b.input(1, 5, 5, 16), 32, 1)
    (group,) = kernel_groups(optimize(graph_of(b, first)).grouped)
    kernels = Kernels(native(), exact=False)
    _, bounded = kernels.arguments(group, bounded=True)
    _, free = kernels.arguments(group, bounded=False)
    assert [argument.overread for argument in bounded] == [0] * len(bounded)
    rows = 25
    layout = next(built.layout for built in kernels.table.values())
    assert free[0].overread == -rows % layout.columns * 16 * 4


def test_constants_are_not_overread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a constant that is the left operand of a product: what lies behind them is not the arena."""
    seen: list[tuple[bool, int]] = []

    def arguments(self: Kernels, group: Group, *, bounded: bool) -> tuple[str, tuple[Argument, ...]]:
        name, made = original(self, group, bounded=bounded)
        seen.append((bounded, made[0].overread))
        return name, made

    original = Kernels.arguments
    monkeypatch.setattr(Kernels, "arguments", arguments)
    (case,) = (case for case in ALL["matmul"] if case.name == "constant_left")
    built(case.graph(), tmp_path / "net.so")
    assert seen == [(True, 0)]


@pytest.mark.parametrize(
    "target",
    [t for t in known() if t.arch == host_arch() and set(t.features) <= host_features()],
    ids=lambda target: target.name,
)
def test_targets_that_run_here(target: Target, tmp_path: Path) -> None:
    graph, feeds = fused.build("inverted_residual")
    built(graph, tmp_path / "net.so", target)
    assert artifact.read(tmp_path / "net.so").target == target.name
    got = answers(tmp_path / "net.so", feeds, 2)
    assert_close(got["output0"], Subject("net", graph, feeds).want["output0"], "kernel")


GUARDED = """
import ctypes, mmap, sys
import numpy as np
from convc.artifact import MODULE_SYMBOL, ModuleTable

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def guarded(count):
    size = -(-4 * count // mmap.PAGESIZE) * mmap.PAGESIZE
    start = libc.mmap(None, size + mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE,
                      mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 2**64 - 1, 0)
    assert libc.mprotect(start + size, mmap.PAGESIZE, 0) == 0
    address = start + size - 4 * count
    assert address % 64 == 0
    return address, np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))

table = ModuleTable.in_dll(ctypes.CDLL(sys.argv[1]), MODULE_SYMBOL)
x, y, z = (guarded(25 * channels) for channels in (16, 32, 16))
x[1][:] = np.arange(25 * 16) % 7 - 3
context = table.create(2)
assert table.run(context, (ctypes.c_void_p * 1)(x[0]), (ctypes.c_void_p * 2)(y[0], z[0])) == 0
np.savez(sys.argv[2], x=x[1], y=y[1], z=z[1])
"""


def test_nothing_behind_the_callers_arrays_is_touched(tmp_path: Path) -> None:
    """Inputs and outputs end where unmapped memory begins; the second convolution reads an output."""
    b = builder()
    first = b.apply(Relu(), b.conv(b.input(1, 5, 5, 16), 32, 1))
    graph = graph_of(b, first, b.conv(first, 16, 1))
    built(graph, tmp_path / "net.so")
    command = [sys.executable, "-c", GUARDED, str(tmp_path / "net.so"), str(tmp_path / "answers.npz")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    with np.load(tmp_path / "answers.npz") as answer:
        want = Subject("guarded", graph, {"input0": answer["x"].reshape(1, 5, 5, 16)}).want
        for name, array in (("output0", answer["y"]), ("output1", answer["z"])):
            assert_close(array.reshape(want[name].shape), want[name], "kernel")


DIGEST = """
import hashlib, sys
from pathlib import Path
from convc import api
api.compile(sys.argv[1], sys.argv[2], target="x86-64-v3", weights="random:1")
print(hashlib.sha256(Path(sys.argv[2]).read_bytes()).hexdigest())
"""


def test_two_processes_make_the_same_bytes(tmp_path: Path) -> None:
    model = tmp_path / "net.json"
    model.write_text(json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": LAYERS}}))
    digests = set()
    for seed in "01":
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", DIGEST, str(model), str(tmp_path / seed / f"{seed}.so")]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_missing_compiler_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/no/such/compiler")
    graph, _ = fused.build("conv_bias_relu")
    steps: list[str] = []
    with pytest.raises(TargetError, match="CC: not a C compiler that runs"):
        emit(
            optimize(graph).grouped,
            target=native(),
            output=tmp_path / "net.so",
            header=None,
            exact=False,
            progress=lambda done, total, what: steps.append(what),
        )
    assert steps == []


def test_a_tensor_that_cannot_be_counted_in_32_bits_is_refused(tmp_path: Path) -> None:
    x = make(Input(TensorType((1, 1 << 16, 1 << 15, 1))), origin=Origin("x", "Input"))
    graph = Graph("large", (x,), (make(Relu(), x, origin=Origin("relu", "Activation")),), ("y",))
    with pytest.raises(UnsupportedError, match="too large for one kernel: expected at most 2147483647 elements"):
        built(graph, tmp_path / "large.so")
    assert not (tmp_path / "large.so").exists()


def test_weights_are_packed_once_for_each_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is called twice has its weights once, at offsets in order of first use, none overlapping."""
    graph, _ = fused.build("shared_weights")
    program = planned(graph, tmp_path, monkeypatch)
    offsets = [offset for offset, _ in program.weights]
    assert offsets == sorted(offsets)
    ends = [offset + data.nbytes for offset, data in program.weights]
    assert all(end <= start for end, start in zip(ends, [*offsets[1:], program.weights_bytes], strict=True))

    b = builder()
    x = b.input(1, 5, 5, 8)
    kernel, op = b.weights(3, 3, 8, 8), Conv((1, 1), ((1, 1), (1, 1)), (1, 1))
    y = b.apply(op, b.apply(op, x, kernel), kernel)
    program = planned(graph_of(b, y), tmp_path, monkeypatch)
    assert len(program.launches) == 2
    assert len(program.weights) == 1


def winograd_net(seed: int = 7) -> tuple[Graph, dict[str, Array]]:
    """A stem, two layers that the rule picks, the second one twice, and a classifier."""
    b = fused.Builder(np.random.default_rng(seed))
    y = b.apply(Relu(), b.conv(b.input(1, 24, 24, 3), 64, bias=True))
    y = b.apply(Relu(), b.apply(Add(), b.conv(y, 64, bias=True), y))
    kernel, op = b.weights(3, 3, 64, 64, scale=1 / 24), Conv((1, 1), ((1, 1), (1, 1)), (1, 1))
    y = b.apply(op, b.apply(Relu(), b.apply(op, y, kernel)), kernel)
    y = b.apply(MaxPool((24, 24), (24, 24), ((0, 0), (0, 0))), y)
    return graph_of(b, b.dense(b.apply(Reshape((1, 64)), y), 10)), b.feeds


ONE_CORE = replace(native(), cores=1)
"""For as many cores as this machine has, the rule might choose otherwise."""


def test_winograd_layers_in_a_library(tmp_path: Path, programs: list[Program]) -> None:
    graph, feeds = winograd_net()
    fast = built(graph, tmp_path / "net.so", ONE_CORE)
    slow = built(graph, tmp_path / "exact.so", ONE_CORE, exact=True)
    program, exact = programs
    assert [expansion.count for expansion in program.expansions] == [64 * 64] * 2
    assert program.expanded_bytes == 2 * 36 * 64 * 64 * 4
    assert exact.expansions == ()
    layers = [launch for launch in program.launches for b in launch.arguments if b.storage is Storage.EXPANDED]
    assert len(layers) == 3
    want = Subject("net", graph, feeds).want["output0"]
    assert_close(answers(tmp_path / "net.so", feeds, 2)["output0"], want, "winograd")
    assert_close(answers(tmp_path / "exact.so", feeds, 2)["output0"], want, "kernel")
    stem, classifier = (9 * 3 * 64 + 64) * 4, 64 * 16 * 4 + 64
    assert fast.weights_bytes == sum(-(-data.nbytes // 64) * 64 for _, data in program.weights)
    assert fast.weights_bytes <= stem + classifier + (2 * 9 * 64 * 64 + 64) * 4
    for report, name in ((fast, "net.so"), (slow, "exact.so")):
        assert artifact.read(tmp_path / name).weights_bytes == report.weights_bytes
    size, transformed = (tmp_path / "net.so").stat().st_size, 2 * 36 * 64 * 64 * 4
    assert fast.weights_bytes < size < transformed


def test_clones_share_what_is_made_at_load(tmp_path: Path) -> None:
    """Threads that open the same library at the same time, each for itself and a clone, get the right answers."""
    graph, feeds = winograd_net(8)
    graph = replace(graph, name="shared")
    built(graph, tmp_path / "shared.so", ONE_CORE)
    want = Subject("net", graph, feeds).want["output0"]
    before, together = constant_memory(), threading.Barrier(2)
    opened: list[runtime.Module] = []
    results: list[Array] = []

    def run() -> None:
        together.wait()
        module = runtime.load(tmp_path / "shared.so", threads=1)
        clone = module.clone()
        opened.extend((module, clone))
        for model in (module, clone, module):
            results.append(model.run(feeds)["output0"])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    for got in results:
        assert_close(got, want, "winograd")
        np.testing.assert_array_equal(got, results[0])
    assert constant_memory() - before == 2 * 36 * 64 * 64 * 4
    for model in opened:
        model.close()
