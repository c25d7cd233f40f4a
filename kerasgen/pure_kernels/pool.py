"""Pooling of (*sizes, C), with any number of sizes."""

from kerasgen.pure_kernels.lists import floats, steps_of


def places_of(ranges, shape):
    """Where the cells of each window are: `ranges` has the range of each window along each axis."""
    windows = [[0]]
    for along_axis, step in zip(ranges, steps_of(shape)):
        windows = [[first + i * step for first in window for i in cells] for window in windows for cells in along_axis]
    return windows


def ranges_of(shape, size, strides, pads):
    """The cells of each window along each axis, those in the padding left out."""
    ranges = []
    for axis, (k, s) in enumerate(zip(size, strides)):
        before, after = (0, 0) if pads is None else pads[axis]
        firsts = range(-before, shape[axis] + after - k + 1, s)
        ranges.append([range(max(first, 0), min(first + k, shape[axis])) for first in firsts])
    return ranges


def pooled(reduce, x, ranges, shape):
    """What `reduce` makes of the cells of each window, channel by channel."""
    c = shape[-1]
    return floats(
        reduce([x[cell + channel] for cell in cells]) for cells in places_of(ranges, shape) for channel in range(c)
    )


def mean(cells):
    """The mean of a list."""
    return sum(cells) / len(cells)


def max_pool(x, *, shape, size, strides, pad=None):
    """The largest cell of each window: (H, W, C) → (OH, OW, C). Padding is ignored."""
    return pooled(max, x, ranges_of(shape, size, strides, pad), shape)


def average_pool(x, *, shape, size, strides, pad=None):
    """The mean of the cells of each window that lie inside the image: (H, W, C) → (OH, OW, C)."""
    return pooled(mean, x, ranges_of(shape, size, strides, pad), shape)


def global_max_pool(x, *, shape):
    """The largest cell of each channel: (H, W, C) → (C)."""
    return max_pool(x, shape=shape, size=shape[:-1], strides=shape[:-1])


def global_average_pool(x, *, shape):
    """The mean of each channel: (H, W, C) → (C)."""
    return average_pool(x, shape=shape, size=shape[:-1], strides=shape[:-1])


def adaptive_ranges(shape, size):
    """The cells of `size` windows of nearly equal length along each axis: neighbours may share one."""
    return [[range(i * n // new, -(-(i + 1) * n // new)) for i in range(new)] for n, new in zip(shape, size)]


def adaptive_max_pool(x, *, shape, size):
    """The largest cell of each of `size` windows: (H, W, C) → (*size, C)."""
    return pooled(max, x, adaptive_ranges(shape, size), shape)


def adaptive_average_pool(x, *, shape, size):
    """The mean of each of `size` windows: (H, W, C) → (*size, C)."""
    return pooled(mean, x, adaptive_ranges(shape, size), shape)
