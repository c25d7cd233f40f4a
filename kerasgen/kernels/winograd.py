"""Convolution by the minimal filtering of Winograd: 2.25 or 4 times fewer products.

F(m x m, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015):
    y = A' [(G k G') * (B' x B)] A
for tiles of m x m results, which see n x n cells, n = m + 2. Every transform is a product with a small matrix.
"""

import numpy as np

from kerasgen.kernels.blocks import framed, settle
from kerasgen.kernels.crew import block_rows, over_blocks
from kerasgen.kernels.window import padded

# B', G times the number that follows, that number, and A', by m.
WINOGRAD = {
    2: (
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
        2,
        ((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
    4: (
        (
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24)),
        24,
        ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    ),
}


def winograd_filters(kernel, *, m):
    """G k G' of every filter, the transformed column first: (3, 3, C, F) → (n, n, C, F)."""
    _, g, divisor, _ = WINOGRAD[m]
    g = np.array(g, kernel.dtype) / kernel.dtype.type(divisor)
    _, _, c, f = kernel.shape
    rows = (g @ kernel.reshape(3, 3 * c * f)).reshape(m + 2, 3, c * f)
    columns = g @ rows.transpose(1, 0, 2).reshape(3, (m + 2) * c * f)
    return columns.reshape(m + 2, m + 2, c, f)


def winograd_conv2d(x, kernel, bias=None, residual=None, *, size, pad=None, activation=None, border=None, out=None):
    """Convolution by `winograd_filters`, plus `residual`: (N, H, W, C) with (n, n, C, F) → (N, *size, F).

    `x` with its pad holds whole tiles: m * tiles + 2 cells each way.
    """
    n, _, c, f = kernel.shape
    m = n - 2
    into, back = (np.array(WINOGRAD[m][i], x.dtype) for i in (0, 3))
    x = padded(x, (3, 3), (1, 1), (1, 1), pad)
    tw = (x.shape[2] - 2) // m
    y, whole = framed((len(x), *size, f), x.dtype, border, out)

    def block(at):
        image, tiles = at
        th = tiles.stop - tiles.start
        cells = x[image, tiles.start * m : tiles.stop * m + 2]
        step_h, step_w, step = cells.strides
        # a: transformed row, b: transformed column of a tile
        cells = np.lib.stride_tricks.as_strided(cells, (len(cells), tw, n, c), (step_h, m * step_w, step_w, step))
        t = np.empty((n, len(cells), tw * c), x.dtype)
        np.matmul(into, cells, out=t.reshape(n, len(cells), tw, c).transpose(1, 2, 0, 3))
        step_b, step_h, step = t.strides
        cells = np.lib.stride_tricks.as_strided(t, (n, th, n, tw * c), (step_b, m * step_h, step_h, step))
        v = np.empty((n, n, th, tw * c), x.dtype)
        np.matmul(into, cells, out=v.transpose(0, 2, 1, 3))
        z = v.reshape(n * n, th * tw, c) @ kernel.reshape(n * n, c, f)
        if bias is not None:
            z[n + 1] += bias  # which `back` adds to each cell once
        z = back @ z.reshape(n, n, th, tw * f).transpose(0, 2, 1, 3)
        part = back @ z.reshape(n, th, m, tw, f).transpose(1, 2, 3, 0, 4)
        rows = slice(tiles.start * m, min(tiles.stop * m, size[0]))
        target = y[image, rows]
        part = part.reshape(th * m, tw * m, f)[: len(target), : size[1]]
        settle(part, None, None if residual is None else residual[image, rows], activation, target)

    # Where the filters do not stay in the cache, either, a product needs many tiles.
    step = block_rows(n * n * tw * max(c, f) * x.itemsize, tw if c > 128 else 256)
    over_blocks(block, len(x), (x.shape[1] - 2) // m, step, 3 * y.size * c)
    return whole
