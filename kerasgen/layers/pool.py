"""Pooling: over windows, and over everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasgen import kernels
from kerasgen.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, window_pads
from kerasgen.layers.registry import rule


def _pool(layer: Layer, x: Value, rank: int, kernel: Callable[..., Any]) -> Value:
    size = layer.config.integers("pool_size", rank, 2)
    strides = layer.config.integers("strides", rank, size) if layer.config.get("strides", None) is not None else size
    padding = layer.config.choice("padding", ("valid", "same"), "valid")

    def apply(x: Value) -> Value:
        pad = window_pads(x, padding, size, strides, (1,) * rank)
        return layer.emit(kernel, x, size=size, strides=strides, pad=pad)

    return channels_last(layer, x, apply)


@rule("MaxPooling1D")
def max_pool1d(layer: Layer, x: Value) -> Value:
    """The largest of each window."""
    return _pool(layer, x, 1, kernels.max_pool)


@rule("MaxPooling2D")
def max_pool2d(layer: Layer, x: Value) -> Value:
    """The largest of each window."""
    return _pool(layer, x, 2, kernels.max_pool)


@rule("AveragePooling1D")
def average_pool1d(layer: Layer, x: Value) -> Value:
    """The mean of each window."""
    return _pool(layer, x, 1, kernels.average_pool)


@rule("AveragePooling2D")
def average_pool2d(layer: Layer, x: Value) -> Value:
    """The mean of each window."""
    return _pool(layer, x, 2, kernels.average_pool)


@rule("ops.MaxPool")
def max_pool(layer: Layer, x: Value) -> Value:
    """Max pooling of any rank."""
    return _pool(layer, x, len(x.shape) - 2, kernels.max_pool)


@rule("ops.AveragePool")
def average_pool(layer: Layer, x: Value) -> Value:
    """Average pooling of any rank."""
    return _pool(layer, x, len(x.shape) - 2, kernels.average_pool)


def _global(layer: Layer, x: Value, kernel: Callable[..., Any]) -> Value:
    keepdims = layer.config.flag("keepdims", False)
    return channels_last(layer, x, lambda x: layer.emit(kernel, x, keepdims=keepdims))


@rule("GlobalMaxPooling1D")
def global_max_pool1d(layer: Layer, x: Value) -> Value:
    """The largest of all steps."""
    return _global(layer, x, kernels.global_max_pool)


@rule("GlobalMaxPooling2D")
def global_max_pool2d(layer: Layer, x: Value) -> Value:
    """The largest of the whole image."""
    return _global(layer, x, kernels.global_max_pool)


@rule("GlobalAveragePooling1D")
def global_average_pool1d(layer: Layer, x: Value) -> Value:
    """The mean of all steps."""
    return _global(layer, x, kernels.global_average_pool)


@rule("GlobalAveragePooling2D")
def global_average_pool2d(layer: Layer, x: Value) -> Value:
    """The mean of the whole image."""
    return _global(layer, x, kernels.global_average_pool)
