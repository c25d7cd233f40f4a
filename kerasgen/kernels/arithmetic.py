"""Operations that NumPy lacks, or that it calls with its arguments in another order."""

import numpy as np


def rsqrt(x):
    """1 / √x."""
    return 1 / np.sqrt(x)


def clip(x, *, x_min, x_max):
    """min(max(x, x_min), x_max)."""
    return np.minimum(np.maximum(x, x_min), x_max)


def batch_dot(x, y, *, axes):
    """Sum of products over an axis of each, sample by sample: (N, T, D), (N, S, D) and axes (2, 2) → (N, T, S)."""
    x, y = np.moveaxis(x, axes[0], -1), np.moveaxis(y, axes[1], 1)
    n, k, left, right = x.shape[0], x.shape[-1], x.shape[1:-1], y.shape[2:]
    z = x.reshape(n, int(np.prod(left)), k) @ y.reshape(n, k, int(np.prod(right)))
    return z.reshape((n,) + (left + right or (1,)))


def einsum(*xs, subscripts):
    """Sum of products in Einstein's notation."""
    return np.einsum(subscripts, *xs)
