"""Tensors of another library on the emulated device: used where they are, written to, and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from convc import runtime
from convc.errors import ArtifactError, ShapeError
from convc.runtime import DeviceArray, Module
from tests.cuda.emulator import FakeCuda
from tests.cuda.runtime_support import (
    LEGACY,
    VERSIONED,
    Gpu,
    Tensor,
    answers,
    assert_nothing_is_left,
    assert_right,
    feeds,
    gpu,
    library,
)


@pytest.fixture
def module(fake_cuda: FakeCuda) -> Iterator[Module]:
    with runtime.load(library()) as module:
        yield module


@pytest.fixture
def other(fake_cuda: FakeCuda) -> Iterator[Gpu]:
    with gpu(fake_cuda) as library:
        yield library


def tensors(other: Gpu, seed: int = 0, kind: bytes = VERSIONED) -> dict[str, Tensor]:
    return {name: Tensor(other, value, kind) for name, value in feeds(seed).items()}


def results(other: Gpu) -> dict[str, Tensor]:
    return {name: Tensor(other, np.zeros_like(value)) for name, value in answers(feeds()).items()}


def free(*groups: dict[str, Tensor]) -> None:
    for group in groups:
        for tensor in group.values():
            tensor.free()


@pytest.mark.parametrize("kind", [LEGACY, VERSIONED])
def test_tensors_in_arrays_out(fake_cuda: FakeCuda, kind: bytes) -> None:
    with gpu(fake_cuda) as other, runtime.load(library()) as module:
        given = tensors(other, kind=kind)
        got = module.run(given)
        assert [tensor.deleted for tensor in given.values()] == [1, 1]
        assert all(isinstance(array, DeviceArray) for array in got.values())
        assert_right(got)
        y, z = module(given["x"], given["shift"])
        assert_right({"y": y, "z": z})
        del got, y, z
        free(given)
    assert_nothing_is_left(fake_cuda)


def test_nothing_is_copied(fake_cuda: FakeCuda, module: Module, other: Gpu) -> None:
    given, out = tensors(other), results(other)
    module.run(given)
    before = {what: fake_cuda.get(what) for what in ("copies", "pinned", "cuMemcpyHtoDAsync_v2")}
    module.run(given)
    module.run(given, out=out)
    assert {what: fake_cuda.get(what) for what in before} == before


@pytest.mark.parametrize("stream", [False, True])
def test_outputs_of_the_caller(fake_cuda: FakeCuda, module: Module, other: Gpu, stream: bool) -> None:
    given, out = tensors(other), results(other)
    used = other.stream if stream else None
    module.run(given, out=out, stream=used)
    allocated = fake_cuda.get("cuMemAlloc_v2")
    for seed in range(3):
        for tensor, value in zip(given.values(), feeds(seed).values(), strict=True):
            tensor.value[...] = value
            other.write(tensor.pointer, tensor.value)
        got = module.run(given, out=out, stream=used)
        assert got["y"] is out["y"]
        assert_right({name: tensor.numpy() for name, tensor in out.items()}, seed)
    assert fake_cuda.get("cuMemAlloc_v2") == allocated
    first, second = module(given, out=(out["y"], out["z"]))
    assert first is out["y"]
    assert second is out["z"]


def test_arrays_are_written_to_again(fake_cuda: FakeCuda, module: Module, other: Gpu) -> None:
    got = module.run(tensors(other))
    given = tensors(other, 7)
    allocated = fake_cuda.get("cuMemAlloc_v2")
    assert module.run(given, out=got) == got
    assert fake_cuda.get("cuMemAlloc_v2") == allocated
    assert_right(got, 7)


def test_the_run_waits_for_the_owner(fake_cuda: FakeCuda, module: Module, other: Gpu) -> None:
    """What the owner's stream writes before is read, though nothing but the stream orders it."""
    given = tensors(other)
    assert_right(module.run(given))
    (own,) = {stream for tensor in given.values() for stream in tensor.streams}
    assert own not in (None, 0, other.stream)
    assert fake_cuda.get("cuCtxSynchronize") == 0


def test_without_a_stream_the_call_waits(module: Module, other: Gpu, fake_cuda: FakeCuda) -> None:
    module.run(tensors(other), out=results(other))
    launched = fake_cuda.get("launches")
    assert launched == 2
    module.run(tensors(other), out=results(other), stream=other.stream)
    assert fake_cuda.get("launches") == launched
    other.call("cuStreamSynchronize", other._stream)
    assert fake_cuda.get("launches") == launched + 2


