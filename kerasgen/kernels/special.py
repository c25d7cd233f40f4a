"""Special functions, and sums that need care."""

import math

import numpy as np


def erfc(x):
    """1 - erf(x), without the difference: shape kept. Relative error up to 8 eps."""
    return np.vectorize(math.erfc, otypes=[x.dtype])(x)


def erfinv(x):
    """The y with erf(y) = x: Winitzki's estimate, then three of Newton's steps in double precision. Shape kept.

    Relative error up to 8 eps, plus an absolute error up to 1e-15.
    """
    rest = 1 - np.abs(x.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(rest * (2 - rest))
        middle = 2 / (math.pi * 0.147) + log / 2
        y = np.sqrt(np.sqrt(middle * middle - log / 0.147) - middle)
        for _ in range(3):
            y = y + (erfc(y) - rest) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
    y = np.where(rest == 0, np.inf, y)
    return np.copysign(y, x).astype(x.dtype)


def logsumexp(x, *, axis=None, keepdims=False):
    """log(sum(exp(x))); subtracting the maximum changes nothing but the overflow. Error up to 8 eps (1 + max |x|)."""
    largest = np.max(x, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0).astype(x.dtype)
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return y if keepdims else np.squeeze(y, axis=axis)


def joint_softmax(x, *, axis):
    """Softmax over several axes, as Keras computes it: exp(x - logsumexp(x)). Error up to 16 eps (1 + max |x|).

    Where the largest of very large numbers are equal, each has 1.
    """
    return np.exp(x - logsumexp(x, axis=axis, keepdims=True))


def cdist(x, y):
    """Euclidean distances of all pairs of rows: (..., P, D), (..., R, D) → (..., P, R)."""
    difference = np.expand_dims(x, -2) - np.expand_dims(y, -3)
    return np.sqrt(np.sum(np.square(difference), axis=-1))


def psnr(x1, x2, *, max_val):
    """Peak signal-to-noise ratio of two arrays, in decibels: one number for all of them."""
    with np.errstate(divide="ignore"):
        y = 20 * np.log10(x1.dtype.type(max_val)) - 10 * np.log10(np.mean(np.square(x1 - x2)))
    return x1.dtype.type(y)  # NumPy 1 promotes a number times a float32 to float64


def fake_quant(x, low, high, *, num_bits=8, narrow_range=False, axis=None):
    """Round to the 2 ** num_bits steps between two bounds, shifted slightly so that 0 is one of them: shape kept.

    Vectors of bounds go along `axis`.
    """
    bounds = (np.asarray(bound, x.dtype) for bound in (low, high))
    shape = () if axis is None else tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim))
    low, high = (bound.reshape(shape) for bound in bounds)
    least, most = int(narrow_range), 2**num_bits - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        scale, steps = (high - low) / (most - least), (most - least) / (high - low)
        zero = np.floor(np.clip(least - low / scale, least, most) + 0.5)
        first, last = (least - zero) * scale, (most - zero) * scale
        y = (np.minimum(np.maximum(x, first), last) - first) * steps
        y = np.floor(y - np.floor(0.5 - first * steps) + 0.5) * scale
    return np.where((low == 0) & (high == 0), 0, y).astype(x.dtype)
