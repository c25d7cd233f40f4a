"""Gradients of attention and masks. `d` is always the gradient of the result."""

import numpy as np


def additive_scores_backward(d, query, key, weight=None, scale=None):
    """Those of the queries and of the keys, d * weight * scale * (1 - tanh²): (N, T, S) → (N, T, D), (N, S, D)."""
    y = query[..., :, None, :] + key[..., None, :, :]
    y = np.tanh(y if scale is None else scale * y)
    slope = 1 - y * y
    for factor in (weight, scale):
        slope = slope if factor is None else factor * slope
    slope *= d[..., None]
    return slope.sum(axis=-2), slope.sum(axis=-3)


def additive_scores_backward_weight(d, query, key, scale=None):
    """Σ d * tanh over all pairs of a query and a key: (N, T, S) → (D)."""
    y = query[..., :, None, :] + key[..., None, :, :]
    y = np.tanh(y if scale is None else scale * y)
    axes = tuple(range(d.ndim))
    return np.tensordot(d, y, axes=(axes, axes))


def additive_scores_backward_scale(d, query, key, weight, scale):
    """Σ d * weight * (1 - tanh²) * (query + key) over all pairs: (N, T, S) → (D)."""
    x = query[..., :, None, :] + key[..., None, :, :]
    y = np.tanh(scale * x)
    axes = tuple(range(d.ndim))
    y = np.tensordot(d, (1 - y * y) * x, axes=(axes, axes))
    return y if weight is None else weight * y


def masked_softmax_backward(d, y, mask, *, axis=-1):
    """y * (d - Σ d y) where the mask is on, as in softmax: shape of the scores."""
    x = d - np.sum(d * y, axis=axis, keepdims=True)
    return np.where(mask, x * y, y.dtype.type(0))
