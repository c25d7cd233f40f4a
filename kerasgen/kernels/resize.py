"""Resizing images as tf.image.resize does: cell centres stand at half pixels, and each axis is resized by itself."""

import numpy as np

from kerasgen.kernels.blocks import bordered
from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.threads import block_rows, over_blocks
from kerasgen.kernels.window import pad


def triangle(t):
    """Linear interpolation: the weight of a cell at distance t."""
    return np.maximum(1 - t, 0)


def cubic(t):
    """Cubic convolution with a = -1/2 (Keys 1981): the weight of a cell at distance t."""
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def lanczos(t, radius):
    """A sinc, windowed by a wider one: the weight of a cell at distance t."""
    return np.where(t < radius, np.sinc(t) * np.sinc(t / radius), 0)


def mitchell(t):
    """Cubic filter with B = C = 1/3 (Mitchell and Netravali 1988): the weight of a cell at distance t."""
    near = (21 * t - 36) * t * t + 16
    far = ((-7 * t + 36) * t - 60) * t + 32
    return np.where(t < 1, near, np.where(t < 2, far, 0)) / 18


def gaussian(t):
    """A bell curve, cut off at three deviations: the weight of a cell at distance t."""
    return np.where(t < 1.5, np.exp(-2 * t * t), 0)


def shared(size, new):
    """The fraction of each cell that each new cell covers: a (new, size) matrix."""
    edges = np.arange(new + 1, dtype=np.float64)[:, np.newaxis] * size / new
    cells = np.arange(size)
    return np.maximum(np.minimum(edges[1:], cells + 1) - np.maximum(edges[:-1], cells), 0)


def centres_of(size, new):
    """Where the new cells' centres lie; in float32 as TensorFlow has them, so that ties round to the same side."""
    return (np.arange(new, dtype=np.float32) + 0.5) * np.float32(size / new) - 0.5


def resize_matrix(size, new, interpolation, antialias):
    """The (new, size) matrix that resizes one axis: row i holds the weights of the cells that make up new cell i."""
    scale, centres = size / new, centres_of(size, new)
    if interpolation == "bicubic" and not antialias:
        centres = np.rint(centres * 1024) / 1024  # TensorFlow reads these weights from a table of 1024 steps
    cells = np.arange(size, dtype=np.float32)
    distance = np.abs(cells - centres[:, np.newaxis]) / (max(scale, 1.0) if antialias else 1.0)
    if interpolation == "area":
        weights = shared(size, new)
    elif interpolation == "bilinear":
        weights = triangle(distance)
    elif interpolation == "bicubic":
        weights = cubic(distance)
    elif interpolation == "gaussian":
        weights = gaussian(distance)
    elif interpolation == "mitchellcubic":
        weights = mitchell(distance)
    else:
        weights = lanczos(distance, {"lanczos3": 3, "lanczos5": 5}[interpolation])
    return weights / weights.sum(axis=1, keepdims=True)


def nearest(x, *, size):
    """The cell whose square holds the new cell's centre: (N, H, W, C) → (N, *size, C)."""
    for axis, (old, new) in enumerate(zip(x.shape[1:-1], size), start=1):
        centres = (np.arange(new, dtype=np.float32) + 0.5) * np.float32(old / new)
        x = x.take(np.minimum(centres.astype(int), old - 1), axis=axis)
    return x


def resize(x, *, size, interpolation="bilinear", antialias=False):
    """A new cell is a weighted mean of old ones, or the nearest: (N, H, W, C) → (N, *size, C).

    Means of integers are float32.
    """
    if interpolation == "nearest":
        return nearest(x, size=size)
    if x.dtype.kind != "f":
        x = x.astype(np.float32)
    n, h, w, c = x.shape
    oh, ow = size
    rows = resize_matrix(h, oh, interpolation, antialias).astype(x.dtype)
    columns = resize_matrix(w, ow, interpolation, antialias).astype(x.dtype)
    y = matmul(rows, x.reshape(n, h, w * c))
    y = matmul(columns, y.reshape(n * oh, w, c))
    return y.reshape(n, oh, ow, c)


