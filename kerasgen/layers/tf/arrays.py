"""TensorFlow functions on shapes: those that move, join and split arrays, or return sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.graph.size import BATCH, Size
from kerasgen.layers.keras.shape import resolve_shape
from kerasgen.layers.layer import Layer
from kerasgen.layers.ops.reduce import MOST_CELLS
from kerasgen.layers.sizes import axis_sizes, concrete, integer, integers, known_sizes, numbers, sizes
from kerasgen.layers.tf.ops import array, batched, function, keeps_batch, keras, tensor, tensors
from kerasgen.readers.model import Ref, leaves


@function("shape")
def shape(layer: Layer, input: Value, out_type: str = "int32") -> Value:
    """The sizes of the axes, known at export except for the batch."""
    return replace(layer.emit(kernels.shape_of, input, dtype=out_type), sizes=axis_sizes(input), batched=False)


@function("shape_n")
def shapes(layer: Layer, input: Sequence[Value], out_type: str = "int32") -> list[Value]:
    """The shape of each tensor."""
    return [shape(layer, x, out_type) for x in input]


@function("size")
def size(layer: Layer, input: Value, out_type: str = "int32") -> Value:
    """The number of elements."""
    return layer.cast(layer.emit(np.prod, shape(layer, input, out_type)), out_type)


@function("rank")
def rank(layer: Layer, input: Value) -> Value:
    """The number of axes."""
    return layer.emit(kernels.get_item, shape(layer, shape(layer, input)), index=(0,))


@function("reshape")
def reshape(layer: Layer, tensor: Value, shape: Any) -> Value:
    """The same elements in another shape. The batch size stays open."""
    target = sizes(shape, "its shape")
    growing = sum(bool(length.batches) for length in target)
    lengths = numbers(target, -1)
    per_sample = tensor.batched and tensor.shape[:1] == (None,) and target[:1] in ([BATCH], [Size(-1)])
    if per_sample and (target[0] == BATCH or _fits(tensor.shape[1:], lengths[1:])) and growing < 2:
        return layer.emit(kernels.reshape, tensor, shape=resolve_shape(lengths[1:], tensor.shape[1:]))
    if lengths.count(-1) > 1:
        raise UnsupportedModelError("its shape depends on the batch in more than one axis")
    if growing:
        y = layer.emit(kernels.reshape_all, tensor, shape=tuple(lengths))
        return replace(y, batched=target[0] == BATCH)
    return batched(keras(layer, "Reshape", tensor, newshape=lengths), False)


def _fits(old: Sequence[int | None], new: Sequence[int]) -> bool:
    """Whether the old and the new shape of a sample are known and have the same size."""
    return None not in old and -1 not in new and np.prod([n or 0 for n in old]) == np.prod(new)


@function("keras.backend.batch_flatten")
def batch_flatten(layer: Layer, x: Value) -> Value:
    """All axes but the batch merged into one."""
    return layer.emit(kernels.flatten, x)


@function("transpose")
def transpose(layer: Layer, a: Value, perm: Any = None, conjugate: bool = False) -> Value:
    """Axes in another order, by default reversed."""
    axes = [*range(len(a.shape))][::-1] if perm is None else integers(perm, "the order of the axes")
    return batched(keras(layer, "Transpose", a, axes=axes), axes[:1] == [0])


@function("linalg.matrix_transpose")
def matrix_transpose(layer: Layer, a: Value, conjugate: bool = False) -> Value:
    """The last two axes swapped."""
    return batched(layer.emit(np.swapaxes, a, axis1=-1, axis2=-2), len(a.shape) > 2)


@function("expand_dims")
def expand_dims(layer: Layer, input: Value, axis: Any) -> Value:
    """With a new axis of size 1."""
    axis = integer(axis, "the axis")
    return batched(layer.emit(np.expand_dims, input, axis=axis), keeps_batch(axis, len(input.shape) + 1))


@function("squeeze")
def squeeze(layer: Layer, input: Value, axis: Any = None) -> Value:
    """Without the given axes, or all that are known to have size 1."""
    if axis in (None, []):
        axis = [i for i, length in enumerate(input.shape) if length == 1]
    axes = tuple(integers(axis, "the axis"))
    return layer.emit(np.squeeze, input, axis=axes) if axes else layer.emit(kernels.identity, input)


@function("concat")
def concat(layer: Layer, values: Any, axis: Any) -> Value:
    """Concatenation along an axis."""
    axis = integer(axis, "the axis")
    values = tensors(layer, *(values if isinstance(values, (list, tuple)) else [values]))
    y = layer.emit(kernels.concatenate, *values, axis=axis)
    return batched(y, keeps_batch(axis, len(y.shape)))


@function("stack")
def stack(layer: Layer, values: Any, axis: Any = 0) -> Value:
    """Along a new axis."""
    axis = integer(axis, "the axis")
    values = tensors(layer, *(values if isinstance(values, (list, tuple)) else [values]))
    y = layer.emit(kernels.stack, *values, axis=axis)
    dtype = next(value.dtype for value in leaves(values, Value))
    return batched(layer.cast(y, dtype), keeps_batch(axis, len(y.shape)))


@function("unstack")
def unstack(layer: Layer, value: Value, num: int | None = None, axis: int = 0) -> list[Value]:
    """The slices along an axis, without it."""
    num = value.shape[axis] if num is None else num
    if num is None:
        raise UnsupportedModelError("the number of its parts must be known")
    if num == 1:
        parts = [layer.emit(np.squeeze, value, axis=axis)]
    else:
        parts = layer.emit_many(kernels.unstack, value, num=num, axis=axis)
    return [batched(y, axis != 0) for y in parts]


@function("split")
def split(layer: Layer, value: Value, num_or_size_splits: Any, axis: Any = 0, num: Any = None) -> list[Value]:
    """Split along an axis into equal parts, or parts of these sizes."""
    axis = integer(axis, "the axis")
    if isinstance(num_or_size_splits, int):
        sections: Any = num_or_size_splits
    else:
        parts = integers(num_or_size_splits, "the sizes of the parts")
        length = value.shape[axis]
        if -1 in parts and length is None:
            raise UnsupportedModelError("the sizes of the parts must be known")
        parts = [(length or 0) - sum(parts) - 1 if part == -1 else part for part in parts]
        sections = tuple(int(n) for n in np.cumsum(parts)[:-1])
    if sections in (1, ()):
        return [layer.emit(kernels.identity, value)]
    outputs = layer.emit_many(kernels.split, value, indices_or_sections=sections, axis=axis)
    return [batched(y, keeps_batch(axis, len(value.shape))) for y in outputs]


@function("tile")
def tile(layer: Layer, input: Any, multiples: Any) -> Value:
    """The whole array, repeated along each axis."""
    times = sizes(multiples, "its number of repeats")
    input = tensor(layer, input)
    reps = tuple(numbers(times, 1))
    sample = layer.emit(np.tile, input, reps=reps)
    if any(n.batches for n in times):
        return _for_each_sample(layer, sample, times, multiples)
    return batched(sample, reps[:1] == (1,))


def _for_each_sample(layer: Layer, sample: Value, shape: Sequence[Size], written: Any) -> Value:
    """An array that is the same for each sample, repeated along the batch. `written` holds the batch size."""
    if shape[0] != BATCH or any(n.batches for n in shape[1:]) or sample.shape[0] != 1:
        raise UnsupportedModelError("its shape depends on the size of the batch")
    batch = written[0] if isinstance(written, (list, tuple)) else layer.emit(kernels.get_item, written, index=(0,))
    return replace(layer.emit(np.repeat, sample, batch, axis=0), batched=True)


@function("broadcast_to")
def broadcast_to(layer: Layer, input: Any, shape: Any) -> Value:
    """Broadcast along axes of size 1 and new leading axes."""
    target = sizes(shape, "its shape")
    input = tensor(layer, input)
    sample = layer.emit(np.broadcast_to, input, shape=tuple(numbers(target, 1)))
    if any(n.batches for n in target):
        return _for_each_sample(layer, sample, target, shape)
    return batched(sample, False)


def _full(layer: Layer, shape: Any, value: float | bool, dtype: str) -> Value:
    target = sizes(shape, "its shape")
    lengths = numbers(target, 1)
    if math.prod(lengths) > MOST_CELLS:
        raise UnsupportedModelError(f"a constant array of the shape {lengths} is too large")
    sample = layer.constant("constant", np.full(lengths, value, dtype))
    if any(n.batches for n in target):
        return _for_each_sample(layer, sample, target, shape)
    return replace(layer.emit(kernels.identity, sample), batched=False)


@function("zeros")
def zeros(layer: Layer, shape: Any, dtype: str = "float32") -> Value:
    """Zeros."""
    return _full(layer, shape, 0, dtype)


@function("ones")
def ones(layer: Layer, shape: Any, dtype: str = "float32") -> Value:
    """Ones."""
    return _full(layer, shape, 1, dtype)


@function("fill")
def fill(layer: Layer, dims: Any, value: Any) -> Value:
    """A constant array."""
    value = concrete(value)
    if isinstance(value, Value):
        raise UnsupportedModelError("its fill value must be known")
    return _full(layer, dims, value, array(value).dtype.name)


@function("pad")
def pad(layer: Layer, tensor: Value, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Value:
    """Padded with a constant or mirrored elements."""
    width = [integers(pair, "its padding") for pair in paddings]
    y = keras(layer, "Pad", tensor, constant_values, pad_width=width, mode=mode.lower())
    return batched(y, width[:1] == [[0, 0]])


@function("gather", "nn.embedding_lookup")
def gather(
    layer: Layer,
    params: Any,
    indices: Any = None,
    axis: Any = None,
    batch_dims: int = 0,
    ids: Any = None,
    partition_strategy: str = "",
    validate_indices: Any = None,
    max_norm: Any = None,
) -> Value:
    """The slices at these indices, along an axis."""
    if max_norm is not None:
        raise UnsupportedModelError("an embedding whose norm is clipped is not supported")
    indices = tensor(layer, ids if indices is None else indices, "int32")
    axis = batch_dims if axis is None else integer(axis, "the axis")
    params = tensor(layer, params)
    if not batch_dims:
        y = layer.emit(np.take, params, indices, axis=axis)
        return batched(y, keeps_batch(axis, len(params.shape)) or params.shape[0] is not None)
    if axis % len(params.shape) != batch_dims or len(indices.shape) != batch_dims + 1:
        raise UnsupportedModelError(f"batch_dims={batch_dims} is supported for indices of {batch_dims + 1} axes only")
    missing = len(params.shape) - len(indices.shape)
    if missing:
        indices = layer.emit(kernels.get_item, indices, index=(..., *(None,) * missing))
    return layer.emit(np.take_along_axis, params, indices, axis=batch_dims)


@function("slice")
def slice_(layer: Layer, input_: Value, begin: Any, size: Any) -> Value:
    """A part of this size along each axis, from these indices on; -1 is the rest of an axis."""
    starts, lengths = integers(begin, "its start"), sizes(size, "its size")
    index = tuple(
        slice(start or None, None if n == Size(-1) or n.batches else start + int(n.cells))
        for start, n in zip(starts, lengths, strict=True)
    )
    if any(n.batches and (i or n != BATCH) for i, n in enumerate(lengths)):
        raise UnsupportedModelError("its size depends on the size of the batch")
    return _part(layer, input_, index)


@function("__operators__.getitem")
def getitem(layer: Layer, tensor: Value, slice_spec: Any) -> Value:
    """`tensor[slice_spec]`."""
    spec = slice_spec if isinstance(slice_spec, (list, tuple)) else [slice_spec]
    index = tuple(concrete(item) for item in spec)
    if any(True for _ in leaves(index, (Value, Ref))):
        raise UnsupportedModelError("an index that is itself a tensor is not supported")
    return _part(layer, tensor, index)


def _part(layer: Layer, x: Value, index: tuple[Any, ...]) -> Value:
    y = keras(layer, "GetItem", x, index)
    whole = not index or index[0] is ... or index[0] in (slice(None), slice(None, None, 1))
    return batched(y, whole)


@function("strided_slice")
def strided_slice(
    layer: Layer,
    input_: Value,
    begin: Any,
    end: Any,
    strides: Any = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Value:
    """Indexing as a node: the bits of each mask say how to read the numbers of each axis."""
    what = "the part that it takes"

    def bounds(argument: Any) -> np.ndarray:
        values = known_sizes(argument)
        if values is None:
            raise UnsupportedModelError(f"{what} must be known")
        return values.ravel()

    def item(axis: int, start: Size, stop: Size, step: Size) -> Any:
        bit = 1 << axis
        if ellipsis_mask & bit:
            return ...
        if new_axis_mask & bit:
            return None
        if shrink_axis_mask & bit:
            return integer(start, what)
        first = None if begin_mask & bit else integer(start, what)
        last = None if end_mask & bit else integer(stop, what)
        return slice(first, last, integer(step, what))

    starts, stops = bounds(begin), bounds(end)
    steps = bounds([1] * len(starts) if strides is None else strides)
    rows = zip(starts, stops, steps, strict=True)
    return _part(layer, input_, tuple(item(axis, *row) for axis, row in enumerate(rows)))


@function("linalg.diag")
def diag(layer: Layer, diagonal: Value) -> Value:
    """Each row as the diagonal of a matrix."""
    size = diagonal.shape[-1]
    if size is None:
        raise UnsupportedModelError("the length of the diagonal must be known")
    mask = layer.constant("places", np.eye(size, dtype=bool))
    return layer.emit(np.where, mask, layer.emit(np.expand_dims, diagonal, axis=-1), 0)
