"""TensorFlow Addons: normalisation, stochastic depth and activations of the package `tensorflow-addons`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Shape, Value
from kerasgen.layers.keras.norm import group_norm as keras_group_norm
from kerasgen.layers.layer import Layer
from kerasgen.layers.packages.parts import steps
from kerasgen.layers.registry import package_activation, package_rule

REGISTERED = "Addons"


@package_rule("GroupNormalization", registered=REGISTERED)
@package_rule("InstanceNormalization", registered=REGISTERED, keys="groups axis epsilon center scale")
def group_norm(layer: Layer, x: Value) -> Value:
    """By the mean and variance of each sample over a group of channels, as Keras 3 does; -1 groups: one a channel."""
    result: Value = keras_group_norm(layer, x)
    return result


@package_rule("WeightNormalization", registered=REGISTERED, keys="layer data_init")
def weight_norm(layer: Layer, x: Value) -> Any:
    """A layer whose kernel has the length that is learned for each of its outputs."""
    inner = _Normalized(layer)
    result = inner.wrapped("layer", layer.config.get("layer"), x)
    layer.weight("initialized", (), trainable=False, dtype="bool")
    if layer.config.flag("data_init", True):  # a copy of the inner layer, used before training
        copied = layer.part("_naked_clone_layer")
        for name, shape in inner.declared:
            copied.weight(name, shape, trainable=False)
    return result


class _Normalized(Layer):
    """A layer whose inner layer gets its kernel in another length. The kernel belongs to the outer layer."""

    def __init__(self, layer: Layer) -> None:
        self.__dict__.update(layer.__dict__)
        self.declared: list[tuple[str, Shape]] = []
        self._outer = layer

    def weight(self, name: str, shape: Shape, **settings: Any) -> Value:
        self.declared.append((name, shape))
        if name == "recurrent_kernel":
            raise UnsupportedModelError("it normalises the weights of a recurrent layer")
        if name != "kernel":
            return super().weight(name, shape, **settings)
        length, value = self._outer.weight("g", shape[-1:]), self._outer.weight("kernel", shape)
        squares = self.emit(np.sum, self.emit(np.square, value), axis=tuple(range(len(shape) - 1)), keepdims=True)
        norm = self.emit(np.sqrt, self.emit(np.maximum, squares, 1e-12))
        return self.emit(np.multiply, self.emit(np.divide, value, norm), length)


@package_rule("StochasticDepth", registered=REGISTERED, keys="survival_probability")
def stochastic_depth(layer: Layer, inputs: Sequence[Value]) -> Value:
    """A shortcut and a branch that was left out at random in training, as often as not."""
    shortcut, branch = inputs
    kept = layer.emit(np.multiply, branch, layer.config.number("survival_probability", 0.5))
    return layer.emit(np.add, shortcut, kept)


@package_rule("GELU", registered=REGISTERED, keys="approximate")
def gelu_layer(layer: Layer, x: Value) -> Value:
    """The activation as a layer."""
    return layer.emit(kernels.gelu, x, approximate=layer.config.flag("approximate", True))


@package_activation("Addons>gelu")
def gelu(layer: Layer, x: Value) -> Value:
    """x Φ(x), approximated by a tanh."""
    return layer.emit(kernels.gelu, x, approximate=True)


@package_activation("Addons>lisht")
def lisht(layer: Layer, x: Value) -> Value:
    """x tanh(x)."""
    return layer.emit(np.multiply, x, layer.emit(np.tanh, x))


@package_activation("Addons>snake")
def snake(layer: Layer, x: Value) -> Value:
    """x + (1 - cos(2x)) / 2 = x + sin²(x)."""
    return layer.emit(np.add, x, layer.emit(np.square, layer.emit(np.sin, x)))


@package_activation("Addons>rrelu")
def rrelu(layer: Layer, x: Value) -> Value:
    """A slope below zero that was drawn at random in training: the middle of 1/8 and 1/3."""
    return layer.emit(kernels.leaky_relu, x, negative_slope=(1 / 8 + 1 / 3) / 2)


@package_activation("Addons>sparsemax")
def sparsemax(layer: Layer, x: Value) -> Value:
    """max(x - τ, 0), where τ is the largest of (the sum of the k largest - 1) / k: not what Keras computes."""
    descending = layer.emit(np.flip, layer.emit(np.sort, x, axis=-1), axis=-1)
    sums = layer.emit(np.subtract, layer.emit(np.cumsum, descending, axis=-1), 1.0)
    means = layer.emit(np.divide, sums, np.arange(1, steps(x, -1) + 1, dtype=layer.dtype))
    threshold = layer.emit(np.max, means, axis=-1, keepdims=True)
    return layer.emit(np.maximum, layer.emit(np.subtract, x, threshold), 0.0)


def _like_keras(name: str, kernel: Any) -> None:
    package_activation(f"Addons>{name}")(lambda layer, x: layer.emit(kernel, x))


for _name, _kernel in {
    "hardshrink": kernels.hard_shrink,
    "mish": kernels.mish,
    "softshrink": kernels.soft_shrink,
    "tanhshrink": kernels.tanh_shrink,
}.items():
    _like_keras(_name, _kernel)
