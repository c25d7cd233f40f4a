"""Gradients of gathering, scattering and sorting. `d` is always the gradient of the result."""

import numpy as np

from kerasgen.kernels.scatter import scatter_update


def take_backward(d, indices, like=None, *, axis=0, shape=None):
    """The sum of all slices of `d` that were taken from the same place along the axis."""
    shape = (len(d),) + shape if like is None else like.shape
    axis %= len(shape)
    before, after = (int(np.prod(sizes)) for sizes in (shape[:axis], shape[axis + 1 :]))
    rows = np.asarray(indices, "int64").ravel() % shape[axis]
    g = d.reshape(before, rows.size, after).swapaxes(0, 1).reshape(rows.size, before * after)
    y = add_rows(g, rows, shape[axis])
    return y.reshape(shape[axis], before, after).swapaxes(0, 1).reshape(shape)


def add_rows(d, rows, count):
    """For each of `count` rows the sum of the rows of `d` with its number: (N, C), (N,) → (count, C)."""
    if len(rows) < count:  # most rows have none
        used, places = np.unique(rows, return_inverse=True)
        y = np.zeros((count, d.shape[1]), d.dtype)
        y[used] = add_rows(d, places, len(used))
        return y
    width = d.shape[1]
    cells = np.expand_dims(rows.astype("int64") * width, 1) + np.arange(width)
    y = np.bincount(cells.ravel(), weights=d.ravel(), minlength=count * width)
    return y.reshape(count, width).astype(d.dtype)


def sort_backward(d, x, *, axis=-1):
    """Each cell of `d` back where it came from; without an axis all cells were sorted."""
    order = np.argsort(x, axis=axis, kind="stable")
    if axis is None:
        y = np.empty(x.size, d.dtype)
        y[order] = d
        return y.reshape(x.shape)
    y = np.empty(x.shape, d.dtype)
    np.put_along_axis(y, order, d, axis=axis)
    return y


def select_backward(d, *conditions, default=False):
    """`d` where the last condition is the first that holds, or for the default where none does."""
    taken = np.zeros((), bool)
    for condition in conditions if default else conditions[:-1]:
        taken = taken | condition
    return np.where(~taken if default else conditions[-1] & ~taken, d, np.zeros((), d.dtype))


def linspace_backward(d, *, axis=0, endpoint=True, stop=False):
    """Σ d (1 - t) along the axis, or Σ d t for the stop, where t goes from 0 to 1."""
    t = np.linspace(0, 1, d.shape[axis], endpoint=endpoint)
    return np.moveaxis(d, axis, -1) @ (t if stop else 1 - t).astype(d.dtype)


def gather_nd(x, indices):
    """The slices of x at these indices: (..., K) → (..., rest)."""
    return x[tuple(np.moveaxis(indices, -1, 0))]


def scatter_overwritten(d, indices):
    """`d`, with zeros where it was written."""
    y = d.copy()
    y[tuple(np.moveaxis(indices, -1, 0))] = 0
    return y


def scatter_product(d, indices, updates):
    """`d` times all that its cells were multiplied by."""
    return d * scatter_update(np.ones_like(d), indices, updates, reduction="mul")


def scatter_extreme(d, x, indices, updates, y):
    """`d` where x is the extreme y, and where the updates are, in equal parts: a gradient of each of them."""
    index = tuple(np.moveaxis(indices, -1, 0))
    kept, written = (x == y).astype(d.dtype), (updates == y[index]).astype(d.dtype)
    part = d / scatter_update(kept, indices, written, reduction="add")
    return part * kept, part[index] * written


def slice_update_backward(d, start, updates):
    """`d`, with zeros where the updates were written."""
    y = d.copy()
    y[written_part(start, d.shape, updates.shape)] = 0
    return y


def slice_update_backward_updates(d, start, updates):
    """The part of `d` where the updates were written."""
    return d[written_part(start, d.shape, updates.shape)]


def written_part(start, shape, sizes):
    """The index of a part of these sizes at `start`, which is clipped so that all of it fits."""
    start = np.clip(start, 0, np.subtract(shape, sizes))
    return tuple(slice(a, a + size) for a, size in zip(start, sizes))


def slice_at_backward(d, x, start):
    """Zeros, with `d` at the part that was read."""
    y = np.zeros(x.shape, d.dtype)
    y[tuple(slice(a, a + size) for a, size in zip(start, d.shape))] = d
    return y


def rearrange_backward(d, x, *, split, order, merge):
    """The axes back in their places."""
    sizes = []
    for length, factors in zip(x.shape, split):
        known = abs(int(np.prod(factors)))
        sizes += [length // known if factor == -1 else factor for factor in factors]
    return d.reshape([sizes[i] for i in order]).transpose(np.argsort(order)).reshape(x.shape)


def segment_sum_backward(d, segments):
    """`d` of the segment that each row is in, 0 for negative ones: (count, ...), (N,) → (N, ...)."""
    valid = (segments >= 0).reshape(segments.shape + (1,) * (d.ndim - 1))
    return np.where(valid, d[np.maximum(segments, 0)], np.zeros((), d.dtype))


def segment_max_backward(d, x, segments, y):
    """`d` to the extreme y of each segment, in equal parts if several rows have it."""
    valid = (segments >= 0).reshape(segments.shape + (1,) * (d.ndim - 1))
    rows = np.maximum(segments, 0)
    chosen = ((x == y[rows]) & valid).astype(d.dtype)
    width = int(np.prod(d.shape[1:]))
    count = segment_rows(chosen, rows, len(d), width)
    return chosen * (d / np.maximum(count, 1))[rows]


def segment_rows(x, rows, count, width):
    """The sum of the rows of each segment, each of `width` cells: (N, ...), (N,) → (count, ...)."""
    return add_rows(x.reshape(len(x), width), rows, count).reshape((count,) + x.shape[1:])


def segment_prod_backward(d, x, segments):
    """`d` times the product of all other rows of the segment: zeros are no exception."""
    valid = (segments >= 0).reshape(segments.shape + (1,) * (d.ndim - 1))
    rows, zero = np.maximum(segments, 0), (x == 0) & valid
    width = int(np.prod(d.shape[1:]))
    zeros = segment_rows(zero.astype(d.dtype), rows, len(d), width)
    product = np.ones_like(d)
    factors = np.where(zero | ~valid, np.ones((), x.dtype), x)
    np.multiply.at(product, rows, factors)
    others = product[rows] / factors * (zeros[rows] == zero)
    return np.where(valid, others * d[rows], np.zeros((), d.dtype))
