"""Larger and smaller images."""

from __future__ import annotations

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last
from kerasgen.layers.registry import rule

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@rule("UpSampling1D")
def upsampling1d(layer: Layer, x: Value) -> Value:
    """Each step repeated."""
    return layer.emit(kernels.upsample_nearest, x, size=layer.config.integers("size", 1, 2))


@rule("UpSampling2D")
def upsampling2d(layer: Layer, x: Value) -> Value:
    """Rows and columns repeated, or interpolated."""
    size = layer.config.integers("size", 2, 2)
    interpolation = layer.config.choice("interpolation", INTERPOLATIONS, "nearest")

    def apply(x: Value) -> Value:
        if interpolation == "nearest":
            return layer.emit(kernels.upsample_nearest, x, size=size)
        height, width = x.shape[1:3]
        if height is None or width is None:
            raise UnsupportedModelError(f"{interpolation} upsampling needs an input whose height and width are known")
        return layer.emit(kernels.resize, x, size=(height * size[0], width * size[1]), interpolation=interpolation)

    return channels_last(layer, x, apply)


@rule("ops.Resize")
def resize(layer: Layer, x: Value) -> Value:
    """An image, or a batch of them, at another size."""
    config = layer.config
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if config.flag(key, False):
            raise UnsupportedModelError(f"{key} is not supported")
    settings = {
        "size": config.integers("size", 2),
        "interpolation": config.choice("interpolation", INTERPOLATIONS, "bilinear"),
        "antialias": config.flag("antialias", False),
    }
    return channels_last(layer, x, lambda x: layer.emit(kernels.resize, x, **settings))
