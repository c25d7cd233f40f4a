"""Preprocessing of images, features and sounds."""

from __future__ import annotations

from keras import layers as L

from cases.table import FIRST_IMAGE, IMAGE, row

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
        tolerance=1 / 250,
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
