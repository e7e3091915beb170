"""What `make` infers and refuses, from shapes alone."""

from __future__ import annotations

import pytest

from convc.errors import ShapeError
from convc.ir import DType, Node, Op, Origin, Shape, TensorType, make
from convc.ops import Input


def node(op: Op, *shapes: Shape, dtypes: tuple[DType, ...] = ()) -> Node:
    """A node called "it" over inputs of these shapes, float32 unless given."""
    kinds = dtypes or (DType.FLOAT32,) * len(shapes)
    inputs = [
        make(Input(TensorType(shape, dtype)), origin=Origin(f"x{i}", "Input"))
        for i, (shape, dtype) in enumerate(zip(shapes, kinds, strict=True))
    ]
    return make(op, *inputs, origin=Origin("it", op.kind))


def shape(op: Op, *shapes: Shape) -> Shape:
    """The inferred output shape."""
    return node(op, *shapes).type.shape


def assert_refused(op: Op, *shapes: Shape, parts: tuple[str, ...], dtypes: tuple[DType, ...] = ()) -> None:
    """`make` raises one `ShapeError` that names the layer and holds every one of `parts`."""
    with pytest.raises(ShapeError) as caught:
        node(op, *shapes, dtypes=dtypes)
    text = str(caught.value)
    assert text.startswith(f"layer 'it' ({op.kind}): "), text
    assert "\n" not in text
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"
