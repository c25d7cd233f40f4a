"""Layers that only old versions of Keras have."""

import numpy as np

from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.window import windows


def srelu(x, t_left, a_left, t_right, a_right):
    """x between t_left and t_left + |t_right|; lines with slopes a_left and a_right beyond (Jin et al. 2015)."""
    middle = np.abs(t_right)
    y = x - t_left
    y = np.minimum(np.where(y > 0, y, a_left * y), middle)
    return t_left + y + a_right * np.maximum(x - t_left - middle, 0)


def sample_norm(x, gamma, beta, *, epsilon=1e-3):
    """(x - mean) / (√(variance + ε) + ε) * gamma + beta over the last axis of each sample: shape kept."""
    y = x - x.mean(axis=-1, keepdims=True)
    return y / (np.sqrt(np.square(y).mean(axis=-1, keepdims=True) + epsilon) + epsilon) * gamma + beta


def cosine(a, b, *, epsilon=1e-7):
    """The cosine of the angle between vectors: (N, D), (N, D) → (N,)."""
    lengths = np.sqrt(np.sum(a * a, axis=-1) * np.sum(b * b, axis=-1))
    return np.sum(a * b, axis=-1) / np.maximum(lengths, epsilon)


def locally_connected(x, kernel, bias, *, size, strides, channels_first=False):
    """Each window times a matrix of its own: (N, H, W, C), (OH * OW, kh * kw * C, F), (OH, OW, F) → (N, OH, OW, F).

    The rows of a matrix go through the window's cells, the channels of each, or the other way if `channels_first`.
    """
    cells = windows(x, size, strides, (1,) * len(size))
    n, *places = cells.shape[: len(size) + 1]
    if channels_first:
        cells = np.moveaxis(cells, -1, len(size) + 1)
    cells = cells.reshape(n, kernel.shape[0], kernel.shape[1])
    y = matmul(cells.transpose(1, 0, 2), kernel).transpose(1, 0, 2).reshape(n, *places, kernel.shape[2])
    return y if bias is None else y + bias
