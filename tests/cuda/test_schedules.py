"""CUDA schedules for threads: which applies where, what code reads at once, and the answers at the edges of blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from convc import ops
from convc.build.device import DeviceLaunch
from convc.ir import Array, DType, Graph, Node, Origin, TensorType, make
from convc.precision import Precision
from convc.schedules.cuda import direct, direct_conv, reduction, tiled, window
from convc.target import CudaTarget, named
from tests.cases.case import Case, case
from tests.cases.conv import conv, depthwise
from tests.cuda.device_kernels import DeviceKernels
from tests.cuda.emulator import Order
from tests.support.kernels import Subject, of_case
from tests.tolerances import RELATIVE, relative_error

pytestmark = pytest.mark.usefixtures("emulated")

ORDERS = (Order.FORWARD, Order.BACKWARD, Order.SHUFFLED)


def target() -> CudaTarget:
    """GPUs from 8.0 on."""
    made = named("cuda:sm_80,sm_90")
    assert isinstance(made, CudaTarget)
    return made


def kernels_of(case_: Case, precision: Precision = Precision.FLOAT32) -> DeviceKernels:
    """The case's kernels as they are generated."""
    return DeviceKernels([case_.graph()], target(), precision)


def launches_of(kernels: DeviceKernels) -> tuple[DeviceLaunch, ...]:
    """Those of a single function."""
    (function,) = kernels.functions.values()
    return function.launches


def answer(case_: Case) -> Array:
    """What the case's kernels give."""
    subject = of_case(case_)
    (got,) = DeviceKernels([subject.graph], target()).run(subject).values()
    return got


def check(cases: Sequence[Case], rule: str) -> None:
    """Fails where the cases are not computed by the rule alone, or not right in some order of threads."""
    subjects = [of_case(case_) for case_ in cases]
    kernels = DeviceKernels([subject.graph for subject in subjects], target())
    assert kernels.rules == {rule}
    wrong = []
    for subject in subjects:
        for order in ORDERS if kernels.cooperate else ORDERS[:1]:
            (got,), (want,) = kernels.run(subject, order).values(), subject.want.values()
            error = relative_error(got, want)
            if error > RELATIVE["kernel"]:
                wrong.append(f"{subject.name}, {order}: relative error {error:.3g}")
    assert not wrong, "\n".join(wrong)


ROWS = [
    # Rows of parts of a warp, of one, of several, of a block; a last block that has not all its rows.
    *(case(f"softmax_{rows}x{depth}", ops.Softmax((1,)), (rows, depth))
      for rows, depth in ((1, 1), (7, 2), (301, 3), (5, 33), (9, 100), (3, 128), (2, 1000), (1, 4096), (2, 70001))),
    *(case(f"softmax_{depth}_across", ops.Softmax((1,)), (2, depth, 5)) for depth in (1, 3, 40, 300)),
    case("log_softmax", ops.LogSoftmax((2,)), (2, 3, 130)),
    *(case(f"layer_norm_{depth}", ops.Standardize((1,), 1e-3), (7, depth)) for depth in (1, 24, 96, 1023, 5000)),
    case("batch_statistics", ops.Standardize((0, 1, 2), 1e-3), (2, 40, 41, 24)),
    case("group_norm", ops.Standardize((1, 2, 3), 1e-3, groups=4), (2, 9, 8, 24)),
    case("group_norm_of_3", ops.Standardize((1, 2, 3), 1e-3, groups=5), (1, 9, 8, 15)),
    case("root_mean_square", ops.Standardize((2,), 1e-3, centered=False), (1, 5, 200)),
    case("global_average", ops.ReduceMean((1, 2), False), (1, 7, 7, 2048)),
    case("global_average_batch", ops.ReduceMean((1, 2), True), (3, 5, 6, 70)),
    case("global_maximum", ops.ReduceMax((1, 2), False), (2, 30, 31, 9)),
    case("all", ops.ReduceSum((0, 1), False), (300, 1001)),
    case("ends", ops.ReduceMean((0, 2), False), (40, 7, 33)),
    case("integers", ops.ReduceMax((1,), False), (5, 300), integers={0: (-(1 << 30), 1 << 30)}),
]  # fmt: skip


