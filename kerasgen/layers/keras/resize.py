"""Resizing: upsampling and interpolation of images."""

from __future__ import annotations

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import saturate
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, images_last
from kerasgen.layers.registry import rule

# The last three only before Keras 3.
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area", "gaussian", "mitchellcubic")


@rule("UpSampling1D", "UpSampling3D")
def upsampling(layer: Layer, x: Value) -> Value:
    """Every element repeated."""
    size = layer.config.integers("size", len(x.shape) - 2, 2)
    return channels_last(layer, x, lambda x: layer.emit(kernels.upsample_nearest, x, size=size))


@rule("UpSampling2D")
def upsampling2d(layer: Layer, x: Value) -> Value:
    """Rows and columns repeated, or interpolated."""
    size = layer.config.integers("size", 2, 2)
    interpolation = layer.config.choice("interpolation", INTERPOLATIONS, "nearest")
    half_pixel_centers = layer.config.flag("half_pixel_centers", True)

    def apply(x: Value) -> Value:
        if interpolation == "nearest":
            return layer.emit(kernels.upsample_nearest, x, size=size)
        settings = {"interpolation": interpolation, "half_pixel_centers": half_pixel_centers}
        return layer.emit(kernels.upsample, x, size=size, **settings)

    return channels_last(layer, x, apply)


@rule("ops.Resize")
def resize(layer: Layer, x: Value) -> Value:
    """An image or a batch of images, resized."""
    return _resize(layer, x, layer.config.integers("size", 2))


@rule("Resizing")
def resizing(layer: Layer, x: Value) -> Value:
    """Images, resized; from Keras 3 on integers stay integers."""
    size = layer.config.integer("height"), layer.config.integer("width")
    return _resize(layer, layer.cast(x, layer.dtype) if layer.keras_major < 3 else x, size)


def _resize(layer: Layer, x: Value, size: tuple[int, ...]) -> Value:
    config = layer.config
    settings = {
        "size": size,
        "interpolation": config.choice("interpolation", INTERPOLATIONS, "bilinear"),
        "antialias": config.flag("antialias", False),
    }

    def apply(x: Value) -> Value:
        if config.flag("crop_to_aspect_ratio", False):
            x = layer.emit(kernels.crop_to_aspect_ratio, x, size=size)
        elif config.flag("pad_to_aspect_ratio", False):
            if config.get("fill_mode", "constant") != "constant":
                raise UnsupportedModelError("padding to an aspect ratio is supported only with a constant")
            fill = config.number("fill_value", 0.0)
            x = layer.emit(kernels.pad_to_aspect_ratio, x, size=size, value=fill)
        y = layer.emit(kernels.resize, x, **settings)
        return y if y.dtype == x.dtype else saturate(layer, layer.emit(np.rint, y), x.dtype)

    return images_last(layer, x, apply)
