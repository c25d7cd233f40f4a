"""TensorFlow functions on shapes: what moves, joins and cuts, and what asks for sizes."""

from __future__ import annotations

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
from kerasgen.layers.sizes import axis_sizes, concrete, integer, integers, known_sizes, numbers, sizes
from kerasgen.layers.tf.ops import array, batched, function, keeps_batch, keras, tensor, tensors
from kerasgen.readers.model import Ref, leaves


@function("shape")
def shape(layer: Layer, input: Value, out_type: str = "int32") -> Value:
    """The sizes of the axes, known at once but for the batch."""
    return replace(layer.emit(kernels.shape_of, input, dtype=out_type), sizes=axis_sizes(input), batched=False)


@function("shape_n")
def shapes(layer: Layer, input: Sequence[Value], out_type: str = "int32") -> list[Value]:
    """The shape of each tensor."""
    return [shape(layer, x, out_type) for x in input]


@function("size")
def size(layer: Layer, input: Value, out_type: str = "int32") -> Value:
    """How many cells there are."""
    return layer.cast(layer.emit(np.prod, shape(layer, input, out_type)), out_type)


@function("rank")
def rank(layer: Layer, input: Value) -> Value:
    """How many axes there are."""
    return layer.emit(kernels.get_item, shape(layer, shape(layer, input)), index=(0,))


@function("reshape")
def reshape(layer: Layer, tensor: Value, shape: Any) -> Value:
    """Other axes. A size that is the batch's stays open."""
    target = sizes(shape, "the shape that it gives")
    growing = sum(bool(length.batches) for length in target)
    lengths = numbers(target, -1)
    per_sample = tensor.batched and tensor.shape[:1] == (None,) and target[:1] in ([BATCH], [Size(-1)])
    if per_sample and (target[0] == BATCH or _fits(tensor.shape[1:], lengths[1:])) and growing < 2:
        return layer.emit(kernels.reshape, tensor, shape=resolve_shape(lengths[1:], tensor.shape[1:]))
    if lengths.count(-1) > 1:
        raise UnsupportedModelError("the shape that it gives depends on the batch in more than one place")
    if growing:
        made = layer.emit(kernels.reshape_all, tensor, shape=tuple(lengths))
        return replace(made, batched=target[0] == BATCH)
    return batched(keras(layer, "Reshape", tensor, newshape=lengths), False)


def _fits(old: Sequence[int | None], new: Sequence[int]) -> bool:
    """Whether samples of the old shape are samples of the new one."""
    return None not in old and -1 not in new and np.prod([n or 0 for n in old]) == np.prod(new)


@function("keras.backend.batch_flatten")
def batch_flatten(layer: Layer, x: Value) -> Value:
    """All axes but the batch in one."""
    return layer.emit(kernels.flatten, x)


@function("transpose")
def transpose(layer: Layer, a: Value, perm: Any = None, conjugate: bool = False) -> Value:
    """Axes in another order, by default reversed."""
    axes = [*range(len(a.shape))][::-1] if perm is None else integers(perm, "the order of the axes")
    return batched(keras(layer, "Transpose", a, axes=axes), axes[:1] == [0])


@function("linalg.matrix_transpose")
def matrix_transpose(layer: Layer, a: Value, conjugate: bool = False) -> Value:
    """The last two axes exchanged."""
    return batched(layer.emit(np.swapaxes, a, axis1=-1, axis2=-2), len(a.shape) > 2)


@function("expand_dims")
def expand_dims(layer: Layer, input: Value, axis: Any) -> Value:
    """With a new axis of size 1."""
    axis = integer(axis, "the axis")
    return batched(layer.emit(np.expand_dims, input, axis=axis), keeps_batch(axis, len(input.shape) + 1))


@function("squeeze")
def squeeze(layer: Layer, input: Value, axis: Any = None) -> Value:
    """Without axes of size 1: those given, or all that are known to be."""
    if axis in (None, []):
        axis = [i for i, length in enumerate(input.shape) if length == 1]
    axes = tuple(integers(axis, "the axis"))
    return layer.emit(np.squeeze, input, axis=axes) if axes else layer.emit(kernels.identity, input)


@function("concat")
def concat(layer: Layer, values: Any, axis: Any) -> Value:
    """One after the other along an axis."""
    axis = integer(axis, "the axis")
    values = tensors(layer, *(values if isinstance(values, (list, tuple)) else [values]))
    made = layer.emit(kernels.concatenate, *values, axis=axis)
    return batched(made, keeps_batch(axis, len(made.shape)))


@function("stack")
def stack(layer: Layer, values: Any, axis: Any = 0) -> Value:
    """Along a new axis."""
    axis = integer(axis, "the axis")
    values = tensors(layer, *(values if isinstance(values, (list, tuple)) else [values]))
    made = layer.emit(kernels.stack, *values, axis=axis)
    dtype = next(value.dtype for value in leaves(values, Value))
    return batched(layer.cast(made, dtype), keeps_batch(axis, len(made.shape)))


@function("unstack")
def unstack(layer: Layer, value: Value, num: int | None = None, axis: int = 0) -> list[Value]:
    """The parts along an axis, without it."""
    num = value.shape[axis] if num is None else num
    if num is None:
        raise UnsupportedModelError("into how many parts it cuts must be known")
    if num == 1:
        parts = [layer.emit(np.squeeze, value, axis=axis)]
    else:
        parts = layer.emit_many(kernels.unstack, value, num=num, axis=axis)
    return [batched(y, axis != 0) for y in parts]


