"""Parts of arrays: slices, scattered updates and segments, as operations."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import Config
from kerasgen.layers.dtypes import argument, saturate, wanted_dtype
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

SEGMENTS: dict[str, Callable[..., Any]] = {
    "SegmentSum": kernels.segment_sum,
    "SegmentMax": kernels.segment_max,
    "SegmentMin": kernels.segment_min,
    "SegmentProd": kernels.segment_prod,
}


def _segments(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def segments(layer: Layer, data: Any, segment_ids: Any) -> Value:
        data, ids = argument(layer, "data", data), argument(layer, "segments", segment_ids)
        count = layer.config.get("num_segments", None)
        if count is not None:
            count = layer.config.integer("num_segments")
        elif ids.name in layer.constants:
            count = int(layer.constants[ids.name].max(initial=-1)) + 1
        elif None not in ids.shape:
            raise UnsupportedModelError("the number of segments depends on the data; set `num_segments`")
        if layer.config.flag("sorted", False) and kind in ("SegmentMax", "SegmentMin"):
            return layer.emit(kernel, data, ids, count=count, empty=0)  # TensorFlow fills gaps between sorted segments
        return layer.emit(kernel, data, ids, count=count)


for _kind, _kernel in SEGMENTS.items():
    _segments(_kind, _kernel)


@rule("ops.Slice")
def slice_(layer: Layer, inputs: Any, start_indices: Any) -> Value:
    """A part of a given shape, from a start index; -1 is the rest of an axis."""
    inputs = argument(layer, "inputs", inputs)
    sizes = layer.config.integers("shape", len(inputs.shape), least=-1)
    if isinstance(start_indices, Value):
        return layer.emit(kernels.slice_at, inputs, start_indices, shape=sizes)
    written = start_indices.tolist() if isinstance(start_indices, np.ndarray) else start_indices
    starts = Config({"start_indices": written}).integers("start_indices", len(sizes), least=0)
    whole = slice(None)
    index = tuple(
        whole if (start, size) == (0, -1) else slice(start, None if size == -1 else start + size)
        for start, size in zip(starts, sizes, strict=True)
    )
    return layer.emit(kernels.get_item, inputs, index=index)


@rule("ops.SliceUpdate")
def slice_update(layer: Layer, inputs: Any, start_indices: Any, updates: Any) -> Value:
    """A part overwritten by another array."""
    arguments = {"inputs": inputs, "start": start_indices, "updates": updates}
    return layer.emit(kernels.slice_update, *(argument(layer, name, x) for name, x in arguments.items()))


@rule("ops.Scatter")
def scatter(layer: Layer, indices: Any, values: Any) -> Value:
    """Zeros with values added at given indices."""
    shape = layer.config.axes("shape")
    indices, values = argument(layer, "indices", indices), argument(layer, "values", values)
    return layer.emit(kernels.scatter_nd, indices, values, shape=shape)


@rule("ops.ScatterUpdate")
def scatter_update(layer: Layer, inputs: Any, indices: Any, updates: Any) -> Value:
    """Values written at given indices, or combined with the old ones."""
    reduction = layer.config.get("reduction", None)
    if reduction is not None:
        reduction = layer.config.choice("reduction", ("add", "max", "min", "mul"))
    arguments = {"inputs": inputs, "indices": indices, "updates": updates}
    operands = [argument(layer, name, x) for name, x in arguments.items()]
    return layer.emit(kernels.scatter_update, *operands, reduction=reduction)


@rule("ops.Unstack")
def unstack(layer: Layer, x: Value) -> list[Value]:
    """The arrays of a stack."""
    axis = layer.config.integer("axis", 0, least=-len(x.shape))
    if axis >= len(x.shape):
        raise InvalidModelError(f"axis {axis} of {len(x.shape)} axes")
    num = layer.config.get("num", None)
    num = x.shape[axis] if num is None else layer.config.integer("num")
    if num is None:
        raise UnsupportedModelError("the number of its outputs depends on the data")
    if num == 1:
        return [layer.emit(np.squeeze, x, axis=axis)]
    return layer.emit_many(kernels.unstack, x, num=num, axis=axis)


@rule("ops.SaturateCast")
def saturate_cast(layer: Layer, x: Value) -> Value:
    """A cast to another dtype, clipped to its limits."""
    return saturate(layer, x, wanted_dtype(layer, x.dtype))


def _groups(axes: str) -> list[list[str]]:
    """The axes of one side of a pattern: "b (h w) c" has three; the second has two parts."""
    return [group.strip("()").split() for group in re.findall(r"\w+|\(.*?\)", axes)]


@rule("ops.Rearrange")
def rearrange(layer: Layer, tensor: Value, pattern: Any, **axes_lengths: Any) -> Value:
    """Axes split, reordered and merged by an einops pattern."""
    sides = [_groups(side) for side in str(pattern).split("->")]
    names = [[name for group in side for name in group] for side in sides]
    if len(sides) != 2 or sorted(names[0]) != sorted(names[-1]) or len(sides[0]) != len(tensor.shape):
        raise InvalidModelError(f"the pattern {pattern!a} does not fit {len(tensor.shape)} axes")
    sizes = {name: size for name, size in axes_lengths.items() if isinstance(size, int) and size > 0}
    return layer.emit(
        kernels.rearrange,
        tensor,
        split=tuple(tuple(sizes.get(name, -1) if len(group) > 1 else -1 for name in group) for group in sides[0]),
        order=tuple(names[0].index(name) for name in names[1]),
        merge=tuple(len(group) for group in sides[1]),
    )
