"""Dense layers and convolutions: a sum of products for each cell and filter. A kernel has a row for each filter."""

from kerasgen.pure_kernels.lists import blocks, dot, floats, grid, product, steps_of
from kerasgen.pure_kernels.shape import concatenate
from kerasgen.pure_kernels.window import crop, windows


def filtered(cells, kernel, bias, activation=None):
    """Each list of numbers times each row of the kernel."""
    filters = list(zip(kernel, [0.0] * len(kernel) if bias is None else bias))
    y = floats(dot(numbers, row) + b for numbers in cells for row, b in filters)
    return y if activation is None else activation(y)


def dense(x, kernel, bias=None, *, activation=None):
    """Matrix product over the last axis: (..., C) with F rows of C → (..., F)."""
    return filtered(blocks(x, len(kernel[0])), kernel, bias, activation)


def conv1d(x, kernel, bias=None, *, shape, window, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution: (T, C) with F rows of k * C → (OT, F)."""
    return filtered(windows(x, shape, window, strides, dilation, pad), kernel, bias, activation)


def conv2d(x, kernel, bias=None, *, shape, window, strides=(1, 1), dilation=(1, 1), pad=None, activation=None):
    """Convolution: (H, W, C) with F rows of kh * kw * C → (OH, OW, F)."""
    return filtered(windows(x, shape, window, strides, dilation, pad), kernel, bias, activation)


def conv3d(x, kernel, bias=None, *, shape, window, strides=(1, 1, 1), dilation=(1, 1, 1), pad=None, activation=None):
    """Convolution: (D, H, W, C) with F rows of kd * kh * kw * C → (OD, OH, OW, F)."""
    return filtered(windows(x, shape, window, strides, dilation, pad), kernel, bias, activation)


def grouped_conv(x, kernel, bias=None, *, groups, shape, window, strides, dilation, pad=None, activation=None):
    """Convolution of each group of channels on its own: (H, W, C) with F rows of kh * kw * C / groups → (OH, OW, F)."""
    c, f = shape[-1] // groups, len(kernel) // groups
    parts = []
    for group in range(groups):
        channels = floats(v for cell in blocks(x, shape[-1]) for v in cell[group * c : (group + 1) * c])
        cells = windows(channels, tuple(shape[:-1]) + (c,), window, strides, dilation, pad)
        first, last = group * f, (group + 1) * f
        parts.append(filtered(cells, kernel[first:last], None if bias is None else bias[first:last]))
    y = concatenate(*parts, rows=(f,) * groups)
    return y if activation is None else activation(y)


def depthwise_conv1d(x, kernel, bias=None, *, shape, window, strides=(1,), dilation=(1,), pad=None, activation=None):
    """Convolution of each channel by its own m filters: (T, C) with C * m rows of k → (OT, C * m)."""
    return grouped_conv(
        x,
        kernel,
        bias,
        groups=shape[-1],
        shape=shape,
        window=window,
        strides=strides,
        dilation=dilation,
        pad=pad,
        activation=activation,
    )


def depthwise_conv2d(
    x, kernel, bias=None, *, shape, window, strides=(1, 1), dilation=(1, 1), pad=None, activation=None
):
    """Convolution of each channel by its own m filters: (H, W, C) with C * m rows of kh * kw → (OH, OW, C * m)."""
    return grouped_conv(
        x,
        kernel,
        bias,
        groups=shape[-1],
        shape=shape,
        window=window,
        strides=strides,
        dilation=dilation,
        pad=pad,
        activation=activation,
    )


def conv_transpose(x, kernel, bias=None, *, shape, window, strides, dilation, crops, activation=None):
    """Transposed convolution, each cell adds to a window: (H, W, C) with kh * kw * F rows of C → (OH, OW, F).

    Uncropped, an axis has (size - 1) * stride + (k - 1) * dilation + 1 cells; a negative crop appends zeros.
    """
    f = len(kernel) // product(window)
    full = [
        (size - 1) * s + (k - 1) * d + 1 - min(after, 0)
        for size, k, s, d, (_, after) in zip(shape, window, strides, dilation, crops)
    ]
    y = floats(0.0 for _ in range(product(full) * f))
    steps = steps_of(full + [f])
    taps = grid(list(window) + [f], [d * step for d, step in zip(dilation, steps)] + [1])
    for cell, first in zip(blocks(x, shape[-1]), grid(shape[:-1], [s * step for s, step in zip(strides, steps)])):
        for tap, row in zip(taps, kernel):
            y[first + tap] += dot(cell, row)
    y = crop(y, shape=full + [f], crops=[(before, max(after, 0)) for before, after in crops])
    if bias is not None:
        y = floats(v + b for cell in blocks(y, f) for v, b in zip(cell, bias))
    return y if activation is None else activation(y)