@function("split")
def split(layer: Layer, value: Value, num_or_size_splits: Any, axis: Any = 0, num: Any = None) -> list[Value]:
    """Cut along an axis into equal parts, or parts of these sizes."""
    axis = integer(axis, "the axis")
    if isinstance(num_or_size_splits, int):
        where: Any = num_or_size_splits
    else:
        parts = integers(num_or_size_splits, "the sizes of the parts")
        length = value.shape[axis]
        if -1 in parts and length is None:
            raise UnsupportedModelError("the sizes of the parts must be known")
        parts = [(length or 0) - sum(parts) - 1 if part == -1 else part for part in parts]
        where = tuple(int(n) for n in np.cumsum(parts)[:-1])
    if where in (1, ()):
        return [layer.emit(kernels.identity, value)]
    made = layer.emit_many(kernels.split, value, indices_or_sections=where, axis=axis)
    return [batched(y, keeps_batch(axis, len(value.shape))) for y in made]


@function("tile")
def tile(layer: Layer, input: Any, multiples: Any) -> Value:
    """The whole, repeated along each axis."""
    times = sizes(multiples, "how often it repeats")
    input = tensor(layer, input)
    reps = tuple(numbers(times, 1))
    one = layer.emit(np.tile, input, reps=reps)
    if any(n.batches for n in times):
        return _for_each_sample(layer, one, times, multiples)
    return batched(one, reps[:1] == (1,))


def _for_each_sample(layer: Layer, one: Value, shape: Sequence[Size], written: Any) -> Value:
    """What is the same for each sample, as often as there are samples. `written` holds the size of the batch."""
    if shape[0] != BATCH or any(n.batches for n in shape[1:]) or one.shape[0] != 1:
        raise UnsupportedModelError("its shape depends on the size of the batch")
    batch = written[0] if isinstance(written, (list, tuple)) else layer.emit(kernels.get_item, written, index=(0,))
    return replace(layer.emit(np.repeat, one, batch, axis=0), batched=True)


@function("broadcast_to")
def broadcast_to(layer: Layer, input: Any, shape: Any) -> Value:
    """Repeated along axes of size 1, and along new ones in front."""
    target = sizes(shape, "its shape")
    input = tensor(layer, input)
    one = layer.emit(np.broadcast_to, input, shape=tuple(numbers(target, 1)))
    if any(n.batches for n in target):
        return _for_each_sample(layer, one, target, shape)
    return batched(one, False)


def _full(layer: Layer, shape: Any, value: float | bool, dtype: str) -> Value:
    target = sizes(shape, "its shape")
    one = layer.constant("constant", np.full(numbers(target, 1), value, dtype))
    if any(n.batches for n in target):
        return _for_each_sample(layer, one, target, shape)
    return replace(layer.emit(kernels.identity, one), batched=False)


@function("zeros")
def zeros(layer: Layer, shape: Any, dtype: str = "float32") -> Value:
    """Nothing but 0."""
    return _full(layer, shape, 0, dtype)


@function("ones")
def ones(layer: Layer, shape: Any, dtype: str = "float32") -> Value:
    """Nothing but 1."""
    return _full(layer, shape, 1, dtype)


@function("fill")
def fill(layer: Layer, dims: Any, value: Any) -> Value:
    """Nothing but one number."""
    value = concrete(value)
    if isinstance(value, Value):
        raise UnsupportedModelError("the number that it repeats must be known")
    return _full(layer, dims, value, array(value).dtype.name)


@function("pad")
def pad(layer: Layer, tensor: Value, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Value:
    """Cells around, of one value or mirrored."""
    width = [integers(pair, "how much it pads") for pair in paddings]
    made = keras(layer, "Pad", tensor, constant_values, pad_width=width, mode=mode.lower())
    return batched(made, width[:1] == [[0, 0]])


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
    """The parts that the indices name, along an axis."""
    if max_norm is not None:
        raise UnsupportedModelError("an embedding whose norm is clipped is not supported")
    indices = tensor(layer, ids if indices is None else indices, "int32")
    axis = batch_dims if axis is None else integer(axis, "the axis")
    params = tensor(layer, params)
    if not batch_dims:
        made = layer.emit(np.take, params, indices, axis=axis)
        return batched(made, keeps_batch(axis, len(params.shape)) or params.shape[0] is not None)
    if axis % len(params.shape) != batch_dims or len(indices.shape) != batch_dims + 1:
        raise UnsupportedModelError(f"batch_dims={batch_dims} is supported for indices of {batch_dims + 1} axes only")
    missing = len(params.shape) - len(indices.shape)
    if missing:
        indices = layer.emit(kernels.get_item, indices, index=(..., *(None,) * missing))
    return layer.emit(np.take_along_axis, params, indices, axis=batch_dims)


@function("slice")
def slice_(layer: Layer, input_: Value, begin: Any, size: Any) -> Value:
    """A part of so many cells along each axis, from these on; -1 is all the rest."""
    starts, lengths = integers(begin, "where it begins"), sizes(size, "its size")
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
    made = keras(layer, "GetItem", x, index)
    whole = not index or index[0] is ... or index[0] in (slice(None), slice(None, None, 1))
    return batched(made, whole)


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
    """What `[...]` becomes: a bit of each mask says what the numbers of an axis mean."""
    what = "the part that it takes"

    def bounds(argument: Any) -> np.ndarray:
        known = known_sizes(argument)
        if known is None:
            raise UnsupportedModelError(f"{what} must be known")
        return known.ravel()

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
    """Each row as the diagonal of a matrix of zeros."""
    size = diagonal.shape[-1]
    if size is None:
        raise UnsupportedModelError("the length of the diagonal must be known")
    places = layer.constant("places", np.eye(size, dtype=bool))
    return layer.emit(np.where, places, layer.emit(np.expand_dims, diagonal, axis=-1), 0)
