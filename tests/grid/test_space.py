"""What the generated grid claims of itself: everything is drawn, everything is named."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from convc.frontends.keras import supported_layers
from convc.frontends.keras.identity import AUGMENTATIONS
from tests.grid import ALL
from tests.grid.space import IGNORED, Space, samples
from tests.support.keras import keras

LAYERS = {name: space for name, space in ALL.items() if not name.startswith("keras.ops.")}


def parameters(name: str) -> set[str]:
    """The arguments of a layer of Keras."""
    signature = inspect.signature(getattr(keras.layers, name).__init__).parameters
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {key for key, value in signature.items() if value.kind not in kinds} - {"self"}


@pytest.mark.parametrize("space", ALL.values(), ids=ALL)
def test_every_value_is_drawn_and_the_draw_is_the_same_twice(space: Space) -> None:
    drawn = samples(space)
    for name, values in space.arguments.items():
        assert {id(value) for value in values} == {id(sample.arguments[name]) for sample in drawn}
    assert [sample.label for sample in drawn] == [sample.label for sample in samples(space)]


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_of_a_layer_is_in_its_space(name: str) -> None:
    space = LAYERS[name]
    known = set(space.arguments) | set(space.refused) | IGNORED
    assert parameters(name) <= known, f"not in the space: {sorted(parameters(name) - known)}"
    assert set(space.arguments) <= parameters(name), "arguments that the layer does not have"
    assert not set(space.refused) & set(space.arguments), "an argument is drawn and refused"


def test_a_value_that_suits_nothing_is_a_mistake() -> None:
    space = Space("Dense", {"units": (1, 2)}, lambda rng, a: (3,), suits=lambda a: a["units"] == 1)
    with pytest.raises(AssertionError, match="no case suits units=2"):
        samples(space)


def test_draws_reach_beyond_the_values() -> None:
    """With more cases than values, combinations vary."""
    space = Space("Dense", {"units": (1, 2), "use_bias": (True, False)}, lambda rng, a: (int(rng.integers(1, 9)),))
    drawn = samples(space, 40)
    assert len(drawn) == 40
    assert len({sample.label for sample in drawn}) > 10
    assert np.unique([sample.arguments["units"] for sample in drawn]).tolist() == [1, 2]


def test_supported_layers_without_a_space() -> None:
    assert sorted(set(supported_layers()) - set(ALL) - set(WITHOUT)) == []


WITHOUT: dict[str, str] = {
    "CustomScaleLayer": "of keras.applications: tests/frontends/keras/test_normalization_layers.py",
    "InputLayer": "every model has one",
    "LayerScale": "of keras.applications: tests/frontends/keras/test_normalization_layers.py",
    **dict.fromkeys(AUGMENTATIONS, "nothing to do at inference: tests/frontends/keras/test_augmentation.py"),
    "StochasticDepth": "of keras.applications: tests/frontends/keras/test_normalization_layers.py",
}
"""Layers that no space draws, and why."""
