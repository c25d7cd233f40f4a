"""Writing into parts of an array; the result is a new array."""

import numpy as np


def scatter_nd(indices, values, *, shape):
    """Zeros, with each value added at its index: (..., K), (..., rest) → shape, of which K axes are indexed."""
    return scatter_update(np.zeros(shape, values.dtype), indices, values, reduction="add")


def scatter_update(x, indices, updates, *, reduction=None):
    """`x` with each update written, or combined with what is there, at its index: (..., K), (..., rest), shape kept."""
    y = x.copy()
    index = tuple(np.moveaxis(indices, -1, 0))
    if reduction is None:
        y[index] = updates
    else:
        ufunc = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
        ufunc.at(y, index, updates)
    return y


def slice_update(x, start, updates):
    """`x` with `updates` written at `start`, which is clipped so that all of them fit: shape kept."""
    y = x.copy()
    start = np.clip(start, 0, np.subtract(x.shape, updates.shape))
    y[tuple(slice(a, a + size) for a, size in zip(start, updates.shape))] = updates
    return y


def slice_at(x, start, *, shape):
    """The part of this shape from `start` on; -1 is the rest of an axis."""
    return x[tuple(slice(a, None if size == -1 else a + size) for a, size in zip(start, shape))]


def unstack(x, *, num, axis=0):
    """The `num` slices along an axis, without it: a list of arrays."""
    return [x.take(i, axis=axis) for i in range(num)]


def rearrange(x, *, split, order, merge):
    """Each axis split into parts, the parts in another order, then runs of them merged into axes; -1 is the rest."""
    sizes = []
    for length, factors in zip(x.shape, split):
        known = abs(int(np.prod(factors)))
        sizes += [length // known if factor == -1 else factor for factor in factors]
    y = x.reshape(sizes).transpose(order)
    ends = np.cumsum(merge)
    return y.reshape([int(np.prod(y.shape[end - count : end])) for end, count in zip(ends, merge)])
