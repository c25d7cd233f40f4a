"""Images: colours, patches, filters and transforms, as operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import LARGEST, Config
from kerasgen.layers.dtypes import argument, floats, tensor
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, images_last, is_channels_first, window_pads
from kerasgen.layers.registry import rule

COLOURS: dict[str, Callable[..., Any]] = {
    "RGBToGrayscale": kernels.rgb_to_grayscale,
    "RGBToHSV": kernels.rgb_to_hsv,
    "HSVToRGB": kernels.hsv_to_rgb,
}
LARGEST_FILTER = 1000  # filters in real configs are far smaller
METHODS = ("linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3", "lanczos5")


def _colours(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def colours(layer: Layer, images: Value) -> Value:
        def apply(x: Value) -> Value:
            return layer.emit(kernels.identity if x.shape[-1] == 1 else kernel, x)

        return images_last(layer, images, apply)


for _kind, _kernel in COLOURS.items():
    _colours(_kind, _kernel)


@rule("ops.ExtractPatches")
def extract_patches(layer: Layer, images: Value) -> Value:
    """Windows as vectors, of images or of volumes."""
    size = layer.config.get("size")
    rank = 2 if isinstance(size, int) else len(layer.config.axes("size"))
    size = layer.config.integers("size", rank)
    strides = size if not layer.config.get("strides", None) else layer.config.integers("strides", rank)
    dilation = layer.config.integers("dilation_rate", rank, 1)
    padding = layer.config.choice("padding", ("valid", "same"), "valid")

    def apply(x: Value) -> Value:
        pad = window_pads(x, padding, size, strides, dilation)
        return layer.emit(kernels.extract_patches, x, size=size, strides=strides, dilation=dilation, pad=pad)

    if len(images.shape) == rank + 2:
        return channels_last(layer, images, apply)
    one = layer.emit(np.expand_dims, images, axis=0)
    return layer.emit(np.squeeze, channels_last(layer, one, apply), axis=0)


def _windows(config: Config) -> dict[str, Any]:
    rows, columns = config.integers("padding", 2, 0, least=0)
    return {
        "size": config.integers("kernel_size", 2),
        "strides": config.integers("stride", 2, 1),
        "dilation": config.integers("dilation", 2, 1),
        "pads": ((rows, rows), (columns, columns)),
    }


@rule("ops.Unfold")
def unfold(layer: Layer, x: Value) -> Value:
    """Windows as columns, channels first."""
    return layer.emit(kernels.unfold, x, **_windows(layer.config))


@rule("ops.Fold")
def fold(layer: Layer, x: Value) -> Value:
    """Columns added up as windows, channels first."""
    return layer.emit(kernels.fold, x, sizes=layer.config.integers("output_size", 2), **_windows(layer.config))


def _borders(layer: Layer, ending: str, sizes: Sequence[int | None], sign: int) -> tuple[tuple[int, int], ...]:
    """The widths to add to (sign 1) or to remove from (-1) both ends of rows and columns."""
    height, width = sizes
    return (
        _border(layer, height, "height", (f"top_{ending}", f"bottom_{ending}"), sign),
        _border(layer, width, "width", (f"left_{ending}", f"right_{ending}"), sign),
    )


def _border(layer: Layer, size: int | None, axis: str, keys: tuple[str, str], sign: int) -> tuple[int, int]:
    """The widths before and after an axis; the config has two of them and the axis's new size."""
    before, after, new = (
        None if layer.config.get(key, None) is None else layer.config.integer(key, least=0)
        for key in (*keys, f"target_{axis}")
    )
    if before is None or after is None:
        if size is None or new is None:
            raise UnsupportedModelError(f"the {axis} of the images must be known")
        rest = sign * (new - size) - (before or 0) - (after or 0)
        before, after = rest if before is None else before, rest if after is None else after
    if before < 0 or after < 0:
        raise InvalidModelError(f"a {axis} of {size} cannot become {new}")
    return before, after


@rule("ops.PadImages")
def pad_images(layer: Layer, images: Value) -> Value:
    """Zeros around an image."""

    def apply(x: Value) -> Value:
        return layer.emit(kernels.pad, x, pads=_borders(layer, "padding", x.shape[1:3], 1))

    return images_last(layer, images, apply)


@rule("ops.CropImages")
def crop_images(layer: Layer, images: Value) -> Value:
    """An image without its borders."""

    def apply(x: Value) -> Value:
        return layer.emit(kernels.crop, x, crops=_borders(layer, "cropping", x.shape[1:3], -1))

    return images_last(layer, images, apply)


def _gaussian(size: int, sigma: float) -> np.ndarray:
    """A Gaussian of `size` elements with sum 1."""
    if size > LARGEST_FILTER or sigma <= 0:
        raise InvalidModelError(f"a Gaussian of size {size} and sigma {sigma}")
    weights = np.exp(-0.5 * np.square((np.arange(size) - (size - 1) / 2) / sigma))
    return np.asarray(weights / weights.sum())


