"""Depthwise convolution of several cells at once."""

import numpy as np

from kerasgen.kernels.blocks import along_row, framed, settle
from kerasgen.kernels.crew import block_rows, over_blocks
from kerasgen.kernels.window import padded, window_counts


def tile(kernel, *, count):
    """The kernel of a depthwise convolution for `count` cells side by side: (kh, kw, C, 1) → (kh, kw, count * C)."""
    kh, kw, *c = kernel.shape
    return np.tile(kernel.reshape(kh, kw, int(np.prod(c))), (1, 1, count))


def side_by_side(x, width, count, stride, dilation):
    """What each column of a kernel meets in a row of `count` windows: (H, W, C) → (H, width, count * C)."""
    h, w, c = x.shape
    cells = x.reshape(h, w * c).view(np.dtype((np.void, c * x.itemsize)))  # a cell is copied faster than its numbers
    y = np.empty((h, width, count), cells.dtype)
    for j in range(width):
        y[:, j] = cells[:, j * dilation : j * dilation + (count - 1) * stride + 1 : stride]
    return y.view(x.dtype)


def tiled_depthwise_conv2d(
    x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None, border=None, out=None
):
    """Convolution of each channel by its own filter: (N, H, W, C) with a kernel from `tile` → (N, OH, OW, C).

    What a product adds up lies side by side: one loop, as long as the tiled kernel, instead of one for each cell. The
    last cells of a row take the part of the kernel that they need.
    """
    (kh, kw, q), c, item = kernel.shape, x.shape[-1], x.itemsize
    x = np.ascontiguousarray(padded(x, (kh, kw), strides, dilation, pad))
    oh, ow = window_counts(x.shape[1:-1], (kh, kw), strides, dilation)
    y, whole = framed((len(x), oh, ow, c), x.dtype, border, out)
    bias = along_row(bias, y)
    tiles, rest = divmod(ow * c, q)

    def block(at):
        image, rows = at
        cells = x[image, rows.start * strides[0] : (rows.stop - 1) * strides[0] + (kh - 1) * dilation[0] + 1]
        down, column = cells.strides[0], cells.strides[1] * dilation[1]
        if strides[1] > 1:
            cells = side_by_side(cells, kw, ow, strides[1], dilation[1])
            down, column = cells.strides[:2]
        target = y[at]
        results = target.reshape(len(target), ow * c)  # a view, inside a border too
        for first, count, size in ((0, tiles, q), (tiles * q, 1, rest)):
            if count * size:
                steps = (strides[0] * down, q * item, dilation[0] * down, column, item)
                seen = np.ndarray((len(target), count, kh, kw, size), x.dtype, cells, first * item, steps)
                place = results[:, first : first + count * size].reshape(len(target), count, size)
                np.einsum("hbijq,ijq->hbq", seen, kernel[:, :, :size], out=place)
        settle(target, bias, None, activation, target)

    over_blocks(block, len(x), oh, block_rows(2 * ow * c * item), 8 * y.size * kh * kw)
    return whole
