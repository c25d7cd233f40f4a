"""Shapes: layers that rearrange, pad and cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, is_channels_first
from kerasgen.layers.registry import rule


@rule("Flatten")
def flatten(layer: Layer, x: Value) -> Value:
    """All axes but the batch merged into one; channels vary fastest in both data formats."""
    if is_channels_first(layer) and len(x.shape) > 2:
        x = layer.emit(kernels.channels_last, x)
    return layer.emit(kernels.flatten, x)


@rule("Reshape")
def reshape(layer: Layer, x: Value) -> Value:
    """The same elements in another shape; one size may be -1."""
    target = layer.config.axes("target_shape")
    return layer.emit(kernels.reshape, x, shape=resolve_shape(target, x.shape[1:]))


def resolve_shape(target: Sequence[int], sizes: Sequence[int | None]) -> tuple[int, ...]:
    """The target shape, with its -1 replaced if the sizes are known. Raises InvalidModelError if they do not fit."""
    if None in sizes:
        return tuple(target)
    cells = math.prod(size or 0 for size in sizes)
    rest = math.prod(size for size in target if size != -1)
    resolved = tuple(cells // max(rest, 1) if size == -1 else size for size in target)
    if math.prod(resolved) != cells:
        raise InvalidModelError(f"cannot reshape {tuple(sizes)} to {tuple(target)}")
    return resolved


@rule("RepeatVector")
def repeat_vector(layer: Layer, x: Value) -> Value:
    """A vector repeated for `n` steps."""
    x = layer.emit(kernels.get_item, x, index=(slice(None), None))
    return layer.emit(np.repeat, x, repeats=layer.config.integer("n"), axis=1)


@rule("Permute")
def permute(layer: Layer, x: Value) -> Value:
    """Axes in another order; the batch stays first."""
    return layer.emit(np.transpose, x, axes=(0, *layer.config.integers("dims", len(x.shape) - 1)))


@rule("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(layer: Layer, x: Value) -> Value:
    """Zeros at the borders."""
    pads = layer.config.edges("padding", len(x.shape) - 2, 1)
    return channels_last(layer, x, lambda x: layer.emit(kernels.pad, x, pads=pads))


@rule("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(layer: Layer, x: Value) -> Value:
    """Rows, columns or planes cut off at the borders."""
    crops = layer.config.edges("cropping", len(x.shape) - 2)
    return channels_last(layer, x, lambda x: layer.emit(kernels.crop, x, crops=crops))
