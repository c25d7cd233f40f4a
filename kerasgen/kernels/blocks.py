"""Convolutions in blocks of rows, so that intermediate results stay in the cache.

Most can write their result into a buffer `out`, inside a `border` of zeros that the next layer needs.
"""

import math

import numpy as np

from kerasgen.kernels.activation import relu, relu6
from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.norm import layer_norm
from kerasgen.kernels.shape import upsample_nearest
from kerasgen.kernels.team import TEAM
from kerasgen.kernels.threads import (
    BATCH_THREADS,
    block_rows,
    over_blocks,
    own_threads,
    product,
    share,
    without_blas_threads,
)
from kerasgen.kernels.window import padded, same_pads, surround, window_counts, window_rows, windows


def in_batches(predict, count, *inputs):
    """The results of `predict`, called on `count` samples at a time so that their arrays stay in the cache."""
    starts = range(0, len(inputs[0]), count)
    return joined_batches([predict(*(x[start : start + count] for x in inputs)) for start in starts])


def share_batch(predict, most, *inputs):
    """As `in_batches`, but threads share the samples. Each computes at most `most` of them at a time.

    So they need not wait for each other at every layer. If the BLAS's threads would be in their way, this thread
    computes all samples.
    """
    count = len(inputs[0])
    with own_threads(BATCH_THREADS if TEAM.size == 1 else 1):
        threads = min(count, TEAM.threads) if without_blas_threads() else 1
        rounds = -(-count // (most * threads))
        size = -(-count // (rounds * threads))
        parts = [None] * -(-count // size)

        def work(number):
            with TEAM.on_samples(size, threads):
                parts[number] = predict(*(x[number * size : (number + 1) * size] for x in inputs))

        if threads > 1:
            share(work, range(len(parts)))
        else:
            for number in range(len(parts)):
                work(number)
    return joined_batches(parts)


def joined_batches(parts):
    """The results of `predict` for some samples each, as for all of them."""
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], tuple):
        return tuple(map(np.concatenate, zip(*parts)))
    return np.concatenate(parts)


def bordered(shape, dtype, border, out, cost):
    """An array to fill, and the same array with its border of zeros. `border` is (before, after) per axis, or None.

    If filling it takes many multiplications (`cost`), a team shares it; it is read-only for the rest of the program.
    """
    shared = TEAM.shares(cost)
    if shared:
        TEAM.barrier()  # until now, another process may have been reading it

    def empty(shape, dtype):
        if shared:
            return TEAM.empty(shape, dtype, out)
        return np.empty(shape, dtype) if out is None else out.empty(shape, dtype)

    y, whole = (empty(shape, dtype),) * 2 if border is None else surround(shape, dtype, border, 0, empty)
    return y, read_only(whole) if shared else whole


def read_only(y):
    """A view of an array that cannot be written to."""
    y = y.view()
    y.flags.writeable = False
    return y


def tile_row(numbers, y):
    """One number per channel, or one for all, repeated for every cell of a row of `y`: (F,) → (W, F).

    NumPy then loops over whole rows instead of cells, which takes half the time.
    """
    if numbers is None:
        return None
    row = np.empty(y.shape[2:][-2:], y.dtype)
    row[...] = numbers
    return row


def epilogue(part, bias, residual, activation, target):
    """target = activation(part + bias + residual); `part`, which may be `target`, is overwritten."""
    if bias is not None:
        part += bias
    if residual is not None:
        part += residual
    if activation in (relu, relu6):
        activation(part, out=target)
    elif activation is not None:
        rows = block_rows(4 * part[:1].nbytes)  # its temporaries must fit in the cache, too
        for start in range(0, len(part), rows):
            target[start : start + rows] = activation(part[start : start + rows])
    elif part is not target:
        target[...] = part


def row_cells(width, activation):
    """The cells of a row; infinity if columns cannot be shared because the activation may look along them."""
    return width if activation in (None, relu, relu6) else math.inf


def part_of(x, at, columns=None):
    """The block of x at this place, or some of its columns; None if x is None."""
    return only_columns(None if x is None else x[at], columns)


def only_columns(x, columns):
    """These columns of x, or all; None if x is None."""
    return x if x is None or columns is None else x[..., columns]


def blocked_conv(
    x, kernel, bias=None, residual=None, *, strides, dilation, pad=None, activation=None, border=None, out=None
):
    """Convolution plus `residual`: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F), any number of axes."""
    window, f = kernel.shape[:-2], kernel.shape[-1]
    matrix = kernel.reshape(kernel.size // f, f)
    cells = window_rows(padded(x, window, strides, dilation, pad), window, strides, dilation)
    shape = cells.shape[: x.ndim - 1] + (f,)
    cost = product(shape) * len(matrix)
    y, whole = bordered(shape, x.dtype, border, out, cost)
    bias = tile_row(bias, y)

    def block(at, columns=None):
        target = part_of(y, at, columns)
        unfolded = np.ascontiguousarray(cells[at]).view(x.dtype)
        part = matmul(unfolded.reshape(y[at].size // f, len(matrix)), only_columns(matrix, columns))
        part, others = part.reshape(target.shape), part_of(residual, at, columns)
        epilogue(part, only_columns(bias, columns), others, activation, target)

    width = product(shape[2:-1])
    step = block_rows(width * len(matrix) * x.itemsize, width)
    over_blocks(block, len(x), shape[1], step, cost, f, row_cells(width, activation))
    return whole


def half_unfolded_conv(
    x, kernel, bias=None, residual=None, *, dilation, pad=None, activation=None, border=None, out=None
):
    """Convolution, plus `residual`: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F), two axes or more.

    Windows are unfolded along all axes but the last, along which the products of neighbours are added instead.
    """
    (*window, k), f = kernel.shape[:-2], kernel.shape[-1]
    ones = (1,) * len(dilation)
    x = padded(x, (*window, k), ones, dilation, pad)
    counts = window_counts(x.shape[1:-1], (*window, k), ones, dilation)
    cells = windows(x, (*window, 1), ones, dilation)
    matrix = np.swapaxes(kernel, -3, -2).reshape(kernel.size // (k * f), k * f)
    cost = product(counts) * len(x) * kernel.size
    y, whole = bordered((len(x), *counts, f), x.dtype, border, out, cost)
    bias, step = tile_row(bias, y), dilation[-1]

    def block(at):
        unfolded = np.ascontiguousarray(cells[at])
        parts = matmul(unfolded.reshape(unfolded.size // len(matrix), len(matrix)), matrix)
        parts = parts.reshape(unfolded.shape[: len(counts)] + (k, f))
        first, *others = (parts[..., i * step : i * step + counts[-1], i, :] for i in range(k))
        total = np.ascontiguousarray(first)
        for part in others:
            total += part
        epilogue(total, bias, part_of(residual, at), activation, y[at])

    rows = block_rows(product(x.shape[2:-1]) * max(matrix.shape) * x.itemsize)
    over_blocks(block, len(x), counts[0], rows, cost)
    return whole


def kn2row_conv(x, kernel, bias=None, residual=None, *, dilation, pad=None, activation=None, border=None, out=None):
    """Convolution with few filters, plus `residual`: (N, H, W, C), (kh, kw, C, F) → (N, OH, OW, F), any number of axes.

    Nothing is unfolded: each cell is multiplied with the whole kernel, and each window adds up its part of the products
    (kn2row, Anderson et al. 2017). These lie filter by filter, so that the sums run along rows of the image.
    """
    window, (c, f) = kernel.shape[:-2], kernel.shape[-2:]
    ones = (1,) * len(window)
    x = padded(x, window, ones, dilation, pad)
    counts = window_counts(x.shape[1:-1], window, ones, dilation)
    matrix = np.swapaxes(kernel, -1, -2).reshape(kernel.size // c, c)
    cost = product(counts) * len(x) * kernel.size
    y, whole = bordered((len(x), *counts, f), x.dtype, border, out, cost)
    bias, below = tile_row(bias, y), (window[0] - 1) * dilation[0]  # rows that a window needs below its first

    def block(at):
        image, rows = at
        cells = x[image, rows.start : rows.stop + below]
        products = matmul(matrix, cells.reshape(cells.size // c, c).T).reshape(*window, f, *cells.shape[:-1])
        total = np.zeros((f, *y[at].shape[:-1]), x.dtype)
        for tap in np.ndindex(*window):
            cut = tuple(slice(i * d, i * d + size) for i, d, size in zip(tap, dilation, total.shape[1:]))
            total += products[tap][(slice(None),) + cut]
        part = np.ascontiguousarray(np.moveaxis(total, 0, -1))
        epilogue(part, bias, part_of(residual, at), activation, y[at])

    step = block_rows(product(x.shape[2:-1]) * len(matrix) * x.itemsize)
    over_blocks(block, len(x), counts[0], max(step, 2 * below), cost)  # the rows below are computed twice
    return whole


def pointwise(x, kernel, bias=None, residual=None, gate=None, *, activation=None, border=None, out=None):
    """The product of every cell and the kernel, plus `residual`: (N, ..., C) with a kernel (C, F) → (N, ..., F).

    x * gate (N, ..., 1, C) is multiplied instead of x, but it is the kernel that is scaled: it has fewer numbers.
    """
    c, f = kernel.shape[-2:]
    matrix = kernel.reshape(c, f)
    matrices = [matrix] * len(x) if gate is None else gate.reshape(len(x), c, 1) * matrix
    y, whole = bordered(x.shape[:-1] + (f,), x.dtype, border, out, x.size * f)
    bias = tile_row(bias, y)

    def block(at, columns=None):
        target, left = part_of(y, at, columns), x[at].reshape(x[at].size // c, c)
        place = target.reshape(len(left), target.shape[-1]) if target.flags.c_contiguous else None
        part = matmul(left, only_columns(matrices[at[0]], columns), out=place).reshape(target.shape)
        target = target if place is None else part
        epilogue(part, only_columns(bias, columns), part_of(residual, at, columns), activation, target)

    width = product(x.shape[2:-1])
    step = block_rows(width * max(c, f) * x.itemsize // 4, width)  # larger blocks: nothing is unfolded
    over_blocks(block, len(x), x.shape[1], step, x.size * f, f, row_cells(width, activation))
    return whole


def dense_by_columns(x, kernel, bias=None, *, activation=None):
    """Matrix product with a large kernel: (N, C) with a kernel (C, F) → (N, F)."""
    return pointwise(x[None], kernel, bias, activation=activation)[0]


def pool_by_rows(x, *, pool, size, strides, pads=None, border=None, out=None):
    """`max_pool` or `average_pool` of a large array: (N, H, W, C) → (N, OH, OW, C), any number of axes."""
    ones = (1,) * len(size)
    edges = same_pads(x.shape[1:-1], size, strides, ones) if pads == "same" else pads or ((0, 0),) * len(size)
    full = [before + length + after for length, (before, after) in zip(x.shape[1:], edges)]
    counts = window_counts(full, size, strides, ones)
    y, whole = bordered((len(x), *counts, x.shape[-1]), x.dtype, border, out, 8 * x.size)

    def block(at):
        image, rows = at
        first, last = (row * strides[0] - edges[0][0] for row in (rows.start, rows.stop - 1))
        last += size[0]
        outside = (max(-first, 0), max(last - x.shape[1], 0)), *edges[1:]
        part = x[image : image + 1, max(first, 0) : last]
        y[at] = pool(part, size=size, strides=strides, pad=pads and outside)[0]

    over_blocks(block, len(x), counts[0], block_rows(4 * x[:1, : strides[0]].nbytes), 8 * x.size)
    return whole


def layer_norm_by_rows(x, gamma=None, beta=None, *, epsilon=1e-3, border=None, out=None):
    """`layer_norm` over the channels of a large array: (N, H, W, C) → (N, H, W, C), any number of axes."""
    y, whole = bordered(x.shape, x.dtype, border, out, 8 * x.size)

    def block(at):
        y[at] = layer_norm(x[at], gamma, beta, epsilon=epsilon)

    over_blocks(block, len(x), x.shape[1], block_rows(4 * x[:1, :1].nbytes), 8 * x.size)
    return whole


def scale_shift(x, scale, shift, *, activation=None, border=None, out=None):
    """x * scale + shift, each per channel or a single number: (N, H, W, C) → (N, H, W, C)."""
    y, whole = bordered(x.shape, x.dtype, border, out, 8 * x.size)
    scale, shift = tile_row(scale, y), tile_row(shift, y)

    def block(at):
        epilogue(x[at] * scale, shift, None, activation, y[at])

    over_blocks(block, len(x), x.shape[1], block_rows(4 * x[:1, :1].nbytes), 8 * x.size)
    return whole


def activation_by_rows(x, *, activation, border=None, out=None, **settings):
    """An activation of a large array, with its settings: (N, H, W, C) → (N, H, W, C), any number of axes."""
    cost = 32 * x.size  # most have four operations
    y, whole = bordered(x.shape, x.dtype, border, out, cost)

    def block(at):
        y[at] = activation(x[at], **settings)

    over_blocks(block, len(x), x.shape[1], block_rows(4 * x[:1, :1].nbytes), cost)
    return whole


def clamp(x, low=None, high=None, *, border=None, out=None):
    """x clipped to limits, each per channel or a single number, None for no limit: (N, H, W, C) → (N, H, W, C)."""
    y, whole = bordered(x.shape, x.dtype, border, out, 8 * x.size)
    low, high = tile_row(low, y), tile_row(high, y)

    def block(at):
        part, target = x[at], y[at]
        if low is not None:
            part = np.maximum(part, low, out=target)
        if high is not None:
            part = np.minimum(part, high, out=target)
        if part is not target:
            target[...] = part

    over_blocks(block, len(x), x.shape[1], block_rows(4 * x[:1, :1].nbytes), 8 * x.size)
    return whole


def elementwise(ufunc, *operands, out):
    """ufunc(*operands), which may overwrite the operand `out`, (N, H, W, C); the others broadcast to it."""
    if out.flags.writeable:  # not shared by a team
        return ufunc(*operands, out=out)
    if not TEAM.shares(8 * out.size):
        return ufunc(*operands)
    operands = [x if np.shape(x) in ((), out.shape) else np.broadcast_to(x, out.shape) for x in operands]
    y = out.view()
    y.flags.writeable = True
    TEAM.barrier()  # until now, another process may have been reading it

    def block(at):
        ufunc(*(x if np.ndim(x) == 0 else x[at] for x in operands), out=y[at])

    over_blocks(block, len(y), y.shape[1], block_rows(y[:1, :1].nbytes), 8 * y.size)
    return out


def join_rows(*xs, axis=-1, out):
    """Join along the last axis, into the buffer `out`: (N, H, W, C), (N, H, W, D) → (N, H, W, C + D)."""
    cost = 8 * sum(x.size for x in xs)
    y, whole = bordered((*xs[0].shape[:-1], sum(x.shape[-1] for x in xs)), np.result_type(*xs), None, out, cost)

    def block(at):
        np.concatenate([x[at] for x in xs], axis=axis, out=y[at])

    over_blocks(block, len(y), y.shape[1], y.shape[1], cost)
    return whole


def upsample_nearest_by_rows(x, *, size, border=None, out=None):
    """`upsample_nearest` of a large array: (N, H, W, C) with size (2, 3) → (N, 2H, 3W, C), any number of axes."""
    times, *others = size
    sizes = [length * repeats for length, repeats in zip(x.shape[1:], size)]
    cost = 8 * x.size * product(size)
    y, whole = bordered((len(x), *sizes, x.shape[-1]), x.dtype, border, out, cost)

    def block(at):
        image, rows = at
        part = upsample_nearest(x[at][np.newaxis], size=(1, *others))[0]
        target = y[image, rows.start * times : rows.stop * times]
        target.reshape(len(part), times, *target.shape[1:])[...] = part[:, np.newaxis]  # a view, inside a border too

    over_blocks(block, len(x), x.shape[1], block_rows(2 * x[:1, :1].nbytes * product(size)), cost)
    return whole
