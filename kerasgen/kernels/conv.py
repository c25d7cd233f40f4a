"""Dense layers and convolutions: each is one matrix product over unfolded windows."""

import numpy as np

from kerasgen.kernels.blocks import tile_row
from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.window import padded, taps, window_counts, windows


def finish(y, bias, activation):
    """Add the bias in place, as `y` is always a new array, then apply the activation."""
    if bias is not None:
        part = y.reshape(bias.shape) if y.size == bias.size else y  # arrays of one shape take a third of the time
        part += bias
    return y if activation is None else activation(y)


def dense(x, kernel, bias=None, *, activation=None):
    """Matrix product over the last axis: (N, ..., C) with a kernel (C, F) → (N, ..., F)."""
    if x.ndim == 2:
        return finish(matmul(x, kernel), bias, activation)
    c, f = kernel.shape
    y = matmul(x.reshape(x.size // c, c), kernel)
    return finish(y.reshape(x.shape[:-1] + (f,)), bias, activation)


def convolve(x, kernel, strides, dilation, pad):
    """Every window times the kernel: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F), any number of axes."""
    window, f = kernel.shape[:-2], kernel.shape[-1]
    cells = windows(padded(x, window, strides, dilation, pad), window, strides, dilation)
    depth = kernel.size // f
    y = matmul(cells.reshape(cells.size // depth, depth), kernel.reshape(depth, f))
    return y.reshape(cells.shape[: x.ndim - 1] + (f,))


def conv1d(x, kernel, bias=None, *, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution: (N, T, C) with a kernel (k, C, F) → (N, OT, F)."""
    return finish(convolve(x, kernel, strides, dilation, pad), bias, activation)


def conv2d(x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F)."""
    return finish(convolve(x, kernel, strides, dilation, pad), bias, activation)


def conv3d(x, kernel, bias=None, *, strides=(1, 1, 1), dilation=(1, 1, 1), pad=None, activation=None):
    """Convolution: (N, D, H, W, C) with a kernel (kd, kh, kw, C, F) → (N, OD, OH, OW, F)."""
    return finish(convolve(x, kernel, strides, dilation, pad), bias, activation)


def conv_matrix(kernel, *, sizes, strides, dilation, pad):
    """A convolution of small images as a dense kernel: (kh, kw, C, F) and `sizes` (H, W) → (H * W * C, OH * OW * F).

    matrix[i, j, c, o, p, f] = kernel[u, v, c, f] where cell (u, v) of window (o, p) lies on cell (i, j), 0 elsewhere.
    Cells of the padding are zeros and need no rows.
    """
    pad = [(0, 0)] * len(sizes) if pad is None else pad
    full = [a + size + b for size, (a, b) in zip(sizes, pad)]
    counts = window_counts(full, kernel.shape[:-2], strides, dilation)
    matrix = np.zeros((*full, kernel.shape[-2], *counts, kernel.shape[-1]), kernel.dtype)
    for cell in np.ndindex(*counts):
        firsts = [i * s for i, s in zip(cell, strides)]
        under = tuple(slice(a, a + (k - 1) * d + 1, d) for a, k, d in zip(firsts, kernel.shape, dilation))
        matrix[under + (slice(None),) + cell] = kernel
    matrix = matrix[tuple(slice(a, a + size) for size, (a, _) in zip(sizes, pad))]
    rows = int(np.prod(matrix.shape[: len(sizes) + 1]))
    return matrix.reshape(rows, matrix.size // rows)


def conv_by_matrix(x, matrix, bias=None, *, shape, activation=None):
    """Convolution of small images: (N, H, W, C) with a matrix from `conv_matrix` → (N, *shape), any number of axes."""
    y = np.dot(x.reshape(len(x), len(matrix)), matrix)
    return finish(y.reshape(len(x), *shape), bias, activation)


def conv_by_taps(x, kernel, bias=None, *, strides, dilation, pad=None, activation=None):
    """Convolution of one channel: (N, H, W, 1) with a kernel (kh, kw, 1, F) → (N, OH, OW, F), any number of axes.

    Windows are unfolded tap by tap: copies then run along rows of the image, longer than those of the window.
    """
    window, f, rank = kernel.shape[:-2], kernel.shape[-1], x.ndim - 2
    cells = windows(padded(x, window, strides, dilation, pad), window, strides, dilation)
    depth = kernel.size // f
    unfolded = cells.transpose(*range(rank + 1, 2 * rank + 2), *range(rank + 1)).reshape(depth, cells.size // depth)
    y = matmul(unfolded.T, kernel.reshape(depth, f)).reshape(cells.shape[: rank + 1] + (f,))
    return finish(y, tile_row(bias, y), activation)


def convolve_groups(x, kernel, groups, strides, dilation, pad):
    """`convolve` for each group of channels: (N, H, W, C), (kh, kw, C/groups, F) → (N, OH, OW, F), any axes."""
    window, (c, f) = kernel.shape[:-2], kernel.shape[-2:]
    cells = windows(padded(x, window, strides, dilation, pad), window, strides, dilation)
    sizes, depth = cells.shape[: x.ndim - 1], kernel.size // f
    cells = np.moveaxis(cells.reshape(cells.shape[:-1] + (groups, c)), -2, 0)
    filters = kernel.reshape(depth, groups, f // groups).transpose(1, 0, 2)
    y = matmul(cells.reshape(groups, cells.size // (groups * depth), depth), filters)
    return y.transpose(1, 0, 2).reshape(sizes + (f,))


def merge_groups(kernel, *, groups, count):
    """Merge every `count` groups of a grouped convolution's kernel into one, with zeros between them.

    (kh, kw, C/groups, F) → (kh, kw, count * C/groups, F), any number of axes. Windows are then copied in longer pieces.
    """
    *window, c, f = kernel.shape
    few = kernel.reshape(*window, c, groups // count, count, f // groups)
    merged = np.zeros((*window, count, c, *few.shape[-3:]), kernel.dtype)
    for i in range(count):
        merged[..., i, :, :, i, :] = few[..., i, :]
    return merged.reshape(*window, count * c, f)


def grouped_conv1d(x, kernel, bias=None, *, groups, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution of each group of channels on its own: (N, T, C) with a kernel (k, C/groups, F) → (N, OT, F)."""
    return finish(convolve_groups(x, kernel, groups, strides, dilation, pad), bias, activation)


def grouped_conv2d(x, kernel, bias=None, *, groups, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution of each group of channels on its own: (N, H, W, C), (kh, kw, C/groups, F) → (N, OH, OW, F)."""
    return finish(convolve_groups(x, kernel, groups, strides, dilation, pad), bias, activation)


def grouped_conv3d(x, kernel, bias=None, *, groups, strides=(1, 1, 1), dilation=(1, 1, 1), pad=None, activation=None):
    """Convolution of each group of channels on its own: (N, D, H, W, C), (kd, kh, kw, C/groups, F) → (…, F)."""
    return finish(convolve_groups(x, kernel, groups, strides, dilation, pad), bias, activation)


def depthwise_conv1d(x, kernel, bias=None, *, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution of each channel by its own m filters: (N, T, C) with a kernel (k, C, m) → (N, OT, C * m)."""
    k, c, m = kernel.shape
    x = x if m == 1 else np.repeat(x, m, axis=-1)
    cells = windows(padded(x, (k,), strides, dilation, pad), (k,), strides, dilation)
    y = np.einsum("ntkc,kc->ntc", cells, kernel.reshape(k, c * m))
    return finish(y, bias, activation)


def depthwise_conv2d(x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution of each channel by its own m filters: (N, H, W, C), (kh, kw, C, m) → (N, OH, OW, C * m)."""
    kh, kw, c, m = kernel.shape
    x = x if m == 1 else np.repeat(x, m, axis=-1)
    cells = windows(padded(x, (kh, kw), strides, dilation, pad), (kh, kw), strides, dilation)
    y = np.einsum("nhwijc,ijc->nhwc", cells, kernel.reshape(kh, kw, c * m))
    return finish(y, bias, activation)


def col2im(parts, window, strides, dilation, crop):
    """Add up overlapping windows, the reverse of `taps`: (kh * kw, N, H, W, F) → (N, OH, OW, F).

    Uncropped, an axis has (size - 1) * stride + (k - 1) * dilation + 1 cells. `crop` removes (before, after) of them;
    a negative `after`, smaller than the stride, appends zeros instead.
    """
    n, *sizes, f = parts.shape[1:]
    crop = [(0, 0)] * len(sizes) if crop is None else crop
    full = [
        (size - 1) * s + (k - 1) * d + 1 - min(after, 0)
        for size, k, s, d, (_, after) in zip(sizes, window, strides, dilation, crop)
    ]
    y = np.zeros((n, *full, f), parts.dtype)
    for target, part in zip(taps(y, window, strides, dilation), parts):
        target += part
    return y[(slice(None),) + tuple(slice(before, size - max(after, 0)) for size, (before, after) in zip(full, crop))]


def convolve_transpose(x, kernel, strides, dilation, crop):
    """Each cell times the kernel, added up: (N, H, W, C), (kh, kw, F, C) → (N, OH, OW, F), any number of axes."""
    window, (f, c) = kernel.shape[:-2], kernel.shape[-2:]
    divides = window[-1] % strides[-1] == 0  # otherwise zeros pad the kernel; with many filters, they cost too much
    if strides[-1] > 1 == dilation[-1] and (divides or f < 32):
        return convolve_transpose_subpixel(x, kernel, strides, dilation, crop)
    cells = kernel.size // (f * c)
    parts = matmul(x.reshape(x.size // c, c), kernel.reshape(cells, f, c).transpose(0, 2, 1))
    return col2im(parts.reshape((cells,) + x.shape[:-1] + (f,)), window, strides, dilation, crop)


def convolve_transpose_subpixel(x, kernel, strides, dilation, crop):
    """`convolve_transpose` as a sub-pixel convolution along the last axis (Shi et al., 2016): adds up whole rows."""
    *window, k, f, c = kernel.shape
    *others, stride = strides
    *crops, (before, after) = ((0, 0),) * len(strides) if crop is None else crop
    size = (x.shape[-2] - 1) * stride + k - min(after, 0)
    count = -(-(k - min(after, 0)) // stride)
    wide = kernel
    if count * stride > k:
        wide = np.zeros((*window, count * stride, f, c), kernel.dtype)
        wide[..., :k, :, :] = kernel
    wide = wide.reshape(*window, count, stride * f, c)
    y = convolve_transpose(x, wide, (*others, 1), dilation, (*crops, (0, 0)))
    y = y.reshape(*y.shape[:-2], y.shape[-2] * stride, f)
    return y[..., before : size - max(after, 0), :]


def conv1d_transpose(x, kernel, bias=None, *, strides=(1,), dilation=(1,), crop=None, activation=None):
    """Transposed convolution, each input cell adds to a window: (N, T, C) with a kernel (k, F, C) → (N, OT, F)."""
    return finish(convolve_transpose(x, kernel, strides, dilation, crop), bias, activation)


def conv2d_transpose(x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), crop=None, activation=None):
    """Transposed convolution, each input cell adds to a window: (N, H, W, C), (kh, kw, F, C) → (N, OH, OW, F)."""
    return finish(convolve_transpose(x, kernel, strides, dilation, crop), bias, activation)


def conv3d_transpose(x, kernel, bias=None, *, strides=(1, 1, 1), dilation=(1, 1, 1), crop=None, activation=None):
    """Transposed convolution, each input cell adds to a window: (N, D, H, W, C), (kd, kh, kw, F, C) → (…, F)."""
    return finish(convolve_transpose(x, kernel, strides, dilation, crop), bias, activation)


def transpose_crop(window, strides, dilation, padding, output_padding=None):
    """The `crop` that gives a transposed convolution the output size of Keras, on every axis."""
    crops = []
    for axis, (k, s, d) in enumerate(zip(window, strides, dilation)):
        span = (k - 1) * d + 1
        extra = None if output_padding is None else output_padding[axis]
        if padding == "valid":
            crops.append((0, -(max(s - span, 0) if extra is None else extra)))
        else:
            # Keras outputs size * s cells, or (size - 1) * s + span % 2 + extra. TensorFlow crops as `same` pads.
            cut = span - (s if extra is None else span % 2 + extra)
            crops.append((max(cut, 0) // 2, cut - max(cut, 0) // 2))
    return tuple(crops)
