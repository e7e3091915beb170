"""Entries of configs of Keras 1, Keras 2 and tf.keras, turned into those of Keras 3 before anything else reads them.

Names of arguments are replaced where a class of Keras 3 has no argument of the old name, whatever version the config
claims. What the version alone decides is in `Dialect`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convc.errors import ModelError, UnsupportedError
from convc.frontends.keras.config import class_of, is_integer, plain, show
from convc.frontends.keras.tensorflow import modern_function
from convc.frontends.keras.tensorflow_graph import modern_node

MAX_WRAPPERS = 32
"""Wrappers around wrappers; more is taken for an attack."""

Config = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """The first number of the version of Keras that wrote a config; 3 where nothing tells."""

    keras: int

    @property
    def legacy(self) -> bool:
        """Whether names mean what they did before Keras 3."""
        return self.keras < 3

    @classmethod
    def of(cls, version: str, config: Mapping[str, object]) -> Dialect:
        """From the version, or, where there is none, from how the layers are written."""
        number = re.match(r"(\d{1,3})\.", version)
        if number:
            return cls(max(1, min(3, int(number[1]))))
        inner = config.get("config")
        layers = inner.get("layers") if isinstance(inner, Mapping) else inner
        entries = [entry for entry in layers if isinstance(entry, Mapping)] if isinstance(layers, list) else []
        if any(_of_keras_1(entry) for entry in entries):
            return cls(1)
        return cls(2 if any(_of_keras_2(entry) for entry in entries) else 3)


def modern(entry: Mapping[str, object], dialect: Dialect, depth: int = 0) -> Mapping[str, object]:
    """A layer's entry as Keras 3 writes it. Raises `ConvcError` with an empty subject."""
    kind, config = class_of(entry) or "", entry.get("config", {})
    if not isinstance(config, Mapping):
        return entry
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return modern_function(entry, kind, config)
    if kind == "TensorFlowOpLayer":
        return modern_node(entry, config)
    values: Config = dict(config)
    _check_absent(values)
    rename = _FAMILIES.get(kind)
    if rename is not None:
        _renamed(values, rename)
    _renamed(values, _EVERYWHERE)
    if isinstance(order := values.get("data_format"), str) and order in _ORDERS:
        values["data_format"] = _ORDERS[order]
    for key in ("layer", "backward_layer", "cell"):
        if class_of(values.get(key)) is not None:
            if depth >= MAX_WRAPPERS:
                raise ModelError("", "layers are nested too deeply", expected=f"at most {MAX_WRAPPERS} levels")
            values[key] = modern(values[key], dialect, depth + 1)
    for key, value in values.items():
        if isinstance(value, Mapping) and value.get("type") == "ndarray" and "value" in value:
            values[key] = value["value"]
    name = _CLASSES.get(kind, kind)
    if kind in _CHANGES:
        name = _CHANGES[kind](values, kind, dialect) or name
    return _marked({**entry, "class_name": name, "config": values})


def first_shape(entry: Mapping[str, object]) -> object:
    """The shape, batch included, that the first layer of a Sequential model may bring along; None where it does not."""
    config = entry.get("config")
    fields = config if isinstance(config, Mapping) else {}
    for key in ("batch_shape", "batch_input_shape"):
        if (shape := plain(fields.get(key))) is not None:
            return shape
    shape = plain(fields.get("input_shape"))
    if shape is None and class_of(entry) == "Embedding":
        shape = fields.get("input_length")
        shape = [shape] if is_integer(shape) else shape
    elif shape is None and is_integer(fields.get("input_dim")):
        timed = class_of(entry) in (*_RECURRENT_CLASSES, "Conv1D", "Bidirectional", "TimeDistributed")
        shape = [fields.get("input_length"), fields["input_dim"]] if timed else [fields["input_dim"]]
    if isinstance(shape, Sequence) and not isinstance(shape, str):
        return [fields.get("batch_size"), *shape]
    return shape


def _of_keras_1(entry: Mapping[str, object]) -> bool:
    config = entry.get("config")
    keys = ("nb_filter", "border_mode", "dim_ordering", "init", "pool_length")
    return class_of(entry) in _CLASSES_OF_KERAS_1 or (
        isinstance(config, Mapping) and any(key in config for key in keys)
    )


