"""Borders and windows: what convolution and pooling share. Arrays are (N, *sizes, C), with any number of sizes."""

import numpy as np


def surround(shape, dtype, pads, value=0.0, empty=np.empty):
    """An array (N, H, W, C) to fill, and the same one with its border of one value, as in `pad`."""
    n, *sizes, c = shape
    whole = empty((n, *(a + size + b for size, (a, b) in zip(sizes, pads)), c), dtype)
    inside = (slice(None),)
    for size, (a, b) in zip(sizes, pads):
        whole[inside + (slice(0, a),)] = value
        whole[inside + (slice(a + size, a + size + b),)] = value
        inside += (slice(a, a + size),)
    return whole[inside], whole


def pad(x, *, pads, value=0.0):
    """Pad with one value: (N, H, W, C) → (N, H + top + bottom, W + left + right, C).

    `pads` holds (before, after) for every axis between the first and the last; `value` may differ by channel.
    """
    if not any(map(any, pads)):
        return x
    inside, y = surround(x.shape, x.dtype, pads, value)
    inside[...] = x
    return y


def same_pads(sizes, window, strides, dilation):
    """The (before, after) of each axis with which ceil(size / stride) windows fit.

    TensorFlow puts the odd cell at the end, and the total depends on the size and the stride.
    """
    totals = [
        max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        for size, k, s, d in zip(sizes, window, strides, dilation)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


def padded(x, window, strides, dilation, pads, value=0.0):
    """The array with the padding its windows need: None, (before, after) per axis, or "same" for any size."""
    if pads is None:
        return x
    if pads == "same":
        pads = same_pads(x.shape[1:-1], window, strides, dilation)
    return pad(x, pads=pads, value=value)


def window_counts(sizes, window, strides, dilation):
    """How many windows fit along each axis."""
    counts = tuple((size - (k - 1) * d - 1) // s + 1 for size, k, s, d in zip(sizes, window, strides, dilation))
    if min(counts) < 1:
        raise ValueError(f"a window of {window}, dilated by {dilation}, does not fit into {tuple(sizes)}")
    return counts


def windows(x, window, strides, dilation):
    """A view of every window, without a copy: (N, H, W, C) → (N, OH, OW, kh, kw, C)."""
    n, *sizes, c = x.shape
    step_n, *steps, step_c = x.strides
    shape = (n, *window_counts(sizes, window, strides, dilation), *window, c)
    steps = (step_n, *(t * s for t, s in zip(steps, strides)), *(t * d for t, d in zip(steps, dilation)), step_c)
    if x.flags.c_contiguous:  # the same view, ten times faster to create
        return np.ndarray(shape, x.dtype, x, 0, steps)
    return np.lib.stride_tricks.as_strided(x, shape, steps, writeable=False)


def window_rows(x, window, strides, dilation):
    """`windows` with each row of kw cells as one item, which is copied faster than its numbers.

    (N, H, W, C) → (N, OH, OW, kh) items of kw * C numbers, if contiguous; `view(x.dtype)` of a copy has the numbers.
    """
    cells = windows(x, window, strides, dilation)
    if dilation[-1] > 1 or not x.flags.c_contiguous:
        return cells
    item = np.dtype((np.void, window[-1] * x.shape[-1] * x.itemsize))
    return np.ndarray(cells.shape[:-2], item, x, 0, cells.strides[:-2])


def taps(x, window, strides, dilation):
    """For each cell of the window, a view of that cell in all windows: kh * kw times (N, OH, OW, C)."""
    counts = window_counts(x.shape[1:-1], window, strides, dilation)
    for cell in np.ndindex(*window):
        firsts = [i * d for i, d in zip(cell, dilation)]
        yield x[(slice(None),) + tuple(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(firsts, counts, strides))]
