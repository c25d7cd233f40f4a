"""Moving elements without changing their values."""

import numpy as np


def flatten(x):
    """Merge all axes but the batch: (N, ...) → (N, D)."""
    return x.reshape(len(x), -1 if x.size else int(np.prod(x.shape[1:])))


def reshape(x, *, shape):
    """Reshape each sample; one size may be -1, for the rest: (N, ...) → (N, *shape)."""
    if -1 in shape:  # NumPy cannot infer it for an empty batch
        rest = int(np.prod(x.shape[1:])) // abs(int(np.prod(shape)))
        shape = [rest if size == -1 else size for size in shape]
    return x.reshape((x.shape[0], *shape))


def reshape_all(x, *, shape):
    """Reshape the whole array, including the batch axis."""
    return x.reshape(shape)


def channels_last(x):
    """Move the channels from second to last: (N, C, H, W) → (N, H, W, C)."""
    return np.moveaxis(x, 1, -1)


def channels_first(x):
    """Move the channels from last to second: (N, H, W, C) → (N, C, H, W)."""
    return np.moveaxis(x, -1, 1)


def concatenate(*xs, axis=-1, out=None):
    """Join along an existing axis, optionally into the buffer `out`."""
    if out is not None:
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        out = out.empty(shape, np.result_type(*xs))
    return np.concatenate(xs, axis=axis, out=out)


def stack(*xs, axis=0):
    """Join along a new axis."""
    return np.stack(xs, axis=axis)


def split(x, *, indices_or_sections, axis=0):
    """Split into equal parts, or before each of these indices: a list of arrays."""
    return np.split(x, indices_or_sections, axis=axis)


def crop(x, *, crops):
    """Cut (before, after) cells from every axis between the first and the last: (N, H, W, C) → (N, H', W', C)."""
    return x[(slice(None),) + tuple(slice(a, size - b) for size, (a, b) in zip(x.shape[1:], crops))]


def upsample_nearest(x, *, size):
    """Repeat every cell: (N, H, W, C) with size (2, 3) → (N, 2H, 3W, C)."""
    for axis, times in enumerate(size, start=1):
        x = np.repeat(x, times, axis=axis)
    return x


def get_item(x, *, index):
    """x[index]."""
    return x[index]


def cast(x, *, dtype):
    """The values as another dtype."""
    return x.astype(dtype)


def depth_to_space(x, *, block_size):
    """Channels into b x b blocks of cells: (N, H, W, b * b * C) → (N, b * H, b * W, C)."""
    (n, h, w, d), b = x.shape, block_size
    c = d // (b * b)
    return x.reshape(n, h, w, b, b, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * b, w * b, c)


def space_to_depth(x, *, block_size):
    """b x b blocks of cells into channels: (N, b * H, b * W, C) → (N, H, W, b * b * C)."""
    (n, h, w, c), b = x.shape, block_size
    return x.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // b, w // b, b * b * c)


def shape_of(x, *, dtype="int32"):
    """The shape, including the batch, as an array."""
    return np.array(x.shape, dtype=dtype)
