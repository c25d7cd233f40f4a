"""Attention: scores of queries against keys, weights from the scores, and weighted sums of the values.

Sequences are (N, steps, features) or, with heads, (N, steps, heads, features).
"""

import numpy as np

from kerasgen.kernels.activation import softmax
from kerasgen.kernels.conv import finish
from kerasgen.kernels.matmul import matmul


def dot_scores(query, key):
    """The dot product of each query with each key: (N, T, D), (N, S, D) → (N, T, S)."""
    return matmul(query, np.swapaxes(key, -2, -1))


def additive_scores(query, key, weight=None, scale=None):
    """Σ weight * tanh(scale * (query + key)) over the features: (N, T, D), (N, S, D) → (N, T, S)."""
    y = query[..., :, None, :] + key[..., None, :, :]
    y = np.tanh(y if scale is None else scale * y)
    return np.sum(y if weight is None else weight * y, axis=-1)


def head_scores(query, key, *, scale=1.0):
    """The dot product of each query with each key, per head: (N, T, H, D), (N, S, H, D) → (N, H, T, S)."""
    return matmul((query * scale).transpose(0, 2, 1, 3), key.transpose(0, 2, 3, 1))


def attend(weights, value):
    """Weighted sums of the values, per head: (N, H, T, S), (N, S, H, E) → (N, T, H, E)."""
    return matmul(weights, value.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)


def band_mask(scores, *, causal=False, window=None):
    """Keys that each query may see: if `causal`, none after it; those within `window`: (N, ..., T, S) → (1, T, S)."""
    t, s = scores.shape[-2:]
    ahead = np.arange(s) - np.arange(t)[None, :, None]
    mask = ahead <= (0 if causal else s)
    return mask if window is None else mask & (np.abs(ahead) < window)


def mask_scores(scores, mask):
    """Scores minus 10⁹ where the mask is false: softmax then gives weight 0, or equal weights if all are masked."""
    return np.where(mask, scores, scores - scores.dtype.type(1e9))


def masked_softmax(scores, mask, *, axis=-1, lowest=None, zeroed=False):
    """Softmax of the scores. Masked scores become `lowest`, by default half of the dtype's lowest number.

    If `zeroed`, their weights are 0; otherwise the weights are equal if all scores are masked.
    """
    lowest = np.finfo(scores.dtype).min / 2 if lowest is None else lowest
    y = softmax(np.where(mask, scores, scores.dtype.type(lowest)), axis=axis)
    return np.where(mask, y, y.dtype.type(0)) if zeroed else y


def project(x, kernel, bias=None, *, axes=1, activation=None):
    """Matrix product over the last `axes` axes: (N, T, C) with (C, H, D) or, for two, (N, T, H, D) with (H, D, C)."""
    c = int(np.prod(kernel.shape[:axes]))
    y = matmul(x.reshape(x.size // c, c), kernel.reshape(c, kernel.size // c))
    return finish(y.reshape(x.shape[: x.ndim - axes] + kernel.shape[axes:]), bias, activation)
