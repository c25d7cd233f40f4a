"""Gradients of reductions. `d` is always the gradient of the result."""

import numpy as np


def restored(d, ndim, axis, keepdims):
    """`d` with the reduced axes, or all of them if axis is None, of size 1."""
    if keepdims:
        return d
    if axis is None:
        return d.reshape((1,) * ndim)
    for i in sorted(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))):
        d = np.expand_dims(d, i)
    return d


def reduced_cells(shape, axis):
    """How many cells are reduced to one."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    count = 1
    for i in axes:
        count *= shape[i]
    return count


def sum_backward(d, like=None, *, axis=None, keepdims=False, shape=None):
    """`d` for each cell that was added up."""
    shape = (len(d),) + shape if like is None else like.shape
    y = np.empty(shape, d.dtype)
    y[...] = restored(d, len(shape), axis, keepdims)
    return y


def mean_backward(d, like=None, *, axis=None, keepdims=False, shape=None):
    """d / n for each of n cells."""
    shape = (len(d),) + shape if like is None else like.shape
    y = np.empty(shape, d.dtype)
    y[...] = restored(d, len(shape), axis, keepdims) / reduced_cells(shape, axis)
    return y


def max_backward(d, x, y, *, axis=None, keepdims=False):
    """`d` where x is the extreme y, in equal parts if several cells are."""
    chosen = x == restored(y, x.ndim, axis, keepdims)
    count = np.maximum(np.sum(chosen, axis=axis, keepdims=True, dtype=d.dtype), 1)
    return chosen * (restored(d, x.ndim, axis, keepdims) / count)


def prod_backward(d, x, *, axis=None, keepdims=False):
    """`d` times the product of all other cells, by products from both ends: zeros are no exception."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in np.atleast_1d(axis))
    order = [a for a in range(x.ndim) if a not in axes] + list(axes)
    y = x.transpose(order)
    flat = y.reshape(y.shape[: x.ndim - len(axes)] + (reduced_cells(x.shape, axis),))
    one = np.ones_like(flat[..., :1])
    below = np.cumprod(np.concatenate((one, flat[..., :-1]), axis=-1), axis=-1)
    above = np.cumprod(np.concatenate((one, flat[..., :0:-1]), axis=-1), axis=-1)[..., ::-1]
    others = (below * above).reshape(y.shape).transpose(np.argsort(order))
    return others * restored(d, x.ndim, axis, keepdims)


def var_backward(d, x, *, axis=None, keepdims=False):
    """2 d (x - mean) / n."""
    centred = x - x.mean(axis=axis, keepdims=True)
    return centred * (restored(d, x.ndim, axis, keepdims) * 2 / reduced_cells(x.shape, axis))


def std_backward(d, x, y, *, axis=None, keepdims=False):
    """d (x - mean) / (n y), where y is the standard deviation."""
    centred = x - x.mean(axis=axis, keepdims=True)
    d, y = restored(d, x.ndim, axis, keepdims), restored(y, x.ndim, axis, keepdims)
    return centred * (d / (y * reduced_cells(x.shape, axis)))


def nan_mean_backward(d, x, *, axis=None, keepdims=False):
    """d / n for each of the n numbers, 0 for NaN."""
    valid = ~np.isnan(x)
    count = np.sum(valid, axis=axis, keepdims=True, dtype=d.dtype)
    return valid * (restored(d, x.ndim, axis, keepdims) / np.maximum(count, 1))


def nan_var_backward(d, x, *, axis=None, keepdims=False):
    """2 d (x - mean) / n over the n numbers, 0 for NaN."""
    valid = ~np.isnan(x)
    x = np.where(valid, x, np.zeros((), x.dtype))
    count = np.maximum(np.sum(valid, axis=axis, keepdims=True, dtype=d.dtype), 1)
    centred = (x - np.sum(x, axis=axis, keepdims=True) / count) * valid
    return centred * (restored(d, x.ndim, axis, keepdims) * 2 / count)


def nan_std_backward(d, x, y, *, axis=None, keepdims=False):
    """d (x - mean) / (n y) over the n numbers, 0 for NaN, where y is their standard deviation."""
    d, y = restored(d, x.ndim, axis, keepdims), restored(y, x.ndim, axis, keepdims)
    return nan_var_backward(d / (2 * y), x, axis=axis, keepdims=True)


def where_number(d, x):
    """`d` where x is a number, 0 where it is NaN."""
    return np.where(np.isnan(x), np.zeros((), d.dtype), d)


