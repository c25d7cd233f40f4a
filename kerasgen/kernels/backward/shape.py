"""Gradients of what only moves cells. `d` is always the gradient of the result."""

import numpy as np


def reshape_like(d, like):
    """Back to the shape that it had."""
    return d.reshape(like.shape)


def zeros_of(d, like=None, *, shape=None):
    """Zeros of the shape of `like`, or of as many samples of this shape: a gradient that is not there."""
    return np.zeros((len(d),) + shape if like is None else like.shape, d.dtype)


def get_item_backward(d, like=None, *, index, shape=None):
    """Zeros, with `d` at the index that was read."""
    y = zeros_of(d, like, shape=shape)
    y[index] = d
    return y


def concatenate_backward(d, *xs, axis=-1):
    """The part of `d` that the last of these arrays became."""
    end = sum(x.shape[axis] for x in xs)
    return d.take(np.arange(end - xs[-1].shape[axis], end), axis=axis)


def append_backward(d, x, *, last=False):
    """The first cells of `d`, or the last ones, as many as x has and in its shape."""
    return (d[len(d) - x.size :] if last else d[: x.size]).reshape(x.shape)


def repeat_backward(d, *, repeats, axis):
    """The sum of the repeats of each slice along the axis."""
    axis %= d.ndim
    shape = d.shape[:axis] + (d.shape[axis] // repeats,) + d.shape[axis + 1 :]
    before, after = (int(np.prod(sizes)) for sizes in (shape[: axis + 1], shape[axis + 1 :]))
    return np.einsum("arb->ab", d.reshape(before, repeats, after)).reshape(shape)


def tile_backward(d, *, reps, lead=0):
    """The sum of the copies; the first `lead` axes are new ones."""
    reps = (1,) * (d.ndim - len(reps)) + tuple(reps)
    sizes = [size // times for size, times in zip(d.shape, reps)]
    parts = [part for pair in zip(reps, sizes) for part in pair]
    return d.reshape(parts).sum(axis=tuple(range(0, len(parts), 2))).reshape(sizes[lead:])


def diff_backward(d, *, n=1, axis=-1):
    """d[i - 1] - d[i], n times, where d is zero beyond its ends."""
    edges = [(1, 1) if i == axis % d.ndim else (0, 0) for i in range(d.ndim)]
    for _ in range(n):
        d = -np.diff(np.pad(d, edges, mode="constant"), axis=axis)
    return d


def number_cells(d, like=None, *, shape=None):
    """The numbers 1, 2, ... in the shape of `like`, or of as many samples of this shape as `d` has."""
    shape = (len(d),) + shape if like is None else like.shape
    size = 1
    for length in shape:
        size *= length
    return np.arange(1, size + 1).reshape(shape)


def add_at(d, places, numbers):
    """Each cell of `d` added to the cell with the number in `places`; 0 is none of them. The shape is of `numbers`."""
    d = np.broadcast_to(d, places.shape)
    y = np.bincount(places.ravel(), weights=d.ravel(), minlength=numbers.size + 1)[1:]
    return y.reshape(numbers.shape).astype(d.dtype)
