"""Pooling of (N, *sizes, C), with any number of sizes."""

import numpy as np

from kerasgen.kernels.window import same_pads


def reduce_windows(ufunc, x, size, strides, pads=None):
    """Combine the cells of each window by a ufunc, one axis after the other: (N, H, W, C) → (N, OH, OW, C).

    `pads` are None, "same" or from `same_pads`, but nothing is padded: windows at an edge have fewer cells.
    """
    if pads == "same":
        pads = same_pads(x.shape[1:-1], size, strides, (1,) * len(size))
    for axis, (k, s) in enumerate(zip(size, strides), start=1):
        length, (before, after) = x.shape[axis], (0, 0) if pads is None else pads[axis - 1]
        count = (before + length + after - k) // s + 1
        if count < 1:
            raise ValueError(f"a window of {size} does not fit into {x.shape[1:-1]}")
        if not before and not after:
            x = slide(ufunc, x, axis, k, s, 0, count)
            continue
        outer = (slice(None),) * axis
        y = np.empty(x.shape[:axis] + (count,) + x.shape[axis + 1 :], x.dtype)
        low = min(-(-before // s), count)  # from here to `high`, windows lie inside
        high = max(low, min((before + length - k) // s + 1, count))
        for i in [*range(low), *range(high, count)]:
            cells = x[outer + (slice(max(i * s - before, 0), i * s - before + k),)]
            ufunc.reduce(cells, axis=axis, keepdims=True, out=y[outer + (slice(i, i + 1),)])
        if low < high:
            slide(ufunc, x, axis, k, s, low * s - before, high - low, out=y[outer + (slice(low, high),)])
        x = y
    return x


def slide(ufunc, x, axis, k, s, start, count, out=None):
    """Combine the k cells of each of `count` windows along an axis; the first begins at `start`."""
    outer, stop = (slice(None),) * axis, start + (count - 1) * s + 1
    first, *others = (x[outer + (slice(start + i, stop + i, s),)] for i in range(k))
    if not others:
        return np.positive(first, out=out)
    for cells in others:
        first = out = ufunc(first, cells, out=out)
    return out


def max_pool(x, *, size, strides, pad=None):
    """The largest cell of each window: (N, H, W, C) → (N, OH, OW, C). Padding is ignored."""
    return reduce_windows(np.maximum, x, size, strides, pad)


def average_pool(x, *, size, strides, pad=None):
    """The mean of the cells of each window that lie inside the image: (N, H, W, C) → (N, OH, OW, C)."""
    y = reduce_windows(np.add, x, size, strides, pad)
    if pad is None:
        y /= int(np.prod(size))
        return y
    if pad == "same":
        pad = same_pads(x.shape[1:-1], size, strides, (1,) * len(size))
    cells = np.ones((1,) * x.ndim, x.dtype)  # the number in each window
    for axis, (k, s, (before, _)) in enumerate(zip(size, strides, pad), start=1):
        starts = np.arange(y.shape[axis]) * s - before
        along = np.minimum(starts + k, x.shape[axis]) - np.maximum(starts, 0)
        cells = cells * along.astype(x.dtype).reshape((-1,) + (1,) * (x.ndim - axis - 1))
    y /= cells
    return y


def global_max_pool(x, *, keepdims=False):
    """The largest cell of each channel: (N, H, W, C) → (N, C)."""
    return x.max(axis=tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def global_average_pool(x, *, keepdims=False):
    """The mean of each channel: (N, H, W, C) → (N, C). One axis at a time keeps the sums short and accurate."""
    n, *sizes, c = x.shape
    for size in sizes:
        x = np.add.reduce(x, axis=1) / size  # long rows take a fifth of the time of many short ones
    return x.reshape((n, *(1 for _ in sizes), c)) if keepdims else x


def adaptive_pool(reduce, x, size):
    """`size` windows of nearly equal length, reduced one axis at a time: (N, H, W, C) → (N, *size, C).

    Window i of an axis begins at ⌊i * old / new⌋ and ends before ⌈(i + 1) * old / new⌉: neighbours may share a cell.
    """
    for axis, new in enumerate(size, start=1):
        old = x.shape[axis]
        ranges = [range(i * old // new, -(-(i + 1) * old // new)) for i in range(new)]
        x = np.stack([reduce(x.take(cells, axis=axis), axis=axis) for cells in ranges], axis=axis)
    return x


def adaptive_max_pool(x, *, size):
    """The largest cell of each of `size` windows: (N, H, W, C) → (N, *size, C)."""
    return adaptive_pool(np.max, x, size)


def adaptive_average_pool(x, *, size):
    """The mean of each of `size` windows: (N, H, W, C) → (N, *size, C)."""
    return adaptive_pool(np.mean, x, size)
