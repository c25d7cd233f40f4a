"""Depthwise convolution of several cells at once."""

import numpy as np

from kerasgen.kernels.blocks import along_row, framed, settle
from kerasgen.kernels.crew import block_rows, over_blocks
from kerasgen.kernels.window import padded, window_counts


def tile(kernel, *, count):
    """The kernel of a depthwise convolution for `count` cells side by side: (kh, kw, C, 1) → (kh, kw, count * C)."""
    kh, kw, *c = kernel.shape
    return np.tile(kernel.reshape(kh, kw, int(np.prod(c))), (1, 1, count))


def columns(x, width, count, stride, dilation):
    """What each column of a kernel meets in a row of `count` windows: (N, H, W, C) → (N, H, width, count * C)."""
    n, h, _, c = x.shape
    if stride == 1:
        step_n, step_h, step_w, step_c = x.strides
        steps = (step_n, step_h, dilation * step_w, step_c)
        return np.lib.stride_tricks.as_strided(x, (n, h, width, count * c), steps, writeable=False)
    y = np.empty((n, h, width, count, c), x.dtype)  # brought side by side
    for j in range(width):
        y[:, :, j] = x[:, :, j * dilation : j * dilation + (count - 1) * stride + 1 : stride]
    return y.reshape(n, h, width, count * c)


def tiled_depthwise_conv2d(
    x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None, border=None, out=None
):
    """Convolution of each channel by its own filter: (N, H, W, C) with a kernel from `tile` → (N, OH, OW, C).

    What a product adds up lies side by side: one loop, as long as the tiled kernel, instead of one for each cell. The
    last cells of a row take the part of the kernel that they need.
    """
    window, q, c = kernel.shape[:2], kernel.shape[2], x.shape[-1]
    x = np.ascontiguousarray(padded(x, window, strides, dilation, pad))
    oh, ow = window_counts(x.shape[1:-1], window, strides, dilation)
    y, whole = framed((len(x), oh, ow, c), x.dtype, border, out)
    bias = along_row(bias, y)
    x = columns(x, window[1], ow, strides[1], dilation[1])
    full, rest = divmod(ow * c, q)

    def tiles(first, count, size):
        step_n, step_h, step_w, step_q = x.strides
        shape = (len(x), oh, count, *window, size)
        steps = (step_n, strides[0] * step_h, q * step_q, dilation[0] * step_h, step_w, step_q)
        seen = np.lib.stride_tricks.as_strided(x[..., first:], shape, steps, writeable=False)
        return slice(first, first + count * size), seen, kernel[:, :, :size]

    parts = [part for part in (tiles(0, full, q), tiles(full * q, 1, rest)) if part[1].size]

    def block(at):
        target = y[at]
        row = target.reshape(len(target), ow * c)  # a view, inside a border too
        for place, seen, tiled in parts:
            cells = seen[at]
            np.einsum("hbijq,ijq->hbq", cells, tiled, out=row[:, place].reshape(*cells.shape[:2], -1))
        settle(target, bias, None, activation, target)

    over_blocks(block, len(x), oh, block_rows(2 * ow * c * x.itemsize), 8 * y.size * window[0] * window[1])
    return whole
