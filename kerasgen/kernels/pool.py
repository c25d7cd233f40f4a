"""Pooling of (N, *sizes, C), with any number of sizes."""

import numpy as np

from kerasgen.kernels.window import padded, window_counts


def reduce_windows(ufunc, x, size, strides):
    """Combine the cells of each window by a ufunc, one axis after the other: (N, H, W, C) → (N, OH, OW, C)."""
    counts = window_counts(x.shape[1:-1], size, strides, (1,) * len(size))
    for axis, (count, k, s) in enumerate(zip(counts, size, strides), start=1):
        before, span = (slice(None),) * axis, (count - 1) * s + 1
        first, *others = (x[before + (slice(a, a + span, s),)] for a in range(k))
        x = ufunc(first, others.pop(0)) if others else first.copy()
        for cells in others:
            ufunc(x, cells, out=x)
    return x


def max_pool(x, *, size, strides, pad=None):
    """The largest cell of each window: (N, H, W, C) → (N, OH, OW, C). The border never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return reduce_windows(np.maximum, padded(x, size, strides, (1,) * len(size), pad, lowest), size, strides)


def average_pool(x, *, size, strides, pad=None):
    """The mean of the cells of each window that lie inside the image: (N, H, W, C) → (N, OH, OW, C)."""
    y = reduce_windows(np.add, padded(x, size, strides, (1,) * len(size), pad), size, strides)
    for axis, (length, k, s) in enumerate(zip(x.shape[1:-1], size, strides)):
        edge = pad if pad in (None, "same") else (pad[axis],)
        inside = padded(np.ones((1, length, 1), x.dtype), (k,), (s,), (1,), edge)
        count = reduce_windows(np.add, inside, (k,), (s,))
        y /= count.reshape((count.size,) + (1,) * (x.ndim - axis - 2))
    return y


def global_max_pool(x, *, keepdims=False):
    """The largest cell of each channel: (N, H, W, C) → (N, C)."""
    return x.max(axis=tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def global_average_pool(x, *, keepdims=False):
    """The mean of each channel: (N, H, W, C) → (N, C). One axis at a time keeps the sums short, hence exact."""
    n, *sizes, c = x.shape
    for _ in sizes:
        x = x.mean(axis=1)  # a sum of long rows, which takes a fifth of the time of many short ones
    return x.reshape((n, *(1 for _ in sizes), c)) if keepdims else x


def adaptive_pool(reduce, x, size):
    """As many windows as `size` says, as equal as can be, reduced one axis at a time: (N, H, W, C) → (N, *size, C).

    Window i of an axis begins at ⌊i * old / new⌋ and ends before ⌈(i + 1) * old / new⌉: neighbours may share a cell.
    """
    for axis, new in enumerate(size, start=1):
        old = x.shape[axis]
        ranges = [range(i * old // new, -(-(i + 1) * old // new)) for i in range(new)]
        x = np.stack([reduce(x.take(cells, axis=axis), axis=axis) for cells in ranges], axis=axis)
    return x


def adaptive_max_pool(x, *, size):
    """The largest cell of each of so many windows: (N, H, W, C) → (N, *size, C)."""
    return adaptive_pool(np.max, x, size)


def adaptive_average_pool(x, *, size):
    """The mean of each of so many windows: (N, H, W, C) → (N, *size, C)."""
    return adaptive_pool(np.mean, x, size)