def test_arrays_of_one_module_for_another(fake_cuda: FakeCuda, other: Gpu) -> None:
    given = tensors(other)
    with runtime.load(library()) as first, runtime.load(library()) as second:
        array = first.run(given, stream=other.stream)["y"]
        y = second(array, given["shift"])[0]
        again = first(y, given["shift"])[0]
    inputs = feeds()
    for _ in range(2):
        inputs["x"] = answers(inputs)["y"]
    assert np.array_equal(np.asarray(again), answers(inputs)["y"])


def test_managed_memory(module: Module, other: Gpu) -> None:
    given = tensors(other)
    given["x"].device = (13, 0)
    assert_right(module.run(given))


def test_strides_that_do_not_matter(module: Module, other: Gpu) -> None:
    given = tensors(other)
    given["x"].strides = None
    assert_right(module.run(given))


def test_a_byte_offset(module: Module, other: Gpu) -> None:
    inputs = feeds()
    given = {name: Tensor(other, value, offset=48) for name, value in inputs.items()}
    assert_right(module.run(given))


def broken(**changes: object) -> Callable[[Tensor], None]:
    def change(tensor: Tensor) -> None:
        for name, value in changes.items():
            assert hasattr(tensor, name)
            setattr(tensor, name, value)

    return change


CHANGES: list[tuple[Callable[[Tensor], None], str]] = [
    (broken(device=(2, 1)), "'x': on another device: expected cuda:0, got cuda:1 (move it there, or load the library"),
    (broken(bits=64), "'x': wrong dtype: expected float32, got float64 (convert it to float32"),
    (broken(bits=16), "'x': wrong dtype: expected float32, got float16"),
    (broken(bits=16, code=4), "'x': wrong dtype: expected float32, got bfloat16"),
    (broken(code=0), "'x': wrong dtype: expected float32, got int32"),
    (broken(code=77), "'x': wrong dtype: expected float32, got type 77 of 32"),
    (broken(lanes=4), "'x': wrong dtype: expected float32, got float32x4"),
    (broken(shape=(4, 31)), "'x': wrong shape: expected (4, 32), got (4, 31)"),
    (broken(shape=(128,), strides=(1,)), "'x': wrong shape: expected (4, 32), got (128,)"),
    (broken(shape=(), strides=()), "'x': wrong shape: expected (4, 32), got ()"),
    (broken(strides=(1, 4)), "'x': not dense: expected row-major elements without gaps, got strides (1, 4) (copy it"),
    (broken(strides=(64, 1)), "'x': not dense"),
    (broken(strides=(0, 0)), "'x': not dense"),
    (broken(strides=(-32, 1)), "'x': not dense"),
    (broken(byte_offset=4), "'x': begins at an odd address: expected a multiple of 16 bytes"),
    (broken(version=(2, 0)), "'x': its tensor cannot be taken: expected what DLPack 1.0 describes, got version 2.0"),
    (broken(base=None), "'x': its tensor cannot be taken: expected what DLPack 1.0 describes, got a DLPack"),
    (broken(kind=b"used_dltensor"), "'x': its tensor cannot be taken: expected what DLPack 1.0 describes, got no"),
    (broken(kind=b"other"), "'x': its tensor cannot be taken"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message for _, message in CHANGES])
def test_tensors_that_do_not_fit(
    fake_cuda: FakeCuda, other: Gpu, change: Callable[[Tensor], None], message: str
) -> None:
    given = tensors(other)
    with runtime.load(library()) as module:
        change(given["x"])
        with pytest.raises(ShapeError) as caught:
            module.run(given)
        assert str(caught.value).startswith(f"input {message}")
        out = results(other)
        change(out["y"])
        with pytest.raises(ShapeError) as caught:
            module.run(tensors(other), out=out)
        assert str(caught.value).startswith(f"output {message}".replace("'x'", "'y'"))
        assert fake_cuda.get("launches") == 0
        assert_right(module.run(feeds()))


def test_every_tensor_is_named(module: Module, other: Gpu) -> None:
    given = tensors(other)
    given["x"].bits, given["shift"].shape = 64, (9,)
    with pytest.raises(ShapeError) as caught:
        module.run(given)
    assert [problem.subject for problem in caught.value.problems] == ["input 'x'", "input 'shift'"]
    del caught  # its traceback has the calls' variables
    assert [tensor.deleted for tensor in given.values()] == [1, 1]


def test_a_read_only_output(module: Module, other: Gpu) -> None:
    given, out = tensors(other), results(other)
    given["x"].flags, out["z"].flags = 1, 1
    with pytest.raises(ShapeError, match="output 'z': read-only"):
        module.run(given, out=out)
    assert_right(module.run(given))