def _of_keras_2(entry: Mapping[str, object]) -> bool:
    config, nodes = entry.get("config"), entry.get("inbound_nodes")
    listed = isinstance(nodes, list) and any(isinstance(node, list) for node in nodes)
    return listed or (isinstance(config, Mapping) and "batch_input_shape" in config)


def _renamed(values: Config, names: Mapping[str, str]) -> None:
    for old, new in names.items():
        if old in values and values.get(new) is None:
            values[new] = values.pop(old)


def _check_absent(values: Config) -> None:
    """Raises `UnsupportedError` for arguments that change a result and that Keras 3 does not have."""
    for key in ("ragged", "sparse", "time_major"):
        if values.get(key) is True:
            raise UnsupportedError("", f"'{key}' is not supported", expected="false", received="true")


def _marked(entry: dict[str, object]) -> Mapping[str, object]:
    """The entry, marked as a function of keras.ops where it can be no layer: HDF5 files leave out the module.

    A merging layer is called with one list of tensors, the function of its name with two arguments.
    """
    if entry.get("module") is not None:
        return entry
    config = entry["config"]
    if entry["class_name"] == "Reshape" and isinstance(config, Mapping) and "newshape" in config:
        return {**entry, "module": "keras.ops"}
    if entry["class_name"] not in _BOTH:
        return entry
    nodes = entry.get("inbound_nodes")
    node = nodes[0] if isinstance(nodes, Sequence) and nodes and not isinstance(nodes, str) else None
    args = plain(node.get("args")) if isinstance(node, Mapping) else None
    if isinstance(args, Sequence) and args and not isinstance(plain(args[0]), (list, tuple)):
        return {**entry, "module": "keras.ops"}
    return entry


def _kernel_size(values: Config, kind: str, dialect: Dialect) -> str | None:
    for keys in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if all(key in values for key in keys) and "kernel_size" not in values:
            values["kernel_size"] = [values.pop(key) for key in keys]
    return None


def _separable(values: Config, kind: str, dialect: Dialect) -> str | None:
    if "init" in values:
        values.setdefault("depthwise_initializer", values["init"])
        values.setdefault("pointwise_initializer", values["init"])
    return _kernel_size(values, kind, dialect)


def _merge(values: Config, kind: str, dialect: Dialect) -> str | None:
    if values.get("layers"):
        message = "it merges the models that it holds"
        remedy = "write it as a Functional model, whose layers are called"
        raise UnsupportedError("", message, expected="a Merge of tensors", remedy=remedy)
    mode = values.get("mode", "sum")
    if not isinstance(mode, str) or mode not in _MODES or values.get("mode_type", "raw") != "raw":
        expected = ", ".join(_MODES)
        raise UnsupportedError("", "this mode of Merge is not supported", expected=expected, received=show(mode))
    if mode == "concat":
        values.setdefault("axis", values.get("concat_axis", -1))
    if mode == "dot":
        axes = values.get("dot_axes", -1)
        flat = [axis[0] if isinstance(axis, list) and len(axis) == 1 else axis for axis in _listed(axes)]
        values.setdefault("axes", flat if isinstance(axes, list) else axes)
    return _MODES[mode]


def _batch_norm(values: Config, kind: str, dialect: Dialect) -> str | None:
    if values.get("mode", 0) != 0:
        expected, received = "mode 0, with the statistics of training", f"mode {show(values['mode'])}"
        raise UnsupportedError("", "this mode is not supported", expected=expected, received=received)
    if dialect.keras == 1 and "epsilon" not in values:
        values["epsilon"] = 1e-3
    return None


def _gru(values: Config, kind: str, dialect: Dialect) -> str | None:
    """GRU gained `reset_after` in Keras 2; before, the gate was applied first. cuDNN applies it after."""
    if kind == "CuDNNGRU":
        values["reset_after"] = True
    elif dialect.legacy:
        values.setdefault("reset_after", False)
    return "GRU"


def _thresholded(values: Config, kind: str, dialect: Dialect) -> str | None:
    values["threshold"] = values.get("theta", 1.0)
    return "ReLU"


def _input(values: Config, kind: str, dialect: Dialect) -> str | None:
    shape = plain(values.get("shape", values.get("input_shape")))
    if values.get("batch_shape") is None and isinstance(shape, Sequence) and not isinstance(shape, str):
        values["batch_shape"] = [values.get("batch_size"), *shape]
    return None