@rule("ops.GaussianBlur")
def gaussian_blur(layer: Layer, images: Value) -> Value:
    """An image, smoothed by a Gaussian."""
    sizes = layer.config.integers("kernel_size", 2, 3)
    one = not isinstance(layer.config.get("sigma", 1.0), (list, tuple))
    sigmas = (layer.config.number("sigma", 1.0),) * 2 if one else layer.config.numbers("sigma", 2)
    gaussians = [_gaussian(size, sigma) for size, sigma in zip(sizes, sigmas, strict=True)]
    weights = np.outer(gaussians[1], gaussians[0]).reshape(*sizes, 1, 1)  # Keras's order, odd if sizes differ

    def apply(x: Value) -> Value:
        if x.shape[-1] is None:
            raise UnsupportedModelError("the number of channels must be known")
        kernel = layer.constant("kernel", np.repeat(weights, x.shape[-1], axis=2).astype(x.dtype))
        return layer.emit(kernels.depthwise_conv2d, x, kernel, pad=window_pads(x, "same", sizes, (1, 1), (1, 1)))

    return images_last(layer, images, apply)


@rule("ops.SobelEdges")
def sobel_edges(layer: Layer, images: Value) -> Value:
    """The gradients of an image, along rows and columns."""
    if not is_channels_first(layer):
        return layer.emit(kernels.sobel_edges, images)
    edges = layer.emit(kernels.sobel_edges, layer.emit(kernels.channels_last, images))
    return layer.emit(np.moveaxis, edges, source=3, destination=1)


@rule("ops.SSIM")
def ssim(layer: Layer, image1: Any, image2: Any) -> Value:
    """The structural similarity of two images."""
    image1, image2 = argument(layer, "image1", image1), argument(layer, "image2", image2)
    dtype = image1.dtype
    size = layer.config.integer("filter_size", 11)
    gaussian = _gaussian(size, layer.config.number("filter_sigma", 1.5))
    window = layer.constant("window", np.outer(gaussian, gaussian).astype(floats(image1)))
    settings = {key: layer.config.number(key, value) for key, value in (("max_val", 1.0), ("k1", 0.01), ("k2", 0.03))}
    pair = []
    for x in (image1, image2):
        value = layer.cast(x, floats(image1))
        value = layer.emit(np.expand_dims, value, axis=0) if len(value.shape) == 3 else value
        pair.append(layer.emit(kernels.channels_last, value) if is_channels_first(layer) else value)
    y = layer.emit(kernels.ssim, *pair, window, **settings)
    return layer.cast(layer.emit(np.squeeze, y, axis=0) if len(image1.shape) == 3 else y, dtype)


def _projected(layer: Layer, images: Any, transform: Any, fill_mode: str) -> Value:
    images = argument(layer, "images", images)
    settings = {
        "interpolation": layer.config.choice("interpolation", ("nearest", "bilinear"), "bilinear"),
        "fill_mode": fill_mode,
        "fill_value": layer.config.number("fill_value", 0.0),
    }
    return images_last(layer, images, lambda x: layer.emit(kernels.projective_transform, x, transform, **settings))


@rule("ops.AffineTransform")
def affine_transform(layer: Layer, images: Any, transform: Any) -> Value:
    """An image under an affine transform."""
    if not isinstance(transform, Value):
        transform = np.atleast_2d(tensor(transform))
    transform = argument(layer, "transform", transform)
    if len(transform.shape) == 1:
        transform = layer.emit(np.expand_dims, transform, axis=0)
    modes = ("constant", "nearest", "wrap", "reflect")
    return _projected(layer, images, transform, layer.config.choice("fill_mode", modes, "constant"))


@rule("ops.PerspectiveTransform")
def perspective_transform(layer: Layer, images: Any, start_points: Any, end_points: Any) -> Value:
    """An image under the perspective transform that maps four points to four others."""
    values = []
    for points in (start_points, end_points):
        v = layer.cast(argument(layer, "points", points), "float32")
        values.append(layer.emit(np.expand_dims, v, axis=0) if len(v.shape) == 2 else v)
    return _projected(layer, images, layer.emit(kernels.homography, *values), "constant")


@rule("ops.MapCoordinates")
def map_coordinates(layer: Layer, inputs: Any, coordinates: Any) -> Value:
    """An array interpolated at given coordinates."""
    order = layer.config.integer("order", least=0)
    if order > 1:
        raise UnsupportedModelError("coordinates are mapped with order 0 and 1 only, as Keras does")
    modes = ("constant", "nearest", "wrap", "mirror", "reflect")
    return layer.emit(
        kernels.map_coordinates,
        argument(layer, "inputs", inputs),
        argument(layer, "coordinates", coordinates),
        order=order,
        fill_mode=layer.config.choice("fill_mode", modes, "constant"),
        fill_value=layer.config.number("fill_value", 0.0),
    )


@rule("ops.ScaleAndTranslate")
def scale_and_translate(layer: Layer, images: Any, output_shape: Any, scale: Any, translation: Any) -> Value:
    """An image scaled and translated along some axes."""
    images = argument(layer, "images", images)
    axes = tuple(axis % len(images.shape) for axis in layer.config.axes("spatial_dims"))
    if not axes:
        return layer.emit(kernels.identity, images)
    if not isinstance(output_shape, (list, tuple)) or len(output_shape) != len(images.shape):
        raise InvalidModelError(f"the shape of its result is {ascii(output_shape)[:80]}")
    sizes = tuple(output_shape[axis] for axis in axes)
    if not all(isinstance(size, int) and 0 < size < LARGEST for size in sizes):
        raise UnsupportedModelError("the sizes of its result must be numbers")
    return layer.emit(
        kernels.scale_and_translate,
        images,
        argument(layer, "scale", scale),
        argument(layer, "translation", translation),
        sizes=sizes,
        axes=axes,
        method=layer.config.choice("method", METHODS),
        antialias=layer.config.flag("antialias", True),
    )
