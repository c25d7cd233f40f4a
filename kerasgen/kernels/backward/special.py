"""Gradients of special functions, scores of classes, and layers of old versions. `d` is that of the result."""

import numpy as np

from kerasgen.kernels.activation import log_softmax, sigmoid, softmax


def erfinv_backward(d, y):
    """d * √π/2 * exp(y²)."""
    return 0.886226925452758 * d * np.exp(y * y)


def logsumexp_backward(d, x, y, *, axis=None, keepdims=False):
    """d * exp(x - y)."""
    if not keepdims:
        axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.atleast_1d(axis)]
        shape = [1 if a in axes else size for a, size in enumerate(x.shape)]
        d, y = d.reshape(shape), y.reshape(shape)
    return d * np.exp(x - np.where(np.isfinite(y), y, y.dtype.type(0)))


def cdist_backward(d, x, y, z):
    """Σ d (x - y) / z over the rows of y, and minus that over the rows of x: (..., P, R) → (..., P, D), (..., R, D)."""
    weights = np.expand_dims(d / z, -1)
    parts = weights * (np.expand_dims(x, -2) - np.expand_dims(y, -3))
    return parts.sum(axis=-2), -parts.sum(axis=-3)


def psnr_backward(d, x1, x2):
    """-20 / log(10) * d * (x1 - x2) / Σ (x1 - x2)²; that of x2 is the opposite."""
    difference = x1 - x2
    return (-8.685889638065037 * d / np.sum(np.square(difference))).astype(x1.dtype) * difference


def fake_quant_backward(d, x, low, high, *, num_bits=8, narrow_range=False, axis=None):
    """d where x is within the shifted bounds, where it is below, and where it is above; all of d if both are 0."""
    shape = () if axis is None else tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim))
    low, high = (np.asarray(bound, x.dtype).reshape(shape) for bound in (low, high))
    least, most = int(narrow_range), 2**num_bits - 1
    none = (low == 0) & (high == 0)
    scale = np.where(none, 1, high - low) / (most - least)
    zero = np.floor(np.clip(least - low / scale, least, most) + 0.5)
    first, last = ((bound - zero) * scale for bound in (least, most))
    below, above = (x < first.astype(x.dtype)) & ~none, (x > last.astype(x.dtype)) & ~none
    return d * ~(below | above), d * below, d * above


# Classes


def top_k_backward(d, indices, like=None, *, shape=None):
    """d at the indices of the k largest, 0 elsewhere: (..., k) → (..., C)."""
    size = (like.shape if shape is None else shape)[-1]
    y = np.zeros(d.shape[:-1] + (size,), d.dtype)
    np.put_along_axis(y, indices.astype(np.int64), d, axis=-1)
    return y


def binary_crossentropy_backward(d, target, output, *, from_logits=False):
    """d * (sigmoid(x) - target) for logits; d * ((1 - target) / (1 - p) - target / p) for p within its bounds."""
    if from_logits:
        return d * (sigmoid(output) - target)
    p = np.clip(output, 1e-7, 1 - 1e-7)
    return d * ((1 - target) / (1 - p) - target / p) * (p == output)


def binary_crossentropy_backward_target(d, output, *, from_logits=False):
    """-d * x for logits, -d * log(p / (1 - p)) for probabilities."""
    if from_logits:
        return -d * output
    p = np.clip(output, 1e-7, 1 - 1e-7)
    return d * (np.log(1 - p) - np.log(p))


def categorical_crossentropy_backward(d, target, output, *, from_logits=False, axis=-1):
    """d * (softmax(x) - target) for logits, as if the target's sum were 1: (...), (..., C) → (..., C).

    For p = x / Σ x it is g = -d * target / p for p within its bounds, and (g - Σ g p) / Σ x for x.
    """
    d = np.expand_dims(d, axis)
    if from_logits:
        return d * (softmax(output, axis=axis) - target)
    total = np.sum(output, axis=axis, keepdims=True)
    p = output / total
    bounded = np.clip(p, 1e-7, 1 - 1e-7)
    g = -d * target / bounded * (p == bounded)
    return (g - np.sum(g * p, axis=axis, keepdims=True)) / total


def categorical_crossentropy_backward_target(d, output, *, from_logits=False, axis=-1):
    """-d * log(p): (...), (..., C) → (..., C)."""
    if from_logits:
        logs = log_softmax(output, axis=axis)
    else:
        logs = np.log(np.clip(output / np.sum(output, axis=axis, keepdims=True), 1e-7, 1 - 1e-7))
    return -np.expand_dims(d, axis) * logs


def sparse_categorical_crossentropy_backward(d, target, output, *, from_logits=False):
    """d * (softmax(x) - 1 at the target) for logits; that divided by p for x = log(p): (...), (..., C) → (..., C)."""
    p = output if from_logits else np.clip(output, 1e-7, 1 - 1e-7)
    y = softmax(p) if from_logits else p / np.sum(p, axis=-1, keepdims=True)
    y = d[..., np.newaxis] * (y - (np.arange(y.shape[-1]) == target.astype(np.int64)[..., np.newaxis]))
    return y if from_logits else y / p * (p == output)


# Old layers


def srelu_backward(d, x, t_left, a_left, t_right, a_right):
    """Those of all operands, which are d times the slopes of the lines; before the sum over samples."""
    y, middle = x - t_left, np.abs(t_right)
    low, high = y <= 0, y > middle
    inside = np.where(low, a_left * y, y) <= middle
    slope = inside * (~low + a_left * low) + a_right * high
    across = ~inside - a_right * high
    gradients = slope, 1 - slope, inside * low * y, across * np.sign(t_right), np.maximum(y - middle, 0)
    return tuple(d * gradient for gradient in gradients)


def sample_norm_backward(d, x, gamma, *, epsilon=1e-3):
    """(g - mean(g) - z mean(g z) s / r) / s, g = d * gamma, z = (x - mean) / s, s = r + ε, r = √(variance + ε).

    Then those of gamma and beta, before the sum over samples: d * z and d.
    """
    z = x - x.mean(axis=-1, keepdims=True)
    r = np.sqrt(np.square(z).mean(axis=-1, keepdims=True) + epsilon)
    s = r + epsilon
    z /= s
    g = d * gamma
    dx = (g - g.mean(axis=-1, keepdims=True) - z * ((g * z).mean(axis=-1, keepdims=True) * s / r)) / s
    return dx, d * z


def cosine_backward(d, a, b, y, *, epsilon=1e-7):
    """d * (b / max(|a| |b|, ε) - y a / |a|²), the second term where |a| |b| is above ε: (N,), (N, D) → (N, D)."""
    squares = np.sum(a * a, axis=-1)
    lengths = np.sqrt(squares * np.sum(b * b, axis=-1))
    small = lengths < epsilon
    part = np.where(small, d.dtype.type(0), d * y / (squares + small))
    return (d / np.maximum(lengths, epsilon))[:, np.newaxis] * b - part[:, np.newaxis] * a
