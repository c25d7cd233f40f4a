"""Pooling: over windows, and over everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasgen import kernels
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, window_pads
from kerasgen.layers.registry import rule


def _pool(layer: Layer, x: Value, kernel: Callable[..., Any]) -> Value:
    rank = len(x.shape) - 2
    size = layer.config.integers("pool_size", rank, 2)
    strides = layer.config.integers("strides", rank, size) if layer.config.get("strides", None) is not None else size
    padding = layer.config.choice("padding", ("valid", "same"), "valid")

    def apply(x: Value) -> Value:
        pad = window_pads(x, padding, size, strides, (1,) * rank)
        return layer.emit(kernel, x, size=size, strides=strides, pad=pad)

    return channels_last(layer, x, apply)


@rule("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "ops.MaxPool")
def max_pool(layer: Layer, x: Value) -> Value:
    """The maximum of each window."""
    return _pool(layer, x, kernels.max_pool)


@rule("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "ops.AveragePool")
def average_pool(layer: Layer, x: Value) -> Value:
    """The mean of each window."""
    return _pool(layer, x, kernels.average_pool)


def _global(layer: Layer, x: Value, kernel: Callable[..., Any]) -> Value:
    keepdims = layer.config.flag("keepdims", False)
    return channels_last(layer, x, lambda x: layer.emit(kernel, x, keepdims=keepdims))


@rule("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_max_pool(layer: Layer, x: Value) -> Value:
    """The maximum over all positions."""
    return _global(layer, x, kernels.global_max_pool)


@rule("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
def global_average_pool(layer: Layer, x: Value, mask: Any = None) -> Value:
    """The mean over all positions, or over the steps in the mask."""
    if mask is not None and layer.kind == "GlobalAveragePooling1D":
        keepdims = layer.config.flag("keepdims", False)
        return channels_last(layer, x, lambda x: layer.emit(kernels.masked_average, x, mask, keepdims=keepdims))
    return _global(layer, x, kernels.global_average_pool)


def _adaptive(layer: Layer, x: Value, kernel: Callable[..., Any]) -> Value:
    size = layer.config.integers("output_size", len(x.shape) - 2)
    return channels_last(layer, x, lambda x: layer.emit(kernel, x, size=size))


@rule("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "ops.AdaptiveMaxPool")
def adaptive_max_pool(layer: Layer, x: Value) -> Value:
    """The maximum of each window, for a given number of windows."""
    return _adaptive(layer, x, kernels.adaptive_max_pool)


@rule("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "ops.AdaptiveAveragePool")
def adaptive_average_pool(layer: Layer, x: Value) -> Value:
    """The mean of each window, for a given number of windows."""
    return _adaptive(layer, x, kernels.adaptive_average_pool)
