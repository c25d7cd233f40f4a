"""Choosing: operations that select elements by index or by condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import convert, promote, tensor
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule


@rule("ops.GetItem")
def get_item(layer: Layer, x: Value, key: Any) -> Value:
    """A part of an array, by numbers, slices, None and `...`."""
    index = tuple(key) if isinstance(key, (list, tuple)) else (key,)
    if not all(isinstance(item, (int, slice, type(None), type(Ellipsis))) for item in index):
        raise UnsupportedModelError("an index that is itself a tensor or a list; Keras cannot run it either")
    return layer.emit(kernels.get_item, x, index=index)


@rule("ops.Take")
def take(layer: Layer, x: Any, indices: Any) -> Value:
    """The elements at these indices along an axis; negative ones count from the end."""
    return layer.emit(np.take, x, tensor(indices), axis=layer.config.axis())


@rule("ops.TakeAlongAxis")
def take_along_axis(layer: Layer, x: Any, indices: Any) -> Value:
    """For each element of `indices`, the element of `x` at that index along the axis."""
    positions = tensor(indices)
    if "int" not in str(positions.dtype):
        positions = convert(layer, positions, "int64")
    return layer.emit(np.take_along_axis, x, positions, axis=layer.config.axis())


@rule("ops.SearchSorted")
def search_sorted(layer: Layer, sorted_sequence: Any, values: Any) -> Value:
    """The index of each value's place in a sorted sequence."""
    sequence, side = tensor(sorted_sequence), layer.config.choice("side", ("left", "right"), "left")
    y = layer.emit(np.searchsorted, sequence, tensor(values), side=side)
    return layer.cast(y, "int64" if sequence.shape[0] is None else "int32")


@rule("ops.Digitize")
def digitize(layer: Layer, x: Value, bins: Any) -> Value:
    """The bin of each number: how many edges do not exceed it."""
    edges = np.asarray(tensor(bins), "float32")
    return layer.cast(layer.emit(np.digitize, x, edges), "int32")


@rule("ops.IsIn")
def is_in(layer: Layer, x1: Any, x2: Any) -> Value:
    """Whether each element is in another array."""
    settings = {"invert": True} if layer.config.flag("invert", False) else {}
    return layer.emit(np.isin, *promote(layer, (x1, x2)), **settings)


@rule("ops.Select")
def select(layer: Layer, condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Value:
    """The first choice whose condition holds; with NumPy's dtypes, not Keras's."""
    choices = [tensor(x) for x in choicelist]
    kinds = [np.dtype(x.dtype) if hasattr(x, "dtype") else x for x in (*choices, default)]
    y = layer.emit(kernels.select, *(tensor(x) for x in condlist), *choices, default)
    return layer.cast(y, np.result_type(*kinds).name)


@rule("ops.UnravelIndex")
def unravel_index(layer: Layer, indices: Value) -> list[Value]:
    """The coordinates in an array of a given shape, from flat indices."""
    shape = layer.config.axes("shape")
    if len(indices.shape) != 1:
        raise UnsupportedModelError("Keras's backends do not agree, unless the indices have a single axis")
    if len(shape) == 1:
        return [layer.emit(np.mod, indices, shape[0])]
    return layer.emit_many(kernels.unravel_index, indices, shape=shape)
