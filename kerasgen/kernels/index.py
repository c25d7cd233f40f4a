"""Selecting and ordering elements, and arrays built from others."""

import numpy as np


def arg_sort(x, *, axis=-1):
    """The indices that sort the axis; equal elements keep their order."""
    return np.argsort(x, axis=axis, kind="stable").astype("int32")


def size(x):
    """The number of elements."""
    return np.asarray(x.size, "int32")


def dstack(*xs):
    """Join along the third axis, which is added where it is missing."""
    return np.dstack(xs)


def array_split(x, *, indices_or_sections, axis=0):
    """Split into parts, the first ones longer by one if they cannot be equal: a tuple of arrays."""
    return tuple(np.array_split(x, indices_or_sections, axis=axis))


def view(x, *, dtype):
    """The bytes of the array, read as another dtype; the last axis changes size to fit."""
    return np.ascontiguousarray(x).view(dtype)


def select(*xs):
    """From conditions, as many choices and a default: the first choice whose condition holds."""
    count = len(xs) // 2
    return np.select(xs[:count], xs[count:-1], xs[-1])


def unravel_index(x, *, shape):
    """Flat indices as indices along each axis of this shape: a tuple of arrays."""
    indices = ()
    for length in reversed(shape):
        indices = (x % length,) + indices
        x = x // length
    return indices


def trapezoid(y, *, x=None, dx=1.0, axis=-1):
    """Σ dx (y[i] + y[i + 1]) / 2 along the axis, for points at x, or dx apart."""
    y = np.moveaxis(y, axis, -1)
    steps = np.asarray(dx if x is None else np.diff(x), y.dtype)
    return np.sum((y[..., 1:] + y[..., :-1]) / 2 * steps, axis=-1)


def slogdet(x):
    """Sign and logarithm of the determinant: (..., M, M) → two arrays (...)."""
    sign, logarithm = np.linalg.slogdet(x)
    return sign, logarithm


def meshgrid(*xs, indexing="xy"):
    """Coordinates of a grid: "xy" swaps the first two axes, "ij" keeps the order of the arguments. Tuple of arrays."""
    return tuple(np.meshgrid(*xs, indexing=indexing))


def geomspace(start, stop, *, num=50, endpoint=True, axis=0, dtype="float32"):
    """start (stop / start)^(i / (num - 1)) for each i below num, along a new axis."""
    start, stop = np.broadcast_arrays(np.float64(start), np.float64(stop))
    powers = np.linspace(np.log(np.abs(start)), np.log(np.abs(stop)), num, endpoint=endpoint, axis=axis)
    return (np.expand_dims(np.sign(start), axis) * np.exp(powers)).astype(dtype)