def upsample(x, *, size, interpolation, half_pixel_centers=True):
    """Resize by whole factors: (N, H, W, C) with size (2, 3) → (N, 2H, 3W, C)."""
    new = tuple(length * factor for length, factor in zip(x.shape[1:3], size))
    if not half_pixel_centers:
        return resize_corners(x, size=new, interpolation=interpolation)
    return resize(x, size=new, interpolation=interpolation)


def neighbours(size, new):
    """The two cells beside the centre of each new cell, and how far it is from the first to the second."""
    centres = centres_of(size, new)
    low = np.floor(centres)
    cells = np.clip(low, 0, size - 1).astype(int), np.clip(low + 1, 0, size - 1).astype(int)
    return (*cells, centres - low)


def upsample_by_rows(x, *, size, border=None, out=None):
    """`upsample` of a large array, bilinear: (N, H, W, C) with size (2, 3) → (N, 2H, 3W, C)."""
    new = tuple(length * factor for length, factor in zip(x.shape[1:3], size))
    return bilinear_by_rows(x, size=new, border=border, out=out)


def bilinear_by_rows(x, *, size, border=None, out=None):
    """`resize` of a large array, bilinear and without antialiasing: (N, H, W, C) → (N, *size, C).

    Only the two cells beside a new one are read, where `resize` multiplies all by a matrix of mostly zeros.
    """
    (n, h, w, c), (oh, ow) = x.shape, size
    cost = 24 * n * oh * ow * c
    y, whole = bordered((n, oh, ow, c), x.dtype, border, out, cost)
    (top, bottom, down), (left, right, across) = neighbours(h, oh), neighbours(w, ow)
    down, across = down.astype(x.dtype)[:, np.newaxis, np.newaxis], across.astype(x.dtype)[:, np.newaxis]

    def block(at):
        image, rows = at
        first = top[rows.start]
        cells = x[image, first : bottom[rows.stop - 1] + 1]
        cells = between(cells.take(left, axis=1), cells.take(right, axis=1), across)
        between(cells.take(top[rows] - first, axis=0), cells.take(bottom[rows] - first, axis=0), down[rows], out=y[at])

    over_blocks(block, n, oh, block_rows(2 * ow * c * x.itemsize), cost)
    return whole


def between(first, second, part, out=None):
    """first + (second - first) * part, into `out` or over `second`, which is overwritten in any case."""
    second -= first
    second *= part
    return np.add(first, second, out=second if out is None else out)


def crop_to_aspect_ratio(x, *, size):
    """The largest central part with the aspect ratio of `size`: (N, H, W, C) → (N, H', W', C)."""
    (h, w), (oh, ow) = x.shape[1:3], size
    new_h = max(min(h, int(w * oh / ow)), 1)
    new_w = max(min(w, int(h * ow / oh)), 1)
    top, left = (h - new_h) // 2, (w - new_w) // 2
    return x[:, top : top + new_h, left : left + new_w]


def pad_to_aspect_ratio(x, *, size, value=0.0):
    """Pad with `value` to the aspect ratio of `size`: (N, H, W, C) → (N, H', W', C)."""
    (h, w), (oh, ow) = x.shape[1:3], size
    top = (max(h, int(w * oh / ow)) - h) // 2
    left = (max(w, int(h * ow / oh)) - w) // 2
    return pad(x, pads=((top, top), (left, left)), value=value)


def resize_corners(x, *, size, interpolation="bilinear", align_corners=False):
    """Resize as TensorFlow 1: new cell i comes from old position i * scale: (N, H, W, C) → (N, *size, C).

    The first cells coincide; with `align_corners` the last ones do too.
    """
    x = x if x.dtype.kind == "f" or interpolation == "nearest" else x.astype(np.float32)
    for axis, (old, new) in enumerate(zip(x.shape[1:-1], size), start=1):
        scale = np.float32((old - 1) / (new - 1)) if align_corners and new > 1 else np.float32(old / new)
        at = np.arange(new, dtype=np.float32) * scale
        if interpolation == "nearest":
            x = x.take(np.minimum(np.floor(at + 0.5 if align_corners else at).astype(int), old - 1), axis=axis)
        else:
            low = np.minimum(np.floor(at).astype(int), old - 1)
            part = (at - low).astype(x.dtype).reshape((new,) + (1,) * (x.ndim - axis - 1))
            first = x.take(low, axis=axis)
            x = first + (x.take(np.minimum(low + 1, old - 1), axis=axis) - first) * part
    return x
