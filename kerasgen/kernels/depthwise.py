"""Depthwise convolution of several cells at once."""

import numpy as np

from kerasgen.kernels.blocks import framed, settle
from kerasgen.kernels.crew import block_rows, over_blocks
from kerasgen.kernels.window import padded, window_counts


def tile(kernel, *, count):
    """The kernel of a depthwise convolution for `count` cells side by side: (kh, kw, C, 1) → (kh, kw, count * C)."""
    kh, kw, *c = kernel.shape
    return np.tile(kernel.reshape(kh, kw, int(np.prod(c))), (1, 1, count))


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
    full, rest = divmod(ow * c, q)

    def tiles(first, count, size):
        step_n, step_h, step_w, step_c = x.strides
        down, right = (step * s for step, s in zip((step_h, step_w), strides))
        shape = (len(x), oh, count, *window, size)
        steps = (step_n, down, q // c * right, dilation[0] * step_h, dilation[1] * step_w, step_c)
        seen = np.lib.stride_tricks.as_strided(x[:, :, first // c * strides[1] :], shape, steps, writeable=False)
        return slice(first, first + count * size), seen, kernel[:, :, :size]

    parts = [part for part in (tiles(0, full, q), tiles(full * q, 1, rest)) if part[1].size]

    def block(at):
        target = y[at]
        part = np.empty((len(target), ow * c), x.dtype)
        for place, seen, tiled in parts:
            cells = seen[at]
            np.einsum("hbijq,ijq->hbq", cells, tiled, out=part[:, place].reshape(*cells.shape[:2], -1))
        settle(part.reshape(target.shape), bias, None, activation, target)

    over_blocks(block, len(x), oh, block_rows(4 * ow * c * x.itemsize), 8 * y.size * window[0] * window[1])
    return whole
