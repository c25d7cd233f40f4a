"""`keras.activations`, by functions of the backend, of TensorFlow and of `keras.ops`."""

from __future__ import annotations

from typing import Any

from kerasgen.layers.functions import keras_backend, operations
from kerasgen.layers.functions.python import tf
from kerasgen.layers.functions.values import Function
from kerasgen.layers.layer import Layer

_ACTIVATIONS = {
    **{name: ("backend", name) for name in "elu relu sigmoid softmax softplus softsign tanh".split()},
    **{name: ("tf", f"nn.{name}") for name in "gelu selu silu leaky_relu relu6 log_softmax".split()},
    "exponential": ("tf", "math.exp"),
    "hard_sigmoid": ("hard_sigmoid", ""),
    "swish": ("tf", "nn.silu"),
}


def activation(name: str) -> Function | None:
    """A function of `keras.activations`."""
    if name == "linear":
        return lambda layer, x: x
    home, target = _ACTIVATIONS.get(name, ("", ""))
    if home == "backend":
        return keras_backend.function(target)
    if home == "tf":
        return lambda layer, x, **kwargs: tf(layer, target, x, **kwargs)
    if home == "hard_sigmoid":  # another slope since Keras 3
        return _hard_sigmoid
    return None


def _hard_sigmoid(layer: Layer, x: Any) -> Any:
    home = operations if layer.keras_major >= 3 else keras_backend
    return home.function("hard_sigmoid")(layer, x)
