"""Data formats and padding, shared by all layers with sliding windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer

Pads = tuple[tuple[int, int], ...] | str | None


def channels_last(layer: Layer, x: Value, apply: Callable[[Value], Value]) -> Value:
    """`apply` to `x` with channels last; input and result are in the layer's data format."""
    if not is_channels_first(layer):
        return apply(x)
    y = apply(layer.emit(kernels.channels_last, x))
    return layer.emit(kernels.channels_first, y) if len(y.shape) > 2 else y


def images_last(layer: Layer, x: Value, apply: Callable[[Value], Value]) -> Value:
    """The same for images, or a single image without a batch axis."""
    if len(x.shape) > 3:
        return channels_last(layer, x, apply)
    y = channels_last(layer, layer.emit(np.expand_dims, x, axis=0), apply)
    return layer.emit(np.squeeze, y, axis=0)


def is_channels_first(layer: Layer) -> bool:
    """Whether the layer's data format is channels first; an operation may leave it open."""
    options = ("channels_last", "channels_first")
    return (
        layer.config.get("data_format", None) is not None and layer.config.choice("data_format", options) == options[1]
    )


def from_end(axis: int, rank: int) -> int:
    """The axis as Keras writes it, but -1 for the last."""
    return -1 if axis in (-1, rank - 1) else axis % rank


def window_pads(
    x: Value, padding: str, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> Pads:
    """The padding of `x` (channels last); "same" if it depends on a size known only at run time."""
    if padding == "valid":
        return None
    if padding == "causal":
        return tuple((step * (size - 1), 0) for size, step in zip(window, dilation, strict=True))
    sizes = [1 if step == 1 else size for size, step in zip(x.shape[1:-1], strides, strict=True)]
    if None in sizes:
        return "same"
    pads: Pads = kernels.same_pads(sizes, window, strides, dilation)
    return pads if any(map(any, pads or ())) else None
