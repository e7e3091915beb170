"""What Keras refuses of convolutions is refused here, and the message names the layer."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from convc.errors import ConvcError, ModelError, UnsupportedError
from convc.frontends.keras import load
from convc.frontends.keras.config import Fields
from convc.frontends.keras.conv import DepthwiseConv
from convc.frontends.keras.registry import parse_layer
from tests.support.configs import called, functional, layer, sequential, tensor
from tests.support.keras import keras

PLAIN = ("Conv1D", "Conv2D", "Conv3D")
DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
FAMILY = (*PLAIN, *DEPTHWISE, *SEPARABLE, *TRANSPOSED)

NUMBER = "an integer from 1 up"
WRONG_WINDOWS: list[tuple[str, Any]] = [
    (key, value)
    for key in ("kernel_size", "strides", "dilation_rate")
    for value in (0, -1, 3.0, "3", [3, 3, 3, 3], [], {"a": 3}, [[3]])
]
"""Keras refuses each of them: when the layer is made, or when it is built."""


def rank_of(class_name: str) -> int:
    return int(next(letter for letter in class_name if letter.isdigit()))


def arguments(class_name: str, **changes: Any) -> dict[str, Any]:
    """The fewest arguments that the class needs, and `changes`."""
    filters = {} if class_name in DEPTHWISE else {"filters": 6}
    return {**filters, "kernel_size": 3, **changes}


def loaded(class_name: str, shape: tuple[int, ...] | None = None, **changes: Any) -> Any:
    shape = shape or (*(8,) * rank_of(class_name), 4)
    return load(sequential(layer(class_name, "it", **arguments(class_name, **changes)), shape=shape), weights="random")


def called_by_keras(class_name: str, shape: tuple[int, ...] | None = None, **changes: Any) -> None:
    made = getattr(keras.layers, class_name)(**arguments(class_name, **changes))
    made(keras.Input(shape or (*(8,) * rank_of(class_name), 4)))


def assert_refused(class_name: str, message: str, shape: tuple[int, ...] | None = None, **changes: Any) -> None:
    """Both refuse it; convc by a ValueError that names the layer and holds `message`."""
    with pytest.raises(ValueError, match=r".") as caught:
        loaded(class_name, shape, **changes)
    assert isinstance(caught.value, ConvcError)
    text = str(caught.value)
    assert text.startswith(f"layer 'it' ({class_name}): "), text
    assert message in text
    with pytest.raises((AttributeError, IndexError, TypeError, ValueError)):
        called_by_keras(class_name, shape, **changes)


@pytest.mark.parametrize(("key", "value"), WRONG_WINDOWS)
@pytest.mark.parametrize("class_name", ["Conv2D", "SeparableConv1D", "Conv3DTranspose"])
def test_windows_that_are_none(class_name: str, key: str, value: Any) -> None:
    rank = rank_of(class_name)
    assert_refused(class_name, f"'{key}' is wrong: expected {rank} of: {NUMBER}, got", **{key: value})


@pytest.mark.parametrize("class_name", FAMILY)
def test_names_that_are_none(class_name: str) -> None:
    for padding in ("reflect", "", 1, None):
        assert_refused(class_name, "'padding' is wrong: expected 'valid' or 'same'", padding=padding)
    for data_format in ("NHWC", "", 1):
        assert_refused(class_name, "'data_format' is wrong", data_format=data_format)


@pytest.mark.parametrize("class_name", [name for name in FAMILY if name != "Conv1D"])
def test_causal_is_for_conv1d_alone(class_name: str) -> None:
    message = "'padding' is wrong: expected 'valid' or 'same', got 'causal'"
    assert_refused(class_name, message, padding="causal")


def test_keras_2_had_a_causal_separable_convolution() -> None:
    config = arguments("SeparableConv1D", padding="causal", dilation_rate=2)
    made = parse_layer("SeparableConv1D", Fields(config, legacy=True))
    assert isinstance(made, DepthwiseConv)
    assert made.window.padding((8,)) == ((4, 0),)
    with pytest.raises(ModelError, match="'padding' is wrong"):
        parse_layer("DepthwiseConv1D", Fields(arguments("DepthwiseConv1D", padding="causal"), legacy=True))


def test_what_conv1d_may_pad() -> None:
    assert_refused("Conv1D", "expected 'valid' or 'same' or 'causal', got 'casual'", padding="casual")


@pytest.mark.parametrize("class_name", [*PLAIN, *SEPARABLE, *TRANSPOSED])
@pytest.mark.parametrize("filters", [0, -3, None, "6", 6.5])
def test_filters_that_are_none(class_name: str, filters: Any) -> None:
    assert_refused(class_name, f"'filters' is wrong: expected {NUMBER}", filters=filters)


@pytest.mark.parametrize("class_name", [*DEPTHWISE, *SEPARABLE])
@pytest.mark.parametrize("multiplier", [0, -1, None, "2"])
def test_multipliers_that_are_none(class_name: str, multiplier: Any) -> None:
    assert_refused(class_name, f"'depth_multiplier' is wrong: expected {NUMBER}", depth_multiplier=multiplier)


@pytest.mark.parametrize("class_name", PLAIN)
def test_groups_must_divide(class_name: str) -> None:
    assert_refused(class_name, "filters are not divisible by groups: expected a multiple of 4, got 6", groups=4)
    message = "input channels are not divisible by groups: expected a multiple of 3, got 4"
    assert_refused(class_name, message, groups=3)
    for groups in (0, -2):
        assert_refused(class_name, f"'groups' is wrong: expected {NUMBER}", groups=groups)


@pytest.mark.parametrize("class_name", [*PLAIN, *TRANSPOSED])
def test_strides_and_dilation_together(class_name: str) -> None:
    ones = (1,) * (rank_of(class_name) - 1)
    message = "Keras allows strides or dilation_rate above 1, not both: got strides=("
    assert_refused(class_name, message, strides=[2, *ones], dilation_rate=[*ones, 2])


@pytest.mark.parametrize("class_name", [*DEPTHWISE, *SEPARABLE])
def test_strides_and_dilation_together_are_no_error_here(class_name: str) -> None:
    loaded(class_name, strides=2, dilation_rate=2)
    getattr(keras.layers, class_name)(**arguments(class_name, strides=2, dilation_rate=2))


@pytest.mark.parametrize("class_name", [*PLAIN, *DEPTHWISE, *SEPARABLE])
def test_windows_larger_than_the_input(class_name: str) -> None:
    last = rank_of(class_name) - 1
    message = f"the window does not fit into spatial axis {last}: expected at least 9 elements with padding, got 8 + 0"
    assert_refused(class_name, message, kernel_size=[3] * last + [9])
    message = "the window does not fit into spatial axis 0: expected at least 9 elements with padding"
    assert_refused(class_name, message, dilation_rate=4)


@pytest.mark.parametrize("class_name", FAMILY)
def test_inputs_of_another_rank(class_name: str) -> None:
    rank = rank_of(class_name)
    for axes in (rank - 1, rank + 1):
        message = f"the input has the wrong number of axes: expected {rank + 2}, got"
        assert_refused(class_name, message, shape=(*(8,) * axes, 4))


@pytest.mark.parametrize("class_name", TRANSPOSED)
@pytest.mark.parametrize("value", [2, [1, 1, 2], -1, 1.0, "1", [0] * 4])
def test_output_padding_that_is_none(class_name: str, value: Any) -> None:
    rank = rank_of(class_name)
    if isinstance(value, list) and len(value) == 3:
        value = value[-rank:]
    assert_refused(class_name, "'output_padding' is wrong: expected ", strides=2, output_padding=value)


def test_output_padding_is_compared_axis_by_axis() -> None:
    message = "'output_padding' is wrong: expected less than the strides (3, 2), got (2, 2)"
    assert_refused("Conv2DTranspose", message, strides=[3, 2], output_padding=[2, 2])
    assert loaded("Conv2DTranspose", strides=[3, 2], output_padding=[2, 1]).outputs[0].type.shape == (1, 26, 18, 6)


def test_nothing_left_of_a_transposed_convolution() -> None:
    """Keras computes an empty tensor here."""
    with pytest.raises(ValueError, match=r"^layer 'it' \(Conv1DTranspose\): nothing would be left of spatial axis 0"):
        loaded("Conv1DTranspose", (1, 4), kernel_size=4, strides=2, padding="same", output_padding=0)


def test_groups_of_a_transposed_convolution() -> None:
    with pytest.raises(UnsupportedError, match="transposed convolutions with groups are not supported"):
        loaded("Conv2DTranspose", groups=2)
    with pytest.raises(ValueError, match="Unrecognized keyword"):
        keras.layers.Conv2DTranspose(6, 3, groups=2)


def test_a_flag_that_is_none() -> None:
    with pytest.raises(ModelError, match=r"layer 'it' .*'use_bias' is wrong: expected true or false, got 'no'"):
        loaded("Conv2D", use_bias="no")


def test_every_argument_of_keras_is_one_that_is_known_here() -> None:
    """A Keras with an argument more has a meaning more, which the frontend has to learn."""
    known = {
        "self", "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation",
        "use_bias", "depth_multiplier", "output_padding", "kwargs", "activity_regularizer",
        *(f"{what}_{kind}" for what in ("kernel", "bias", "depthwise", "pointwise")
          for kind in ("initializer", "regularizer", "constraint")),
    }  # fmt: skip
    for class_name in FAMILY:
        unknown = set(inspect.signature(getattr(keras.layers, class_name).__init__).parameters) - known
        assert not unknown, f"{class_name}: {unknown}"


X, KERNEL = tensor("x"), [[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]


def function(name: str, *args: Any, **config: Any) -> Any:
    source = called(layer("InputLayer", "x", batch_shape=[None, 8, 1]))
    other = called(layer("InputLayer", "k", batch_shape=[None, 1, 2]))
    entry = {**called(layer(name, "op", **config)), "module": "keras.src.ops.nn"}
    entry["inbound_nodes"] = [{"args": list(args), "kwargs": {}}]
    inputs: Any = [["x", 0, 0], ["k", 0, 0]]
    return functional(source, other, entry, inputs=inputs, outputs=["op", 0, 0])


@pytest.mark.parametrize(
    ("name", "args", "config", "message"),
    [
        ("Conv", [X, tensor("k")], {}, "'kernel' is computed by the model: expected a constant, got the output of"),
        ("Conv", [X, [1.0, 2.0]], {}, "'kernel' has the wrong number of axes: expected 3, got (2,)"),
        ("Conv", [X, KERNEL], {"strides": 0}, "'strides' is wrong"),
        ("Conv", [X, KERNEL], {"padding": "causal"}, "'padding' is wrong: expected 'valid' or 'same'"),
        ("Conv", [X], {}, "wrong number of inputs"),
        ("Conv", [X, [[[1.0, 2.0]] * 2]], {}, "the kernel does not fit the input's channels: expected 1"),
        ("Conv", [X, KERNEL], {"dilation_rate": 4}, "the window does not fit into spatial axis 0"),
        ("DepthwiseConv", [X, [[[1.0, 2.0]] * 2]], {}, "the kernel does not fit the input's channels: expected 1"),
        ("DepthwiseConv", [X, tensor("k")], {}, "'kernel' is computed by the model"),
        ("SeparableConv", [X, KERNEL, tensor("k")], {}, "'pointwise_kernel' is computed by the model"),
        ("SeparableConv", [X, KERNEL, KERNEL], {}, "'pointwise_kernel' has a window: expected 1 for each spatial axis"),
        ("SeparableConv", [X, KERNEL, [[[1.0]]]], {}, "the kernel does not fit the input's channels: expected 2"),
        ("ConvTranspose", [X, KERNEL], {}, "the kernel does not fit the input's channels: expected 1"),
        ("ConvTranspose", [X, [[[1.0]]]], {"strides": 2, "output_padding": 2}, "'output_padding' is wrong"),
        ("ConvTranspose", [X, tensor("k")], {}, "'kernel' is computed by the model"),
    ],
)  # fmt: skip
def test_functions(name: str, args: list[Any], config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConvcError) as caught:
        load(function(name, *args, **config))
    text = str(caught.value)
    assert text.startswith(f"layer 'op' ({name}): ")
    assert message in text
