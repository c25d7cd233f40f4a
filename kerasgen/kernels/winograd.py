"""Convolution by Winograd's minimal filtering: 1.75 to 4 times fewer products.

F(m, r) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), along each axis of the window:
    y = A' [(G k G') * (B' x B)] A
for tiles of m results, which see n = m + r - 1 cells. Every transform is a product with a small matrix.
"""

import numpy as np

from kerasgen.kernels.blocks import bordered, epilogue, only_columns, part_of, row_cells
from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.threads import block_rows, over_blocks
from kerasgen.kernels.window import padded, window_counts, windows

# The interpolation points, by n; the last point is infinity.
POINTS = {
    4: (0, 1, -1),
    6: (0, 1, -1, 2, -2),
    8: (0, 1, -1, 2, -2, 0.5, -0.5),
    10: (0, 1, -1, 2, -2, 0.5, -0.5, 0.75, -0.75),
}
TRANSFORMS = {}  # cache
ROWS = 64  # tiles in a product for one depth: products of fewer are slow, more take more memory


def transforms(n, r, dtype):
    """B', G and A' for tiles of n cells under a window of r, by Toom-Cook interpolation."""
    if (n, r, dtype) not in TRANSFORMS:
        points = np.array(POINTS[n], float)
        others = [np.delete(points, i) for i in range(n - 1)]
        b = np.zeros((n, n))
        b[:-1, :-1] = [np.poly(each)[::-1] for each in others]  # lowest power first
        b[-1] = np.poly(points)[::-1]
        g, a = (np.append(points[:, None] ** np.arange(k), np.eye(k)[-1:], axis=0) for k in (r, n - r + 1))
        g[:-1] /= [[np.prod(p - each)] for p, each in zip(points, others)]
        TRANSFORMS[n, r, dtype] = tuple(np.ascontiguousarray(matrix, dtype) for matrix in (b, g, a.T))
    return TRANSFORMS[n, r, dtype]


def winograd_filters(kernel, *, m):
    """G k G' of every filter: (rh, rw, C, F) and m = (mh, mw) → (nh, nw, C, F).

    Those of a window over depths, (rd, rh, rw, C, F), get the channels of all depths side by side: (nh, nw, rd * C, F).
    """
    *depths, rh, rw, c, f = kernel.shape
    if depths:
        c *= depths[0]
        kernel = kernel.transpose(1, 2, 0, 3, 4)
    nh, nw = m[0] + rh - 1, m[1] + rw - 1
    if rh > 1:
        kernel = transforms(nh, rh, kernel.dtype)[1] @ kernel.reshape(rh, rw * c * f)
    if rw > 1:
        kernel = transforms(nw, rw, kernel.dtype)[1] @ kernel.reshape(nh, rw, c * f)
    return kernel.reshape(nh, nw, c, f)


def into_tiles(x, n, r):
    """B' x for tiles of n cells along axis 1: (H, W, C) → (n, H, tiles, C)."""
    if n == 1:
        return x[None]
    cells = windows(x, (n,), (n - r + 1,), (1,))
    h, tiles, _, c = cells.shape
    z = np.empty((n, h, tiles, c), x.dtype)
    matmul(transforms(n, r, x.dtype)[0], cells, out=z.transpose(1, 2, 0, 3))
    return z


def out_of_tiles(z, r):
    """A' z for tiles of n cells along axis 1: (n, H, tiles, F) → (H, tiles * m, F)."""
    n, h, tiles, f = z.shape
    if n == 1:
        return z[0]
    return matmul(transforms(n, r, z.dtype)[2], z.transpose(1, 2, 0, 3)).reshape(h, tiles * (n - r + 1), f)


def into_tiles_2d(x, n, r):
    """B' x B for tiles of n = (nh, nw) cells under windows of r: (H, W, C) → (nh * nw, tiles, C)."""
    z = into_tiles(x, n[1], r[1])
    z = into_tiles(z.reshape(n[1], len(x), -1), n[0], r[0])
    return z.reshape(n[0] * n[1], -1, x.shape[-1])


def out_of_tiles_2d(z, bias, n, r, tiles):
    """A' z A plus bias, with so many `tiles` in a row: (nh * nw, rows * tiles, F) → (rows * mh, tiles * mw, F)."""
    (nh, nw), (rh, rw), rows = n, r, z.shape[1] // tiles
    if bias is not None:
        z[(rh > 1) * nw + (rw > 1)] += bias  # at the point 1 both ways, which A' adds to each cell once
    z = out_of_tiles(z.reshape(nh, nw, rows, -1), rh)
    return out_of_tiles(z.reshape(nw, rows * (nh - rh + 1), tiles, -1), rw)


