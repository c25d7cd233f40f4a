"""Reductions: indices, counts, averages and quantiles."""

import numpy as np


def signed_zeros(x):
    """x with -0.0 replaced by -tiny, as Keras orders it below 0.0."""
    if x.dtype.kind != "f":
        return x
    return np.where((x == 0) & np.signbit(x), -np.finfo(x.dtype).tiny, x)


def keep_axis(y, ndim, axis):
    """Restore the reduced axis with size 1, or all axes if axis is None."""
    return np.reshape(y, (1,) * ndim) if axis is None else np.expand_dims(y, axis)


def arg_max(x, *, axis=None, keepdims=False):
    """The index of the largest element along the axis, the first of equal ones."""
    y = np.argmax(signed_zeros(x), axis=axis).astype("int32")
    return keep_axis(y, x.ndim, axis) if keepdims else y


def arg_min(x, *, axis=None, keepdims=False):
    """The index of the smallest element along the axis, the first of equal ones."""
    y = np.argmin(signed_zeros(x), axis=axis).astype("int32")
    return keep_axis(y, x.ndim, axis) if keepdims else y


def nan_arg_max(x, *, axis=None, keepdims=False):
    """The index of the largest number along the axis, -1 where all are NaN."""
    nan = np.isnan(x)
    y = arg_max(np.where(nan, -np.inf, x).astype(x.dtype), axis=axis, keepdims=keepdims)
    return np.where(np.all(nan, axis=axis, keepdims=keepdims), -1, y).astype("int32")


def nan_arg_min(x, *, axis=None, keepdims=False):
    """The index of the smallest number along the axis, -1 where all are NaN."""
    nan = np.isnan(x)
    y = arg_min(np.where(nan, np.inf, x).astype(x.dtype), axis=axis, keepdims=keepdims)
    return np.where(np.all(nan, axis=axis, keepdims=keepdims), -1, y).astype("int32")


def count_nonzero(x, *, axis=None):
    """The number of nonzero elements."""
    return np.sum(x != 0, axis=axis).astype("int32")


def weighted_average(x, weights, *, axis=None):
    """Σ w x / Σ w along the axis; weights have the shape of x, or that of the axis."""
    if weights.ndim != x.ndim:
        weights = weights.reshape([weights.size if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return np.sum(x * weights, axis=axis) / np.sum(weights, axis=axis)


def quantile(x, q, *, axis=None, method="linear", keepdims=False, skip_nan=False):
    """The quantiles q: q.shape, then the remaining axes.

    Where q falls between two sorted elements, `method` takes the lower, the higher, the nearest or their midpoint, or
    interpolates linearly. A NaN makes the result NaN, unless it is skipped.
    """
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in np.atleast_1d(axis))
    rest = [a for a in range(x.ndim) if a not in axes]
    sizes = [x.shape[a] for a in rest]
    y = np.transpose(x, (*rest, *axes)).reshape([*sizes, int(np.prod([x.shape[a] for a in axes]))])
    y = np.sort(y, axis=-1)
    q = np.asarray(q, "float32")  # as Keras holds it
    count = np.sum(~np.isnan(y), axis=-1, keepdims=True) if skip_nan else y.shape[-1]
    place = np.broadcast_to(np.maximum(count - 1, 0) * q.ravel().astype("float64"), (*sizes, q.size))
    low, high = (np.take_along_axis(y, end(place).astype("int64"), axis=-1) for end in (np.floor, np.ceil))
    parts = {"lower": 0, "higher": 1, "nearest": np.round(place) - np.floor(place), "midpoint": 0.5}
    part = np.asarray(parts.get(method, place - np.floor(place)), x.dtype)
    y = np.where(np.isnan(y[..., -1:]) & (not skip_nan), np.nan, low * (1 - part) + high * part).astype(x.dtype)
    shape = [1 if a in axes else size for a, size in enumerate(x.shape)] if keepdims else sizes
    return np.moveaxis(y, -1, 0).reshape([*q.shape, *shape])


def histogram(x, *, bins=10, limits=None):
    """The number of elements in each of `bins` bins of equal width, and the bin edges: (bins,), (bins + 1,)."""
    low, high = limits or (np.min(x), np.max(x))
    x = x[(x >= low) & (x <= high)]
    edges = np.linspace(low, high, bins + 1).astype(x.dtype)
    counts = np.bincount(np.searchsorted(edges[1:-1], x, side="right"), minlength=bins)
    return counts.astype(x.dtype), edges


def unique(x, *, size, fill_value=0, axis=None, index=False, inverse=False, counts=False):
    """The first `size` sorted unique elements, padded with fill_value: (values, index, inverse, counts).

    The last three are optional: the first index of each value, the value of each element by index, and the counts.
    """
    parts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    places = np.arange(min(size, len(parts[1])))
    missing = size - len(places)

    def fit(part, fill, along=0):
        """`size` entries of the part."""
        edges = [(0, missing if i == along % part.ndim else 0) for i in range(part.ndim)]
        return np.pad(np.take(part, places, axis=along), edges, mode="constant", constant_values=fill)

    results = [fit(parts[0], fill_value, axis or 0)]
    if index:
        results.append(fit(parts[1], 1).astype("int32"))
    if inverse:
        results.append(parts[2].reshape(x.shape if axis is None else x.shape[axis]).astype("int32"))
    if counts:
        results.append(fit(parts[3], 0).astype("int32"))
    return tuple(results) if len(results) > 1 else results[0]
