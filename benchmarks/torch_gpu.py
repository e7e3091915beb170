"""The contenders on a GPU, and its clock. This file imports torch: import it where torch is known to be installed.

All work is given to one stream, and measured by events on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch._inductor.config

from benchmarks.gpu_folder import Subject
from benchmarks.models import sample
from benchmarks.plain_graph import Array
from benchmarks.torch_model import Network
from convc import __version__, runtime

SIDE: Final = 8192
"""Of the matrices whose product shows the peak."""
COPIED: Final = 1 << 30
"""Bytes of the copy that shows the bandwidth."""
TYPES: Final = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class Contender:
    """`run` gives one call's work to the stream; `answer` is the output of a call, channels-last."""

    run: Callable[[], object]
    answer: Callable[[], Array]


@contextmanager
def stream() -> Iterator[None]:
    """Everything inside runs on a stream of its own, without gradients."""
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
        yield


def contenders(folder: Path, subject: Subject) -> tuple[dict[str, Contender], Array]:
    """What is measured, convc first, and torch's answer in float32."""
    torch.compiler.reset()  # else what it knows of another model would slow this one's compilation
    torch.cuda.empty_cache()
    value = sample(subject.model, subject.shape)
    network = Network(subject.graph(folder)).eval()
    set_tf32(False)
    first = torch.from_numpy(np.array(value)).cuda().movedim(-1, 1)  # its memory is channels-last
    (want,) = network.cuda()(first)
    reference = _host(_channels_last(want))
    set_tf32(subject.precision == "tf32")
    # torch reads and writes 16 bits; convc's ports are float32, and it converts.
    dtype = TYPES[subject.precision]
    network, x = network.to(dtype), first.to(dtype)
    made = {
        "convc": _convc(folder / subject.library, first.movedim(1, -1)),
        "torch": _torch(network, x),
        "torch.compile": _compiled(network, x),
    }
    return made, reference


def _convc(path: Path, x: Any) -> Contender:
    module = runtime.load(path, "cuda")
    (port,) = module.outputs
    y = torch.empty(port.shape, dtype=torch.float32, device="cuda")

    def run() -> None:
        module(x, out=[y], stream=torch.cuda.current_stream().cuda_stream)

    return _contender(run, lambda: y)


def _torch(network: Any, x: Any) -> Contender:
    """cuDNN's fastest algorithms for these shapes, launched by a CUDA graph."""
    torch.backends.cudnn.benchmark = True
    for _ in range(3):
        network(x)
    wait()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        (y,) = network(x)
    return _contender(graph.replay, lambda: _channels_last(y))


def _compiled(network: Any, x: Any) -> Contender:
    """The best that torch.compile knows; it launches CUDA graphs itself. Weights are constants to it."""
    torch._inductor.config.freezing = True
    compiled = torch.compile(network, mode="max-autotune")
    last: list[Any] = []

    def run() -> None:
        torch.compiler.cudagraph_mark_step_begin()
        last[:] = compiled(x)

    return _contender(run, lambda: _channels_last(last[0]))


def _contender(run: Callable[[], object], output: Callable[[], Any]) -> Contender:
    def answer() -> Array:
        run()
        return _host(output())

    return Contender(run, answer)


def _channels_last(y: Any) -> Any:
    return y.movedim(1, -1) if y.ndim > 2 else y


def _host(y: Any) -> Array:
    wait()
    value: Array = y.float().cpu().numpy()
    return value


def wait() -> None:
    """Until the GPU has done what it was given."""
    torch.cuda.synchronize()


def turn(run: Callable[[], object], calls: int) -> float:
    """Seconds of a call, of `calls` back to back, by the GPU's clock."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    wait()
    start.record()
    for _ in range(calls):
        run()
    end.record()
    wait()
    return float(start.elapsed_time(end)) / 1e3 / calls


def peak_flops(precision: str) -> float:
    """FLOP/s of a large product of matrices."""
    a = torch.randn(SIDE, SIDE, device="cuda", dtype=TYPES[precision])
    torch.matmul(a, a)
    return 2 * SIDE**3 / turn(lambda: torch.matmul(a, a), 5)


def peak_bandwidth() -> float:
    """Bytes that a large copy reads and writes in a second."""
    a = torch.zeros(COPIED, device="cuda", dtype=torch.uint8)
    b = torch.empty_like(a)
    b.copy_(a)
    return 2 * COPIED / turn(lambda: b.copy_(a), 5)


def set_tf32(allowed: bool) -> None:
    """Whether torch computes float32 in tf32."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def machine() -> dict[str, str]:
    """What was measured on, and with what."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "date": date.today().isoformat(),
        "convc": __version__,
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
    }
