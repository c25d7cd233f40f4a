"""Rearranging: operations that move, join and cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import LARGEST, REQUIRED
from kerasgen.layers.dtypes import apply, promote_list, sums, wanted_dtype
from kerasgen.layers.keras.shape import resolve_shape
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last
from kerasgen.layers.registry import rule

# Functions of one array with the same name in Keras and NumPy: their settings with the common defaults.
MOVES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Argsort": (kernels.arg_sort, {"axis": -1}),
    "Diag": (np.diag, {"k": 0}),
    "Diagflat": (np.diagflat, {"k": 0}),
    "Diagonal": (np.diagonal, {"offset": 0, "axis1": 0, "axis2": 1}),
    "Diff": (np.diff, {"n": 1, "axis": -1}),
    "Flip": (np.flip, {"axis": None}),
    "Fliplr": (np.fliplr, {}),
    "Flipud": (np.flipud, {}),
    "Moveaxis": (np.moveaxis, {"source": REQUIRED, "destination": REQUIRED}),
    "Ravel": (np.ravel, {}),
    "Roll": (np.roll, {"shift": REQUIRED, "axis": None}),
    "Size": (kernels.size, {}),
    "Sort": (np.sort, {"axis": -1}),
    "Squeeze": (np.squeeze, {"axis": None}),
    "Swapaxes": (np.swapaxes, {"axis1": REQUIRED, "axis2": REQUIRED}),
    "Tril": (np.tril, {"k": 0}),
    "Triu": (np.triu, {"k": 0}),
}


def _settings(layer: Layer, defaults: dict[str, Any]) -> dict[str, Any]:
    values = {key: layer.config.axis(key, default) for key, default in defaults.items()}
    return {key: value for key, value in values.items() if value != defaults[key]}


def _register_move(kind: str, kernel: Callable[..., Any], defaults: dict[str, Any]) -> None:
    @rule(f"ops.{kind}")
    def move(layer: Layer, x: Value) -> Value:
        return layer.emit(kernel, x, **_settings(layer, defaults))


for _kind, (_kernel, _defaults) in MOVES.items():
    _register_move(_kind, _kernel, _defaults)


@rule("ops.Trace")
def trace(layer: Layer, x: Value) -> Value:
    """The sum of a diagonal."""
    return apply(layer, np.trace, x, rule=sums, **_settings(layer, {"offset": 0, "axis1": 0, "axis2": 1}))


@rule("ops.Rot90")
def rot90(layer: Layer, array: Value) -> Value:
    """Rotated by multiples of 90 degrees in the plane of two axes."""
    turns, axes = layer.config.integer("k", 1, least=-LARGEST), layer.config.integers("axes", 2, (0, 1), least=-LARGEST)
    if turns % 4 == 2 and array.shape[axes[0]] != array.shape[axes[1]]:
        raise UnsupportedModelError("Keras's backends do not agree about a half turn, except for squares")
    return layer.emit(np.rot90, array, k=turns, axes=axes)


@rule("ops.Reshape")
def reshape(layer: Layer, x: Value) -> Value:
    """The same elements in another shape, including the batch axis."""
    target = layer.config.sizes("newshape")
    if target[:1] == (-1,) and -1 not in target[1:]:  # the batch axis, or one merged with it
        return layer.emit(kernels.reshape_all, x, shape=target)
    return layer.emit(kernels.reshape_all, x, shape=resolve_shape(target, x.shape))


@rule("ops.Transpose")
def transpose(layer: Layer, x: Value) -> Value:
    """Axes in another order, by default reversed."""
    axes = layer.config.get("axes", None)
    return layer.emit(np.transpose, x, axes=None if axes is None else layer.config.axes("axes"))


@rule("ops.ExpandDims")
def expand_dims(layer: Layer, x: Value) -> Value:
    """With a new axis of size 1."""
    axes = layer.config.axes("axis")
    for axis in sorted(axis % (len(x.shape) + len(axes)) for axis in axes):
        x = layer.emit(np.expand_dims, x, axis=axis)
    return x


@rule("ops.Stack")
def stack(layer: Layer, xs: Sequence[Any]) -> Value:
    """Along a new axis."""
    return layer.emit(kernels.stack, *promote_list(layer, xs), axis=layer.config.one_axis("axis", 0))


@rule("ops.Append")
def append(layer: Layer, x1: Any, x2: Any) -> Value:
    """Concatenation along an axis, or of the flattened arrays."""
    return apply(layer, np.append, x1, x2, **_settings(layer, {"axis": None}))


@rule("ops.Hstack")
def hstack(layer: Layer, xs: Sequence[Any]) -> Value:
    """Concatenation along the second axis, or the only one."""
    xs = promote_list(layer, xs)
    return layer.emit(kernels.concatenate, *xs, axis=0 if len(xs[0].shape) == 1 else 1)


@rule("ops.Vstack")
def vstack(layer: Layer, xs: Sequence[Any]) -> Value:
    """Concatenation along the first axis."""
    xs = promote_list(layer, xs)
    if len(xs[0].shape) == 1:
        raise UnsupportedModelError("Keras's backends do not agree about tensors of one axis")
    return layer.emit(kernels.concatenate, *xs, axis=0)


@rule("ops.Dstack")
def dstack(layer: Layer, xs: Sequence[Any]) -> Value:
    """Concatenation along the third axis."""
    return layer.emit(kernels.dstack, *promote_list(layer, xs))


def _split(layer: Layer, x: Value, axis: int, kernel: Callable[..., Any] = kernels.split) -> list[Value]:
    sections = layer.config.get("indices_or_sections")
    sections = (
        layer.config.integer("indices_or_sections")
        if isinstance(sections, int)
        else layer.config.axes("indices_or_sections")
    )
    if sections in (1, ()):
        return [layer.emit(kernels.identity, x)]
    return layer.emit_many(kernel, x, indices_or_sections=sections, axis=axis)


@rule("ops.Split")
def split(layer: Layer, x: Value) -> list[Value]:
    """Split along an axis, into equal parts or at given indices."""
    return _split(layer, x, layer.config.one_axis("axis", 0))


@rule("ops.ArraySplit")
def array_split(layer: Layer, x: Value) -> list[Value]:
    """Split along an axis into parts, the first of which may be longer by one."""
    return _split(layer, x, layer.config.one_axis("axis", 0), kernels.array_split)


@rule("ops.Hsplit")
def hsplit(layer: Layer, x: Value) -> list[Value]:
    """Split along the second axis, or the only one."""
    return _split(layer, x, 0 if len(x.shape) == 1 else 1)


@rule("ops.Vsplit")
def vsplit(layer: Layer, x: Value) -> list[Value]:
    """Split along the first axis."""
    return _split(layer, x, 0)


@rule("ops.Dsplit")
def dsplit(layer: Layer, x: Value) -> list[Value]:
    """Split along the third axis."""
    return _split(layer, x, 2)


@rule("ops.BroadcastTo")
def broadcast_to(layer: Layer, x: Value) -> Value:
    """Broadcast to a shape."""
    shape = layer.config.axes("shape")
    if len(x.shape) == len(shape) and x.shape[0] is None:
        raise UnsupportedModelError(f"it fixes the size of the batch: {shape}")
    return layer.emit(np.broadcast_to, x, shape=shape)


@rule("ops.View")
def view(layer: Layer, x: Value) -> Value:
    """The same bytes, read as another dtype."""
    if layer.half:
        raise UnsupportedModelError("it reads the bytes of half precision, which is computed in float32")
    return layer.emit(kernels.view, x, dtype=wanted_dtype(layer, x.dtype))


@rule("ops.Pad")
def pad(layer: Layer, x: Value, constant_values: Any = None) -> Value:
    """Padded with a constant or mirrored elements."""
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


@rule("ops.Tile")
def tile(layer: Layer, x: Value) -> Value:
    """The whole array, repeated."""
    repeats = layer.config.get("repeats")
    return layer.emit(np.tile, x, reps=repeats if isinstance(repeats, int) else layer.config.axes("repeats"))


@rule("ops.Repeat")
def repeat(layer: Layer, x: Value) -> Value:
    """Each element, repeated."""
    repeats = layer.config.get("repeats")
    repeats = repeats if isinstance(repeats, int) else layer.config.axes("repeats")
    return layer.emit(np.repeat, x, repeats=repeats, axis=layer.config.axis())


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
