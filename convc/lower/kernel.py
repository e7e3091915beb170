"""A fusion group as one PrimFunc: the anchor's blocks, then a block `out` that holds the whole epilogue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tvm import te, tirx

from convc import ops
from convc.errors import UnsupportedError
from convc.ir import DType, Elementwise, Node, Shape, TensorType
from convc.ir.group import Group
from convc.lower.activation import prelu, unary
from convc.lower.anchor import Anchor, Packing
from convc.lower.arithmetic import binary, broadcast
from convc.lower.broadcast import repeat
from convc.lower.cast import cast
from convc.lower.concat import concat
from convc.lower.conv import conv, depthwise, packing
from convc.lower.dense import dense
from convc.lower.depth_to_space import depth_to_space
from convc.lower.frame import Frame, contraction, frame_of
from convc.lower.gemm import attributes
from convc.lower.integer import integer
from convc.lower.layout import Layout, Tile, round_up
from convc.lower.logic import logic
from convc.lower.math import Expr
from convc.lower.matmul import ATTRIBUTE as PRODUCT
from convc.lower.matmul import matmul
from convc.lower.matmul import overread as product_overread
from convc.lower.pad import pad
from convc.lower.pool import pool
from convc.lower.recurrent import PackedGates, recurrent
from convc.lower.reduce import reduce
from convc.lower.resample import resample
from convc.lower.shape import transpose
from convc.lower.slice import slice_
from convc.lower.softmax import softmax
from convc.lower.standardize import standardize
from convc.lower.storage import AS_TYPED, StoredTypes
from convc.lower.strassen import PackedStrassen, is_possible, strassen
from convc.lower.take import take, take_along
from convc.lower.top_k import top_k
from convc.lower.winograd import PackedWinograd, tiles, winograd


@dataclass(frozen=True)
class Argument:
    """One buffer of a kernel: the graph's tensor, under the type that the kernel sees and that it is stored in."""

    node: Node
    type: TensorType
    packing: Packing | None = None
    overread: int = 0
    """Bytes behind the tensor's end that the kernel may read and ignore."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """`func` computes the group; its parameters are `arguments` in order, the output last."""

    name: str
    func: Any
    arguments: tuple[Argument, ...]


def signature(group: Group, *, bounded: bool, storage: StoredTypes = AS_TYPED) -> str:
    """Equal for groups that the same kernel computes: ops, attributes, types and wiring, but not values."""
    number: dict[Node, str] = {}
    for index, node in enumerate(group.inputs):
        stored = f" in {storage[node].value}" if node in storage else ""
        number[node] = f"i{index}:{'const ' if isinstance(node.op, ops.Constant) else ''}{node.type}{stored}"
    lines = []
    for index, node in enumerate(group.nodes):
        number[node] = f"n{index}"
        lines.append(f"{node.op!r}({', '.join(number[source] for source in node.inputs)}):{node.type}")
    if group.output in storage:
        lines.append(f"out in {storage[group.output].value}")
    overreads = isinstance(group.anchor.op, ops.MatMul) or frame_of(group).pointwise
    return "; ".join([*lines, "bounded"] if bounded and overreads else lines)


def kernel_name(group: Group, *, bounded: bool, storage: StoredTypes = AS_TYPED) -> str:
    """A C identifier: what the kernel computes, and a digest of its signature."""
    shape = "x".join(str(extent) for extent in group.output.type.shape)
    stems = [node.op.kind.lower() for node in group.nodes]
    text = signature(group, bounded=bounded, storage=storage)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return "_".join([stems[0], *dict.fromkeys(stems[1:]), shape, digest])


def arguments_of(
    group: Group, layout: Layout, *, bounded: bool, storage: StoredTypes = AS_TYPED
) -> tuple[Argument, ...]:
    """The kernel's buffers as it sees them, inputs in order and the output last.

    Raises `UnsupportedError` for weights that are not constants.
    """
    frame, anchor, arguments = frame_of(group), group.anchor, []
    weights = anchor.inputs[1] if isinstance(anchor.op, ops.Conv | ops.Dense | ops.Recurrent) else None
    for node in group.inputs:
        if node is weights:
            if not isinstance(node.op, ops.Constant):
                raise UnsupportedError(
                    str(anchor.origin),
                    "weights that are computed",
                    expected="constant weights",
                    received=f"the output of {node.origin}",
                )
            packed = _packed(anchor, node, frame, layout)
            arguments.append(replace(packed, type=_stored(node, packed.type.shape, storage)))
            continue
        view = frame.source_view if node is anchor.inputs[0] else frame.view
        type_ = _stored(node, view(node.type.shape), storage)
        overread = 0
        if frame.pointwise and node is anchor.inputs[0] and not bounded and not layout.strassen:
            rows, depth = type_.shape[-2:]
            overread = (round_up(rows, layout.columns) - rows) * depth * type_.dtype.size
        elif isinstance(anchor.op, ops.MatMul) and node is anchor.inputs[0] and not bounded:
            shapes = [source.type.shape for source in anchor.inputs]
            overread = product_overread(anchor.op, shapes[0], shapes[1], layout) * type_.dtype.size
        arguments.append(Argument(node, type_, None, overread))
    output = group.output
    return (*arguments, Argument(output, _stored(output, frame.view(output.type.shape), storage)))


def _stored(node: Node, shape: Shape, storage: StoredTypes) -> TensorType:
    return TensorType(shape, storage.get(node, node.type.dtype))


def lower(group: Group, layout: Layout, *, bounded: bool, storage: StoredTypes = AS_TYPED) -> Kernel:
    """The group's kernel, unscheduled. `bounded`: not one byte behind the anchor's input may be read.

    It computes in the types of the graph. An input that is stored in another one, parameter `p<i>`, is read through a
    block `wide<i>` that casts it; block `out` casts the result to the type that it is stored in.

    Raises `UnsupportedError` for weights that are not constants.
    """
    frame = frame_of(group)
    arguments = arguments_of(group, layout, bounded=bounded, storage=storage)
    name = kernel_name(group, bounded=bounded, storage=storage)
    if isinstance(group.anchor.op, ops.Recurrent):
        assert storage.keys().isdisjoint((*group.inputs, group.output)), "recurrent kernels read and write as typed"
        shapes = [argument.type.shape for argument in arguments]
        places = [group.inputs.index(source) for source in group.anchor.inputs]
        return Kernel(name, recurrent(group.anchor.op, name, shapes, places, layout), arguments)
    parameters = [
        te.placeholder(argument.type.shape, argument.type.dtype.value, name=f"p{index}")
        for index, argument in enumerate(arguments[:-1])
    ]
    tensors = {
        argument.node: _wide(parameter, argument.node.type.dtype, f"wide{index}")
        for index, (argument, parameter) in enumerate(zip(arguments, parameters, strict=False))
    }
    anchor = _anchor(group.anchor, frame, tensors, layout, bounded)

    def element(*indices: Expr) -> Expr:
        values: dict[Node, Expr] = {}

        def value(node: Node) -> Expr:
            if node not in values:
                source = tensors[node]
                values[node] = source(*broadcast(tuple(int(extent) for extent in source.shape), indices))
            return values[node]

        for node in group.nodes:
            values[node] = anchor(*indices) if anchor and node is group.anchor else _elementwise(node, value)
            if isinstance(node.op, ops.Conv | ops.Dense) and len(node.inputs) == 3:
                values[node] = values[node] + value(node.inputs[2])
        result, stored = values[group.output], arguments[-1].type.dtype
        return result if stored is group.output.type.dtype else tirx.Cast(stored.value, result)

    out = te.compute(arguments[-1].type.shape, element, name="out")
    func = te.create_prim_func([*parameters, out]).with_attr("global_symbol", name)
    if choices := _winograd_tiles(group.anchor, layout):
        window = group.anchor.inputs[1].type.shape[:2]
        func = func.with_attr("winograd", [list(window), *map(list, choices)])
    # Strassen's sums mix rows: of one sample only, so that what is not finite in one stays out of the others.
    if frame.pointwise and group.anchor.type.shape[0] == 1 and not layout.threads:
        channels, filters = group.anchor.inputs[1].type.shape[-2:]
        if is_possible(contraction(group.anchor), channels, filters, layout.lanes):
            func = func.with_attr("strassen", True)
    if isinstance(group.anchor.op, ops.MatMul):
        func = func.with_attr(PRODUCT, True)
    if layout.threads:
        for key, value in attributes(group).items():
            func = func.with_attr(key, value)
    return Kernel(name, func, arguments)


def _wide(x: te.Tensor, dtype: DType, name: str) -> te.Tensor:
    """`x` as `dtype`; `x` itself where it is that already."""
    if str(x.dtype) == dtype.value:
        return x
    return te.compute(x.shape, lambda *indices: tirx.Cast(dtype.value, x(*indices)), name=name)


def _winograd_tiles(anchor: Node, layout: Layout) -> tuple[Tile, ...]:
    if not isinstance(anchor.op, ops.Conv) or layout.threads:
        return ()
    *window, channels, filters = anchor.inputs[1].type.shape
    return tiles(anchor.op, tuple(window), channels, filters, layout.lanes)


def _elementwise(node: Node, value: Callable[[Node], Expr]) -> Expr:
    inputs = [value(source) for source in node.inputs]
    if isinstance(node.op, ops.Cast):
        return cast(node.op, node.inputs[0].type.dtype, *inputs)
    match node.op:
        case ops.Unary():
            return unary(node.op, *inputs)
        case ops.PRelu():
            return prelu(*inputs)
        case ops.Integer():
            return integer(node.op, *inputs)
        case ops.Comparison() | ops.Where():
            return logic(node.op, *inputs)
    return binary(node.op, *inputs)


def _packed(anchor: Node, weights: Node, frame: Frame, layout: Layout) -> Argument:
    if isinstance(anchor.op, ops.Recurrent):
        units = weights.type.shape[0]
        gates = PackedGates(anchor.op.gates, units if layout.threads else layout.lanes)
        return Argument(weights, TensorType(gates.shape(weights.type.shape)), gates)
    if layout.strassen:
        factors = PackedStrassen(layout.lanes)
        return Argument(weights, TensorType(factors.shape(weights.type.shape)), factors)
    packed: Packing = packing(contraction(anchor), weights.type, layout)
    if layout.winograd:
        packed = PackedWinograd(layout.lanes, layout.winograd)
    return Argument(weights, TensorType(frame.weights(anchor, packed.shape(weights.type.shape))), packed)


def _anchor(
    node: Node, frame: Frame, tensors: Mapping[Node, te.Tensor], layout: Layout, bounded: bool
) -> Anchor | None:
    """The anchor's blocks; None where it is itself elementwise."""
    inputs = [tensors[source] for source in node.inputs]
    x = inputs[0]
    match node.op:
        case ops.Conv() | ops.Dense() if layout.strassen:
            return strassen(x, inputs[1], layout)
        case ops.Conv() | ops.Dense() if frame.pointwise:
            return dense(x, inputs[1], layout, bounded=bounded)
        case ops.Conv() as op if layout.winograd:
            return winograd(op, x, inputs[1], node.inputs[1].type.shape[:2], layout)
        case ops.Conv() as op if op.is_depthwise(node.inputs[1].type):
            per_channel = node.type.shape[-1] // node.inputs[0].type.shape[-1]
            return depthwise(op, x, inputs[1], per_channel)
        case ops.Conv() | ops.Dense():
            return conv(contraction(node), x, inputs[1], layout)
        case ops.MatMul() as op:
            return matmul(op, x, inputs[1], layout, bounded=bounded)
        case ops.Pool() as op:
            return pool(op, x)
        case ops.Reduce() as op:
            return reduce(op, frame.axes(op.axes), x, node.inputs[0].type.shape, layout)
        case ops.Standardize() as op:
            return standardize(op, frame.axes(op.axes), x, layout)
        case ops.Resample() as op:
            return resample(op, x, inputs[1:])
        case ops.Softmax() as op:
            return softmax(op, x, layout)
        case ops.Concat() as op:
            return concat(frame.axes((op.axis,))[0], inputs)
        case ops.Pad() as op:
            shape = node.inputs[0].type.shape
            low, high = (frame.scaled(tuple(pair[end] for pair in op.widths), shape) for end in (0, 1))
            return pad(tuple(zip(low, high, strict=True)), op.value, x)
        case ops.Slice() as op:
            steps = tuple(op.steps[run.start] if len(run) == 1 else 1 for run in frame.runs)
            return slice_(frame.scaled(op.starts, node.inputs[0].type.shape), steps, x)
        case ops.Broadcast():
            return repeat(x)
        case ops.Take() as op:
            return take(op, x, inputs[1])
        case ops.TakeAlong() as op:
            return take_along(op, x, inputs[1])
        case ops.TopK() as op:
            return top_k(op, x)
        case ops.DepthToSpace() as op:
            return depth_to_space(op, x, node.type.shape[-1])
        case ops.Transpose() as op:
            return transpose(op, x)
        case Elementwise():
            return None
    raise AssertionError(f"no lowering for {node.op.kind}")
