"""Keras configs written by hand, for tests that need no Keras."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def layer(class_name: str, name: str, **config: Any) -> Config:
    """A layer's entry in a Sequential config."""
    return {"class_name": class_name, "config": {"name": name, **config}}


def sequential(*layers: Config, shape: Any = (8, 8, 3), name: str = "model") -> Config:
    """A Sequential config on an input "input" of `shape`, without the batch."""
    source = layer("InputLayer", "input", batch_shape=[None, *shape])
    return {"class_name": "Sequential", "config": {"name": name, "layers": [source, *layers]}}


def tensor(layer_name: str, call: int = 0, output: int = 0) -> Config:
    """What a call of Keras 3 holds in place of a tensor."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [layer_name, call, output]}}


def called(entry: Config, *sources: str) -> Config:
    """`entry` called once in a Functional config, on the first outputs of `sources`."""
    tensors: Any = [tensor(source) for source in sources]
    argument = tensors[0] if len(tensors) == 1 else tensors
    nodes = [{"args": [argument], "kwargs": {}}] if sources else []
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": nodes}


def functional(*layers: Config, inputs: Any, outputs: Any, name: str = "model") -> Config:
    """A Functional config; `inputs` and `outputs` are structures of [layer, call, tensor]."""
    config = {"name": name, "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config}
