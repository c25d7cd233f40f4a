"""Signals: Fourier transforms, frames and complex numbers. A complex array is often a pair: real and imaginary part."""

import numpy as np


def parts(y, dtype):
    """Real and imaginary part. NumPy before 2 always transforms in double precision."""
    return [y.real.astype(dtype), y.imag.astype(dtype)]


def fft(real, imag):
    """Fourier transform over the last axis: real and imaginary part, shapes kept."""
    return parts(np.fft.fft(real + 1j * imag), real.dtype)


def fft2(real, imag):
    """Fourier transform over the last two axes: real and imaginary part, shapes kept."""
    return parts(np.fft.fft2(real + 1j * imag), real.dtype)


def ifft2(real, imag):
    """Inverse Fourier transform over the last two axes: real and imaginary part, shapes kept."""
    return parts(np.fft.ifft2(real + 1j * imag), real.dtype)


def rfft(x, *, fft_length=None):
    """Fourier transform of real numbers, cut or padded to `fft_length`: (..., T) → twice (..., fft_length // 2 + 1)."""
    return parts(np.fft.rfft(x, fft_length), x.dtype)


def irfft(real, imag, *, fft_length=None):
    """Inverse of `rfft`: twice (..., F) → (..., fft_length), by default 2 * (F - 1)."""
    return np.fft.irfft(real + 1j * imag, fft_length).astype(real.dtype)


def frames(x, *, length, stride):
    """Every window along the last axis: (..., T) → (..., windows, length)."""
    starts = np.arange(0, x.shape[-1] - length + 1, stride)
    return x[..., starts[:, np.newaxis] + np.arange(length)]


def overlap_add(x, *, stride):
    """The reverse of `frames`, overlaps added up: (..., windows, length) → (..., T)."""
    count, length = x.shape[-2:]
    y = np.zeros(x.shape[:-2] + ((count - 1) * stride + length,), x.dtype)
    for i in range(count):
        y[..., i * stride : i * stride + length] += x[..., i, :]
    return y


def stft(x, window=None, *, fft_length, stride, center=True):
    """Fourier transforms of windowed frames, ends reflected: (..., T) → twice (..., frames, fft_length // 2 + 1)."""
    if center:
        half = fft_length // 2
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="reflect")
    x = frames(x, length=fft_length, stride=stride)
    return rfft(x if window is None else x * window)


def istft(real, imag, window=None, *, fft_length, stride, start=0, stop=None):
    """The signal whose frames have these Fourier transforms: twice (..., frames, F) → (..., T)."""
    x = irfft(real, imag, fft_length=fft_length)
    return overlap_add(x if window is None else x * window, stride=stride)[..., start:stop]


def view_as_complex(x):
    """Pairs of real and imaginary part as complex numbers: (..., 2) → (...)."""
    return x[..., 0] + 1j * x[..., 1]


def view_as_real(x):
    """Complex numbers as pairs of real and imaginary part: (...) → (..., 2)."""
    return np.stack((x.real, x.imag), axis=-1)


def polar(radius, angle):
    """Complex numbers by radius and angle: shape kept."""
    return radius * np.cos(angle) + 1j * (radius * np.sin(angle))
