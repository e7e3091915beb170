"""The report: what `convc explain` prints."""

from __future__ import annotations

import json

from convc.ops import Add, Relu, Reshape
from convc.passes import optimize
from convc.passes.report import Report
from convc.settings import Settings
from tests.passes.graphs import Net

SETTINGS = Settings(dump=None, stop_after=None, compiler=None)


def example() -> Report:
    net = Net()
    conv = net.conv(net.input(1, 5, 5, 4), 4, name="conv")
    norm = net.norm(conv)
    total = net.op(Add(), net.op(Relu(), norm), norm)
    return optimize(net.graph(net.op(Reshape((36,)), total)), settings=SETTINGS).report


def test_text() -> None:
    assert example().to_text() == (
        "net: 5 layers -> 2 kernels, 1 views\n"
        "\n"
        "fused: 1 fold_batch_norm, 1 fuse_elementwise\n"
        "  bn (BatchNorm)  fold_batch_norm   folded into conv\n"
        "  add (Add)       fuse_elementwise  fused with relu\n"
        "\n"
        "not fused: 1 fuse_elementwise\n"
        "  relu (Relu)     fuse_elementwise  not fused with conv: conv is read by 2 consumers: relu, add\n"
    )


def test_json_says_the_same() -> None:
    report = example()
    data = json.loads(json.dumps(report.to_json()))
    assert (data["model"], data["layers"], data["kernels"], data["views"]) == ("net", 5, 2, 1)
    assert len(data["decisions"]) == len(report.decisions)
    assert data["decisions"][1] == {
        "rule": "fuse_elementwise",
        "layer": "relu",
        "kind": "Relu",
        "applied": False,
        "reason": "not fused with conv: conv is read by 2 consumers: relu, add",
        "culprit": "add",
    }


def test_a_refusal_is_reported_once_and_in_the_order_of_the_layers() -> None:
    net = Net()
    x = net.input(1, 5, 5, 4)
    conv = net.conv(x, 4, name="conv")
    first, second = net.op(Relu(), conv, name="first"), net.norm(conv, name="second")
    report = optimize(net.graph(first, second), settings=SETTINGS).report
    assert [d.origin.name for d in report.decisions if not d.applied] == ["first", "second", "second"]
    assert len({d for d in report.decisions if not d.applied}) == 3
