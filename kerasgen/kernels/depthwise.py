"""Depthwise convolution of several cells at once."""

import numpy as np

from kerasgen.kernels.blocks import bordered, epilogue, tile_row
from kerasgen.kernels.threads import block_rows, over_blocks
from kerasgen.kernels.window import padded, window_counts
from kerasgen.kernels.winograd import into_tiles, out_of_tiles, winograd_filters


def tile(kernel, *, count):
    """A depthwise kernel repeated for `count` adjacent cells: (kh, kw, C, 1) → (kh, kw, count * C)."""
    kh, kw, *c = kernel.shape
    return np.tile(kernel.reshape(kh, kw, int(np.prod(c))), (1, 1, count))


def side_by_side(x, width, count, stride, dilation):
    """The cells under each kernel column in a row of `count` windows: (H, W, C) → (H, width, count * C)."""
    h, w, c = x.shape
    cells = x.reshape(h, w * c).view(np.dtype((np.void, c * x.itemsize)))  # one item per cell: copied faster
    y = np.empty((h, width, count), cells.dtype)
    for j in range(width):
        y[:, j] = cells[:, j * dilation : j * dilation + (count - 1) * stride + 1 : stride]
    return y.view(x.dtype)


def add_up(equation, x, steps, taps, kernel, results):
    """The sums of `equation`, by `np.einsum`, for every row of `results` (..., OW * C) with a kernel (..., count * C).

    `steps` and `taps` are strides of `x` in bytes: to the next row, tile and tap. The inner loop is as long as the
    tiled kernel instead of one cell. The last cells of a row use the part of the kernel that they need.
    """
    *rows, width = results.shape
    q, window, item = kernel.shape[-1], kernel.shape[-1 - len(taps) : -1], x.itemsize
    for first, count, size in ((0, width // q, q), (width // q * q, 1, width % q)):
        if count * size:
            shape = (*rows, count, *window, size)
            seen = np.ndarray(shape, x.dtype, x, first * item, (*steps, *taps, item))
            place = results[..., first : first + count * size].reshape(*rows, count, size)
            np.einsum(equation, seen, kernel[..., :size], out=place)


def tiled_depthwise_conv2d(
    x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None, border=None, out=None
):
    """Convolution of each channel by its own filter: (N, H, W, C) with a kernel from `tile` → (N, OH, OW, C)."""
    (kh, kw, q), c = kernel.shape, x.shape[-1]
    x = np.ascontiguousarray(padded(x, (kh, kw), strides, dilation, pad))
    oh, ow = window_counts(x.shape[1:-1], (kh, kw), strides, dilation)
    cost = 8 * len(x) * oh * ow * c * kh * kw
    y, whole = bordered((len(x), oh, ow, c), x.dtype, border, out, cost)
    bias = tile_row(bias, y)

    def block(at):
        image, rows = at
        cells = x[image, rows.start * strides[0] : (rows.stop - 1) * strides[0] + (kh - 1) * dilation[0] + 1]
        down, across, item = cells.strides
        column, tile_step = across * dilation[1], q * item
        if q == c:  # a tile is one cell
            tile_step = across * strides[1]
        elif strides[1] > 1:
            cells = side_by_side(cells, kw, ow, strides[1], dilation[1])
            down, column, _ = cells.strides
        target = y[at]
        results = target.reshape(len(target), ow * c)  # a view, inside a border too
        add_up("hbijq,ijq->hbq", cells, (strides[0] * down, tile_step), (dilation[0] * down, column), kernel, results)
        epilogue(target, bias, None, activation, target)

    over_blocks(block, len(x), oh, block_rows(2 * ow * c * x.itemsize), cost)
    return whole


def winograd_tile(kernel, *, m, count):
    """`tile` of the `winograd_filters` for columns of m: (kh, kw, C, 1) → (m + kh - 1, kw, count * C)."""
    kh, kw, *c = kernel.shape
    filters = winograd_filters(kernel.reshape(kh, 1, -1, 1), m=(m, 1))
    return tile(filters.reshape(-1, kw, *c), count=count)


def winograd_depthwise_conv2d(x, kernel, bias=None, *, window, pad=None, activation=None, border=None, out=None):
    """Convolution of each channel by its own filter: (N, H, W, C) with a kernel from `winograd_tile` → (N, OH, OW, C).

    Tiles are one column wide, so that few products transform whole rows. Padded, `x` has m - 1 rows more than the
    convolution needs, so that whole tiles fit, whatever its size. Error up to 1000 eps of the largest result.
    """
    (n, kw, _), (kh, _), c = kernel.shape, window, x.shape[-1]
    m = n - kh + 1
    x = np.ascontiguousarray(padded(x, window, (1, 1), (1, 1), pad))
    oh, ow = window_counts((x.shape[1] - m + 1, x.shape[2]), window, (1, 1), (1, 1))
    cost = 8 * len(x) * oh * ow * c * n * kw // m
    y, whole = bordered((len(x), oh, ow, c), x.dtype, border, out, cost)
    bias = tile_row(bias, y)

    def block(at):
        image, tiles = at
        first, last, count = tiles.start * m, tiles.stop * m, tiles.stop - tiles.start
        rows = x[image, first : last + kh - 1]
        z = into_tiles(rows.reshape(1, len(rows), rows[0].size), n, kh)
        sums = np.empty((n, count, ow * c), x.dtype)
        steps = (z.strides[0], z.strides[2], kernel.strides[1])
        add_up("ihbjq,ijq->ihbq", z, steps, (rows.strides[1],), kernel, sums)
        if bias is not None:
            sums[1] += bias.reshape(-1)  # at the point 1, which A' adds to each cell once
        part = out_of_tiles(sums.reshape(n, 1, count, -1), kh).reshape(last - first, ow, c)
        target = y[image, first:last]
        epilogue(part[: len(target)], None, None, activation, target)

    step = block_rows(n * x[:1, :1].nbytes)
    over_blocks(block, len(x), -(-oh // m), step, cost)
    return whole
