"""Gradients of operations on images. `d` is always the gradient of the result."""

import numpy as np

from kerasgen.kernels.backward.conv import backward_pads
from kerasgen.kernels.conv import col2im
from kerasgen.kernels.image_ops import fold, placed_matrix, projective_transform
from kerasgen.kernels.threads import product
from kerasgen.kernels.window import windows


def rgb_to_grayscale_backward(d):
    """The weights of red, green and blue times d: (N, H, W, 1) → (N, H, W, 3)."""
    return d * np.array([0.2989, 0.587, 0.114], d.dtype)


def rgb_to_hsv_backward(d, x, y):
    """Through the largest, smallest and difference that hue, saturation and value consist of: shape kept.

    As in TensorFlow, of equal colours the first is the largest and the last the smallest, and where a colour is not
    positive, no saturation depends on it; without a positive one, no hue does.
    """
    value = y[..., 2:]
    top = np.arange(3) == np.argmax(x, axis=-1)[..., np.newaxis]
    bottom = np.arange(3) == 2 - np.argmin(x[..., ::-1], axis=-1)[..., np.newaxis]
    spread = value - np.min(x, axis=-1, keepdims=True)
    lowest, safe = value - spread, np.where(value > 0, value, 1)
    of_saturation = np.where(x > 0, top * (lowest / (safe * safe)) - bottom / safe, 0)
    # The hue is (next colour - the one after it) / (6 spread) + a constant.
    following, last = np.roll(top, 1, axis=-1), np.roll(top, 2, axis=-1)
    safe = np.where(spread > 0, spread, 1)
    difference = np.sum(x * following - x * last, axis=-1, keepdims=True)
    of_hue = (1.0 * following - last - difference / safe * (1.0 * top - bottom)) / (6 * safe)
    of_hue = np.where((spread > 0) & (value > 0), of_hue, 0)
    return (d[..., :1] * of_hue + d[..., 1:2] * of_saturation + d[..., 2:] * top).astype(x.dtype)


def extract_patches_backward(d, like=None, *, shape=None, size, strides, dilation=None, pad=None):
    """Windows added up: (N, OH, OW, kh * kw * C) → (N, H, W, C)."""
    *sizes, c = like.shape[1:] if shape is None else shape
    dilation = dilation or (1,) * len(size)
    counts = d.shape[1:-1]
    parts = np.moveaxis(d.reshape((len(d), *counts, product(size), c)), -2, 0)
    return col2im(parts, size, strides, dilation, backward_pads(counts, sizes, size, strides, dilation, pad))


def unfold_backward(d, like=None, *, shape=None, size, strides, dilation, pads):
    """Columns added up as windows: (N, C * kh * kw, OH * OW) → (N, C, H, W)."""
    sizes = like.shape[2:] if shape is None else shape[1:]
    return fold(d, sizes=sizes, size=size, strides=strides, dilation=dilation, pads=pads)


def difference_backward(d, axis, weights):
    """The gradient of Σ weights[i] x[i : i + n] along an axis."""
    pads = [(0, 0)] * d.ndim
    y = 0
    for i, weight in enumerate(weights):
        pads[axis] = (i, len(weights) - 1 - i)
        y = y + weight * np.pad(d, pads, mode="constant")
    return y


def sobel_edges_backward(d):
    """Both filters turned round, then the reflected border added to the cells it shows: (N, H, W, C, 2) → shape."""
    down = difference_backward(difference_backward(d[..., 0], 2, (1, 2, 1)), 1, (-1, 0, 1))
    across = difference_backward(difference_backward(d[..., 1], 1, (1, 2, 1)), 2, (-1, 0, 1))
    y = down + across
    for axis in (1, 2):
        y = np.moveaxis(y, axis, 0)
        z = y[1:-1].copy()
        if len(z) > 1:
            z[1] += y[0]
            z[-2] += y[-1]
        else:  # nothing to reflect: the cell repeats
            z[0] += y[0] + y[-1]
        y = np.moveaxis(z, 0, axis)
    return y


def auto_contrast_backward(d, x, *, value_range):
    """Through y = (x - darkest) * range / spread + low, to equal cells that are the darkest equally: shape kept."""
    low, high = value_range
    smallest, largest = x.min(axis=(1, 2), keepdims=True), x.max(axis=(1, 2), keepdims=True)
    spread = largest - smallest
    safe = np.where(spread > 0, spread, 1)
    scaled = d * (high - low) / safe
    of_spread = -np.sum(scaled * (x - smallest), axis=(1, 2), keepdims=True) / safe
    of_smallest = -np.sum(scaled, axis=(1, 2), keepdims=True) - of_spread
    for gradient, end in ((of_spread, x == largest), (of_smallest, x == smallest)):
        scaled = scaled + end * (gradient / end.sum(axis=(1, 2), keepdims=True).astype(x.dtype))
    return np.where(spread > 0, scaled, d)