def test_rows() -> None:
    check(ROWS, "reduction")


def test_rows_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few long rows are, in a nest for each block."""
    monkeypatch.setattr(reduction, "STEPS", 1)
    monkeypatch.setattr(reduction, "FEW_BLOCKS", 1 << 20)
    monkeypatch.setattr(reduction, "BLOCKS", 1 << 20)
    check(ROWS, "reduction")


def test_a_row_is_read_once() -> None:
    """It stays in registers; one too long for them is read by each block, and few long ones by many blocks."""
    short = kernels_of(case("short", ops.Softmax((1,)), (512, 1024)))
    assert len(launches_of(short)) == 1
    reads = short.source.count("= *(float4*)(p0_ptr")
    assert reads * launches_of(short)[0].geometry.block[0] == 1024 // 4
    few = kernels_of(case("few", ops.ReduceSum((0, 1), False), (3000, 1001)))
    assert [launch.geometry.grid[0] > 1 for launch in launches_of(few)] == [True, False]


def test_extremes_of_rows_are_kept() -> None:
    """Infinities are no neutral elements that were made up, and NaN is not lost by CUDA's own max and min."""
    got = answer(case("infinite", ops.ReduceMax((1,), False), (3, 300), special=[-np.inf] * 300))
    assert np.isneginf(got[0])
    assert np.isfinite(got[1:]).all()
    got = answer(case("undefined", ops.Sigmoid(), (3, 40), special=[np.nan]))
    assert np.isnan(got.flat[0])
    assert np.isfinite(got.flat[1:]).all()


STRIPS = [
    # More than one strip, the last one not full; channels in vectors of 4, 2 and 1.
    depthwise("19x19x40", (1, 19, 19, 40), (3, 3), padding="same", bias=True),
    depthwise("9x16x17", (2, 9, 16, 17), (3, 3), padding="same"),
    depthwise("one_row", (1, 1, 20, 24), (3, 3), padding="same"),
    depthwise("s2_even", (3, 30, 30, 6), (3, 3), strides=2, padding=((0, 1), (0, 1)), bias=True),
    depthwise("s3", (1, 31, 31, 8), (2, 2), strides=3),
    depthwise("dilated", (1, 21, 23, 12), (3, 3), dilation=2, padding="same"),
    depthwise("far_apart", (1, 50, 66, 4), (3, 3), dilation=21, padding="same"),
    depthwise("mostly_padding", (1, 4, 4, 20), (3, 3), padding=((8, 9), (20, 17))),
    depthwise("x2", (1, 17, 18, 20), (3, 3), 2, padding="same"),
    depthwise("1d", (3, 100, 18), (4,), strides=3, padding="same"),
    depthwise("3d", (1, 7, 8, 17, 20), (3, 3, 3), padding="same"),
    *(case(f"{op.__name__}_{name}", op(size, strides, padding), x)
      for op in (ops.MaxPool, ops.AvgPool)
      for name, x, size, strides, padding in (
          ("3x3_s2", (1, 29, 29, 72), (3, 3), (2, 2), ((0, 1), (1, 0))),
          ("2x2", (2, 30, 31, 33), (2, 2), (2, 2), ((0, 0), (0, 0))),
          ("3x3", (1, 35, 35, 24), (3, 3), (1, 1), ((1, 1), (1, 1))),
          ("3d", (1, 5, 6, 19, 17), (2, 3, 3), (1, 2, 1), ((1, 0), (1, 1), (1, 1))),
      )),
]  # fmt: skip

GROUPED = [
    conv("groups", (2, 9, 10, 24), (3, 3, 4, 36), groups=6, padding="same", bias=True),
    conv("groups_of_one_filter", (1, 9, 10, 24), (3, 3, 4, 6), groups=6, strides=2),
    conv("groups_dilated", (1, 19, 20, 8), (3, 2, 4, 10), groups=2, dilation=(2, 3), padding="same"),
    conv("groups_1d", (2, 33, 12), (3, 3, 12), groups=4, padding="same"),
    conv("3d", (1, 4, 5, 11, 6), (3, 3, 3, 6, 10), padding="same", bias=True),
    conv("3d_long_sum", (1, 3, 3, 5, 60), (3, 3, 3, 60, 8), strides=(1, 2, 1), padding="same"),
]