def winograd_conv2d(
    x, kernel, bias=None, residual=None, *, window=(3, 3), pad=None, activation=None, border=None, out=None
):
    """Convolution by `winograd_filters`, plus `residual`: (N, H, W, C) with (nh, nw, C, F) → (N, OH, OW, F).

    Padded, `x` has m - 1 cells more at each end than the convolution needs, so that whole tiles fit, whatever its size.
    Error up to 1000 eps of the largest result.
    """
    (*n, c, f), (rh, rw) = kernel.shape, window
    mh, mw = n[0] - rh + 1, n[1] - rw + 1
    x = padded(x, window, (1, 1), (1, 1), pad)
    oh, ow = window_counts((x.shape[1] - mh + 1, x.shape[2] - mw + 1), window, (1, 1), (1, 1))
    th, tw = -(-oh // mh), -(-ow // mw)
    cost = 3 * len(x) * oh * ow * f * c
    y, whole = bordered((len(x), oh, ow, f), x.dtype, border, out, cost)
    kernel = kernel.reshape(-1, c, f)

    def block(at, columns=None):
        image, tiles = at
        first, last = tiles.start * mh, tiles.stop * mh
        z = into_tiles_2d(x[image, first : last + rh - 1], n, window)
        z = matmul(z, only_columns(kernel, columns))
        z = out_of_tiles_2d(z, only_columns(bias, columns), n, window, tw)
        target = part_of(y, (image, slice(first, last)), columns)
        others = part_of(residual, (image, slice(first, last)), columns)
        epilogue(z[: len(target), :ow], None, others, activation, target)

    step = block_rows(len(kernel) * tw * max(c, f) * x.itemsize // 4)  # larger ones: each product is one of n * n
    over_blocks(block, len(x), th, step, cost, f, row_cells(tw, activation))
    return whole


def winograd_conv3d(x, kernel, bias=None, residual=None, *, window, pad=None, activation=None, border=None, out=None):
    """`winograd_conv2d` with windows over depths, too: (N, D, H, W, C) with (nh, nw, rd * C, F) → (N, OD, OH, OW, F).

    Only H and W are in tiles. The channels of all depths are side by side, so those of a window are a range of them.
    Error up to 1000 eps of the largest result.
    """
    (*n, _, f), (rd, rh, rw), c = kernel.shape, window, x.shape[-1]
    mh, mw = n[0] - rh + 1, n[1] - rw + 1
    x = padded(x, window, (1, 1, 1), (1, 1, 1), pad)
    d, h, w = x.shape[1:-1]
    od, oh, ow = window_counts((d, h - mh + 1, w - mw + 1), window, (1, 1, 1), (1, 1, 1))
    th, tw = -(-oh // mh), -(-ow // mw)
    cost = 3 * len(x) * od * oh * ow * f * c * rd
    y, whole = bordered((len(x), od, oh, ow, f), x.dtype, border, out, cost)
    kernel = kernel.reshape(-1, 1, rd * c, f)

    def block(at):
        image, tiles = at
        first, last = tiles.start * mh, tiles.stop * mh
        cells = x[image, :, first : last + rh - 1].transpose(1, 2, 0, 3)
        z = into_tiles_2d(cells.reshape(len(cells), w, d * c), n, (rh, rw))
        count = z.shape[1]
        z = windows(z.reshape(-1, d, c), (rd,), (1,), (1,)).reshape(-1, count, od, rd * c)  # a view
        step = block_rows(len(kernel) * count * f * x.itemsize)
        for start in range(0, od, step):
            place = image, slice(start, start + step), slice(first, last)
            target = y[place]
            part = matmul(z[:, :, place[1]].swapaxes(1, 2), kernel)
            part = out_of_tiles_2d(part.reshape(len(kernel), -1, f), bias, n, (rh, rw), tw)
            part = part.reshape(len(target), last - first, -1, f)[:, : target.shape[1], :ow]
            epilogue(part, None, part_of(residual, place), activation, target)

    over_blocks(block, len(x), th, -(-ROWS // tw), cost, f)
    return whole
