from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tvm import te
from tvm.s_tir import Schedule

from convc.build.device import DeviceFunction, generate
from convc.build.program import Geometry
from convc.target import CudaTarget, named

SM_80 = named("cuda:sm_80")


def generated(**functions: Any) -> tuple[str, dict[str, DeviceFunction]]:
    assert isinstance(SM_80, CudaTarget)
    return generate(functions, SM_80)


def bound(func: Any, block: str, threads: int) -> Callable[[Schedule], None]:
    def bind(schedule: Schedule) -> None:
        fused = schedule.fuse(*schedule.get_loops(schedule.get_sblock(block)))
        outer, inner = schedule.split(fused, [None, threads])
        schedule.bind(outer, "blockIdx.x")
        schedule.bind(inner, "threadIdx.x")

    return bind


def doubled(dtype: str = "float32") -> Any:
    x = te.placeholder((6, 32), dtype, name="p0")
    out = te.compute(x.shape, lambda i, j: x(i, j) + x(i, j), name="out")
    schedule = Schedule(te.create_prim_func([x, out]))
    bound(schedule, "out", 64)(schedule)
    return schedule.mod["main"]


def row_maxima_taken_off() -> Any:
    x = te.placeholder((64, 100), name="p0")
    r = te.reduce_axis((0, 100), "r")
    maxima = te.compute((64,), lambda i: te.max(x(i, r), axis=[r]), name="maximum")
    out = te.compute(x.shape, lambda i, j: x(i, j) - maxima(i), name="out")
    schedule = Schedule(te.create_prim_func([x, out]))
    row, column = schedule.get_loops(schedule.get_sblock("maximum"))
    _, lane = schedule.split(column, [None, 32])
    schedule.bind(row, "blockIdx.x")
    schedule.bind(lane, "threadIdx.x")
    bound(schedule, "out", 128)(schedule)
    return schedule.mod["main"]


def test_one_nest_is_one_kernel() -> None:
    source, functions = generated(double=doubled())
    (launch,) = functions["double"].launches
    assert launch.geometry == Geometry((3, 1, 1), (64, 1, 1))
    assert f"__launch_bounds__(64) {launch.kernel}(" in source
    assert set(launch.parameters) == {"p0", "out"}
    assert functions["double"].parameters == ("p0", "out")
    assert functions["double"].scratch == {}


def test_parameters_are_in_the_order_of_the_source() -> None:
    source, functions = generated(double=doubled())
    (launch,) = functions["double"].launches
    signature = source.split(f"{launch.kernel}(")[-1].split(")")[0]
    names = [parameter.split()[-1].removesuffix("_ptr") for parameter in signature.split(",")]
    assert tuple(names) == launch.parameters


def test_nests_are_kernels_in_order_with_scratch_between_them() -> None:
    _, functions = generated(softmax=row_maxima_taken_off())
    first, second = functions["softmax"].launches
    assert functions["softmax"].scratch == {"maximum": 64 * 4}
    assert set(first.parameters) == {"p0", "maximum"}
    assert set(second.parameters) == {"p0", "maximum", "out"}
    assert first.geometry == Geometry((64, 1, 1), (32, 1, 1))
    assert second.geometry == Geometry((50, 1, 1), (128, 1, 1))


def test_functions_of_one_source_are_told_apart() -> None:
    source, functions = generated(b=doubled(), a=row_maxima_taken_off(), c=doubled("int32"))
    assert list(functions) == ["b", "a", "c"]
    kernels = [launch.kernel for function in functions.values() for launch in function.launches]
    assert len(set(kernels)) == 4
    assert all(f" {kernel}(" in source for kernel in kernels)


def test_shared_memory_is_asked_for_by_kernel() -> None:
    _, functions = generated(f=row_maxima_taken_off().with_attr("cuda.shared_bytes", [0, 4096]))
    assert [launch.geometry.shared for launch in functions["f"].launches] == [0, 4096]


def test_the_same_functions_give_the_same_source() -> None:
    sources = [generated(a=row_maxima_taken_off(), b=doubled())[0] for _ in range(2)]
    assert sources[0] == sources[1]


def test_a_loop_that_is_left_to_the_host_is_a_defect() -> None:
    x = te.placeholder((6, 32), name="p0")
    out = te.compute(x.shape, lambda i, j: x(i, j) + x(i, j), name="out")
    with pytest.raises(AssertionError, match="every loop of a CUDA schedule is bound"):
        generated(f=te.create_prim_func([x, out]))
