"""Transposed convolutions in blocks of rows, so that intermediate results stay in the cache."""

from kerasgen.kernels.blocks import bordered, epilogue, part_of, tile_row
from kerasgen.kernels.conv import convolve_transpose
from kerasgen.kernels.threads import block_rows, over_blocks, product


def conv_transpose_by_rows(
    x, kernel, bias=None, residual=None, *, strides, dilation, crop=None, activation=None, border=None, out=None
):
    """Transposed convolution plus `residual`: (N, H, W, C), (kh, kw, F, C) → (N, OH, OW, F), any number of axes.

    A block of rows is added up from the rows of x that reach it; some of these reach the next block as well.
    """
    window, (f, c) = kernel.shape[:-2], kernel.shape[-2:]
    (top, bottom), *crops = ((0, 0),) * len(window) if crop is None else crop
    spans = [(n - 1) * s + (k - 1) * d + 1 for n, k, s, d in zip(x.shape[1:], window, strides, dilation)]
    cuts = [sum(cut) for cut in ((top, bottom), *crops)]
    shape = (len(x), *(span - cut for span, cut in zip(spans, cuts)), f)
    cost = x.size * (kernel.size // c)
    y, whole = bordered(shape, x.dtype, border, out, cost)
    bias, stride, reach = tile_row(bias, y), strides[0], (window[0] - 1) * dilation[0]

    def block(at):
        image, rows = at
        start, stop = rows.start + top, rows.stop + top
        first = max(0, min(start // stride, -((reach - start) // stride), x.shape[1] - 1))
        last = min((stop - 1) // stride + 1, x.shape[1])
        span = (last - first - 1) * stride + reach + 1  # rows that these reach
        crop = (start - first * stride, span - (stop - first * stride))
        part = convolve_transpose(x[image : image + 1, first:last], kernel, strides, dilation, (crop, *crops))[0]
        epilogue(part, bias, part_of(residual, at), activation, y[at])

    # Rows at the edges of blocks are multiplied twice, so these are larger than elsewhere.
    row = product(x.shape[2:-1]) * (kernel.size // c) * x.itemsize
    over_blocks(block, len(x), shape[1], max(4 * stride * block_rows(row), 8 * reach), cost)
    return whole
