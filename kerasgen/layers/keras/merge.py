"""Merging: layers that join several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import promote_list
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import from_end
from kerasgen.layers.masks import joined_mask, merged_mask
from kerasgen.layers.registry import rule


def _merge(layer: Layer, xs: Sequence[Value], kernel: Callable[..., Any]) -> Value:
    """`kernel` from left to right. As in Keras, inputs with fewer axes get new ones after the batch axis."""
    layer.output_mask = merged_mask(layer, layer.masks["xs"])
    rank = max(len(x.shape) for x in xs)
    first, *rest = (_with_rank(layer, x, rank) for x in xs)
    for x in rest:
        first = layer.emit(kernel, first, x)
    return first if rest else layer.emit(kernels.identity, first)


def _with_rank(layer: Layer, x: Value, rank: int) -> Value:
    missing = rank - len(x.shape)
    return layer.emit(kernels.get_item, x, index=(slice(None), *(None,) * missing)) if missing else x


def _masks(layer: Layer) -> list[Value | None]:
    """The masks of the inputs; None before Keras 3, which ignores masked steps in some merges."""
    masks = list(layer.masks["xs"])
    return masks if layer.keras_major >= 3 else [None for _ in masks]


def _extreme(layer: Layer, xs: Sequence[Value], kernel: Callable[..., Any]) -> Value:
    """`_merge`, but a masked step is replaced by that of the other input."""
    masks = _masks(layer)
    if not any(masks):
        return _merge(layer, xs, kernel)
    (y, *rest), (y_mask, *others) = xs, masks
    for x, mask in zip(rest, others, strict=True):
        x = _or_else(layer, mask, x, y) if mask else x
        y = layer.emit(kernel, _or_else(layer, y_mask, y, x) if y_mask else y, x)
        y_mask = layer.emit(np.logical_or, y_mask, mask) if y_mask and mask else None
    layer.output_mask = y_mask
    return y


def _or_else(layer: Layer, mask: Value, x: Value, other: Value) -> Value:
    return layer.emit(np.where, layer.emit(kernels.get_item, mask, index=(..., None)), x, other)


@rule("Add")
def add(layer: Layer, xs: Sequence[Value]) -> Value:
    """The sum."""
    return _merge(layer, xs, np.add)


@rule("Subtract")
def subtract(layer: Layer, xs: Sequence[Value]) -> Value:
    """The first minus the second."""
    return _merge(layer, xs, np.subtract)


@rule("Multiply")
def multiply(layer: Layer, xs: Sequence[Value]) -> Value:
    """The product."""
    masks = _masks(layer)
    xs = [layer.emit(kernels.masked, x, mask, value=1) if mask else x for x, mask in zip(xs, masks, strict=True)]
    y = _merge(layer, xs, np.multiply)
    return layer.emit(kernels.masked, y, layer.output_mask) if all(masks) else y


@rule("Average")
def average(layer: Layer, xs: Sequence[Value]) -> Value:
    """The mean."""
    return layer.emit(np.divide, _merge(layer, xs, np.add), float(len(xs)))


@rule("Maximum")
def maximum(layer: Layer, xs: Sequence[Value]) -> Value:
    """The elementwise maximum."""
    return _extreme(layer, xs, np.maximum)


@rule("Minimum")
def minimum(layer: Layer, xs: Sequence[Value]) -> Value:
    """The elementwise minimum."""
    return _extreme(layer, xs, np.minimum)


@rule("Concatenate", "ops.Concatenate")
def concatenate(layer: Layer, xs: Sequence[Any]) -> Value:
    """Concatenation along an axis."""
    axis = layer.config.one_axis("axis", 0 if layer.is_operation else -1)
    xs = promote_list(layer, xs)
    if layer.kind == "Concatenate":
        layer.output_mask = joined_mask(layer, xs, layer.masks["xs"], axis)
    return layer.emit(kernels.concatenate, *xs, axis=from_end(axis, len(xs[0].shape)))


@rule("Dot")
def dot(layer: Layer, xs: Sequence[Value]) -> Value:
    """Batched dot product over one axis of each of two tensors."""
    axes = layer.config.axes("axes")
    if not isinstance(xs, (list, tuple)) or len(xs) != 2:
        raise InvalidModelError("is not called on two tensors")
    pair = [axis % len(x.shape) for axis, x in zip(axes * 2 if len(axes) == 1 else axes, xs, strict=False)]
    if len(pair) != 2 or 0 in pair:
        raise InvalidModelError(f"a dot product over the axes {axes}")
    if layer.config.flag("normalize", False):
        # Keras 2 bounds the squared norm by 1e-12, Keras 3 the norm by 1e-7.
        epsilon = 1e-7 if layer.keras_major >= 3 else 1e-6
        xs = [layer.emit(kernels.normalize, x, axis=axis, epsilon=epsilon) for x, axis in zip(xs, pair, strict=True)]
    return layer.emit(kernels.batch_dot, *xs, axes=tuple(pair))


@rule("CustomScaleLayer")
def custom_scale_layer(layer: Layer, xs: Sequence[Value]) -> Value:
    """`x0 + x1 * scale`, from the blocks of InceptionResNetV2."""
    return layer.emit(np.add, xs[0], layer.emit(np.multiply, xs[1], layer.config.number("scale")))
