"""Dense layers and convolutions: each is one matrix product over unfolded windows."""

import numpy as np

from kerasgen.kernels.window import padded, taps, windows


def finish(y, bias, activation):
    """Add the bias in place, for `y` is always fresh, then apply the activation."""
    if bias is not None:
        y += bias
    return y if activation is None else activation(y)


def dense(x, kernel, bias=None, *, activation=None):
    """Matrix product over the last axis: (N, ..., C) with a kernel (C, F) → (N, ..., F)."""
    c, f = kernel.shape
    y = x.reshape(x.size // c, c) @ kernel
    return finish(y.reshape(x.shape[:-1] + (f,)), bias, activation)


def conv1d(x, kernel, bias=None, *, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution: (N, T, C) with a kernel (k, C, F) → (N, OT, F)."""
    k, c, f = kernel.shape
    cells = windows(padded(x, (k,), strides, dilation, pad), (k,), strides, dilation)
    n, ot = cells.shape[:2]
    y = cells.reshape(n * ot, k * c) @ kernel.reshape(k * c, f)
    return finish(y.reshape(n, ot, f), bias, activation)


def conv2d(x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution: (N, H, W, C) with a kernel (kh, kw, C, F) → (N, OH, OW, F)."""
    kh, kw, c, f = kernel.shape
    cells = windows(padded(x, (kh, kw), strides, dilation, pad), (kh, kw), strides, dilation)
    n, oh, ow = cells.shape[:3]
    y = cells.reshape(n * oh * ow, kh * kw * c) @ kernel.reshape(kh * kw * c, f)
    return finish(y.reshape(n, oh, ow, f), bias, activation)


def grouped_conv1d(x, kernel, bias=None, *, groups, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution of each group of channels on its own: (N, T, C) with a kernel (k, C/groups, F) → (N, OT, F)."""
    k, c, f = kernel.shape
    cells = windows(padded(x, (k,), strides, dilation, pad), (k,), strides, dilation)
    n, ot = cells.shape[:2]
    cells = cells.reshape(n, ot, k, groups, c).transpose(3, 0, 1, 2, 4)
    filters = kernel.reshape(k * c, groups, f // groups).transpose(1, 0, 2)
    y = cells.reshape(groups, n * ot, k * c) @ filters
    return finish(y.transpose(1, 0, 2).reshape(n, ot, f), bias, activation)


def grouped_conv2d(x, kernel, bias=None, *, groups, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution of each group of channels on its own: (N, H, W, C), (kh, kw, C/groups, F) → (N, OH, OW, F)."""
    kh, kw, c, f = kernel.shape
    cells = windows(padded(x, (kh, kw), strides, dilation, pad), (kh, kw), strides, dilation)
    n, oh, ow = cells.shape[:3]
    cells = cells.reshape(n, oh, ow, kh, kw, groups, c).transpose(5, 0, 1, 2, 3, 4, 6)
    filters = kernel.reshape(kh * kw * c, groups, f // groups).transpose(1, 0, 2)
    y = cells.reshape(groups, n * oh * ow, kh * kw * c) @ filters
    return finish(y.transpose(1, 0, 2).reshape(n, oh, ow, f), bias, activation)


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


def scatter(parts, window, strides, dilation, crop):
    """Add up overlapping windows, the reverse of `taps`: (kh * kw, N, H, W, F) → (N, OH, OW, F).

    Uncut, an axis gets (size - 1) * stride + (k - 1) * dilation + 1 cells. `crop` cuts (before, after) of them; a
    negative `after`, smaller than the stride, appends zeros instead.
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


def conv1d_transpose(x, kernel, bias=None, *, strides=(1,), dilation=(1,), crop=None, activation=None):
    """Transposed convolution, each input cell paints a window: (N, T, C) with a kernel (k, F, C) → (N, OT, F)."""
    k, f, c = kernel.shape
    n, t = x.shape[:2]
    parts = x.reshape(n * t, c) @ kernel.transpose(0, 2, 1)
    y = scatter(parts.reshape(k, n, t, f), (k,), strides, dilation, crop)
    return finish(y, bias, activation)


def conv2d_transpose(x, kernel, bias=None, *, strides=(1, 1), dilation=(1, 1), crop=None, activation=None):
    """Transposed convolution, each input cell paints a window: (N, H, W, C), (kh, kw, F, C) → (N, OH, OW, F)."""
    kh, kw, f, c = kernel.shape
    n, h, w = x.shape[:3]
    parts = x.reshape(n * h * w, c) @ kernel.reshape(kh * kw, f, c).transpose(0, 2, 1)
    y = scatter(parts.reshape(kh * kw, n, h, w, f), (kh, kw), strides, dilation, crop)
    return finish(y, bias, activation)


def transpose_crop(window, strides, dilation, padding, output_padding=None):
    """The `crop` by which a transposed convolution gets the size that Keras gives it, on every axis."""
    crops = []
    for axis, (k, s, d) in enumerate(zip(window, strides, dilation)):
        span = (k - 1) * d + 1
        extra = None if output_padding is None else output_padding[axis]
        if padding == "valid":
            crops.append((0, -(max(s - span, 0) if extra is None else extra)))
        else:
            # Keras wants size * s cells, or (size - 1) * s + span % 2 + extra. TensorFlow cuts as `same` would pad.
            cut = span - (s if extra is None else span % 2 + extra)
            crops.append((max(cut, 0) // 2, cut - max(cut, 0) // 2))
    return tuple(crops)
