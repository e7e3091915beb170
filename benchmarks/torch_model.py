"""An exported ONNX graph as a torch module, for torch.compile. Tensors of four axes are channels-last in memory.

Only ops that the measured networks have. This file imports torch: import it where torch is known to be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch.nn import functional

from benchmarks.plain_graph import Array, PlainGraph
from convc.errors import UnsupportedError


class Network(torch.nn.Module):  # type: ignore[misc]
    """Called with one tensor per input, it returns a tuple. Raises `UnsupportedError` for a node that is not in
    `OPS`."""

    def __init__(self, graph: PlainGraph) -> None:
        super().__init__()
        for step in graph.steps:
            if step.op not in OPS:
                raise UnsupportedError(step.output, f"{step.op} is not among the ops that torch is measured with")
        self.graph = graph
        for name, value in graph.weights.items():
            self.register_parameter(name, torch.nn.Parameter(tensor(value), requires_grad=False))

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs, each in its shape of the ONNX graph."""
        values: dict[str, Any] = {**self.graph.numbers, **dict(zip(self.graph.feeds, inputs, strict=True))}
        for step in self.graph.steps:
            arguments = [values[name] if name in values else self.get_parameter(name) for name in step.inputs]
            values[step.output] = OPS[step.op](*arguments, **step.attributes)
        return tuple(values[name] for name in self.graph.results)


def tensor(value: Array) -> Any:
    """A torch tensor of its own memory: channels-last where it has four axes."""
    copied = torch.from_numpy(np.array(value))
    return copied.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else copied


def _padded(x: Any, pads: Sequence[int], value: float = 0.0) -> tuple[Any, tuple[int, ...]]:
    """`x` and the padding that is the same on both sides of it; another padding is done here."""
    low, high = tuple(pads[: len(pads) // 2]), tuple(pads[len(pads) // 2 :])
    if low == high:
        return x, low
    widths = [width for pair in zip(reversed(low), reversed(high), strict=True) for width in pair]
    return functional.pad(x, widths, value=value), (0,) * len(low)


def _conv(
    x: Any, kernel: Any, bias: Any = None, *, kernel_shape: Sequence[int], pads: Sequence[int] = (0, 0, 0, 0),
    strides: Sequence[int] = (1, 1), dilations: Sequence[int] = (1, 1), group: int = 1,
) -> Any:  # fmt: skip
    x, padding = _padded(x, pads)
    return functional.conv2d(x, kernel, bias, tuple(strides), padding, tuple(dilations), group)


def _max_pool(x: Any, *, kernel_shape: Sequence[int], pads: Sequence[int], strides: Sequence[int]) -> Any:
    x, padding = _padded(x, pads, float("-inf"))
    return functional.max_pool2d(x, tuple(kernel_shape), tuple(strides), padding)


def _average_pool(
    x: Any, *, kernel_shape: Sequence[int], pads: Sequence[int], strides: Sequence[int], count_include_pad: int
) -> Any:
    low, high = tuple(pads[:2]), tuple(pads[2:])
    if low != high:
        raise UnsupportedError("AveragePool", "padding that differs from side to side")
    return functional.avg_pool2d(x, tuple(kernel_shape), tuple(strides), low, count_include_pad=bool(count_include_pad))


def _batch_norm(x: Any, scale: Any, shift: Any, mean: Any, variance: Any, *, epsilon: float) -> Any:
    return functional.batch_norm(x, mean, variance, scale, shift, eps=epsilon)


def _layer_norm(x: Any, scale: Any, shift: Any = None, *, axis: int, epsilon: float) -> Any:
    assert axis == -1
    return functional.layer_norm(x, scale.shape, scale, shift, epsilon)


def _slice(x: Any, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]) -> Any:
    if min(steps) < 1:
        raise UnsupportedError("Slice", "a step that is not positive")
    parts = dict(zip(axes, map(slice, starts, ends, steps), strict=True))
    return x[tuple(parts.get(axis, slice(None)) for axis in range(x.ndim))]


OPS: Final[Mapping[str, Callable[..., Any]]] = {
    "Add": torch.add,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": torch.clamp,
    "Concat": lambda *sources, axis: torch.cat(sources, axis),
    "Conv": _conv,
    "Flatten": lambda x: torch.flatten(x, 1),
    "Gelu": lambda x, *, approximate: functional.gelu(x, approximate=approximate),
    "Gemm": lambda x, kernel, bias=None: functional.linear(x, kernel.t(), bias),
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": lambda x, *, alpha, beta: torch.clamp(x * alpha + beta, 0, 1),
    "HardSwish": functional.hardswish,
    "Identity": lambda x: x,
    "LayerNormalization": _layer_norm,
    "MaxPool": _max_pool,
    "Mul": torch.mul,
    "Relu": functional.relu,
    "Reshape": torch.reshape,
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Softmax": lambda x, *, axis: torch.softmax(x, axis),
    "Sub": torch.sub,
    "Transpose": lambda x, *, perm: x.permute(perm),
}
"""What each ONNX op is in torch."""
