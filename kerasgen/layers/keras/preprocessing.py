"""Feature preprocessing: categories, vocabularies, spectrograms and chains of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import LARGEST
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import is_channels_first, window_pads
from kerasgen.layers.ops.signal import stft
from kerasgen.layers.registry import rule
from kerasgen.names import snake_case

ENCODINGS = ("one_hot", "multi_hot", "count", "binary")  # "binary" is an old name of "multi_hot"
EPSILON = 1e-7  # Keras's default (keras/src/backend/config.py: epsilon())


def _encode(layer: Layer, x: Value, mode: str, depth: int, dtype: str, weights: Value | None = None) -> Value:
    """Classes as vectors: one-hot, or for all classes of a sample whether or how often they occur."""
    if mode == "one_hot" and len(x.shape) > 1 and x.shape[-1] == 1:
        x = layer.emit(np.squeeze, x, axis=-1)
    x = layer.emit(kernels.one_hot, x, num_classes=depth, dtype=dtype)
    if mode == "one_hot":
        return x
    if weights is not None:
        x = layer.emit(np.multiply, x, layer.emit(np.expand_dims, layer.cast(weights, dtype), axis=-1))
    return layer.emit(np.sum if mode == "count" else np.max, x, axis=1 if len(x.shape) > 2 else 0)


@rule("CategoryEncoding")
def category_encoding(layer: Layer, x: Value, count_weights: Value | None = None) -> Value:
    """Classes as vectors."""
    mode = layer.config.choice("output_mode", ENCODINGS, "multi_hot")
    return _encode(layer, x, mode, layer.config.integer("num_tokens"), layer.dtype, count_weights)


@rule("Discretization")
def discretization(layer: Layer, x: Value) -> Value:
    """Numbers as indices of bins."""
    mode = layer.config.choice("output_mode", ("int", *ENCODINGS), "int")
    written = layer.config.get("bin_boundaries", None)
    if written is None:
        raise UnsupportedModelError(
            "the file has no bin boundaries: Keras 3 records them once the layer has been adapted, Keras 2 "
            "only if the layer was created with bin_boundaries"
        )
    boundaries = np.asarray(layer.config.numbers("bin_boundaries", len(written)), layer.dtype)
    if np.any(np.diff(boundaries) < 0):
        raise InvalidModelError("its bin_boundaries do not increase")
    y = layer.emit(np.searchsorted, layer.constant("bin_boundaries", boundaries), x, side="right")
    if mode == "int":
        return layer.cast(y, "int32" if layer.keras_major >= 3 else "int64")
    return _encode(layer, y, mode, len(boundaries) + 1, layer.dtype)


@rule("Hashing")
def hashing(layer: Layer, x: Value) -> Value:
    """Integers as bins, by a hash of their decimal text; bin 0 is kept for the value that stands for none."""
    config = layer.config
    mode = config.choice("output_mode", ("int", *ENCODINGS), "int")
    bins, mask = config.integer("num_bins"), config.get("mask_value", None)
    if x.dtype == "bool":
        raise UnsupportedModelError("it hashes the texts of truth values")
    if mask is not None and not isinstance(mask, int):
        raise UnsupportedModelError("its mask_value is text, which the module does not take")
    if mode == "one_hot" and len(x.shape) > 1 and x.shape[-1] == 1:
        x = layer.emit(np.squeeze, x, axis=-1)
    rest = bins - 1 if mask is not None and bins > 1 else bins
    whole = layer.cast(x, "int64") if "float" in x.dtype else x
    if config.get("salt", None) is None:
        y = layer.emit(kernels.farm_hash, whole, bins=rest)
    else:
        key = tuple(int(part) for part in config.integers("salt", 2, least=-LARGEST))
        y = layer.emit(kernels.sip_hash, whole, bins=rest, key=key)
    if rest < bins:
        y = layer.emit(np.where, layer.emit(np.equal, x, mask), 0, layer.emit(np.add, y, 1))
    return _encoded_bins(layer, y, mode, bins)


@rule("HashedCrossing")
def hashed_crossing(layer: Layer, xs: Sequence[Value]) -> Value:
    """Combinations of integers as bins."""
    for x in xs:
        if "int" not in x.dtype or len(x.shape) > 2 or x.shape[1:] not in ((), (1,)):
            raise InvalidModelError(f"it takes single integers, and gets {x.dtype} of the shape {x.shape}")
    mode, bins = layer.config.choice("output_mode", ("int", "one_hot"), "int"), layer.config.integer("num_bins")
    return _encoded_bins(layer, layer.emit(kernels.crossed_hash, *xs, bins=bins), mode, bins)


def _encoded_bins(layer: Layer, bins: Value, mode: str, depth: int) -> Value:
    if mode == "int":
        return layer.cast(bins, str(layer.config.get("dtype", None) or "int64"))
    return _encode(layer, bins, mode, depth, layer.dtype)


@rule("IntegerLookup")
def integer_lookup(layer: Layer, x: Value) -> Value:
    """Integers as their indices in a vocabulary, or the inverse."""
    config = layer.config
    mode = config.choice("output_mode", ("int", *ENCODINGS, "tf_idf", "tf-idf"), "int")
    oov, oov_token = config.integer("num_oov_indices", 1, least=0), config.integer("oov_token", -1, least=-LARGEST)
    mask_token = config.get("mask_token", None)
    special = [oov_token] * oov
    if mask_token is not None:
        mask_token = config.integer("mask_token", least=-LARGEST)
        special = [mask_token, *special] if mode == "int" else special
    vocabulary, has_special = _vocabulary(layer, special)
    x = layer.cast(x, "int64")
    if config.flag("invert", False):
        return layer.emit(kernels.inverse_lookup, x, vocabulary, oov_token=oov_token)
    if oov > 1 and config.get("oov_method", "floormod") != "floormod":
        raise UnsupportedModelError("it hashes numbers outside its vocabulary with TensorFlow's FarmHash")
    settings = {"first": len(special), "oov": oov, "mask_token": mask_token, "masked": 0 if mode == "int" else -1}
    y = layer.emit(kernels.lookup, x, vocabulary, **settings)
    if mode == "int":
        return y
    depth = config.integer("max_tokens") if config.flag("pad_to_max_tokens", False) else vocabulary.shape[0] or 0
    if not mode.startswith("tf"):
        return _encode(layer, y, mode, depth, "int64" if layer.keras_major >= 3 else layer.dtype)
    counts = _encode(layer, y, "count", depth, layer.dtype)
    return layer.emit(np.multiply, counts, _idf_weights(layer, len(special), has_special, depth))


def _vocabulary(layer: Layer, special: list[int]) -> tuple[Value, bool]:
    """The vocabulary with special tokens first, and whether the config included those."""
    written = layer.config.get("vocabulary", None)
    if written is None:
        size = layer.config.get("vocabulary_size", None)
        if size is None:
            raise UnsupportedModelError("it has no vocabulary: adapt it or give it one, then save the model again")
        return layer.weight("vocabulary", (layer.config.integer("vocabulary_size"),), dtype="int64", state=True), True
    if isinstance(written, str):
        raise UnsupportedModelError("its vocabulary is in a separate file, which is not read")
    tokens = [int(token) for token in layer.config.integers("vocabulary", len(written), least=-LARGEST)]
    has_special = tokens[: len(special)] == special
    array = np.asarray(tokens if has_special else special + tokens, "int64")
    return layer.constant("vocabulary", array), has_special


def _idf_weights(layer: Layer, special: int, has_special: bool, depth: int) -> Value:
    """The weight of each token: the mean for special tokens missing in the config, 0 for unused indices."""
    written = layer.config.get("idf_weights", None)
    if written is None:
        return layer.weight("idf_weights", (depth,), state=True)
    weights = np.asarray(layer.config.numbers("idf_weights", len(written)))
    before = 0 if has_special else special
    padded = np.full(depth, 0.0)
    padded[: before + len(weights)] = [*[weights.mean()] * before, *weights]
    return layer.constant("idf_weights", padded.astype(layer.dtype))


@rule("MelSpectrogram")
def mel_spectrogram(layer: Layer, x: Value) -> Value:
    """The power of each band of the mel scale over time."""
    config = layer.config
    real, imag = stft(layer, layer.cast(x, layer.dtype))
    bands = layer.constant("bands", _mel_bands(layer, config.integer("fft_length", 2048) // 2 + 1).astype(layer.dtype))
    y = layer.emit(kernels.mel_spectrum, real, imag, bands, exponent=config.number("mag_exp", 2.0))
    if not config.flag("power_to_db", True):
        return y
    settings = {
        "min_power": config.number("min_power", 1e-10),
        "ref_power": config.number("ref_power", 1.0),
        "top_db": config.number("top_db", 80.0),
    }
    return layer.emit(kernels.decibels, y, **settings)


def _mel_bands(layer: Layer, frequencies: int) -> np.ndarray:
    """The weight of each frequency in each band: triangles of equal width on the scale mel = 1127 ln(1 + f / 700).

    In float32, as Keras computes them.
    """
    config = layer.config
    rate = config.number("sampling_rate", 16000)
    low, high = config.number("min_freq", 20.0), config.number("max_freq", int(rate / 2))

    def mel(hertz: Any) -> Any:
        return np.float32(1127) * np.log(np.float32(1) + np.asarray(hertz, np.float32) / np.float32(700))

    edges = np.linspace(mel(low), mel(high), config.integer("num_mel_bins", 128) + 2, dtype=np.float32)
    places = mel(np.linspace(0, rate / 2, frequencies, dtype=np.float32))[1:, np.newaxis]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.pad(np.maximum(np.minimum(rising, falling), 0), ((1, 0), (0, 0)))


@rule("STFTSpectrogram")
def stft_spectrogram(layer: Layer, x: Value) -> Value:
    """The short-time Fourier transform, by convolution with waves, or a spectrogram derived from it."""
    config = layer.config
    mode = config.choice("mode", ("log", "magnitude", "psd", "real", "imag", "angle", "stft"), "log")
    length = config.integer("frame_length", 256)
    stride = config.integer("frame_step") if config.get("frame_step", None) is not None else length // 2
    is_set = config.get("fft_length", None) is not None
    full = config.integer("fft_length") if is_set else 2 ** (length - 1).bit_length()
    first = is_channels_first(layer)
    x = layer.emit(kernels.channels_last, x) if first else x
    pad = window_pads(x, config.choice("padding", ("valid", "same"), "valid"), (length,), (stride,), (1,))
    parts = []
    for part in ("real", "imag"):
        if mode not in ("real", "imag") or mode == part:
            waves = layer.weight(f"{part}_kernel", (length, 1, full // 2 + 1))
            parts.append(layer.emit(kernels.spectrum, x, waves, stride=stride, pad=pad))
    y = _spectrogram(layer, mode, parts)
    if config.flag("expand_dims", False):
        return layer.emit(np.swapaxes, y, axis1=1, axis2=2) if first else layer.emit(np.swapaxes, y, axis1=2, axis2=3)
    _, steps, channels, depth = y.shape
    y = layer.emit(kernels.reshape, y, shape=(-1 if steps is None else steps, (channels or 0) * (depth or 0)))
    return layer.emit(kernels.channels_first, y) if first else y


def _spectrogram(layer: Layer, mode: str, parts: list[Value]) -> Value:
    if mode in ("real", "imag"):
        return parts[0]
    if mode == "stft":
        return layer.emit(kernels.concatenate, *parts, axis=-1)
    if mode == "angle":
        return layer.emit(np.arctan2, *reversed(parts))
    power = layer.emit(kernels.power, *parts)
    if mode == "psd":
        return layer.emit(kernels.both_sides, power)
    magnitude = layer.emit(np.sqrt, layer.emit(np.maximum, power, EPSILON))
    return magnitude if mode == "magnitude" else layer.emit(np.log, magnitude)


@rule("Pipeline")
def pipeline(layer: Layer, x: Value, mask: Any = None) -> Any:
    """A chain of layers."""
    written = layer.config.get("layers")
    if not isinstance(written, list):
        raise InvalidModelError("its config has no list of layers")
    seen: Counter[str] = Counter()
    for item in written:
        name = snake_case(str(item.get("class_name")) if isinstance(item, dict) else "")
        x = layer.wrapped(f"layers/{name}_{seen[name]}" if seen[name] else f"layers/{name}", item, x)
        seen[name] += 1
    return x
