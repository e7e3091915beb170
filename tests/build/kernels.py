"""Small hand-made programs with kernels straight from TVM: they test the driver without passes or lowering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tvm
from tvm import te

from convc.build.link import link
from convc.build.memory import round_up
from convc.build.program import Buffer, Expansion, Launch, Port, Program, Storage
from convc.ir import Array, DType, TensorType
from convc.lower import SeparableMap
from convc.lower.cook_toom import transforms
from convc.target import Target, resolve

ROWS, DEPTH, COLUMNS = 16, 24, 320

WINOGRAD = SeparableMap(transforms(4, 3).filter, transforms(4, 3).filter)

X, SHIFT = TensorType((ROWS, DEPTH)), TensorType((COLUMNS,))
WEIGHT, Y = TensorType((DEPTH, COLUMNS)), TensorType((ROWS, COLUMNS))
COUNTS, HALVES = TensorType((7,), DType.INT32), TensorType((7,))


def target() -> Target:
    """A target that every x86-64 test machine can run."""
    return resolve("x86-64-v2")


def _matmul() -> tvm.tirx.PrimFunc:
    """exp(x) @ weight, rows in parallel; exp(row) is scratch memory inside the loop, and the row of sums too."""
    x, weight = te.placeholder((ROWS, DEPTH), name="x"), te.placeholder((DEPTH, COLUMNS), name="weight")
    powers = te.compute((ROWS, DEPTH), lambda i, k: te.exp(x[i, k]), name="powers")
    k = te.reduce_axis((0, DEPTH), name="k")
    sums = te.compute((ROWS, COLUMNS), lambda i, j: te.sum(powers[i, k] * weight[k, j], axis=k), name="sums")
    result = te.compute((ROWS, COLUMNS), lambda i, j: sums[i, j] * te.const(0.5, "float32"), name="result")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([x, weight, result]))
    rows, _ = schedule.get_loops(schedule.get_sblock("result"))
    schedule.compute_at(schedule.get_sblock("sums"), rows)
    schedule.compute_at(schedule.get_sblock("powers"), rows)
    schedule.parallel(rows)
    return schedule.mod["main"]


def _add_relu() -> tvm.tirx.PrimFunc:
    h, shift = te.placeholder((ROWS, COLUMNS), name="h"), te.placeholder((COLUMNS,), name="shift")
    zero = te.const(0, "float32")
    y = te.compute((ROWS, COLUMNS), lambda i, j: te.max(h[i, j] + shift[j], zero), name="y")
    return te.create_prim_func([h, shift, y])


def _double() -> tvm.tirx.PrimFunc:
    y = te.placeholder((ROWS, COLUMNS), name="y")
    return te.create_prim_func([y, te.compute((ROWS, COLUMNS), lambda i, j: y[i, j] + y[i, j], name="z")])


def _halve() -> tvm.tirx.PrimFunc:
    counts = te.placeholder((7,), "int32", name="counts")
    return te.create_prim_func([counts, te.compute((7,), lambda i: counts[i].astype("float32") * 0.5, name="halves")])


def write_kernels(path: Path) -> Path:
    """The object file of all kernels below."""
    functions = {"matmul": _matmul(), "add_relu": _add_relu(), "double": _double(), "halve": _halve()}
    module = tvm.IRModule({name: func.with_attr("global_symbol", name) for name, func in functions.items()})
    machine = tvm.target.Target({"kind": "llvm", "mcpu": target().mcpu, "mtriple": target().triple})
    tvm.tirx.build(module, machine).write_to_file(str(path), "o")
    return path


def weight(seed: int = 0) -> Array:
    """float32 [DEPTH, COLUMNS]."""
    return np.random.default_rng(seed).normal(size=WEIGHT.shape).astype(np.float32)


def mixed(name: str = "mixed", seed: int = 0) -> Program:
    """y = relu(exp(x) @ weight / 2 + shift), z = 2 y: every kind of storage, two inputs, two outputs, three kernels.

    The weights lie behind a gap, and z is computed from the output y.
    """
    hidden, y = Buffer(Storage.ARENA, 64, Y), Buffer(Storage.OUTPUT, 0, Y)
    x, shift = Buffer(Storage.INPUT, 0, X), Buffer(Storage.INPUT, 1, SHIFT)
    launches = (
        Launch("matmul", "dense_1", (x, Buffer(Storage.WEIGHTS, 128, WEIGHT), hidden), 2 * DEPTH * Y.elements, 1),
        Launch("add_relu", "bias+relu", (hidden, shift, y), 2 * Y.elements, 2),
        Launch("double", 'odd "name"\\', (y, Buffer(Storage.OUTPUT, 1, Y)), Y.elements, 3),
    )
    data = weight(seed)
    inputs, outputs = (Port("x", X), Port("shift", SHIFT)), (Port("y", Y), Port("z", Y))
    return Program(name, inputs, outputs, launches, 64 + Y.bytes, 2 * Y.bytes, [(128, data)], 128 + data.nbytes)


def halves(name: str = "halves") -> Program:
    """halves = counts / 2 for int32 counts."""
    launch = Launch("halve", "h", (Buffer(Storage.INPUT, 0, COUNTS), Buffer(Storage.OUTPUT, 0, HALVES)), 7, 56)
    return Program(name, (Port("counts", COUNTS),), (Port("halves", HALVES),), (launch,), 0, 0, [], 0)


def broken(name: str = "broken") -> Program:
    """`double` over a tensor of the wrong shape, which the kernel itself refuses."""
    wrong = TensorType((COLUMNS, ROWS))
    launch = Launch("double", "layer_7", (Buffer(Storage.INPUT, 0, wrong), Buffer(Storage.OUTPUT, 0, wrong)), 1, 1)
    return Program(name, (Port("a", wrong),), (Port("b", wrong),), (launch,), 0, 0, [], 0)


def plain(name: str = "plain") -> Program:
    """y = 2 x: one input and one output, no arena and no weights."""
    launch = Launch("double", "d", (Buffer(Storage.INPUT, 0, Y), Buffer(Storage.OUTPUT, 0, Y)), Y.elements, 2 * Y.bytes)
    return Program(name, (Port("x", Y),), (Port("y", Y),), (launch,), 0, 0, [], 0)


def expanded(kernels: Sequence[Array], offsets: Sequence[int], name: str = "expanded") -> Program:
    """Twice the weights that are made at load from `kernels`, each [9, count]: an output for each byte offset."""
    weights: list[tuple[int, Array]] = []
    expansions: list[Expansion] = []
    end = target = 0
    for kernel in kernels:
        weights.append((end, kernel))
        expansions.append(Expansion(end, target, kernel.shape[1], WINOGRAD))
        end += round_up(kernel.nbytes)
        target += round_up(expansions[-1].bytes)
    launches = tuple(
        Launch("double", f"d{i}", (Buffer(Storage.EXPANDED, offset, Y), Buffer(Storage.OUTPUT, i, Y)), Y.elements, 1)
        for i, offset in enumerate(offsets)
    )
    outputs = tuple(Port(f"y{i}", Y) for i in range(len(offsets)))
    return Program(name, (), outputs, launches, 0, 0, weights, end, tuple(expansions))


def inputs_of_mixed(seed: int = 1) -> dict[str, Array]:
    """Inputs for `mixed`."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=t.shape).astype(np.float32) for name, t in (("x", X), ("shift", SHIFT))}


def outputs_of_mixed(inputs: Mapping[str, Array], seed: int = 0) -> dict[str, Array]:
    """What `mixed` must compute, in float64."""
    y = np.maximum(np.exp(inputs["x"].astype(np.float64)) @ weight(seed).astype(np.float64) / 2 + inputs["shift"], 0)
    return {"y": y, "z": 2 * y}


def build(program: Program, kernels: Path, folder: Path, *, header: bool = False) -> Path:
    """Links `program` to NAME.so, and NAME.h with `header`, in `folder`."""
    output = folder / f"{program.name}.so"
    link(program, kernels, target(), output, output.with_suffix(".h") if header else None)
    return output