def cumsum_backward(d, *, axis=0):
    """The sum of `d` from each cell on."""
    return np.flip(np.cumsum(np.flip(d, axis), axis=axis), axis)


def weighted_average_backward(d, x, weights, *, axis=None):
    """d w / Σ w for x, and d (x - y) / Σ w for the weights, summed over what they were repeated for."""
    w = weights
    if weights.ndim != x.ndim:
        w = weights.reshape([weights.size if i == axis % x.ndim else 1 for i in range(x.ndim)])
    total = np.sum(w, axis=axis, keepdims=True)
    g = restored(d, x.ndim, axis, False) / total
    of_weights = g * (x - np.sum(x * w, axis=axis, keepdims=True) / total)
    repeated = tuple(i for i, size in enumerate(w.shape) if size == 1)
    return g * w, of_weights.sum(axis=repeated, keepdims=True).reshape(weights.shape)


def quantile_backward(d, x, q, *, axis=None, method="linear", keepdims=False, skip_nan=False):
    """For each quantile `d` to the sorted elements that it lies between, in the parts in which `method` takes them.

    The quantiles are the last axes of `d`.
    """
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in np.atleast_1d(axis))
    rest = [a for a in range(x.ndim) if a not in axes]
    sizes = [x.shape[a] for a in rest]
    cells = np.transpose(x, (*rest, *axes))
    y = cells.reshape([*sizes, reduced_cells(x.shape, axes)])
    order = np.argsort(y, axis=-1, kind="stable")
    q = np.asarray(q, "float32")
    count = np.sum(~np.isnan(y), axis=-1, keepdims=True) if skip_nan else y.shape[-1]
    place = np.broadcast_to(np.maximum(count - 1, 0) * q.ravel().astype("float64"), (*sizes, q.size))
    parts = {"lower": 0, "higher": 1, "nearest": np.round(place) - np.floor(place), "midpoint": 0.5}
    part = np.asarray(parts.get(method, place - np.floor(place)), d.dtype)
    g = d.reshape([*sizes, q.size])
    ends = [(g * (1 - part), np.floor(place)), (g * part, np.ceil(place))]
    first = np.arange(y.size // max(y.shape[-1], 1)).reshape([*sizes, 1]) * y.shape[-1]
    numbers = [first + np.take_along_axis(order, end.astype("int64"), axis=-1) for _, end in ends]
    weights = np.concatenate([weight.ravel() for weight, _ in ends])
    dx = np.bincount(np.concatenate([number.ravel() for number in numbers]), weights=weights, minlength=x.size)
    return dx.reshape(cells.shape).transpose(np.argsort([*rest, *axes])).astype(d.dtype)


def trapezoid_backward(d, like=None, *, x=None, dx=1.0, axis=-1, shape=None):
    """d times half the steps on both sides of each point."""
    shape = (len(d),) + shape if like is None else like.shape
    steps = np.zeros(shape[axis] + 1, d.dtype)
    steps[1:-1] = dx if x is None else np.diff(x)
    weights = (steps[1:] + steps[:-1]) / 2
    return np.moveaxis(np.expand_dims(d, -1) * weights, -1, axis)


def norm_backward(d, x, y, *, order=None, axis=None, keepdims=False):
    """The gradient of a norm y, of vectors along one axis or of matrices along two: shape of x."""
    d, y = restored(d, x.ndim, axis, keepdims), restored(y, x.ndim, axis, keepdims)
    if order in (None, "fro") or (order == 2 and not isinstance(axis, tuple)):
        return x * (d / y)
    if isinstance(axis, tuple) and order in ("nuc", 2, -2):
        u, s, v = np.linalg.svd(np.moveaxis(x, axis, (-2, -1)), full_matrices=False)
        chosen = np.arange(s.shape[-1]) == {2: 0, -2: s.shape[-1] - 1}.get(order, np.arange(s.shape[-1]))
        return d * np.moveaxis((u * chosen.astype(x.dtype)) @ v, (-2, -1), axis)
    size = np.abs(x)
    if isinstance(axis, tuple):
        rows, columns = axis if abs(order) == 1 else axis[::-1]
        return np.sign(x) * max_backward(d, size.sum(axis=rows, keepdims=True), y, axis=columns, keepdims=True)
    if abs(order) == np.inf:
        return np.sign(x) * max_backward(d, size, y, axis=axis, keepdims=True)
    return np.sign(x) * size ** (order - 1) * (d * y ** (1 - order)) if order else np.zeros_like(x)
