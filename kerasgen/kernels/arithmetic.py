"""Operations that NumPy lacks, or that it calls with its arguments in another order."""

import numpy as np


def rsqrt(x):
    """1 / √x."""
    return 1 / np.sqrt(x)


def clip(x, *, x_min, x_max):
    """min(max(x, x_min), x_max)."""
    return np.minimum(np.maximum(x, x_min), x_max)


def einsum(*xs, subscripts):
    """Sum of products in Einstein's notation."""
    return np.einsum(subscripts, *xs)
