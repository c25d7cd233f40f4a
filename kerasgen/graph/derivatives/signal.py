"""Derivatives of transforms of signals, and of complex numbers as pairs of real ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.call import Call
from kerasgen.kernels.backward import signal as backward


def fft(call: Call, i: int) -> Any:
    """n times the inverse."""
    return call.emit(backward.fft_backward, *call.gradients, outputs=2)[i]


def fft2(call: Call, i: int) -> Any:
    """m n times the inverse."""
    return call.emit(backward.fft2_backward, *call.gradients, outputs=2)[i]


def ifft2(call: Call, i: int) -> Any:
    """The inverse divided by m n."""
    return call.emit(backward.ifft2_backward, *call.gradients, outputs=2)[i]


def rfft(call: Call, i: int) -> Any:
    """The real part of the inverse of only half of the frequencies."""
    length = call.setting("fft_length")
    return call.sized(backward.rfft_backward, *call.gradients, like=call.x[0], fft_length=length)


def irfft(call: Call, i: int) -> Any:
    """Half of the frequencies, of which most count twice."""
    return call.sized(backward.irfft_backward, call.d, like=call.x[0], outputs=2)[i]


def frames(call: Call, i: int) -> Any:
    """Overlaps added up."""
    return call.sized(backward.frames_backward, call.d, like=call.x[0], stride=call.setting("stride"))


def stft(call: Call, i: int) -> Any:
    """Through transforms and frames; the window does not change."""
    window = call.operand(1)
    return call.sized(backward.stft_backward, *call.gradients, window, like=call.x[0], **call.attrs)


def istft(call: Call, i: int) -> Any:
    """Through frames and transforms; the window does not change."""
    window = call.operand(2)
    return call.emit(backward.istft_backward, call.d, call.x[0], window, outputs=2, **call.attrs)[i]


def view_as_complex(call: Call, i: int) -> Any:
    """Both parts."""
    return call.emit(kernels.view_as_real, call.d)


def view_as_real(call: Call, i: int) -> Any:
    """Both parts."""
    return call.emit(kernels.view_as_complex, call.d)


def polar(call: Call, i: int) -> Any:
    """Along the radius and the angle."""
    return call.emit(backward.polar_backward, call.d, *call.x, outputs=2)[i]


def mel_spectrum(call: Call, i: int) -> Any:
    """Through the magnitudes; the bands do not change."""
    return call.emit(backward.mel_spectrum_backward, call.d, *call.x, outputs=2, **call.attrs)[i]


def decibels(call: Call, i: int) -> Any:
    """Through the logarithm and the limit, which depends on the largest."""
    return call.emit(backward.decibels_backward, call.d, call.x[0], **call.attrs)


def spectrum(call: Call, i: int) -> Any:
    """Overlaps added up, or every frame times d."""
    settings = {"stride": call.setting("stride"), "pad": call.setting("pad")}
    if i == 1:
        return call.emit(backward.spectrum_backward_kernel, call.d, *call.x, **settings)
    return call.sized(backward.spectrum_backward, call.d, call.x[1], like=call.x[0], **settings)


def power(call: Call, i: int) -> Any:
    """Twice either part."""
    return call.emit(np.multiply, call.emit(np.multiply, call.d, 2.0), call.x[i])


def both_sides(call: Call, i: int) -> Any:
    """The same."""
    return call.emit(kernels.both_sides, call.d)
