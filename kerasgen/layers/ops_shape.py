"""Rearranging: operations that move, join and cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last
from kerasgen.layers.registry import rule
from kerasgen.layers.shape import resolve_shape


@rule("ops.GetItem")
def get_item(layer: Layer, x: Value, key: Any) -> Value:
    """A part of an array, by numbers, slices, None and `...`."""
    index = tuple(key) if isinstance(key, (list, tuple)) else (key,)
    if not all(isinstance(item, (int, slice, type(None), type(Ellipsis))) for item in index):
        raise UnsupportedModelError("an index that is itself a tensor is not supported")
    return layer.emit(kernels.get_item, x, index=index)


@rule("ops.Reshape")
def reshape(layer: Layer, x: Value) -> Value:
    """Other axes, the batch among them."""
    target = [-1 if size is None else size for size in layer.config.get("newshape")]
    if target[:1] == [-1] and -1 not in target[1:]:  # the batch, or what it becomes
        return layer.emit(kernels.reshape_all, x, shape=tuple(target))
    return layer.emit(kernels.reshape_all, x, shape=resolve_shape(target, x.shape))


@rule("ops.Transpose")
def transpose(layer: Layer, x: Value) -> Value:
    """Axes in another order, by default reversed."""
    axes = layer.config.get("axes", None)
    return layer.emit(np.transpose, x, axes=None if axes is None else layer.config.axes("axes"))


def _axis(layer: Layer) -> Any:
    axis = layer.config.get("axis", None)
    return axis if axis is None or isinstance(axis, int) else layer.config.axes("axis")


@rule("ops.Squeeze")
def squeeze(layer: Layer, x: Value) -> Value:
    """Without axes of size 1."""
    return layer.emit(np.squeeze, x, axis=_axis(layer))


@rule("ops.ExpandDims")
def expand_dims(layer: Layer, x: Value) -> Value:
    """With a new axis of size 1."""
    axes = layer.config.axes("axis")
    for axis in sorted(axis % (len(x.shape) + len(axes)) for axis in axes):
        x = layer.emit(np.expand_dims, x, axis=axis)
    return x


@rule("ops.Stack")
def stack(layer: Layer, xs: Sequence[Value]) -> Value:
    """Along a new axis."""
    return layer.emit(kernels.stack, *xs, axis=layer.config.axes("axis", 0)[0])


@rule("ops.Split")
def split(layer: Layer, x: Value) -> list[Value]:
    """Cut along an axis, into equal parts or at given places."""
    where = layer.config.get("indices_or_sections")
    where = where if isinstance(where, int) else layer.config.axes("indices_or_sections")
    return layer.emit_many(kernels.split, x, indices_or_sections=where, axis=layer.config.axes("axis", 0)[0])


@rule("ops.Pad")
def pad(layer: Layer, x: Value, constant_values: Any = None) -> Value:
    """Cells around, of one value or mirrored."""
    rank = len(x.shape)
    width = layer.config.get("pad_width")
    width = [width] if isinstance(width, int) else width
    pairs = tuple((item, item) if isinstance(item, int) else tuple(item) for item in width)
    if len(pairs) == 2 and isinstance(width[0], int):  # one pair for every axis
        pairs = ((width[0], width[1]),)
    settings: dict[str, Any] = {"pad_width": pairs * rank if len(pairs) == 1 else pairs}
    mode = layer.config.choice("mode", ("constant", "reflect", "symmetric"), "constant")
    if mode == "constant":
        return layer.emit(np.pad, x, **settings, mode=mode, constant_values=constant_values or 0)
    return layer.emit(np.pad, x, **settings, mode=mode)


@rule("ops.Flip")
def flip(layer: Layer, x: Value) -> Value:
    """In reverse order along the axes."""
    return layer.emit(np.flip, x, axis=_axis(layer))


@rule("ops.Tile")
def tile(layer: Layer, x: Value) -> Value:
    """The whole, repeated."""
    repeats = layer.config.get("repeats")
    return layer.emit(np.tile, x, reps=repeats if isinstance(repeats, int) else layer.config.axes("repeats"))


@rule("ops.Repeat")
def repeat(layer: Layer, x: Value) -> Value:
    """Each entry, repeated."""
    repeats = layer.config.get("repeats")
    repeats = repeats if isinstance(repeats, int) else layer.config.axes("repeats")
    return layer.emit(np.repeat, x, repeats=repeats, axis=_axis(layer))


@rule("ops.DepthToSpace")
def depth_to_space(layer: Layer, x: Value) -> Value:
    """Blocks of channels become squares of pixels."""
    size = layer.config.integer("block_size")
    return channels_last(layer, x, lambda x: layer.emit(kernels.depth_to_space, x, block_size=size))


@rule("ops.SpaceToDepth")
def space_to_depth(layer: Layer, x: Value) -> Value:
    """Squares of pixels become blocks of channels."""
    size = layer.config.integer("block_size")
    return channels_last(layer, x, lambda x: layer.emit(kernels.space_to_depth, x, block_size=size))