@pytest.mark.parametrize("units", [None, 1])
def test_strips(units: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As short as they are in layers this small, and as long as they are in large ones."""
    if units:
        monkeypatch.setattr(window, "UNITS", units)
    check(STRIPS, "window")


@pytest.mark.parametrize("units", [None, 1])
def test_direct_convolutions(units: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if units:
        monkeypatch.setattr(direct_conv, "UNITS", units)
        monkeypatch.setattr(direct, "LONGEST", 10)
    check(GROUPED, "direct_conv")


@pytest.mark.parametrize("chain", [None, 2])
def test_products_of_transposed_operands(chain: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tiles that are not full, and in sums of sums."""
    if chain:
        monkeypatch.setattr(tiled, "CHAIN", chain)
    products = [
        case("left", ops.MatMul((1, 0), (1, 2), (0, 2)), (100, 70), (100, 65)),
        case("both", ops.MatMul((1, 0), (2, 1), (0, 2)), (75, 130), (68, 75)),
        case("heads", ops.MatMul((0, 3, 1, 2), (0, 3, 1, 4), (0, 1, 2, 4)), (2, 33, 3, 66), (2, 33, 3, 20)),
    ]
    check(products, "matmul")


def test_what_is_a_product_of_matrices_is_left_to_it() -> None:
    assert kernels_of(conv("plain", (1, 9, 9, 16), (3, 3, 16, 32), padding="same")).rules == {"implicit_gemm"}
    assert kernels_of(case("long_window", ops.MaxPool((1, 30), (1, 1), ((0, 0), (0, 0))), (1, 1, 70, 8))).rules == {
        "fallback"
    }


def transposed(name: str, shape: tuple[int, ...], permutation: tuple[int, ...]) -> Case:
    return case(name, ops.Transpose(permutation), shape)


def test_transpositions_go_through_tiles() -> None:
    long = [
        transposed("matrix", (70, 45), (1, 0)),
        transposed("batch", (3, 64, 33), (0, 2, 1)),
        transposed("channels_last", (2, 40, 9, 10), (0, 2, 3, 1)),
        transposed("reversed", (12, 5, 13), (2, 1, 0)),
    ]
    check(long, "transposition")
    others = [
        transposed("few_channels", (2, 3, 20, 20), (0, 2, 3, 1)),
        transposed("heads", (2, 10, 4, 16), (0, 2, 1, 3)),
    ]
    check(others, "elementwise")


JOINED = [
    case("joined", ops.Concat(3), (2, 5, 5, 64), (2, 5, 5, 32), (2, 5, 5, 8)),
    case("joined_odd", ops.Concat(3), (2, 5, 5, 6), (2, 5, 5, 3)),
    case("joined_rows", ops.Concat(1), (2, 5, 8), (2, 3, 8)),
    case("bordered", ops.Pad(((0, 0), (1, 2), (0, 0), (4, 8)), 0.5), (2, 5, 5, 8)),
    case("bordered_odd", ops.Pad(((0, 0), (1, 2), (0, 0), (1, 3)), 0.5), (2, 5, 5, 8)),
    case("cut", ops.Slice((0, 1, 4), (2, 3, 12), (1, 1, 1)), (2, 5, 20)),
    case("cut_odd", ops.Slice((0, 1, 3), (2, 3, 12), (1, 1, 1)), (2, 5, 20)),
    case("steps", ops.Slice((0, 1, 0), (2, 2, 8), (1, 2, 2)), (2, 5, 20)),
    case("biased", ops.Add(), (3, 4, 8), (8,)),
    case("scaled", ops.Multiply(), (3, 4, 8), (3, 4, 1)),
    case("looked_up", ops.Take(0), (30, 12), (2, 7), integers={1: (-40, 40)}),
]


def test_elements() -> None:
    known = [case_ for case_ in JOINED if case_.name != "looked_up"]
    check(known, "elementwise")
    (looked_up,) = (case_ for case_ in JOINED if case_.name == "looked_up")
    (want,) = of_case(looked_up).want.values()
    assert np.array_equal(answer(looked_up), want.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("name", "wide"),
    [("joined", True), ("bordered", True), ("cut", True), ("biased", True), ("looked_up", True), ("joined_rows", True),
     ("scaled", True), ("joined_odd", False), ("bordered_odd", False), ("cut_odd", False), ("steps", False)],
)  # fmt: skip
def test_elements_in_a_row_are_copied_at_once(name: str, wide: bool) -> None:
    (case_,) = (case_ for case_ in JOINED if case_.name == name)
    assert ("*(float4*)(out_ptr" in kernels_of(case_).source) is wide
    if name != "looked_up" and wide:
        assert re.search(r"\*\((uint4|half4)\*\)\(out_ptr", kernels_of(case_, Precision.FLOAT16).source)


@pytest.mark.parametrize(
    "case_",
    [
        STRIPS[0],
        conv("groups_of_8", (2, 9, 10, 48), (3, 3, 8, 48), groups=6, padding="same"),
        case("rows", ops.Softmax((1,)), (16, 256)),
        case("mean", ops.ReduceMean((1,), False), (2, 9, 64)),
    ],
    ids=lambda case_: case_.name,
)
def test_layers_read_16_bytes_at_once(case_: Case) -> None:
    assert re.search(r"\*\(float4\*\)\(p0_ptr", kernels_of(case_).source)
    assert re.search(r"\*\(uint4\*\)\(p0_ptr", kernels_of(case_, Precision.FLOAT16).source)


def test_what_a_layer_is_followed_by_is_computed_in_its_kernel() -> None:
    """A residual, a factor per sample and an activation after a pooling and after a normalisation."""

    def after(op: ops.MaxPool | ops.Standardize) -> Subject:
        generator = np.random.default_rng(7)
        shape = (2, 9, 11, 12)
        x, other = (make(ops.Input(TensorType(shape)), origin=Origin(name, "Input")) for name in "ab")
        factor = make(ops.Input(TensorType((2, 1, 1, 12))), origin=Origin("c", "Input"))
        y: Node = make(op, x, origin=Origin("y", op.kind))
        for index, (more, operand) in enumerate(((ops.Add(), other), (ops.Multiply(), factor))):
            y = make(more, y, operand, origin=Origin(f"y{index}", more.kind))
        y = make(ops.Silu(), y, origin=Origin("z", "Silu"))
        feeds = {node.name: generator.normal(0, 1, node.type.shape).astype(np.float32) for node in (x, other, factor)}
        return Subject("after", Graph("after", (x, other, factor), (y,), ("y",)), feeds)

    pool = ops.MaxPool((3, 3), (1, 1), ((1, 1), (1, 1)))
    for op in (pool, ops.Standardize((3,), 1e-3), ops.Standardize((1, 2), 1e-3)):
        subject = after(op)
        kernels = DeviceKernels([subject.graph], target())
        assert len(launches_of(kernels)) == 1
        assert relative_error(kernels.run(subject)["y"], subject.want["y"]) <= RELATIVE["kernel"]


@pytest.mark.parametrize("batch", [1, 3, 300])
def test_recurrent_layers_share_their_sequences(batch: int) -> None:
    """A block has a sequence, or several where there are more of them than a GPU has multiprocessors."""
    op = ops.Lstm((ops.Tanh(),), (ops.Sigmoid(),))
    case_ = case("lstm", op, (batch, 3, 4 * 12), (12, 4 * 12), constants=[1])
    subject = of_case(case_)
    kernels = DeviceKernels([subject.graph], target())
    assert kernels.rules == {"recurrent"}
    assert launches_of(kernels)[0].geometry.grid[0] == (batch if batch < 256 else batch // 2)
    for order in ORDERS:
        (got,), (want,) = kernels.run(subject, order).values(), subject.want.values()
        assert relative_error(got, want) <= RELATIVE["kernel"]


def test_types() -> None:
    """Kernels of bfloat16 round where they store, as those of half precision do."""
    subject = of_case(STRIPS[0])
    kernels = DeviceKernels([subject.graph], target(), Precision.BFLOAT16)
    (got,), (want,) = kernels.run(subject).values(), subject.want.values()
    assert relative_error(got, want) <= RELATIVE[DType.BFLOAT16.value]
