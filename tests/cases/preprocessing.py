"""Preprocessing of images, features and sounds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras import ops

from cases.table import FIRST_IMAGE, IMAGE, VECTOR, row

PIXELS = (0, 256)
FIRST = "channels_first"

# images
for _how in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
    row(f"resizing {_how}", IMAGE, L.Resizing(6, 14, interpolation=_how))
    row(f"resizing {_how} smaller", IMAGE, L.Resizing(4, 3, interpolation=_how), values=PIXELS)
    if _how != "nearest":
        row(f"resizing {_how} antialias", IMAGE, L.Resizing(4, 7, interpolation=_how, antialias=True))
    # A cell half-way between two whole numbers may become either: TensorFlow adds up in another order.
    row(
        f"resizing {_how} of integers",
        IMAGE,
        lambda x, how=_how: L.Rescaling(1.0)(L.Resizing(6, 14, interpolation=how)(x)),
        dtype="uint8",
        values=PIXELS,
        tolerance=1 / 200,
    )
row("resizing crop", IMAGE, L.Resizing(4, 9, crop_to_aspect_ratio=True))
row("resizing crop tall", IMAGE, L.Resizing(14, 5, crop_to_aspect_ratio=True, interpolation="nearest"))
row("resizing pad", IMAGE, L.Resizing(4, 9, pad_to_aspect_ratio=True))
row("resizing pad tall", IMAGE, L.Resizing(14, 5, pad_to_aspect_ratio=True, fill_value=1.5))
row("resizing same size", IMAGE, L.Resizing(9, 10))
row("resizing first", FIRST_IMAGE, L.Resizing(5, 6, data_format=FIRST))
row("resizing first pad", FIRST_IMAGE, L.Resizing(5, 8, data_format=FIRST, pad_to_aspect_ratio=True, fill_value=-1.0))
row("resizing any size", (None, None, 3), L.Resizing(5, 9))
row("resizing any size crop", (None, None, 3), L.Resizing(5, 9, crop_to_aspect_ratio=True))
row("resizing of int8", IMAGE, L.Resizing(5, 6, interpolation="bicubic"), dtype="int8", values=(-128, 128))
row("resizing of int32", IMAGE, L.Resizing(5, 6, interpolation="nearest"), dtype="int32", values=(-30000, 30000))
row("resizing before conv2d", IMAGE, lambda x: L.Conv2D(4, 3)(L.Rescaling(1 / 255)(L.Resizing(6, 6)(x))), dtype="uint8")
row("center_crop", IMAGE, L.CenterCrop(4, 6))
row("center_crop odd", IMAGE, L.CenterCrop(4, 7))
row("center_crop same size", IMAGE, L.CenterCrop(9, 10))
row("center_crop too small", IMAGE, L.CenterCrop(12, 14))
row("center_crop too narrow", IMAGE, L.CenterCrop(5, 14))
row("center_crop first", FIRST_IMAGE, L.CenterCrop(4, 7, data_format=FIRST))
row("center_crop first too small", FIRST_IMAGE, L.CenterCrop(12, 7, data_format=FIRST))
row("center_crop of integers", IMAGE, L.CenterCrop(5, 5), dtype="uint8", values=PIXELS)
row("center_crop of small integers", IMAGE, L.CenterCrop(12, 5), dtype="uint8", values=PIXELS)
row("center_crop any size", (None, None, 3), L.CenterCrop(5, 6))
row("center_crop any size too small", (None, None, 3), L.CenterCrop(7, 6))
row("auto_contrast", IMAGE, L.AutoContrast(), values=PIXELS)
row("auto_contrast range", IMAGE, L.AutoContrast(value_range=(0, 1)), values=(0.2, 0.7))
row("auto_contrast below zero", IMAGE, L.AutoContrast(value_range=(-1, 1)), values=(-0.3, 0.7))
row("auto_contrast of integers", IMAGE, L.AutoContrast(), dtype="uint8", values=PIXELS)
row("auto_contrast flat", IMAGE, lambda x: L.AutoContrast()(x * 0.0 + 3.0))
row("auto_contrast first", FIRST_IMAGE, L.AutoContrast(data_format=FIRST), values=PIXELS)
row("auto_contrast any size", (None, None, 3), L.AutoContrast(), values=PIXELS)
_Equalization = L.ContrastLimitedAdaptiveHistogramEqualization
row("clahe", (16, 24, 3), _Equalization(), values=PIXELS)
row("clahe padded", (21, 19, 3), _Equalization(tile_grid_size=(4, 3)), values=PIXELS)
row("clahe limit", (16, 24, 3), _Equalization(clip_limit=1.5, tile_grid_size=(2, 2)), values=PIXELS)
row("clahe no limit", (16, 24, 1), _Equalization(clip_limit=0.0, tile_grid_size=(2, 4)), values=PIXELS)
row("clahe range", (16, 24, 3), _Equalization(value_range=(0, 1), tile_grid_size=(4, 4)), values=(0, 1))
row("clahe of integers", (16, 24, 3), _Equalization(tile_grid_size=(4, 4)), dtype="uint8", values=PIXELS)
row("clahe first", (3, 16, 24), _Equalization(tile_grid_size=(4, 4), data_format=FIRST), values=PIXELS)
row("clahe any size", (None, None, 3), _Equalization(tile_grid_size=(2, 2)), values=PIXELS)

# augmentation; not Equalization, which Keras cannot put into a functional model
_AUGMENTATION = {
    "AugMix": {},
    "CutMix": {},
    "MixUp": {},
    "RandAugment": {},
    "RandomBrightness": {"factor": 0.5},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.5, "hue_factor": 0.3},
    "RandomContrast": {"factor": 0.5},
    "RandomCrop": {"height": 9, "width": 10},
    "RandomElasticTransform": {},
    "RandomErasing": {},
    "RandomFlip": {},
    "RandomGaussianBlur": {},
    "RandomGrayscale": {"factor": 1.0},
    "RandomHue": {"factor": 0.5},
    "RandomInvert": {},
    "RandomPerspective": {},
    "RandomPosterization": {"factor": 3},
    "RandomRotation": {"factor": 0.3},
    "RandomSaturation": {"factor": 0.5},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.3, "y_factor": 0.3},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.3},
    "Solarization": {"addition_factor": 0.5, "threshold_factor": 0.5},
}
# Keras cannot copy the configs of these, as its legacy format wants.
_KERAS_ONLY = {"RandomBrightness", "RandomColorDegeneration", "RandomPosterization", "RandomSaturation"}
_KERAS_ONLY |= {"RandomSharpness", "Solarization"}
for _kind, _settings in _AUGMENTATION.items():
    _formats = ("keras",) if _kind in _KERAS_ONLY else ("keras", "h5")
    for _name, _inputs in {"": {}, " of integers": {"dtype": "uint8", "values": PIXELS}}.items():
        row(
            f"inactive {_kind}{_name}",
            IMAGE,
            lambda x, kind=_kind, settings=_settings: getattr(L, kind)(**settings)(x),
            formats=_formats,
            **_inputs,
        )
row("inactive RandomFlip first", FIRST_IMAGE, lambda x: L.RandomFlip(data_format=FIRST)(x))
row("augmentation before conv2d", IMAGE, lambda x: L.Conv2D(4, 3)(L.RandomRotation(0.1)(L.RandomFlip()(x))))

# categories
_CLASSES = {"dtype": "int32", "values": (0, 5)}
for _mode in ("one_hot", "multi_hot", "count"):
    row(f"category_encoding {_mode}", (1,), L.CategoryEncoding(5, output_mode=_mode), **_CLASSES)
    row(f"category_encoding {_mode} of too large", (1,), L.CategoryEncoding(4, output_mode=_mode), **_CLASSES)
    row(f"category_encoding {_mode} of floats", (1,), L.CategoryEncoding(5, output_mode=_mode), values=(0, 5))
    row(
        f"category_encoding {_mode} float64",
        (1,),
        L.CategoryEncoding(5, output_mode=_mode, dtype="float64"),
        **_CLASSES,
    )
    row(f"discretization {_mode}", (1,), L.Discretization([-1.5, 0.0, 0.5, 2.0], output_mode=_mode))
row("category_encoding one_hot many", VECTOR, L.CategoryEncoding(5, output_mode="one_hot"), **_CLASSES)
row("category_encoding one_hot any length", (None,), L.CategoryEncoding(5, output_mode="one_hot"), **_CLASSES)
row("category_encoding multi_hot many", VECTOR, L.CategoryEncoding(5), **_CLASSES)
row("category_encoding multi_hot any length", (None,), L.CategoryEncoding(5), **_CLASSES)
row("category_encoding count many", VECTOR, L.CategoryEncoding(5, output_mode="count"), **_CLASSES)
row(
    "category_encoding weighted count",
    [VECTOR, VECTOR],
    lambda x, w: L.CategoryEncoding(5, output_mode="count")(x, count_weights=ops.cast(w, "float32") * 0.5),
    **_CLASSES,
)
row("category_encoding then dense", VECTOR, lambda x: L.Dense(3)(L.CategoryEncoding(5)(x)), **_CLASSES)
row("discretization", IMAGE, L.Discretization([-1.5, 0.0, 0.5, 2.0]))
row("discretization on the boundaries", IMAGE, L.Discretization([0, 1.0, 3]), dtype="int32")
row("discretization of pixels", IMAGE, L.Discretization([10.0, 100.0, 200.5]), dtype="uint8", values=PIXELS)
row("discretization one_hot many", VECTOR, L.Discretization([-1.5, 0.0, 2.0], output_mode="one_hot"))


def _adapted(layer: Any, data: Any) -> Any:
    layer.adapt(np.asarray(data))
    return layer


row("discretization adapted", VECTOR, lambda x: _adapted(L.Discretization(num_bins=4), np.linspace(-3, 3, 50))(x))
row(
    "discretization adapted count",
    (1,),
    lambda x: _adapted(L.Discretization(num_bins=4, output_mode="count"), np.linspace(-3, 3, 50))(x),
)

# vocabularies
_NUMBERS = {"dtype": "int64", "values": (-3, 12)}
_VOCABULARY = [7, 2, 9, 4, -2]
_LOOKUPS = {
    "": {},
    "mask": {"mask_token": 3},
    "no mask, many oov": {"num_oov_indices": 3},
    "mask, many oov": {"num_oov_indices": 3, "mask_token": 0},
    "listed tokens": {"vocabulary": [0, -1, *_VOCABULARY], "mask_token": 0},
    "multi_hot": {"output_mode": "multi_hot"},
    "multi_hot mask": {"output_mode": "multi_hot", "mask_token": 3},
    "multi_hot padded": {"output_mode": "multi_hot", "max_tokens": 9, "pad_to_max_tokens": True},
    "count": {"output_mode": "count", "num_oov_indices": 2},
    "tf_idf": {"output_mode": "tf_idf", "idf_weights": [0.5, 0.25, 2.0, 1.5, 0.75]},
    "tf_idf listed tokens": {
        "vocabulary": [-1, *_VOCABULARY],
        "output_mode": "tf_idf",
        "idf_weights": [0.1, 0.5, 0.25, 2.0, 1.5, 0.75],
    },
    "tf_idf padded": {
        "output_mode": "tf_idf",
        "idf_weights": [0.5, 0.25, 2.0, 1.5, 0.75],
        "max_tokens": 9,
        "pad_to_max_tokens": True,
    },
    "invert": {"invert": True},
    "invert mask": {"invert": True, "mask_token": 0, "oov_token": -5},
}
for _name, _settings in _LOOKUPS.items():
    _layer = L.IntegerLookup(**{"vocabulary": _VOCABULARY, **_settings})
    row(f"integer_lookup {_name}", VECTOR, _layer, **_NUMBERS)
row("integer_lookup known", (3,), L.IntegerLookup(vocabulary=[3, 0, 1, 2], num_oov_indices=0), dtype="int64")
row("integer_lookup of int32", VECTOR, L.IntegerLookup(vocabulary=_VOCABULARY), dtype="int32", values=(-3, 12))
row("integer_lookup one_hot", (1,), L.IntegerLookup(vocabulary=_VOCABULARY, output_mode="one_hot"), **_NUMBERS)
row(
    "integer_lookup then embedding",
    VECTOR,
    lambda x: L.Embedding(7, 3)(L.IntegerLookup(vocabulary=_VOCABULARY, mask_token=0)(x)),
    **_NUMBERS,
)
_WIDE: dict[str, Any] = {"dtype": "int64", "values": (-(2**62), 2**62)}
row("hashing", (3, 90), L.Hashing(1000), dtype="int64", values=(-1200, 1200))
row("hashing of large integers", (40,), L.Hashing(1000), **_WIDE)
row("hashing salted", (3, 90), L.Hashing(1000, salt=133), dtype="int64", values=(-1200, 1200))
row("hashing salted of large integers", (40,), L.Hashing(99, salt=[133, 137], dtype="int32"), **_WIDE)
for _mode in ("one_hot", "multi_hot", "count"):
    row(f"hashing {_mode}", (1,), L.Hashing(9, output_mode=_mode, mask_value=2), **_NUMBERS)
row("hashing count many", VECTOR, L.Hashing(9, output_mode="count"), **_NUMBERS)
row("hashing masked", VECTOR, L.Hashing(9, mask_value=0), **_NUMBERS)
row("hashing masked into one bin", VECTOR, L.Hashing(1, mask_value=0), **_NUMBERS)
row("hashing of pixels", VECTOR, L.Hashing(9), dtype="uint8", values=PIXELS)
row("hashing of floats", VECTOR, L.Hashing(9, mask_value=1))
row("hashed_crossing", [(1,), (1,)], lambda *xs: L.HashedCrossing(30)(xs), **_WIDE)
row("hashed_crossing of vector", [(), ()], lambda *xs: L.HashedCrossing(30)(xs), **_NUMBERS)
row("hashed_crossing one_hot", [(1,), (1,)], lambda *xs: L.HashedCrossing(9, output_mode="one_hot")(xs), **_NUMBERS)
row("hashed_crossing int32", [(1,), (1,)], lambda *xs: L.HashedCrossing(9, dtype="int32")(xs), **_NUMBERS)
for _name, _settings in _LOOKUPS.items():
    if "idf_weights" in _settings or "vocabulary" in _settings:
        continue
    row(
        f"integer_lookup adapted {_name}",
        VECTOR,
        lambda x, settings=_settings: _adapted(L.IntegerLookup(**settings), [[7, 2, 9], [4, -2, 9], [9, 2, 5]])(x),
        formats=("keras",),  # the legacy format does not hold the vocabulary
        **_NUMBERS,
    )
row(
    "integer_lookup adapted tf_idf",
    VECTOR,
    lambda x: _adapted(L.IntegerLookup(output_mode="tf_idf"), [[7, 2, 9], [4, -2, 9], [9, 2, 5]])(x),
    formats=("keras",),
    **_NUMBERS,
)

row(
    "integer_lookup adapted in a nested model",
    VECTOR,
    lambda x: _nested(_adapted(L.IntegerLookup(), [[7, 2, 9]]))(_adapted(L.IntegerLookup(), [[4, -2, 9]])(x)),
    formats=("keras",),
    **_NUMBERS,
)


def _nested(layer: Any) -> Any:
    x = keras.Input(VECTOR, dtype="int64")
    return keras.Model(x, layer(x))


# sounds
SOUND = (300,)
row("mel_spectrogram", SOUND, L.MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=12), mixes=True)
row(
    "mel_spectrogram power",
    SOUND,
    L.MelSpectrogram(fft_length=64, sequence_stride=20, num_mel_bins=12, power_to_db=False, mag_exp=1.0),
)
row(
    "mel_spectrogram all settings",
    SOUND,
    L.MelSpectrogram(
        fft_length=128,
        sequence_stride=25,
        sequence_length=100,
        window="hamming",
        sampling_rate=8000,
        num_mel_bins=10,
        min_freq=50.0,
        max_freq=3000.0,
        top_db=20.0,
        min_power=1e-5,
        ref_power=2.0,
    ),
    mixes=True,
)
row("mel_spectrogram no window", SOUND, L.MelSpectrogram(64, 16, window=None, num_mel_bins=8, power_to_db=False))
row("mel_spectrogram any length", (None,), L.MelSpectrogram(64, 16, num_mel_bins=8, power_to_db=False), sizes=(200,))
row("mel_spectrogram of integers", SOUND, L.MelSpectrogram(64, 16, num_mel_bins=8, power_to_db=False), dtype="int16")
WAVES = (100, 3)
for _mode in ("log", "magnitude", "psd", "real", "imag", "angle", "stft"):
    row(f"stft_spectrogram {_mode}", WAVES, L.STFTSpectrogram(mode=_mode, frame_length=16))
row("stft_spectrogram steps", WAVES, L.STFTSpectrogram(frame_length=20, frame_step=7, fft_length=64, periodic=True))
row(
    "stft_spectrogram same", WAVES, L.STFTSpectrogram(frame_length=16, frame_step=6, padding="same", scaling="spectrum")
)
row("stft_spectrogram expanded", WAVES, L.STFTSpectrogram(mode="psd", frame_length=16, expand_dims=True))
row("stft_spectrogram stft expanded", WAVES, L.STFTSpectrogram(mode="stft", frame_length=16, expand_dims=True))
row("stft_spectrogram first", (3, 100), L.STFTSpectrogram(frame_length=16, data_format=FIRST))
row(
    "stft_spectrogram first expanded", (3, 100), L.STFTSpectrogram(frame_length=16, data_format=FIRST, expand_dims=True)
)
row("stft_spectrogram any length", (None, 3), L.STFTSpectrogram(frame_length=16, padding="same"), sizes=(70,))
row("stft_spectrogram no window", WAVES, L.STFTSpectrogram(frame_length=16, window=None, scaling=None))

# chains
row("pipeline", IMAGE, L.Pipeline([L.Rescaling(0.5), L.RandomFlip(), L.CenterCrop(4, 5)]))
row("pipeline with weights", IMAGE, lambda x: L.Pipeline([L.Rescaling(0.5), L.Normalization(), L.Normalization()])(x))
row("pipeline of integers", IMAGE, L.Pipeline([L.Resizing(5, 6), L.Rescaling(1 / 255)]), dtype="uint8", tolerance=1 / 4)

# given statistics, along any axis
row("normalization by config", IMAGE, L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 0.25]))
row("normalization by config one", IMAGE, L.Normalization(axis=None, mean=1.5, variance=4.0))
row("normalization by config one for all", IMAGE, L.Normalization(mean=1.5, variance=4.0, invert=True))
row(
    "normalization by config axis", FIRST_IMAGE, L.Normalization(axis=1, mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 2.0])
)
row(
    "normalization by config axes",
    (2, 4, 3),
    L.Normalization(axis=(1, -1), mean=np.arange(6.0).reshape(2, 3).tolist(), variance=np.ones((2, 3)).tolist()),
)
row(
    "normalization of pixels",
    IMAGE,
    L.Normalization(mean=[100.0] * 3, variance=[50.0] * 3),
    dtype="uint8",
    values=PIXELS,
)
row("rescaling of pixels", IMAGE, L.Rescaling(1 / 127.5, offset=-1), dtype="uint8", values=PIXELS)
