"""Gradients of pooling. `d` is always the gradient of the result."""

import numpy as np

from kerasgen.kernels.pool import reduce_windows
from kerasgen.kernels.shape import crop
from kerasgen.kernels.threads import block_rows, product
from kerasgen.kernels.window import padded, same_pads, taps


def max_pool_backward(d, x, y, *, size, strides, pad=None):
    """To the first largest cell of each window: (N, OH, OW, C), (N, H, W, C), (N, OH, OW, C) → (N, H, W, C)."""
    ones = (1,) * len(size)
    pads = same_pads(x.shape[1:-1], size, strides, ones) if pad == "same" else pad
    whole = padded(x, size, strides, ones, pads, -np.inf)
    tiled = whole.shape[1:-1] == tuple(n * s for n, s in zip(d.shape[1:], size)) and size == strides
    z = np.empty(whole.shape, d.dtype) if tiled else np.zeros(whole.shape, d.dtype)
    step = block_rows(3 * product(x.shape[1:]) * x.itemsize)
    for start in range(0, len(x), step):
        at = slice(start, start + step)
        free = np.ones(d[at].shape, bool)  # windows whose largest cell is still to come
        for cells, target in zip(taps(whole[at], size, strides, ones), taps(z[at], size, strides, ones)):
            hit = cells == y[at]
            hit &= free
            free ^= hit
            if tiled:  # each cell is in one window
                np.multiply(d[at], hit, out=target)
            else:
                target += d[at] * hit
    return z if pads is None else crop(z, crops=pads)


def spread(d, axis, size, stride, before, length):
    """What each cell of an axis gets that belongs to windows, if every window hands its number to all its cells."""
    outer, count = (slice(None),) * axis, d.shape[axis]
    stop = (count - 1) * stride + 1
    whole = max(before + length, stop + size - 1)
    y = np.zeros(d.shape[:axis] + (whole,) + d.shape[axis + 1 :], d.dtype)
    for i in range(size):
        y[outer + (slice(i, i + stop, stride),)] += d
    return y[outer + (slice(before, before + length),)]


def average_pool_backward(d, like=None, *, shape=None, size, strides, pad=None):
    """d / cells, for each cell of a window that lies inside the image: (N, OH, OW, C) → (N, H, W, C)."""
    sizes = like.shape[1:-1] if shape is None else shape[:-1]
    pads = same_pads(sizes, size, strides, (1,) * len(size)) if pad == "same" else pad
    d = d / reduce_windows(np.add, np.ones((1, *sizes, 1), d.dtype), size, strides, pads)
    for axis, (k, s, length) in enumerate(zip(size, strides, sizes), start=1):
        d = spread(d, axis, k, s, 0 if pads is None else pads[axis - 1][0], length)
    return d


def global_average_pool_backward(d, like=None, *, shape=None, keepdims=False):
    """d / cells, for each cell: (N, C) → (N, H, W, C)."""
    *sizes, c = like.shape[1:] if shape is None else shape
    d = (d / product(sizes)).reshape((len(d), *(1 for _ in sizes), c))
    return np.broadcast_to(d, (len(d), *sizes, c))


def global_max_pool_backward(d, x, y, *, keepdims=False):
    """To the largest cell of each channel, equally where there are several: (N, C), (N, H, W, C), (N, C)."""
    shape = (len(x),) + (1,) * (x.ndim - 2) + x.shape[-1:]
    largest = x == y.reshape(shape)
    share = d.reshape(shape) / largest.sum(axis=tuple(range(1, x.ndim - 1)), keepdims=True).astype(d.dtype)
    return largest * share


def adaptive_max_pool_backward(d, x, *, size):
    """To the first largest cell of each window, one axis at a time: (N, *size, C), (N, H, W, C) → (N, H, W, C)."""
    steps = [x]
    ranges = [[slice(i * n // new, -(-(i + 1) * n // new)) for i in range(new)] for n, new in zip(x.shape[1:], size)]
    for axis, windows in enumerate(ranges, start=1):
        outer = (slice(None),) * axis
        steps.append(np.stack([np.max(steps[-1][outer + (cells,)], axis=axis) for cells in windows], axis=axis))
    for axis, windows in reversed([*enumerate(ranges, start=1)]):
        outer, x = (slice(None),) * axis, steps[axis - 1]
        z = np.zeros(x.shape, d.dtype)
        for i, cells in enumerate(windows):
            part = x[outer + (cells,)]
            places = np.arange(part.shape[axis]).reshape((-1,) + (1,) * (x.ndim - axis - 1))
            first = np.expand_dims(np.argmax(part, axis=axis), axis)
            z[outer + (cells,)] += d[outer + (slice(i, i + 1),)] * (places == first)
        d = z
    return d


def adaptive_average_pool_backward(d, like=None, *, shape=None, size):
    """d / cells, for each cell of a window, one axis at a time: (N, *size, C) → (N, H, W, C)."""
    sizes = like.shape[1:-1] if shape is None else shape[:-1]
    for axis, (old, new) in enumerate(zip(sizes, size), start=1):
        outer = (slice(None),) * axis
        z = np.zeros(d.shape[:axis] + (old,) + d.shape[axis + 1 :], d.dtype)
        for i in range(new):
            first, stop = i * old // new, -(-(i + 1) * old // new)
            z[outer + (slice(first, stop),)] += d[outer + (slice(i, i + 1),)] / (stop - first)
        d = z
    return d
