"""Segments: rows with the same segment number, reduced to one."""

import numpy as np


def combine(ufunc, x, segments, count, start, empty=None):
    """The rows of each segment, reduced by a ufunc from `start`: (N, ...) → (count, ...). Negative ones are ignored."""
    count = segments.max(initial=-1) + 1 if count is None else count
    y = np.full((count,) + x.shape[1:], start, x.dtype)
    valid = segments >= 0
    ufunc.at(y, segments[valid], x[valid])
    if empty is not None:
        y[~np.isin(np.arange(len(y)), segments)] = empty
    return y


def extremes(dtype):
    """The smallest and the largest number of a dtype."""
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return limits.min, limits.max


def segment_sum(x, segments, *, count=None):
    """The sum of each segment: (N, ...), (N,) → (count, ...)."""
    return combine(np.add, x, segments, count, 0)


def segment_prod(x, segments, *, count=None):
    """The product of each segment: (N, ...), (N,) → (count, ...)."""
    return combine(np.multiply, x, segments, count, 1)


def segment_max(x, segments, *, count=None, empty=None):
    """The largest of each segment, by default the dtype's smallest if it is empty: (N, ...), (N,) → (count, ...)."""
    return combine(np.maximum, x, segments, count, extremes(x.dtype)[0], empty)


def segment_min(x, segments, *, count=None, empty=None):
    """The smallest of each segment, by default the dtype's largest if it is empty: (N, ...), (N,) → (count, ...)."""
    return combine(np.minimum, x, segments, count, extremes(x.dtype)[1], empty)