class Refusing:
    """A tensor whose owner does not give it."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **options: Any) -> object:
        raise BufferError("it requires\n gradient")


class Strange(Refusing):
    def __dlpack__(self, **options: Any) -> object:
        return "capsule"


class Lost(Refusing):
    def __dlpack_device__(self) -> Any:
        return "gpu", 0


class Silent(Refusing):
    def __dlpack__(self, **options: Any) -> object:
        raise TypeError


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Refusing(), "input 'x': its tensor cannot be taken: .* got it requires gradient"),
        (Strange(), "input 'x': its tensor cannot be taken: .* got no DLPack capsule but str"),
        (Silent(), "input 'x': its tensor cannot be taken: .* got TypeError"),
        (Lost(), "inputs: some are in memory of the host and some of the GPU"),
    ],
)
def test_what_is_no_tensor(module: Module, other: Gpu, value: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        module(value, tensors(other)["shift"])


def test_a_class_is_no_tensor(module: Module, other: Gpu) -> None:
    with pytest.raises(ShapeError, match="inputs: some are in memory of the host"):
        module(Refusing, tensors(other)["shift"])


def test_host_and_device_are_not_mixed(module: Module, other: Gpu) -> None:
    given, inputs, out = tensors(other), feeds(), results(other)
    message = (
        r"some are in memory of the host and some of the GPU: expected all in the same \(move them all to cuda:0\)"
    )
    with pytest.raises(ShapeError, match=f"inputs: {message}"):
        module(given["x"], inputs["shift"])
    with pytest.raises(ShapeError, match=f"inputs and outputs: {message}"):
        module.run(inputs, out=out)
    with pytest.raises(ShapeError, match=f"inputs and outputs: {message}"):
        module.run(given, out=answers(inputs))
    with pytest.raises(ShapeError, match="input 'x': in memory of a GPU"):
        module.profile(given)


def test_wrong_numbers_and_names(module: Module, other: Gpu) -> None:
    given, out = tensors(other), results(other)
    with pytest.raises(ShapeError, match="inputs: wrong number of arrays: expected 2"):
        module(given["x"])
    with pytest.raises(ShapeError, match="outputs: wrong number of arrays: expected 2"):
        module(given, out=out["y"])
    with pytest.raises(ShapeError, match="outputs: wrong names: expected y, z, got y"):
        module.run(given, out={"y": out["y"]})


@pytest.mark.parametrize("stream", ["1", 1.5, True, -1, object()])
def test_no_stream(module: Module, other: Gpu, stream: object) -> None:
    with pytest.raises(ShapeError, match="stream: not a handle of a CUDA stream"):
        module.run(tensors(other), stream=stream)  # type: ignore[arg-type]


def test_a_stream_that_cannot_wait(fake_cuda: FakeCuda, module: Module, other: Gpu) -> None:
    given = tensors(other)
    fake_cuda.fail("cuStreamWaitEvent", 400, call=3)
    with pytest.raises(ArtifactError, match=f"stream {other.stream} cannot wait for the run: got .*INVALID_HANDLE"):
        module.run(given, stream=other.stream)
    assert fake_cuda.get("launches") == 2
    assert_right(module.run(given))


def test_outputs_that_overlap(module: Module, other: Gpu) -> None:
    given, out = tensors(other), results(other)
    for shared in (given["x"], out["y"]):
        with pytest.raises(ArtifactError, match="overlaps"):
            module.run({**given, "x": shared}, out={**out, "y": shared})
    assert_right(module.run(given))


def test_memory_of_the_host_that_says_it_is_of_the_device(module: Module, other: Gpu) -> None:
    given, inputs = tensors(other), feeds()
    memory = np.empty(inputs["x"].size + 4, np.float32)
    given["x"].base = (memory.ctypes.data + 15) // 16 * 16
    with pytest.raises(ArtifactError, match="input 'x' is not in memory of the device"):
        module.run(given)


def test_after_close(module: Module, other: Gpu) -> None:
    module.close()
    with pytest.raises(ArtifactError, match="used after close"):
        module.run(tensors(other))


def test_too_little_memory_for_outputs(fake_cuda: FakeCuda, module: Module, other: Gpu) -> None:
    given = tensors(other)
    fake_cuda.fail("cuMemAlloc_v2", 2)
    with pytest.raises(ArtifactError, match="the allocation of device memory failed: got out of memory on the device"):
        module.run(given)
    assert_right(module.run(given))
