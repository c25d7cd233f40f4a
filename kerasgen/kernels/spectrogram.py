"""Spectrograms: how loud each frequency is over time."""

import numpy as np

from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.window import padded, windows


def mel_spectrum(real, imag, bands, *, exponent=2.0):
    """Magnitudes raised to a power and added up in bands: twice (..., T, F), bands (F, M) → (..., M, T)."""
    return np.swapaxes(matmul(np.hypot(real, imag) ** exponent, bands), -1, -2)


def decibels(x, *, min_power=1e-10, ref_power=1.0, top_db=80.0):
    """10 log10(x / ref_power), no lower than `top_db` below the largest of the whole batch: shape kept."""
    y = 10 * np.log10(np.maximum(x, min_power) / max(abs(ref_power), min_power))
    return np.maximum(y, np.max(y, initial=-np.inf) - top_db)


def spectrum(x, kernel, *, stride, pad=None):
    """Every frame of each channel times all waves: (N, T, C), waves (k, 1, F) → (N, OT, C, F)."""
    k, _, f = kernel.shape
    frames = windows(padded(x, (k,), (stride,), (1,), pad), (k,), (stride,), (1,))
    return matmul(np.swapaxes(frames, 2, 3), kernel.reshape(k, f))


def power(real, imag):
    """real² + imag²."""
    return real * real + imag * imag


def both_sides(x):
    """Each frequency plus its negative: all but the first and the last are doubled; shape kept."""
    y = x.copy()
    y[..., 1:-1] *= 2
    return y
