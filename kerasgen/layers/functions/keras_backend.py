"""`keras.backend` of Keras 1 to 3, by functions of TensorFlow, and `keras.activations`."""

from __future__ import annotations

from kerasgen.layers.functions.values import Function

FUNCTIONS: dict[str, Function] = {}


def function(name: str) -> Function | None:
    """A function of `keras.backend`."""
    return FUNCTIONS.get(name)


def activation(name: str) -> Function | None:
    """A function of `keras.activations`."""
    return None
