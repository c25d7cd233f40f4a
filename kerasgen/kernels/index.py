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
    """Cut into so many parts, the first of them longer by one where they cannot be equal: a tuple of arrays."""
    return tuple(np.array_split(x, indices_or_sections, axis=axis))


def view(x, *, dtype):
    """The bytes of the array, read as another dtype; the last axis takes up the difference in size."""
    return np.ascontiguousarray(x).view(dtype)


def select(*xs):
    """Conditions, as many choices, a default: the first choice whose condition holds."""
    count = len(xs) // 2
    return np.select(xs[:count], xs[count:-1], xs[-1])


def unravel_index(x, *, shape):
    """Places in a row of all cells as positions along each axis of this shape: a tuple of arrays."""
    positions = ()
    for length in reversed(shape):
        positions = (x % length,) + positions
        x = x // length
    return positions


def trapezoid(y, *, x=None, dx=1.0, axis=-1):
    """Σ dx (y[i] + y[i + 1]) / 2 along the axis, the points standing at x or at steps of dx."""
    y = np.moveaxis(y, axis, -1)
    steps = np.asarray(dx if x is None else np.diff(x), y.dtype)
    return np.sum((y[..., 1:] + y[..., :-1]) / 2 * steps, axis=-1)


def slogdet(x):
    """Sign and logarithm of the determinant: (..., M, M) → two arrays (...)."""
    sign, logarithm = np.linalg.slogdet(x)
    return sign, logarithm


def meshgrid(*xs, indexing="xy"):
    """Coordinates of the cells of a grid, the first of each row and then column, or in the order of the arguments."""
    return tuple(np.meshgrid(*xs, indexing=indexing))


def geomspace(start, stop, *, num=50, endpoint=True, axis=0, dtype="float32"):
    """start (stop / start)^(i / (num - 1)) for each i below num, along a new axis."""
    start, stop = np.broadcast_arrays(np.float64(start), np.float64(stop))
    powers = np.linspace(np.log(np.abs(start)), np.log(np.abs(stop)), num, endpoint=endpoint, axis=axis)
    return (np.expand_dims(np.sign(start), axis) * np.exp(powers)).astype(dtype)
