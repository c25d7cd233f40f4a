"""Gradients of transforms of signals. `d` is always the gradient of the result.

Transforms are linear; their gradients are the transforms by the conjugate transposed matrices. A complex gradient is
that of the real part plus i times that of the imaginary part; one of the two may be None, for zeros.
"""

import numpy as np

from kerasgen.kernels.signal import parts, rfft
from kerasgen.kernels.window import padded, same_pads, windows


def joined(real, imag):
    """The complex array, from its real and imaginary part or None."""
    if imag is None:
        return real + 0j
    return 1j * imag if real is None else real + 1j * imag


def fft_backward(d_real, d_imag):
    """n * ifft(d): real and imaginary part, shapes kept."""
    d = joined(d_real, d_imag)
    return parts(np.fft.ifft(d) * d.shape[-1], (d_imag if d_real is None else d_real).dtype)


def fft2_backward(d_real, d_imag):
    """m n * ifft2(d): real and imaginary part, shapes kept."""
    d = joined(d_real, d_imag)
    return parts(np.fft.ifft2(d) * (d.shape[-2] * d.shape[-1]), (d_imag if d_real is None else d_real).dtype)


def ifft2_backward(d_real, d_imag):
    """fft2(d) / (m n): real and imaginary part, shapes kept."""
    d = joined(d_real, d_imag)
    return parts(np.fft.fft2(d) / (d.shape[-2] * d.shape[-1]), (d_imag if d_real is None else d_real).dtype)


def cut_or_padded(x, size):
    """The last axis cut, or padded with zeros, to this size."""
    missing = max(size - x.shape[-1], 0)
    return np.pad(x[..., :size], [(0, 0)] * (x.ndim - 1) + [(0, missing)], mode="constant")


def rfft_backward(d_real, d_imag, like=None, *, fft_length=None, shape=None):
    """The real part of n * ifft(d), where d is 0 for the negative frequencies: twice (..., F) → (..., T)."""
    d = joined(d_real, d_imag)
    size = (like.shape if shape is None else shape)[-1]
    n = size if fft_length is None else fft_length
    x = np.fft.ifft(d, n).real * n
    return cut_or_padded(x, size).astype((d_imag if d_real is None else d_real).dtype)


def irfft_backward(d, like=None, *, shape=None):
    """rfft(d) / n, doubled for the frequencies that have a negative one: (..., n) → twice (..., F)."""
    n, size = d.shape[-1], (like.shape if shape is None else shape)[-1]
    weights = np.full(n // 2 + 1, 2 / n, d.dtype)
    weights[0] = 1 / n
    if n % 2 == 0:
        weights[-1] = 1 / n
    return [cut_or_padded(part * weights, size) for part in rfft(d)]


def frames_backward(d, like=None, *, stride, shape=None):
    """Overlaps added up: (..., windows, length) → (..., T).

    A frame is cut into pieces as long as the stride, so that whole rows of pieces are added.
    """
    count, length = d.shape[-2:]
    size, pieces = (like.shape if shape is None else shape)[-1], -(-length // stride)
    d = cut_or_padded(d, pieces * stride).reshape(d.shape[:-1] + (pieces, stride))
    y = np.zeros(d.shape[:-3] + (count + pieces - 1, stride), d.dtype)
    for i in range(pieces):
        y[..., i : i + count, :] += d[..., i, :]
    return cut_or_padded(y.reshape(y.shape[:-2] + (y.shape[-2] * stride,)), size)


def stft_backward(d_real, d_imag, window=None, like=None, *, fft_length, stride, center=True, shape=None):
    """Through the transforms, the windows, the frames and the reflected ends: twice (..., frames, F) → (..., T)."""
    size = (like.shape if shape is None else shape)[-1]
    half = fft_length // 2 if center else 0
    d = rfft_backward(d_real, d_imag, shape=(fft_length,))
    d = frames_backward(d if window is None else d * window, stride=stride, shape=(size + 2 * half,))
    y = d[..., half : half + size].copy()
    if half:
        y[..., 1 : half + 1] += d[..., half - 1 :: -1]
        y[..., size - half - 1 : size - 1] += d[..., : -half - 1 : -1]
    return y


def istft_backward(d, like=None, window=None, *, fft_length, stride, start=0, stop=None, shape=None):
    """Through the cut, the overlaps, the windows and the transforms: (..., T) → twice (..., frames, F)."""
    count, size = (like.shape if shape is None else shape)[-2:]
    total = (count - 1) * stride + fft_length
    whole = np.zeros(d.shape[:-1] + (total,), d.dtype)
    whole[..., start:stop] = d
    places = np.arange(count)[:, np.newaxis] * stride + np.arange(fft_length)
    frames = whole[..., places]
    return irfft_backward(frames if window is None else frames * window, shape=(size,))


def polar_backward(d, radius, angle):
    """Re(d) cos + Im(d) sin; radius * (Im(d) cos - Re(d) sin): real arrays."""
    cos, sin = np.cos(angle), np.sin(angle)
    return d.real * cos + d.imag * sin, radius * (d.imag * cos - d.real * sin)


def mel_spectrum_backward(d, real, imag, bands, *, exponent=2.0):
    """p m^(p-2) (bands d) times either part, with the magnitude m: (..., M, T) → twice (..., T, F); 0 where m is 0."""
    d = np.swapaxes(d, -1, -2) @ bands.T
    if exponent == 2:
        d = 2 * d
    else:
        m = np.hypot(real, imag)
        d = d * np.where(m > 0, exponent * np.where(m > 0, m, 1) ** (exponent - 2), 0)
    return d * real, d * imag


def decibels_backward(d, x, *, min_power=1e-10, ref_power=1.0, top_db=80.0):
    """10 / ln(10) d / x; cells below the limit hand d on to the largest ones, which share it: shape kept."""
    loud = 10 * np.log10(np.maximum(x, min_power) / max(abs(ref_power), min_power))
    largest = loud == np.max(loud, initial=-np.inf)
    above = loud >= np.max(loud, initial=-np.inf) - top_db
    lost = np.sum(np.where(above, 0, d)) / np.maximum(np.sum(largest, dtype=x.dtype), 1)
    d = np.where(above, d, 0) + largest * lost
    return np.where(x >= min_power, 4.342944819032518 * d / np.maximum(x, min_power), 0)


def spectrum_backward(d, kernel, like=None, *, stride, pad=None, shape=None):
    """Each frame's waves times d, overlaps added up: (N, OT, C, F) with waves (k, 1, F) → (N, T, C)."""
    k, _, f = kernel.shape
    size = (like.shape if shape is None else (0,) + shape)[1]
    pad = same_pads((size,), (k,), (stride,), (1,)) if pad == "same" else pad
    before, after = (0, 0) if pad is None else pad[0]
    frames = np.moveaxis(d @ kernel.reshape(k, f).T, 1, 2)
    y = frames_backward(frames, stride=stride, shape=(before + size + after,))
    return np.swapaxes(y[..., before : before + size], 1, 2)


def spectrum_backward_kernel(d, x, kernel, *, stride, pad=None):
    """Every frame times d, over all samples and channels: (N, OT, C, F), (N, T, C) → (k, 1, F)."""
    k, _, f = kernel.shape
    frames = windows(padded(x, (k,), (stride,), (1,), pad), (k,), (stride,), (1,))
    rows = d.size // f
    return (np.swapaxes(frames, 2, 3).reshape(rows, k).T @ d.reshape(rows, f)).reshape(k, 1, f)
