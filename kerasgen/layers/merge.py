"""Merging: layers that join several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule


def _merge(layer: Layer, xs: Sequence[Value], kernel: Callable[..., Any]) -> Value:
    """`kernel` from left to right. Inputs of fewer axes get new ones behind the batch, as Keras does it."""
    rank = max(len(x.shape) for x in xs)
    first, *rest = (_with_rank(layer, x, rank) for x in xs)
    for x in rest:
        first = layer.emit(kernel, first, x)
    return first if rest else layer.emit(kernels.identity, first)


def _with_rank(layer: Layer, x: Value, rank: int) -> Value:
    missing = rank - len(x.shape)
    return layer.emit(kernels.get_item, x, index=(slice(None), *(None,) * missing)) if missing else x


@rule("Add")
def add(layer: Layer, xs: Sequence[Value]) -> Value:
    """The sum."""
    return _merge(layer, xs, np.add)


@rule("Subtract")
def subtract(layer: Layer, xs: Sequence[Value]) -> Value:
    """The first less the second."""
    return _merge(layer, xs, np.subtract)


@rule("Multiply")
def multiply(layer: Layer, xs: Sequence[Value]) -> Value:
    """The product."""
    return _merge(layer, xs, np.multiply)


@rule("Average")
def average(layer: Layer, xs: Sequence[Value]) -> Value:
    """The mean."""
    return layer.emit(np.divide, _merge(layer, xs, np.add), float(len(xs)))


@rule("Maximum")
def maximum(layer: Layer, xs: Sequence[Value]) -> Value:
    """The largest at each place."""
    return _merge(layer, xs, np.maximum)


@rule("Minimum")
def minimum(layer: Layer, xs: Sequence[Value]) -> Value:
    """The smallest at each place."""
    return _merge(layer, xs, np.minimum)


@rule("Concatenate", "ops.Concatenate")
def concatenate(layer: Layer, xs: Sequence[Value]) -> Value:
    """One after the other along an axis."""
    axis = layer.config.axes("axis", 0 if layer.kind.startswith("ops.") else -1)[0]
    return layer.emit(kernels.concatenate, *xs, axis=axis)


@rule("Dot")
def dot(layer: Layer, xs: Sequence[Value]) -> Value:
    """Sums of products over one axis of each of two tensors, sample by sample."""
    axes = layer.config.axes("axes")
    pair = [axis % len(x.shape) for axis, x in zip(axes * 2 if len(axes) == 1 else axes, xs, strict=False)]
    if len(xs) != 2 or len(pair) != 2 or 0 in pair:
        raise InvalidModelError(f"a dot product of {len(xs)} inputs over the axes {axes}")
    if layer.config.flag("normalize", False):
        # Keras 2 bounds the square of the length by 1e-12, Keras 3 the length by 1e-7.
        epsilon = 1e-7 if layer.keras_major >= 3 else 1e-6
        xs = [layer.emit(kernels.normalize, x, axis=axis, epsilon=epsilon) for x, axis in zip(xs, pair, strict=True)]
    return layer.emit(kernels.batch_dot, *xs, axes=tuple(pair))


@rule("CustomScaleLayer")
def custom_scale_layer(layer: Layer, xs: Sequence[Value]) -> Value:
    """`x0 + x1 * scale`, as InceptionResNetV2's blocks have it."""
    return layer.emit(np.add, xs[0], layer.emit(np.multiply, xs[1], layer.config.number("scale")))
