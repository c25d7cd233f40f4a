"""Image preprocessing: cropping and contrast, and the augmentation that only acts in training."""

from __future__ import annotations

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last
from kerasgen.layers.registry import rule

# Layers that cast their input; the others leave integers as they are.
CASTS = frozenset("""
    AugMix CutMix RandAugment RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomPerspective
    RandomRotation RandomSharpness RandomShear RandomTranslation RandomZoom Solarization
    """.split())


@rule(
    *sorted(CASTS),
    "Equalization",
    "MixUp",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGrayscale",
    "RandomHeight",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "RandomWidth",
)
def augmentation(layer: Layer, x: Value) -> Value:
    """Images unchanged."""
    casts = layer.kind in CASTS or layer.keras_major < 3
    return layer.emit(kernels.identity, layer.cast(x, layer.dtype) if casts else x)


@rule("RandomCrop")
def random_crop(layer: Layer, x: Value) -> Value:
    """Images unchanged; before Keras 3 the largest central part with the aspect ratio, resized."""
    if layer.keras_major >= 3:
        return layer.emit(kernels.identity, x)
    size = _size(layer)
    x = layer.emit(kernels.crop_to_aspect_ratio, layer.cast(_batch(x), layer.dtype), size=size)
    return layer.emit(kernels.resize, x, size=size)


@rule("CenterCrop")
def center_crop(layer: Layer, x: Value) -> Value:
    """The central part of images."""
    size = _size(layer)

    def apply(x: Value) -> Value:
        spare = [None if old is None else old - new for old, new in zip(x.shape[1:3], size, strict=True)]
        if any(cells is None or cells < 0 for cells in spare):
            return layer.emit(kernels.center_crop, x, size=size)
        crops = tuple((cells // 2, cells - cells // 2) for cells in spare if cells is not None)
        return layer.emit(kernels.crop, x, crops=crops)

    return channels_last(layer, layer.cast(_batch(x), layer.dtype), apply)


@rule("AutoContrast")
def auto_contrast(layer: Layer, x: Value) -> Value:
    """Contrast stretched to the range of values, along the same two axes in both data formats."""
    return layer.emit(kernels.auto_contrast, layer.cast(_batch(x), layer.dtype), value_range=_value_range(layer))


@rule("ContrastLimitedAdaptiveHistogramEqualization")
def equalize_adaptively(layer: Layer, x: Value) -> Value:
    """Contrast equalised tile by tile (CLAHE)."""
    settings = {
        "value_range": _value_range(layer),
        "clip_limit": layer.config.number("clip_limit", 4.0),
        "tile_grid_size": layer.config.integers("tile_grid_size", 2, 8),
    }
    return channels_last(layer, _batch(x), lambda x: layer.emit(kernels.equalize_adaptively, x, **settings))


def _batch(x: Value) -> Value:
    if len(x.shape) != 4:
        raise UnsupportedModelError("takes batches of images: Keras would treat the batch as one image")
    return x


def _size(layer: Layer) -> tuple[int, int]:
    return layer.config.integer("height"), layer.config.integer("width")


def _value_range(layer: Layer) -> tuple[float, float]:
    low, high = layer.config.numbers("value_range", 2, (0.0, 255.0))
    return low, high
