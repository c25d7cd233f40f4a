"""Core: dense layers, and the layers that do nothing at inference."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.equation import parse
from kerasgen.layers.keras.activation import activate
from kerasgen.layers.layer import Layer
from kerasgen.layers.quantized import operands
from kerasgen.layers.registry import rule


@rule("Dense")
def dense(layer: Layer, x: Value) -> Value:
    """`x @ kernel + bias` over the last axis."""
    equation = parse("...a,ab->...b", x.shape, (layer.config.integer("units"),))
    axes = "b" if layer.config.flag("use_bias", True) else ""
    return activate(layer, layer.emit(kernels.dense, *operands(layer, x, equation, axes)))


@rule("EinsumDense")
def einsum_dense(layer: Layer, x: Value) -> Value:
    """An einsum of the input and a kernel, plus a bias along some of the axes."""
    shape = layer.config.get("output_shape")
    shape = shape if isinstance(shape, (list, tuple)) else [shape]
    if not all(size is None or (type(size) is int and size > 0) for size in shape):
        raise InvalidModelError(f"its config has output_shape = {ascii(shape)[:80]}, not sizes")
    written = layer.config.get("equation")
    equation = parse(written, x.shape, shape)
    x, kernel, bias = operands(layer, x, equation, str(layer.config.get("bias_axes", None) or ""))
    if equation.contracted:
        return activate(layer, layer.emit(kernels.project, x, kernel, bias, axes=equation.contracted))
    y = layer.emit(kernels.einsum, x, kernel, subscripts=written)
    return activate(layer, y if bias is None else layer.emit(np.add, y, bias))


@rule(
    "Identity",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "StochasticDepth",
)
def identity(layer: Layer, x: Value, mask: Any = None) -> Value:
    """Layers that act only in training."""
    return layer.emit(kernels.identity, x)


@rule("ops.StopGradient")
def stop_gradient(layer: Layer, x: Value) -> Value:
    """x, to which no gradient comes."""
    return layer.emit(kernels.stop_gradient, x)
