"""Signals: Fourier transforms, frames and complex numbers, as operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

LONGEST = 2**24  # windows in real configs are far shorter
TRANSFORMS: dict[str, Callable[..., Any]] = {"FFT": kernels.fft, "FFT2": kernels.fft2, "IFFT2": kernels.ifft2}


def _transform(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def transform(layer: Layer, x: Sequence[Value]) -> list[Value]:
        return layer.emit_many(kernel, *x)


for _kind, _kernel in TRANSFORMS.items():
    _transform(_kind, _kernel)


def _fft_length(layer: Layer) -> int | None:
    return None if layer.config.get("fft_length", None) is None else layer.config.integer("fft_length")


@rule("ops.RFFT")
def rfft(layer: Layer, x: Value) -> list[Value]:
    """Fourier transform of real numbers."""
    return layer.emit_many(kernels.rfft, x, fft_length=_fft_length(layer))


@rule("ops.IRFFT")
def irfft(layer: Layer, x: Sequence[Value]) -> Value:
    """The inverse Fourier transform to real numbers."""
    return layer.emit(kernels.irfft, *x, fft_length=_fft_length(layer))


@rule("ops.ExtractSequences")
def extract_sequences(layer: Layer, x: Value) -> Value:
    """Windows along the last axis."""
    length, stride = layer.config.integer("sequence_length"), layer.config.integer("sequence_stride")
    return layer.emit(kernels.frames, x, length=length, stride=stride)


def _window(layer: Layer, dtype: str) -> np.ndarray | None:
    """The window of a frame, zero-padded to the length of the transform."""
    length, full = layer.config.integer("sequence_length"), layer.config.integer("fft_length")
    written = layer.config.get("window", "hann")
    if full > LONGEST:
        raise InvalidModelError(f"a transform of length {full}")
    if full < length:
        raise InvalidModelError(f"a frame of length {length} does not fit into a transform of length {full}")
    if written is None:
        return None
    if isinstance(written, str):
        middle = {"hann": 0.5, "hamming": 0.54}[layer.config.choice("window", ("hann", "hamming"))]
        period = max(length - length % 2, 1)  # TensorFlow's windows of odd length are symmetric, the others periodic
        weights = middle - (1 - middle) * np.cos(2 * np.pi * np.arange(length) / period)
        weights = weights if length > 1 else np.ones(1)
    else:
        weights = np.asarray(written)
    if weights.shape != (length,):
        raise InvalidModelError(f"the window has the shape {weights.shape}, not {(length,)}")
    before = (full - length) // 2
    return np.pad(weights.astype(dtype), (before, full - length - before))


@rule("ops.STFT")
def stft(layer: Layer, x: Value) -> list[Value]:
    """Fourier transforms of frames."""
    window = _window(layer, x.dtype)
    return layer.emit_many(
        kernels.stft,
        x,
        None if window is None else layer.constant("window", window),
        fft_length=layer.config.integer("fft_length"),
        stride=layer.config.integer("sequence_stride"),
        center=layer.config.flag("center", True),
    )


@rule("ops.ISTFT")
def istft(layer: Layer, x: Sequence[Value]) -> Value:
    """The signal, from the Fourier transforms of its frames."""
    full, stride = layer.config.integer("fft_length"), layer.config.integer("sequence_stride")
    window = _window(layer, x[0].dtype)
    if window is not None:  # divided by the sum of the squares of all overlapping windows
        squares = np.pad(np.square(window), (0, -full % stride)).reshape(-1, stride).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            window = window / np.resize(squares, full)
    start = full // 2 if layer.config.flag("center", True) else 0
    stop = None if not start else -start
    if layer.config.get("length", None) is not None:
        stop = start + layer.config.integer("length")
    constant = None if window is None else layer.constant("window", window)
    return layer.emit(kernels.istft, *x, constant, fft_length=full, stride=stride, start=start, stop=stop)


@rule("ops.ViewAsComplex")
def view_as_complex(layer: Layer, x: Value) -> Value:
    """Pairs of numbers as complex numbers."""
    return layer.emit(kernels.view_as_complex, x)


@rule("ops.ViewAsReal")
def view_as_real(layer: Layer, x: Value) -> Value:
    """Complex numbers as pairs."""
    return layer.emit(kernels.view_as_real, x)


@rule("ops.Polar")
def polar(layer: Layer, abs_: Any, angle: Any) -> Value:
    """Complex numbers from radius and angle."""
    return layer.emit(kernels.polar, abs_, angle)
