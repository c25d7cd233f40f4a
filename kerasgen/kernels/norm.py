"""Normalisation."""

import numpy as np

from kerasgen.kernels.matmul import matmul


def along(weight, axes, ndim):
    """The weight, shaped to broadcast along these axes of an array of rank `ndim`."""
    shape = [1] * ndim
    for axis, size in zip(sorted(axis % ndim for axis in axes), weight.shape):
        shape[axis] = size
    return weight.reshape(shape)


def batch_norm(x, gamma, beta, mean, variance, *, axis=-1, epsilon=1e-3):
    """(x - mean) / √(variance + ε) * gamma + beta, as one scale and one shift per channel of `axis`: shape kept.

    Without an axis the parameters broadcast as they are. Error up to 8 eps of scale * (|x| + |mean|) + |beta|.
    """
    scale = 1.0 / np.sqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * gamma
    shift = -mean * scale
    if beta is not None:
        shift = shift + beta
    if axis is not None:
        scale, shift = along(scale, (axis,), x.ndim), along(shift, (axis,), x.ndim)
    y = x * scale
    y += shift
    return y


def layer_norm(x, gamma=None, beta=None, *, axis=(-1,), epsilon=1e-3):
    """(x - mean) / √(variance + ε) * gamma + beta, mean and variance taken over `axis` of each sample: shape kept."""
    if axis == (-1,):  # the mean as a matrix product: a fifth of the time
        y = x - matmul(x, np.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype))
    else:
        y = x - mean_over(x, axis)
    y *= 1 / np.sqrt(mean_square(y, axis) + epsilon)
    if gamma is not None:
        y *= along(gamma, axis, x.ndim)
    if beta is not None:
        y += along(beta, axis, x.ndim)
    return y


def mean_square(x, axis):
    """The mean of x² over `axis`, which keeps size 1."""
    if axis == (-1,):  # without an array of squares
        return np.einsum("...c,...c->...", x, x)[..., None] / x.shape[-1]
    return mean_over(np.square(x), axis)


def mean_over(x, axis):
    """The mean over `axis`, which keeps size 1. One axis at a time keeps the sums short and accurate."""
    for each in axis:
        x = np.add.reduce(x, axis=each, keepdims=True) / x.shape[each]
    return x


def group_norm(x, gamma, beta, *, groups, axis=-1, epsilon=1e-3):
    """`layer_norm` over each group of channels and all its cells; `axis` is the channel axis: shape kept."""
    axis %= x.ndim
    y = x.reshape(x.shape[:axis] + (groups, x.shape[axis] // groups) + x.shape[axis + 1 :])
    cells = tuple(i for i in range(1, y.ndim) if i != axis)
    y = layer_norm(y, None, None, axis=cells, epsilon=epsilon).reshape(x.shape)
    if gamma is not None:
        y *= along(gamma, (axis,), x.ndim)
    if beta is not None:
        y += along(beta, (axis,), x.ndim)
    return y


def rms_norm(x, gamma=None, *, axis=(-1,), epsilon=1e-7):
    """x / √(mean of x² + ε) * gamma, the mean taken over `axis` of each sample: shape kept."""
    y = x * (1 / np.sqrt(mean_square(x, axis) + epsilon))
    return y if gamma is None else y * gamma


def variance_norm(x, gamma, *, axis=(-1,), epsilon=1e-3):
    """x / √(variance + ε) * gamma: what Keras's deprecated `rms_scaling` computes instead of `rms_norm`."""
    y = x / np.sqrt(x.var(axis=axis, keepdims=True) + epsilon)
    if gamma is not None:
        y *= along(gamma, axis, x.ndim)
    return y


def normalization(x, mean, variance, *, invert=False, epsilon=1e-7):
    """(x - mean) / max(√variance, ε), or its inverse; `mean` and `variance` broadcast over x: shape kept."""
    deviation = np.maximum(np.sqrt(variance), epsilon)
    return x * deviation + mean if invert else (x - mean) / deviation


def normalize(x, *, axis=-1, order=2, epsilon=1e-12):
    """x / max(‖x‖, ε), with the norm of this order along `axis`: shape kept."""
    norm = np.sum(np.abs(x) ** order, axis=axis, keepdims=True) ** (1.0 / order)
    return x / np.maximum(norm, epsilon)


def local_response_norm(x, *, depth_radius=5, bias=1.0, alpha=1.0, beta=0.5):
    """x / (bias + alpha * sum of x² over the 2 * depth_radius + 1 channels around)^beta (Krizhevsky et al. 2012)."""
    square = np.square(x)
    total = square.copy()
    for step in range(1, min(depth_radius, x.shape[-1] - 1) + 1):
        total[..., step:] += square[..., :-step]
        total[..., :-step] += square[..., step:]
    return x / (bias + alpha * total) ** beta
