"""Old layers: those that only Keras 1 has, and local convolution, which Keras 3 dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.keras.activation import activate
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, from_end, is_channels_first
from kerasgen.layers.registry import rule


@rule("Highway")
def highway(layer: Layer, x: Value) -> Value:
    """A dense layer, mixed with its input by a gate."""
    width = x.shape[-1]
    use_bias = layer.config.flag("use_bias", True)
    kernel, carry = layer.weight("kernel", (width, width)), layer.weight("carry_kernel", (width, width))
    bias = layer.weight("bias", (width,)) if use_bias else None
    carry_bias = layer.weight("carry_bias", (width,)) if use_bias else None
    gate = layer.emit(kernels.sigmoid, layer.emit(kernels.dense, x, carry, carry_bias))
    y = activate(layer, layer.emit(kernels.dense, x, kernel, bias))
    # gate * y + (1 - gate) * x
    return layer.emit(np.add, layer.emit(np.multiply, gate, layer.emit(np.subtract, y, x)), x)


@rule("MaxoutDense")
def maxout_dense(layer: Layer, x: Value) -> Value:
    """The maximum of several dense layers."""
    count, units = layer.config.integer("nb_feature", 4), layer.config.integer("units")
    kernel = layer.weight("kernel", (count, x.shape[-1], units))
    bias = layer.weight("bias", (count, units)) if layer.config.flag("use_bias", True) else None
    y = layer.emit(kernels.einsum, x, kernel, subscripts="ni,kio->nko")
    return layer.emit(np.max, y if bias is None else layer.emit(np.add, y, bias), axis=1)


@rule("ParametricSoftplus")
def parametric_softplus(layer: Layer, x: Value) -> Value:
    """`alpha * softplus(beta * x)` with two learned parameters per element."""
    alpha, beta = (layer.weight(name, x.shape[1:]) for name in ("alphas", "betas"))
    return layer.emit(np.multiply, alpha, layer.emit(kernels.softplus, layer.emit(np.multiply, beta, x)))


@rule("SReLU")
def srelu(layer: Layer, x: Value) -> Value:
    """A piecewise linear function of three parts with two learned thresholds."""
    names = ("t_left", "a_left", "t_right", "a_right")
    return layer.emit(kernels.srelu, x, *(layer.weight(name, x.shape[1:]) for name in names))


@rule("BatchNormalizationKeras1")
def batch_normalization_by_mode(layer: Layer, x: Value) -> Value:
    """Modes that Keras 2 dropped: by the statistics of each sample, or of the current batch."""
    if layer.config.integer("mode") != 1:
        raise UnsupportedModelError("mode 2 normalises by the statistics of the current batch")
    shape = (x.shape[from_end(layer.config.one_axis("axis", -1), len(x.shape))],)
    gamma, beta = layer.weight("gamma", shape), layer.weight("beta", shape)
    for name in ("moving_mean", "moving_variance"):
        layer.weight(name, shape, trainable=False)
    return layer.emit(kernels.sample_norm, x, gamma, beta, epsilon=layer.config.number("epsilon", 1e-3))


@rule("Merge")
def merge(layer: Layer, xs: Sequence[Value]) -> Value:
    """The only mode that did not become a layer: the cosine of two vectors."""
    if layer.config.get("mode") != "cos" or any(len(x.shape) != 2 for x in xs):
        raise UnsupportedModelError("its mode is a Python function, whose code is not run")
    a, b = xs
    return layer.emit(kernels.get_item, layer.emit(kernels.cosine, a, b), index=(slice(None), None, None))


@rule("LocallyConnected1D", "LocallyConnected2D")
def locally_connected(layer: Layer, x: Value) -> Value:
    """Convolution with a separate kernel at each position."""
    config, rank = layer.config, len(x.shape) - 2
    size, strides = config.integers("kernel_size", rank), config.integers("strides", rank, 1)
    filters = config.integer("filters")
    if config.integer("implementation", 1) != 1 or config.choice("padding", ("valid", "same"), "valid") != "valid":
        raise UnsupportedModelError("only its implementation 1 and the padding 'valid' are supported")
    first = is_channels_first(layer)

    def apply(x: Value) -> Value:
        if None in x.shape[1:]:
            raise UnsupportedModelError("the size of its input must be known")
        channels = x.shape[-1] or 0
        positions = [(n - k) // s + 1 for n, k, s in zip(_known(x.shape[1:-1]), size, strides, strict=True)]
        kernel = layer.weight("kernel", (int(np.prod(positions)), int(np.prod(size)) * channels, filters))
        bias = layer.weight("bias", (*positions, filters)) if config.flag("use_bias", True) else None
        settings: dict[str, Any] = {"size": size, "strides": strides, "channels_first": first}
        return layer.emit(kernels.locally_connected, x, kernel, bias, **settings)

    return activate(layer, channels_last(layer, x, apply))


def _known(sizes: Sequence[int | None]) -> list[int]:
    return [size or 0 for size in sizes]
