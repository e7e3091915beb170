"""What is measured: convc and its peers, each with its best settings, behind one interface.

A contender runs on input and output memory that was set up before, so that a call measures inference and no copies.
Modules of the contenders are imported when one is opened: importing this file costs NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from convc.ir.types import Array


@dataclass(frozen=True)
class Session:
    """A model that is ready to run on the inputs that it was opened with."""

    inputs: Sequence[Array]
    """Kept here: the peers hold the memory, not the array that owns it."""
    run: Callable[[], object]
    answers: Callable[[], list[Array]]
    """The outputs of the last run."""


Open = Callable[[Path, Sequence[Array], int], Session]
"""Opens a model file on inputs with a number of threads."""


@dataclass(frozen=True)
class Contender:
    """`package` is what to install; `module` what an application imports to run a model.

    One that is `beside` the others has its latency shown and no more: it is not taken for the fastest peer, and its
    first answer, which waits for a compilation, is not measured.
    """

    name: str
    package: str
    module: str
    open: Open
    beside: bool = False

    @property
    def version(self) -> str | None:
        """The installed version; None where it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


def _open_convc(path: Path, inputs: Sequence[Array], threads: int) -> Session:
    from convc import runtime

    module = runtime.load(path, threads=threads)
    last: list[Any] = [None]

    def run() -> None:
        last[0] = module(*inputs)

    def answers() -> list[Array]:
        return list(last[0]) if isinstance(last[0], tuple) else [last[0]]

    return Session(inputs, run, answers)


def _open_onnxruntime(path: Path, inputs: Sequence[Array], threads: int) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for port, value in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_cpu_input(port.name, value)
    for port in session.get_outputs():
        binding.bind_output(port.name, "cpu")
    return Session(inputs, lambda: session.run_with_iobinding(binding), lambda: list(binding.copy_outputs_to_cpu()))


def _open_openvino(path: Path, inputs: Sequence[Array], threads: int) -> Session:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    for place, value in enumerate(inputs):
        request.set_input_tensor(place, openvino.Tensor(value, shared_memory=True))

    def answers() -> list[Array]:
        return [tensor.data.copy() for tensor in request.output_tensors]

    def run_in_its_thread() -> None:
        request.start_async()
        request.wait()

    # Measured on MobileNetV2: with one thread the caller's own is faster, with two OpenVINO's pinned ones are.
    return Session(inputs, request.infer if threads == 1 else run_in_its_thread, answers)


def _open_torch(path: Path, inputs: Sequence[Array], threads: int) -> Session:
    import torch
    import torch._inductor.config

    from benchmarks.plain_graph import read_onnx
    from benchmarks.torch_model import Network, tensor

    torch.set_num_threads(threads)
    # Weights are constants to the compiler, which folds and packs them. Measured: ResNet50 takes 77 instead of 105 ms.
    torch._inductor.config.freezing = True
    feeds = [tensor(value) for value in inputs]
    last: list[Any] = [()]

    with torch.inference_mode():
        compiled = torch.compile(Network(read_onnx(path)).eval())

    def run() -> None:
        with torch.inference_mode():
            last[0] = compiled(*feeds)

    return Session(inputs, run, lambda: [value.numpy().copy() for value in last[0]])


CONVC: Final = Contender("convc", "convc", "convc.runtime", _open_convc)
PEERS: Final = (
    Contender("onnxruntime", "onnxruntime", "onnxruntime", _open_onnxruntime),
    Contender("OpenVINO", "openvino", "openvino", _open_openvino),
    Contender("torch", "torch", "torch", _open_torch, beside=True),
)
CONTENDERS: Final = {contender.name: contender for contender in (CONVC, *PEERS)}