def _zero_padding(values: Config, kind: str, dialect: Dialect) -> str | None:
    """Keras 1 takes a dict, and for two dimensions four numbers in a row."""
    padding = values.get("padding")
    sides = ("left_pad", "right_pad") if kind == "ZeroPadding1D" else ("top_pad", "bottom_pad", "left_pad", "right_pad")
    if isinstance(padding, Mapping) and padding and set(padding) <= set(sides):
        padding = [padding.get(side, 0) for side in sides]
    if kind == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        padding = [padding[:2], padding[2:]]
    if padding is not None:
        values["padding"] = padding
    return None


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


_ORDERS = {"tf": "channels_last", "th": "channels_first", "default": None}
_MODES = {
    "sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum", "min": "Minimum",
    "dot": "Dot",
}  # fmt: skip
_BOTH = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average", "Dot")
"""Names that layers and functions of keras.ops share, with other arguments."""

_RECURRENT_CLASSES = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU")
_CLASSES_OF_KERAS_1 = {
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D", "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D", "Deconvolution2D": "Conv2DTranspose", "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution2D": "SeparableConv2D", "TimeDistributedDense": "Dense", "Merge": "Add",
}  # fmt: skip
_CLASSES = {
    **_CLASSES_OF_KERAS_1, "SeparableConvolution1D": "SeparableConv1D", "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose", "Convolution1DTranspose": "Conv1DTranspose",
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU",
    "LSTMV2": "LSTM", "GRUV2": "GRU", "DenseV2": "Dense",
    **{f"{whole}{short}Pool{rank}D": f"{whole}{name}Pooling{rank}D"
       for whole in ("", "Global") for short, name in (("Max", "Max"), ("Avg", "Average")) for rank in (1, 2, 3)},
}  # fmt: skip

_EVERYWHERE = {"dim_ordering": "data_format", "border_mode": "padding", "image_data_format": "data_format"}
_CONV = {
    "nb_filter": "filters", "subsample": "strides", "subsample_length": "strides", "filter_length": "kernel_size",
    "atrous_rate": "dilation_rate", "init": "kernel_initializer", "bias": "use_bias",
}  # fmt: skip
_RECURRENT = {
    "output_dim": "units", "init": "kernel_initializer", "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
}  # fmt: skip
_POOL = {"pool_length": "pool_size", "stride": "strides"}
_DROPOUT = {"p": "rate"}
_FAMILIES: dict[str, Mapping[str, str]] = {
    **{
        f"{name}{rank}D{end}": _CONV
        for name in ("Conv", "Convolution")
        for rank in (1, 2, 3)
        for end in ("", "Transpose")
    },
    **{f"{name}{rank}D": _POOL for name in ("MaxPooling", "AveragePooling") for rank in (1, 2, 3)},
    **{f"AtrousConvolution{rank}D": _CONV for rank in (1, 2)},
    **{f"Deconvolution{rank}D": _CONV for rank in (2, 3)},
    **{
        f"SeparableConv{end}": {key: value for key, value in _CONV.items() if key != "init"}
        for end in ("1D", "2D", "olution2D")
    },
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell"), _RECURRENT),
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout"), _DROPOUT
    ),
    "ConvLSTM2D": {**_CONV, "inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation"},
    "Dense": {"output_dim": "units", "init": "kernel_initializer", "bias": "use_bias"},
    "TimeDistributedDense": {"output_dim": "units", "init": "kernel_initializer", "bias": "use_bias"},
    "Embedding": {"init": "embeddings_initializer"},
    "PReLU": {"init": "alpha_initializer"},
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    "GaussianNoise": {"sigma": "stddev"},
    "UpSampling1D": {"length": "size"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "InputLayer": {"batch_input_shape": "batch_shape", "input_dtype": "dtype"},
}
"""Old and new names of the arguments of classes."""

_CHANGES: dict[str, Callable[[Config, str, Dialect], str | None]] = {
    **{kind: _kernel_size for kind, names in _FAMILIES.items() if names is _CONV},
    "ConvLSTM2D": _kernel_size,
    "SeparableConv2D": _separable,
    "SeparableConvolution2D": _separable,
    "Merge": _merge,
    "BatchNormalization": _batch_norm,
    "GRU": _gru,
    "CuDNNGRU": _gru,
    "ThresholdedReLU": _thresholded,
    "InputLayer": _input,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
}
"""What more changes in a config; the result is the class of Keras 3, or None where `_CLASSES` has it."""
