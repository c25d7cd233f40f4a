"""Preprocessing of images, features and sounds."""

from __future__ import annotations

from keras import layers as L

from cases.table import FIRST_IMAGE, IMAGE, row

PIXELS = (0, 256)
FIRST = "channels_first"

# images
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
