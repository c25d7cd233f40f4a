"""Core: Dense, and the layers that do nothing at inference."""

from __future__ import annotations

from typing import Any

from kerasgen import kernels
from kerasgen.ir import Value
from kerasgen.layers.activation import activate
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule


@rule("Dense")
def dense(layer: Layer, x: Value) -> Value:
    """`x @ kernel + bias` over the last axis."""
    units = layer.config.integer("units")
    kernel = layer.weight("kernel", (x.shape[-1], units))
    bias = layer.weight("bias", (units,)) if layer.config.flag("use_bias", True) else None
    return activate(layer, layer.emit(kernels.dense, x, kernel, bias))


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
    "ops.Identity",
    "ops.StopGradient",
)
def identity(layer: Layer, x: Value, mask: Any = None) -> Value:
    """Layers that only act in training."""
    return layer.emit(kernels.identity, x)
