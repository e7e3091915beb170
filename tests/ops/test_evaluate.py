from __future__ import annotations

import numpy as np

from convc.ir import Graph, Origin, TensorType, make
from convc.ops import Add, Input, Relu, evaluate


def test_computes_in_float64_and_keeps_on_demand() -> None:
    x = make(Input(TensorType((2,))), origin=Origin("x", "Input"))
    middle = make(Relu(), x, origin=Origin("relu", "ReLU"))
    twice = make(Add(), middle, middle, origin=Origin("add", "Add"))
    last = make(Add(), twice, twice, origin=Origin("last", "Add"))
    graph = Graph("g", (x,), (last, middle), ("last", "middle"))
    feeds = {"x": np.array([-1, 2], np.float32)}

    values = evaluate(graph, feeds)
    assert values[last].dtype == np.float64
    np.testing.assert_array_equal(values[last], [0, 8])
    np.testing.assert_array_equal(values[middle], [0, 2])
    assert twice not in values
    assert set(evaluate(graph, feeds, keep=True)) == set(graph.nodes)
