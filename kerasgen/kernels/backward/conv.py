"""Gradients of dense layers and convolutions. `d` is always the gradient of the result."""

import numpy as np

from kerasgen.kernels.conv import col2im
from kerasgen.kernels.depthwise import tile, tiled_depthwise_conv2d
from kerasgen.kernels.shape import crop
from kerasgen.kernels.threads import PAYS, PRODUCTS, THREADS, block_rows, product, share
from kerasgen.kernels.window import pad, padded, same_pads, taps, window_rows, windows


def dense_backward(d, kernel):
    """Of y = x @ kernel, the gradient of x is d @ kernel': (N, ..., F), (C, F) → (N, ..., C)."""
    c, f = kernel.shape
    return (d.reshape(d.size // f, f) @ kernel.T).reshape(d.shape[:-1] + (c,))


def dense_backward_kernel(x, d):
    """Of y = x @ kernel, the gradient of the kernel is x' @ d: (N, ..., C), (N, ..., F) → (C, F)."""
    c, f = x.shape[-1], d.shape[-1]
    return x.reshape(x.size // c, c).T @ d.reshape(d.size // f, f)


def bias_backward(d):
    """The sum over all cells: (N, ..., F) → (F,). Each sample is added up by itself: short sums are accurate."""
    cells = product(d.shape[1:-1])
    if cells > 1:
        d = np.ones(cells, d.dtype) @ d.reshape(len(d), cells, d.shape[-1])
    return np.sum(d.reshape(len(d), d.shape[-1]), axis=0)


def fitted(x, pads):
    """Zeros before and after each axis but the first and last, or cells cut off where a number is negative."""
    x = crop(x, crops=[(max(-a, 0), max(-b, 0)) for a, b in pads])
    return pad(x, pads=[(max(a, 0), max(b, 0)) for a, b in pads])


def backward_pads(counts, sizes, window, strides, dilation, pads):
    """What `col2im` crops from the windows that a convolution has made of `sizes`, (before, after) per axis."""
    if pads is None:
        pads = ((0, 0),) * len(sizes)
    elif pads == "same":
        pads = same_pads(sizes, window, strides, dilation)
    spans = [(n - 1) * s + (k - 1) * t + 1 for n, k, s, t in zip(counts, window, strides, dilation)]
    return [(before, span - before - size) for (before, _), span, size in zip(pads, spans, sizes)]


def pieces(shape, depth, itemsize):
    """Slices of samples and rows of (N, OH, OW, F), with some megabyte of windows of `depth` numbers in each."""
    n, rows, width = shape[0], shape[1], product(shape[2:-1])
    step = max(block_rows(width * depth * itemsize, width), 1024 // width)
    if step < rows:
        return [(slice(i, i + 1), slice(j, min(j + step, rows))) for i in range(n) for j in range(0, rows, step)]
    return [(slice(i, min(i + step // rows, n)), slice(0, rows)) for i in range(0, n, step // rows)]


def each(work, tasks, cost):
    """Do all the tasks, with other threads if they are many multiplications and the BLAS has no threads for them."""
    if THREADS > 1 and PRODUCTS and cost > PAYS:
        share(work, tasks)
    else:
        for task in tasks:
            work(task)


def convolve_pieces(x, kernel, strides, dilation):
    """`convolve`, in pieces whose windows stay in the cache: (N, H, W, C), (kh, kw, C, F) → (N, OH, OW, F)."""
    f = kernel.shape[-1]
    depth = kernel.size // f
    matrix = kernel.reshape(depth, f)
    cells = window_rows(x, kernel.shape[:-2], strides, dilation)
    y = np.empty(cells.shape[: x.ndim - 1] + (f,), np.result_type(x, kernel))

    def work(at):
        rows = y[at].size // f
        unfolded = np.ascontiguousarray(cells[at]).view(x.dtype).reshape(rows, depth)
        np.matmul(unfolded, matrix, out=y[at].reshape(rows, f))

    each(work, pieces(y.shape, depth, x.itemsize), y.size * depth)
    return y


def conv_backward(d, kernel, like=None, *, shape=None, strides, dilation, pad):
    """Each cell of d adds the kernel, scaled, to its window: (N, OH, OW, F), (kh, kw, C, F) → (N, H, W, C), any axes.

    Without strides this is a convolution with the kernel turned round, which is faster where it unfolds no more.
    """
    window, (c, f) = kernel.shape[:-2], kernel.shape[-2:]
    sizes = like.shape[1:-1] if shape is None else shape[:-1]
    crops = backward_pads(d.shape[1:-1], sizes, window, strides, dilation, pad)
    plain, axes = max(strides) == 1, tuple(range(len(window)))
    if plain and max(window) == 1:
        return fitted(dense_backward(d, kernel.reshape(c, f)), [(-a, -b) for a, b in crops])
    if plain and product(sizes) * f <= 2 * product(d.shape[1:-1]) * c:
        turned = np.flip(kernel, axes).swapaxes(-2, -1)
        borders = [((k - 1) * t - a, (k - 1) * t - b) for k, t, (a, b) in zip(window, dilation, crops)]
        return convolve_pieces(fitted(d, borders), turned, strides, dilation)
    matrices = kernel.reshape(kernel.size // (c * f), c, f).swapaxes(1, 2)
    y = np.empty((len(d), *sizes, c), d.dtype)

    def work(at):
        part = d[at].reshape(d[at].size // f, f) @ matrices
        y[at] = col2im(part.reshape(matrices.shape[:1] + d[at].shape[:-1] + (c,)), window, strides, dilation, crops)

    cells = product(d.shape[1:-1])
    step = block_rows(cells * len(matrices) * c * d.itemsize, cells)
    each(work, [slice(i, i + step) for i in range(0, len(d), step)], d.size * len(matrices) * c)
    return y


def conv_backward_kernel(x, d, *, window, strides, dilation, pad):
    """Windows' @ d: (N, H, W, C), (N, OH, OW, F) → (kh, kw, C, F), any number of axes."""
    c, f = x.shape[-1], d.shape[-1]
    x = padded(x, window, strides, dilation, pad)
    if max(window) == max(strides) == 1:
        return dense_backward_kernel(x, d).reshape(window + (c, f))
    depth = product(window) * c
    cells = window_rows(x, window, strides, dilation)
    tasks = pieces(d.shape, depth, x.itemsize)
    sums = np.zeros((THREADS, depth, f), np.result_type(x, d))

    def work(first):
        for at in tasks[first::THREADS]:
            rows = d[at].size // f
            unfolded = np.ascontiguousarray(cells[at]).view(x.dtype).reshape(rows, depth)
            sums[first] += unfolded.T @ d[at].reshape(rows, f)

    each(work, range(THREADS), d.size * depth)
    return sum(sums[1:], sums[0]).reshape(window + (c, f))


def conv_transpose_backward(d, kernel, *, strides, dilation, crop):
    """The convolution that it reverses: (N, OH, OW, F), (kh, kw, F, C) → (N, H, W, C), any number of axes."""
    return convolve_pieces(d if crop is None else fitted(d, crop), kernel, strides, dilation)


def conv_transpose_backward_kernel(x, d, *, window, strides, dilation, crop):
    """As for the convolution that it reverses: (N, H, W, C), (N, OH, OW, F) → (kh, kw, F, C), any number of axes."""
    d = d if crop is None else fitted(d, crop)
    return conv_backward_kernel(d, x, window=window, strides=strides, dilation=dilation, pad=None)


def grouped_conv_backward(d, kernel, like=None, *, groups, shape=None, strides, dilation, pad):
    """`conv_backward` of each group of channels: (N, OH, OW, F), (kh, kw, C/groups, F) → (N, H, W, C), any axes."""
    sizes = like.shape[1:-1] if shape is None else shape[:-1]
    pairs = zip(np.split(d, groups, axis=-1), np.split(kernel, groups, axis=-1))
    settings = {"shape": (*sizes, kernel.shape[-2]), "strides": strides, "dilation": dilation, "pad": pad}
    return np.concatenate([conv_backward(a, b, **settings) for a, b in pairs], axis=-1)


def grouped_conv_backward_kernel(x, d, *, groups, window, strides, dilation, pad):
    """`conv_backward_kernel` of each group of channels: (N, H, W, C), (N, OH, OW, F) → (kh, kw, C/groups, F)."""
    pairs = zip(np.split(x, groups, axis=-1), np.split(d, groups, axis=-1))
    settings = {"window": window, "strides": strides, "dilation": dilation, "pad": pad}
    return np.concatenate([conv_backward_kernel(a, b, **settings) for a, b in pairs], axis=-1)


def depthwise_conv2d_backward(d, kernel, like=None, *, shape=None, strides, dilation, pad):
    """Each cell of d adds to its window, each channel by itself: (N, OH, OW, C * m), (kh, kw, C, m) → (N, H, W, C)."""
    kh, kw, c, m = kernel.shape
    sizes = like.shape[1:-1] if shape is None else shape[:-1]
    crops = backward_pads(d.shape[1:-1], sizes, (kh, kw), strides, dilation, pad)
    if max(strides) == 1:
        filters = tile(kernel[::-1, ::-1].reshape(kh, kw, c * m), count=max(1, min(sizes[1], 2048 // (c * m))))
        borders = [((k - 1) * t - a, (k - 1) * t - b) for k, t, (a, b) in zip((kh, kw), dilation, crops)]
        y = tiled_depthwise_conv2d(fitted(d, borders), filters, dilation=dilation)
    else:
        y = np.zeros((len(d), *(a + size + max(b, 0) for size, (a, b) in zip(sizes, crops)), c * m), d.dtype)
        part = np.empty(d.shape[1:], d.dtype)
        for i in range(len(d)):  # one sample stays in the cache
            for cells, filters in zip(taps(y[i : i + 1], (kh, kw), strides, dilation), kernel.reshape(kh * kw, c * m)):
                cells[0] += np.multiply(d[i], filters, out=part)
        y = crop(y, crops=[(a, max(b, 0)) for a, b in crops])
    return y if m == 1 else y.reshape(y.shape[:-1] + (c, m)).sum(axis=-1)


def depthwise_conv2d_backward_kernel(x, d, *, window, strides, dilation, pad):
    """Windows times d, added up over all cells: (N, H, W, C), (N, OH, OW, C * m) → (kh, kw, C, m)."""
    c, (n, oh, ow, q) = x.shape[-1], d.shape
    x = np.ascontiguousarray(padded(x if c == q else np.repeat(x, q // c, axis=-1), window, strides, dilation, pad))
    cells = windows(x, window, strides, dilation)
    if strides[1] > 1:
        y = np.einsum("nhwijc,nhwc->ijc", cells, d)
    else:  # by rows: longer loops
        steps = cells.strides[:2] + cells.strides[3:]
        rows = np.ndarray((n, oh, *window, ow * q), x.dtype, x, 0, steps)
        y = np.einsum("nhijc,nhc->ijc", rows, d.reshape(n, oh, ow * q)).reshape(*window, ow, q).sum(axis=2)
    return y.reshape(*window, c, q // c)


def beside(pad):
    """The padding of one axis as that of the second of two."""
    return pad if pad in (None, "same") else ((0, 0), *pad)


def depthwise_conv1d_backward(d, kernel, like=None, *, shape=None, strides, dilation, pad):
    """Each cell of d adds to its window, each channel by itself: (N, OT, C * m), (k, C, m) → (N, T, C)."""
    sizes = like.shape[1:] if shape is None else shape
    settings = {"strides": (1, *strides), "dilation": (1, *dilation), "pad": beside(pad)}
    return depthwise_conv2d_backward(d[:, np.newaxis], kernel[np.newaxis], shape=(1, *sizes), **settings)[:, 0]


def depthwise_conv1d_backward_kernel(x, d, *, window, strides, dilation, pad):
    """Windows times d, added up over all cells: (N, T, C), (N, OT, C * m) → (k, C, m)."""
    settings = {"strides": (1, *strides), "dilation": (1, *dilation), "pad": beside(pad)}
    return depthwise_conv2d_backward_kernel(x[:, np.newaxis], d[:, np.newaxis], window=(1, *window), **settings)[0]


def locally_connected_backward(d, kernel, like=None, *, shape=None, size, strides, channels_first=False):
    """Each cell of d adds to its window with a matrix of its own: (N, OH, OW, F), (OH * OW, …, F) → (N, H, W, C)."""
    *sizes, c = like.shape[1:] if shape is None else shape
    n, places, ones = len(d), d.shape[1:-1], (1,) * len(size)
    parts = np.matmul(d.reshape(n, len(kernel), d.shape[-1]).swapaxes(0, 1), kernel.swapaxes(1, 2))
    cells = product(size)
    if channels_first:
        parts = parts.reshape(len(kernel), n, c, cells).swapaxes(2, 3)
    parts = parts.reshape(len(kernel), n, cells, c).transpose(2, 1, 0, 3).reshape(cells, n, *places, c)
    return col2im(parts, size, strides, ones, backward_pads(places, sizes, size, strides, ones, None))


def locally_connected_backward_kernel(x, d, *, size, strides, channels_first=False):
    """Windows' @ d at each place: (N, H, W, C), (N, OH, OW, F) → (OH * OW, kh * kw * C, F)."""
    cells = windows(x, size, strides, (1,) * len(size))
    n, places = len(d), product(d.shape[1:-1])
    if channels_first:
        cells = np.moveaxis(cells, -1, len(size) + 1)
    cells = cells.reshape(n, places, product(size) * x.shape[-1])
    return np.matmul(cells.transpose(1, 2, 0), d.reshape(n, places, d.shape[-1]).swapaxes(0, 1))
