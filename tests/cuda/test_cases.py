"""Every case and every fused graph by the CUDA schedules, on the emulated device, against the references."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import ClassVar

import ml_dtypes
import numpy as np
import pytest

from convc.ir import Array, DType
from convc.precision import Precision
from convc.target import CudaTarget, named
from tests.cases import ALL
from tests.cases.case import Case
from tests.cuda.device_kernels import DeviceKernels, narrowable
from tests.cuda.emulator import Copies, KernelError, Order
from tests.support.kernels import PARTS, Subject, of_case
from tests.tolerances import RELATIVE, relative_error

pytestmark = pytest.mark.usefixtures("emulated")


def target() -> CudaTarget:
    """GPUs from 8.0 on."""
    made = named("cuda:sm_80,sm_90")
    assert isinstance(made, CudaTarget)
    return made


RUNS = ((Order.FORWARD, Copies.LATE), (Order.BACKWARD, Copies.EARLY), (Order.SHUFFLED, Copies.MIXED))
"""Orders of threads, and times of copies, that give the same answers where no barrier and no wait is missing."""


def check(
    subjects: Iterable[Subject], kernels: DeviceKernels, order: Order, copies: Copies, stored: DType = DType.FLOAT32
) -> None:
    """Fails with all subjects whose kernels fail, and all outputs that are not the reference's, stored in that type."""
    wrong = []
    for subject in subjects:
        try:
            got = kernels.run(subject, order, copies)
        except KernelError as error:
            wrong.append(f"{subject.name}: {error}")
            continue
        for name, want in subject.want.items():
            off = relative_error(got[name], want)
            if off > RELATIVE["kernel"] + rounding(want, stored):
                wrong.append(f"{subject.name}, {name}: relative error {off:.3g}")
    assert not wrong, "\n".join(wrong)


def rounding(value: Array, dtype: DType) -> float:
    """The largest relative error of storing float32 in that type: half a unit in the last place of each element."""
    if dtype is DType.FLOAT32 or not value.any():
        return 0.0
    least = float(ml_dtypes.finfo(dtype.numpy).smallest_subnormal)  # type: ignore[no-untyped-call]
    size = np.abs(value.astype(np.float64))
    return float(np.linalg.norm(np.maximum(size * dtype.epsilon, least) / 2) / np.linalg.norm(size))


@pytest.mark.parametrize("part", PARTS)
def test_cases(part: str) -> None:
    subjects = PARTS[part]
    kernels = DeviceKernels([subject.graph for subject in subjects], target())
    for order, copies in RUNS if kernels.cooperate else RUNS[:1]:
        check(subjects, kernels, order, copies)


class Narrow(Case):
    """A case whose tensors are numbers of 16 bits."""

    dtype: ClassVar[DType]

    def inputs(self) -> tuple[Array, ...]:
        return tuple(self.rounded(array) if array.dtype == np.float32 else array for array in super().inputs())

    def rounded(self, array: Array) -> Array:
        """To the nearest numbers of the type; infinite where they are too large for it."""
        with np.errstate(over="ignore"):
            return np.asarray(array.astype(self.dtype.numpy).astype(np.float32))


class Float16(Narrow):
    """Of half precision."""

    dtype = DType.FLOAT16


class BFloat16(Narrow):
    """Of bfloat16."""

    dtype = DType.BFLOAT16


def narrow(stem: str, kind: type[Narrow]) -> list[Subject]:
    """The stem's cases in that type, where it has their numbers."""
    cases = [kind(**{field.name: getattr(case, field.name) for field in fields(case)}) for case in ALL[stem]]
    fitting = [case for case in cases if narrowable(case.graph()) and finite(case.inputs())]
    return [subject for subject in map(of_case, fitting) if largest(subject) < kind.dtype.largest]


def finite(arrays: Iterable[Array]) -> bool:
    """Whether all numbers of all of them are."""
    return all(np.isfinite(array).all() for array in arrays)


def largest(subject: Subject) -> float:
    """Of all answers."""
    return max(float(np.abs(want).max()) for want in subject.want.values())


@pytest.mark.parametrize("kind", [Float16, pytest.param(BFloat16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stem", [stem for stem in ALL if any(narrowable(case.graph()) for case in ALL[stem])])
def test_cases_in_16_bits(stem: str, kind: type[Narrow]) -> None:
    """Numbers are read as they are, and rounded when they are stored, not before."""
    subjects = narrow(stem, kind)
    kernels = DeviceKernels([subject.graph for subject in subjects], target(), Precision(kind.dtype.value))
    check(subjects, kernels, Order.BACKWARD, Copies.LATE, kind.dtype)