def ssim_backward(d, a, b, window, *, max_val=1.0, k1=0.01, k2=0.03):
    """Of the first image: through the means of a, a * a and a * b in each window: (N,), (N, H, W, C) → (N, H, W, C)."""
    ones = (1,) * window.ndim

    def mean(x):
        return np.einsum("nhwijc,ij->nhwc", windows(x, window.shape, ones, ones), window)

    def spread(x):
        return col2im(window.reshape(window.size, 1, 1, 1, 1) * x, window.shape, ones, ones, None)

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_a, mean_b = mean(a), mean(b)
    above, below = 2 * mean_a * mean_b + c1, mean_a * mean_a + mean_b * mean_b + c1
    covariance = 2 * (mean(a * b) - mean_a * mean_b) + c2
    variances = mean(a * a) - mean_a * mean_a + mean(b * b) - mean_b * mean_b + c2
    share = (d / product(mean_a.shape[1:])).reshape(len(d), 1, 1, 1) / (below * variances)
    of_covariance, of_variances = share * above, -share * above * covariance / variances
    of_mean = mean_b * (share * covariance - of_covariance)
    of_mean = of_mean - mean_a * (share * above * covariance / below + of_variances)
    return 2 * (spread(of_mean) + b * spread(of_covariance) + a * spread(of_variances))


def projective_transform_backward(d, transforms, *, interpolation, fill_mode):
    """The inverse transforms of d, which is what TensorFlow takes for the gradient: (N, H, W, C), (N or 1, 8)."""
    ones = np.ones((len(transforms), 1), np.float32)
    matrices = np.concatenate((transforms.astype(np.float32), ones), axis=1).reshape(len(transforms), 3, 3)
    inverse = np.linalg.inv(matrices).reshape(len(transforms), 9)
    inverse = inverse[:, :8] / inverse[:, 8:]
    return projective_transform(d, inverse, interpolation=interpolation, fill_mode=fill_mode)


def corners(x, coordinates, order, fill_mode):
    """For each cell around the coordinates: its step from the first, its indices, its weights, whether it exists."""
    sizes = np.reshape(x.shape, (x.ndim,) + (1,) * (coordinates.ndim - 1))
    low = np.floor(coordinates) if order else np.rint(coordinates)
    for corner in np.ndindex(*(order + 1,) * x.ndim):
        step = np.reshape(corner, sizes.shape)
        weights = np.where(step == 1, coordinates - low, 1 - (coordinates - low) if order else 1)
        cells = low.astype(int) + step
        inside = ((cells >= 0) & (cells < sizes)).all(axis=0) if fill_mode == "constant" else np.bool_(True)
        if fill_mode in ("mirror", "reflect"):
            cells = np.abs(cells) % (2 * sizes)
            cells = np.where(cells < sizes, cells, 2 * sizes - cells - (fill_mode == "reflect"))
        else:
            cells = cells % sizes if fill_mode == "wrap" else np.clip(cells, 0, sizes - 1)
        yield step, cells, weights, inside


def map_coordinates_backward(d, x, coordinates, *, order, fill_mode="constant"):
    """Each cell of x gets d times the weight with which it was read: (...) → the shape of x."""
    y = np.zeros(x.size, x.dtype)
    for _, cells, weights, inside in corners(x, coordinates, order, fill_mode):
        places = np.ravel_multi_index(tuple(cells), x.shape)
        y += np.bincount(places.ravel(), (weights.prod(axis=0) * inside * d).ravel(), x.size).astype(x.dtype)
    return y.reshape(x.shape)


def map_coordinates_backward_coordinates(d, x, coordinates, *, order, fill_mode="constant", fill_value=0.0):
    """d times the slopes between neighbouring cells: (...) → (x.ndim, ...)."""
    y = np.zeros(coordinates.shape, coordinates.dtype)
    for step, cells, weights, inside in corners(x, coordinates, order, fill_mode) if order else ():
        values = d * np.where(inside, x[tuple(cells)], fill_value)
        for axis in range(x.ndim):
            others = np.delete(weights, axis, axis=0).prod(axis=0) * values
            y[axis] += (others if step.ravel()[axis] else -others).astype(y.dtype)
    return y


def scale_and_translate_backward(d, scale, translation, like=None, *, shape=None, sizes, axes, method, antialias=True):
    """The transposed matrix of each axis times d: the shape of the image."""
    for i, axis in enumerate(axes):
        old = like.shape[axis] if shape is None else shape[axis - 1]
        weights = placed_matrix(old, sizes[i], scale[i], translation[i], method, antialias)
        d = np.moveaxis(np.tensordot(d, weights.astype(d.dtype), (axis, 1)), -1, axis)
    return d
