"""Choosing and ordering cells, and arrays made of others."""

import numpy as np


def arg_sort(x, *, axis=-1):
    """The order in which the cells along the axis are sorted; equal ones keep theirs."""
    return np.argsort(x, axis=axis, kind="stable").astype("int32")


def size(x):
    """How many cells there are."""
    return np.asarray(x.size, "int32")


def dstack(*xs):
    """Join along the third axis: images of one channel, or arrays that have it."""
    return np.dstack(xs)


def array_split(x, *, indices_or_sections, axis=0):
    """Cut into so many parts, the first of them longer by one where they cannot be equal: a list of arrays."""
    return np.array_split(x, indices_or_sections, axis=axis)


def view(x, *, dtype):
    """The bytes of the array, read as another dtype; the last axis takes up the difference in size."""
    return np.ascontiguousarray(x).view(dtype)


def select(*xs):
    """Conditions, as many choices, a default: the first choice whose condition holds."""
    count = len(xs) // 2
    return np.select(xs[:count], xs[count:-1], xs[-1])


def unravel_index(x, *, shape):
    """Places in a row of all cells as positions along each axis of this shape: a list of arrays."""
    positions = []
    for length in reversed(shape):
        positions.append(x % length)
        x = x // length
    return positions[::-1]


def trapezoid(y, *, x=None, dx=1.0, axis=-1):
    """Σ dx (y[i] + y[i + 1]) / 2 along the axis, the points standing at x or at steps of dx."""
    y = np.moveaxis(y, axis, -1)
    steps = np.asarray(dx if x is None else np.diff(x), y.dtype)
    return np.sum((y[..., 1:] + y[..., :-1]) / 2 * steps, axis=-1)


def slogdet(x):
    """Sign and logarithm of the determinant: (..., M, M) → [(...), (...)]."""
    return list(np.linalg.slogdet(x))
