"""Depthwise convolution of several cells at once."""

import numpy as np

from kerasgen.kernels.blocks import block_rows, framed, settle
from kerasgen.kernels.crew import over_blocks
from kerasgen.kernels.window import padded, window_counts


def tile(kernel, *, count):
    """The kernel of a depthwise convolution for `count` cells side by side: (kh, kw, C, 1) → (kh, kw, count * C)."""
    kh, kw, *c = kernel.shape
    return np.tile(kernel.reshape(kh, kw, int(np.prod(c))), (1, 1, count))


def tiled_depthwise_conv2d(
    x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None, border=None, out=None
):
    """Convolution of each channel by its own filter: (N, H, W, C) with a kernel from `tile` → (N, OH, OW, C).

    What a product adds up lies side by side: one loop, as long as the tiled kernel, instead of one for each cell.
    """
    window, q, c = kernel.shape[:2], kernel.shape[2], x.shape[-1]
    x = np.ascontiguousarray(padded(x, window, strides, dilation, pad))
    oh, ow = window_counts(x.shape[1:-1], window, strides, dilation)
    step_n, step_h, step_w, step_c = x.strides
    down, right = strides
    cells = np.lib.stride_tricks.as_strided(
        x,
        (len(x), oh, ow * c // q, *window, q),
        (step_n, down * step_h, q // c * right * step_w, dilation[0] * step_h, dilation[1] * step_w, step_c),
        writeable=False,
    )
    y, whole = framed((len(x), oh, ow, c), x.dtype, border, out)

    def block(at):
        target = y[at]
        part = np.einsum("hbijq,ijq->hbq", cells[at], kernel)
        settle(part.reshape(target.shape), bias, None, activation, target)

    over_blocks(block, len(x), oh, block_rows(4 * ow * c * x.itemsize), 8 * y.size * window[0] * window[1])
    return whole
