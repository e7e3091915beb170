"""An optimised graph as ONNX in the form that the peers run fastest: channels-first, batch norm folded.

A tensor of three axes or more is carried channels-first (N, C, *spatial), inputs and outputs included; a smaller one
as it is. `channels_first` brings an array of the source model into that order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from convc import ops
from convc.errors import UnsupportedError
from convc.ir import Array, Graph, Node, Op, Shape, TensorType

OPSET: Final = 20
IR_VERSION: Final = 10


def channels_first(array: Array) -> Array:
    """`array` (N, *spatial, C) as a dense array in the exported model's order."""
    return np.asarray(array.transpose(_first(array.ndim)), order="C")


def export(graph: Graph, path: Path) -> None:
    """Writes `graph` to `path`. Raises `UnsupportedError` that names the layer for an op with no counterpart."""
    exporter = _Exporter(graph)
    onnx.save(exporter.model(), str(path))


def _first(rank: int) -> Shape:
    """The permutation from channels-last to channels-first."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 2 else tuple(range(rank))


def _last(rank: int) -> Shape:
    """The permutation from channels-first to channels-last."""
    return (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))


def _permuted(shape: Shape) -> Shape:
    return tuple(shape[axis] for axis in _first(len(shape)))


def _is_order_free(type_: TensorType) -> bool:
    """Whether the elements lie in the same order channels-last and channels-first."""
    return type_.rank < 3 or type_.shape[-1] == 1 or math.prod(type_.shape[1:-1]) == 1


class _Exporter:
    """Emits the nodes of one graph in order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.protos: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.names: dict[Node, str] = {}
        self.affines = {node: affine for node in graph.nodes if (affine := _affine(graph, node))}
        self.absorbed = frozenset(node for affine in self.affines.values() for node in affine.absorbed)

    def model(self) -> onnx.ModelProto:
        for place, node in enumerate(self.graph.inputs):
            self.names[node] = f"input{place}"
        for node in self.graph.nodes:
            if isinstance(node.op, ops.Input | ops.Constant) or node in self.absorbed:
                continue
            writer = WRITERS.get(type(node.op))
            if writer is None:
                raise UnsupportedError(str(node.origin), f"{node.op.kind} has no ONNX counterpart here")
            self.names[node] = writer(self, node)
        outputs = [
            self.emit("Identity", self.names[node], name=f"output{i}") for i, node in enumerate(self.graph.outputs)
        ]
        body = onnx.helper.make_graph(
            self.protos,
            self.graph.name,
            [_port(self.names[node], node.type) for node in self.graph.inputs],
            [_port(name, node.type) for name, node in zip(outputs, self.graph.outputs, strict=True)],
            self.initializers,
        )
        opset = onnx.helper.make_opsetid("", OPSET)
        return onnx.helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION)

    def emit(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Adds a node and returns its output's name."""
        name = name or f"{kind}{len(self.protos)}"
        self.protos.append(onnx.helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def initializer(self, value: Array) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(onnx.numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def shape(self, shape: Shape) -> str:
        return self.initializer(np.array(shape, np.int64))

    def value(self, node: Node, rank: int) -> str:
        """The name of `node`'s tensor with leading axes of 1 up to `rank`, as NumPy's broadcasting adds them."""
        grown = (1,) * (rank - node.type.rank) + node.type.shape
        if isinstance(node.op, ops.Constant):
            return self.initializer(channels_first(node.op.value.reshape(grown)))
        name = self.names[node]
        return name if rank == node.type.rank else self.reshape(name, node.type, TensorType(grown, node.type.dtype))

    def reshape(self, name: str, given: TensorType, wanted: TensorType) -> str:
        """The elements of tensor `name` under another shape; both types are channels-last."""
        if not _is_order_free(given):
            name = self.emit("Transpose", name, perm=_last(given.rank))
        if _is_order_free(wanted):
            return self.emit("Reshape", name, self.shape(_permuted(wanted.shape)))
        name = self.emit("Reshape", name, self.shape(wanted.shape))
        return self.emit("Transpose", name, perm=_first(wanted.rank))


def _port(name: str, type_: TensorType) -> onnx.ValueInfoProto:
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(type_.dtype.value))
    return onnx.helper.make_tensor_value_info(name, element, _permuted(type_.shape))


def _per_channel(node: Node, channels: int) -> Array | None:
    """The values of a constant that holds one for each channel, else None."""
    if not isinstance(node.op, ops.Constant) or node.type.elements != channels or node.type.shape[-1:] != (channels,):
        return None
    return node.op.value.reshape(channels)


@dataclass(frozen=True)
class _Affine:
    """`source` times `scale` plus `shift`, both per channel, as one op that computes the `absorbed` nodes too."""

    source: Node
    scale: Array
    shift: Array
    absorbed: tuple[Node, ...]


def _affine(graph: Graph, add: Node) -> _Affine | None:
    """An Add of a Multiply that nobody else reads, both of one constant per channel, and the layer norm in front of
    them where nobody else reads that."""
    if not isinstance(add.op, ops.Add) or not isinstance((product := add.inputs[0]).op, ops.Multiply):
        return None
    source, channels = product.inputs[0], add.type.shape[-1]
    scale, shift = _per_channel(product.inputs[1], channels), _per_channel(add.inputs[1], channels)
    if scale is None or shift is None or graph.uses(product) > 1 or not source.type == product.type == add.type:
        return None
    if _is_layer_norm(source) and graph.uses(source) == 1:
        return _Affine(source, scale, shift, (product, source))
    return _Affine(source, scale, shift, (product,)) if add.type.rank > 2 else None


def _is_layer_norm(node: Node) -> bool:
    """Whether `node` is a normalisation over its last axis."""
    op = node.op
    return isinstance(op, ops.Standardize) and op.axes == (node.type.rank - 1,) and op.groups == 1 and op.centered


def _add(to: _Exporter, node: Node) -> str:
    if node not in to.affines:
        return _binary("Add")(to, node)
    affine = to.affines[node]
    if affine.source in affine.absorbed:
        return _layer_norm(to, affine.source, affine.scale, affine.shift)
    # The form of a batch norm that no convolution took up: onnxruntime keeps its blocked layout through this op only.
    channels = node.type.shape[-1]
    mean, variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    parameters = [to.initializer(value) for value in (affine.scale, affine.shift, mean, variance)]
    return to.emit("BatchNormalization", to.names[affine.source], *parameters, epsilon=0.0)


Writer = Callable[[_Exporter, Node], str]


def _binary(kind: str) -> Writer:
    def write(to: _Exporter, node: Node) -> str:
        return to.emit(kind, *(to.value(source, node.type.rank) for source in node.inputs))

    return write


def _unary(kind: str) -> Writer:
    """An activation whose attributes are named in ONNX as in convc."""

    def write(to: _Exporter, node: Node) -> str:
        attributes: dict[str, Any] = node.op.attributes()
        return to.emit(kind, to.names[node.inputs[0]], **attributes)

    return write


def _parameters(node: Node) -> list[Array]:
    """The kernel and, if there is one, the bias."""
    values = [source.op.value for source in node.inputs[1:] if isinstance(source.op, ops.Constant)]
    if len(values) < len(node.inputs) - 1:
        raise UnsupportedError(str(node.origin), "a kernel or bias that is computed is not exported")
    return values


def _pads(pairs: tuple[tuple[int, int], ...]) -> list[int]:
    return [low for low, _ in pairs] + [high for _, high in pairs]


def _conv(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.Conv)
    kernel, *bias = _parameters(node)
    return to.emit(
        "Conv",
        to.names[node.inputs[0]],
        to.initializer(np.moveaxis(kernel, (-1, -2), (0, 1))),
        *map(to.initializer, bias),
        strides=node.op.strides,
        dilations=node.op.dilation,
        pads=_pads(node.op.padding),
        group=node.op.groups,
        kernel_shape=kernel.shape[:-2],
    )


def _dense(to: _Exporter, node: Node) -> str:
    """Gemm; over a spatial tensor a pointwise convolution, which needs no transpose."""
    kernel, *bias = _parameters(node)
    source = node.inputs[0]
    if _is_flattened(to.graph, source):
        spread = kernel.reshape(*source.inputs[0].type.shape[1:], -1)
        kernel = np.moveaxis(spread, -2, 0).reshape(kernel.shape)
    spatial = node.type.rank - 2
    if spatial < 0:
        raise UnsupportedError(str(node.origin), "Dense of a vector has no ONNX counterpart here")
    if spatial == 0:
        return to.emit("Gemm", to.names[node.inputs[0]], to.initializer(kernel), *map(to.initializer, bias))
    pointwise = to.initializer(kernel.T.reshape(*kernel.shape[::-1], *(1,) * spatial))
    return to.emit("Conv", to.names[node.inputs[0]], pointwise, *map(to.initializer, bias), kernel_shape=(1,) * spatial)


def _pool(to: _Exporter, node: Node) -> str:
    op = node.op
    assert isinstance(op, ops.Pool)
    shared: dict[str, Any] = {"kernel_shape": op.window, "strides": op.strides, "pads": _pads(op.padding)}
    if isinstance(op, ops.AvgPool):
        return to.emit("AveragePool", to.names[node.inputs[0]], count_include_pad=int(op.count_padding), **shared)
    return to.emit("MaxPool", to.names[node.inputs[0]], **shared)


def _reduce(kind: str, whole: str) -> Writer:
    """`whole` over all spatial axes, `kind` over others."""

    def write(to: _Exporter, node: Node) -> str:
        op, source = node.op, node.inputs[0]
        assert isinstance(op, ops.Reduce)
        rank = source.type.rank
        if rank > 2 and sorted(op.axes) == list(range(1, rank - 1)):
            name = to.emit(whole, to.names[source])
            return name if op.keepdims else to.emit("Flatten", name)
        axes = tuple(_first(rank).index(axis) for axis in op.axes)
        name = to.emit(kind, to.names[source], to.shape(axes), keepdims=1)
        kept = replace(op, keepdims=True).infer(source.type)
        return name if op.keepdims else to.reshape(name, kept, node.type)

    return write


def _relu(to: _Exporter, node: Node) -> str:
    op, x = node.op, to.names[node.inputs[0]]
    assert isinstance(op, ops.Relu)
    if op.threshold or (op.negative_slope and op.max_value is not None):
        raise UnsupportedError(str(node.origin), "this Relu has no ONNX counterpart")
    if op.negative_slope:
        return to.emit("LeakyRelu", x, alpha=op.negative_slope)
    if op.max_value is None:
        return to.emit("Relu", x)
    return to.emit("Clip", x, *(to.initializer(np.array(bound, np.float32)) for bound in (0, op.max_value)))


def _hard_sigmoid(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.HardSigmoid)
    return to.emit("HardSigmoid", to.names[node.inputs[0]], alpha=node.op.slope, beta=node.op.offset)


def _silu(to: _Exporter, node: Node) -> str:
    x = to.names[node.inputs[0]]
    return to.emit("Mul", x, to.emit("Sigmoid", x))


def _gelu(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.Gelu)
    return to.emit("Gelu", to.names[node.inputs[0]], approximate="tanh" if node.op.approximate else "none")


def _softmax(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.Softmax)
    if len(node.op.axes) > 1:
        raise UnsupportedError(str(node.origin), "Softmax over several axes has no ONNX counterpart")
    return to.emit("Softmax", to.names[node.inputs[0]], axis=_first(node.type.rank).index(node.op.axes[0]))


def _concat(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.Concat)
    sources = [to.value(source, node.type.rank) for source in node.inputs]
    return to.emit("Concat", *sources, axis=_first(node.type.rank).index(node.op.axis))


def _pad(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.Pad)
    widths = tuple(node.op.widths[axis] for axis in _first(node.type.rank))
    value = to.initializer(np.array(node.op.value, np.float32))
    return to.emit("Pad", to.names[node.inputs[0]], to.shape(tuple(_pads(widths))), value)


def _slice(to: _Exporter, node: Node) -> str:
    op, order = node.op, _first(node.type.rank)
    assert isinstance(op, ops.Slice)
    starts, steps = ([values[axis] for axis in order] for values in (op.starts, op.steps))
    ends = [op.starts[axis] + op.sizes[axis] * op.steps[axis] for axis in order]
    ends = [end if end >= 0 else -(1 << 31) for end in ends]
    bounds = (starts, ends, range(node.type.rank), steps)
    return to.emit("Slice", to.names[node.inputs[0]], *(to.shape(tuple(bound)) for bound in bounds))


def _standardize(to: _Exporter, node: Node) -> str:
    if not _is_layer_norm(node):
        raise UnsupportedError(str(node.origin), "this Standardize has no ONNX counterpart here")
    return _layer_norm(to, node, np.ones(node.type.shape[-1], np.float32))


def _layer_norm(to: _Exporter, node: Node, *parameters: Array) -> str:
    """LayerNormalization of `node`'s input over the last axis, which comes last for it alone; the `parameters` are
    scale and shift."""
    op, rank = node.op, node.type.rank
    assert isinstance(op, ops.Standardize)
    x = to.names[node.inputs[0]]
    x = x if rank < 3 else to.emit("Transpose", x, perm=_last(rank))
    x = to.emit("LayerNormalization", x, *map(to.initializer, parameters), axis=-1, epsilon=op.epsilon)
    return x if rank < 3 else to.emit("Transpose", x, perm=_first(rank))


def _is_flattened(graph: Graph, node: Node) -> bool:
    """Whether `node` is a spatial tensor that is flattened for Dense alone: the kernel's rows then follow the order of
    the axes, and nothing is transposed."""
    if not isinstance(node.op, ops.Reshape) or node.type.rank != 2 or node.inputs[0].type.rank < 3:
        return False
    readers = graph.consumers[node]
    return (
        node.type.shape[0] == node.inputs[0].type.shape[0]
        and graph.uses(node) == len(readers)
        and all(isinstance(reader.op, ops.Dense) for reader in readers)
    )


def _reshape(to: _Exporter, node: Node) -> str:
    source = node.inputs[0]
    if _is_flattened(to.graph, node):
        return to.emit("Flatten", to.names[source])
    return to.reshape(to.names[source], source.type, node.type)


def _transpose(to: _Exporter, node: Node) -> str:
    assert isinstance(node.op, ops.Transpose)
    x, first = to.names[node.inputs[0]], _first(node.type.rank)
    order = [first.index(node.op.permutation[axis]) for axis in first]
    return to.emit("Transpose", x, perm=order) if order != sorted(order) else to.emit("Identity", x)


WRITERS: Final[Mapping[type[Op], Writer]] = {
    ops.Add: _add,
    ops.AvgPool: _pool,
    ops.Concat: _concat,
    ops.Conv: _conv,
    ops.Dense: _dense,
    ops.Divide: _binary("Div"),
    ops.Elu: _unary("Elu"),
    ops.Exp: _unary("Exp"),
    ops.Gelu: _gelu,
    ops.HardSigmoid: _hard_sigmoid,
    ops.HardSilu: _unary("HardSwish"),
    ops.MaxPool: _pool,
    ops.Maximum: _binary("Max"),
    ops.Minimum: _binary("Min"),
    ops.Mish: _unary("Mish"),
    ops.Multiply: _binary("Mul"),
    ops.Pad: _pad,
    ops.ReduceMax: _reduce("ReduceMax", "GlobalMaxPool"),
    ops.ReduceMean: _reduce("ReduceMean", "GlobalAveragePool"),
    ops.Relu: _relu,
    ops.Reshape: _reshape,
    ops.Selu: _unary("Selu"),
    ops.Sigmoid: _unary("Sigmoid"),
    ops.Silu: _silu,
    ops.Slice: _slice,
    ops.Softmax: _softmax,
    ops.Softplus: _unary("Softplus"),
    ops.Softsign: _unary("Softsign"),
    ops.Standardize: _standardize,
    ops.Subtract: _binary("Sub"),
    ops.Tanh: _unary("Tanh"),
    ops.Transpose: _transpose,
}
"""How each op is written."""
