"""TensorFlow functions on images: convolution, pooling, normalisation and resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.sizes import integers
from kerasgen.layers.tf.ops import FORMATS, array, function, keras, tensor, tensors

METHODS = {0: "bilinear", 1: "nearest", 2: "bicubic", 3: "area"}  # TensorFlow 1's numbers


def _spatial(x: Value, numbers: Any, data_format: str | None) -> tuple[int, ...]:
    """A setting for each spatial axis: given for these, for all axes, or once."""
    rank = len(x.shape) - 2
    written = [numbers] if isinstance(numbers, int) else list(numbers)
    if len(written) == rank + 2:
        written = written[2:] if _format(data_format) == "channels_first" else written[1:-1]
    return tuple(written * rank if len(written) == 1 else written)


def _format(data_format: str | None) -> str:
    if data_format is not None and data_format not in FORMATS:
        raise UnsupportedModelError(f"no data format {data_format!a}")
    return FORMATS[data_format or "NHWC"]


def _padded(layer: Layer, x: Value, padding: Any) -> tuple[Value, str]:
    """The input after explicit padding, and the padding that remains for the layer."""
    if isinstance(padding, str):
        return x, padding.lower()
    return layer.emit(np.pad, x, pad_width=tuple(map(tuple, padding)), mode="constant"), "valid"


@function("nn.conv1d", "nn.conv2d", "nn.conv3d", "nn.convolution")
def conv(
    layer: Layer,
    input: Value,
    filters: Any = None,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    filter: Any = None,
    use_cudnn_on_gpu: bool = True,
    stride: Any = None,
) -> Value:
    """Convolution with a constant kernel."""
    kernel = array(filter if filters is None else filters, input.dtype)
    input, padding = _padded(layer, input, padding)
    return keras(
        layer,
        "Conv",
        input,
        kernel,
        strides=_spatial(input, stride or strides or 1, data_format),
        padding=padding,
        dilation_rate=_spatial(input, dilations or 1, data_format),
        data_format=_format(data_format),
    )


@function("nn.depthwise_conv2d", "nn.depthwise_conv2d_native")
def depthwise_conv(
    layer: Layer,
    input: Value,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    rate: Any = None,
) -> Value:
    """Depthwise convolution with a constant kernel."""
    input, padding = _padded(layer, input, padding)
    return keras(
        layer,
        "DepthwiseConv",
        input,
        array(filter, input.dtype),
        strides=_spatial(input, strides, data_format),
        padding=padding,
        dilation_rate=_spatial(input, rate or dilations or 1, data_format),
        data_format=_format(data_format),
    )


def _pool(
    layer: Layer, operation: str, x: Value, ksize: Any, strides: Any, padding: str, data_format: str | None
) -> Value:
    return keras(
        layer,
        operation,
        x,
        pool_size=_spatial(x, ksize, data_format),
        strides=_spatial(x, strides, data_format),
        padding=padding.lower(),
        data_format=_format(data_format),
    )


@function("nn.max_pool", "nn.max_pool1d", "nn.max_pool2d", "nn.max_pool3d")
def max_pool(
    layer: Layer, input: Value, ksize: Any, strides: Any, padding: str, data_format: str | None = None
) -> Value:
    """The maximum of each window."""
    return _pool(layer, "MaxPool", input, ksize, strides, padding, data_format)


@function("nn.avg_pool", "nn.avg_pool1d", "nn.avg_pool2d", "nn.avg_pool3d")
def average_pool(
    layer: Layer, input: Value, ksize: Any, strides: Any, padding: str, data_format: str | None = None
) -> Value:
    """The mean of each window."""
    return _pool(layer, "AveragePool", input, ksize, strides, padding, data_format)


@function("nn.pool")
def pool(
    layer: Layer,
    input: Value,
    window_shape: Any,
    pooling_type: str,
    padding: str = "VALID",
    strides: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = None,
    dilations: Any = None,
) -> Value:
    """The maximum or the mean of each window."""
    if any(step != 1 for step in [*(dilation_rate or ()), *(dilations or ())]):
        raise UnsupportedModelError("pooling with dilation is not supported")
    operation = {"MAX": "MaxPool", "AVG": "AveragePool"}[pooling_type]
    return _pool(layer, operation, input, window_shape, strides or 1, padding, data_format)


@function("nn.bias_add")
def bias_add(layer: Layer, value: Value, bias: Any, data_format: str | None = None) -> Value:
    """Plus a bias for each channel."""
    value, bias = tensors(layer, value, bias)
    if data_format is not None and data_format.startswith("NC"):
        bias = layer.emit(kernels.get_item, bias, index=(slice(None), *(None,) * (len(value.shape) - 2)))
    return layer.emit(np.add, value, bias)


@function("nn.batch_normalization")
def batch_normalization(
    layer: Layer, x: Value, mean: Any, variance: Any, offset: Any = None, scale: Any = None, *, variance_epsilon: float
) -> Value:
    """`(x - mean) / √(variance + ε) * scale + offset`, with broadcasting."""
    x, mean, variance, offset, scale = tensors(layer, x, mean, variance, offset, scale)
    factor = layer.emit(kernels.rsqrt, layer.emit(np.add, variance, variance_epsilon))
    factor = factor if scale is None else layer.emit(np.multiply, factor, scale)
    y = layer.emit(np.multiply, layer.emit(np.subtract, x, mean), factor)
    return y if offset is None else layer.emit(np.add, y, offset)


@function("nn.local_response_normalization")
def local_response_normalization(
    layer: Layer, input: Value, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5
) -> Value:
    """Each channel divided by a power of its neighbours' sum of squares."""
    settings = {"depth_radius": depth_radius, "bias": bias, "alpha": alpha, "beta": beta}
    return layer.emit(kernels.local_response_norm, input, **settings)


@function("nn.crelu")
def crelu(layer: Layer, features: Value, axis: int = -1) -> Value:
    """The positive part, then the negative part."""
    both = layer.emit(kernels.concatenate, features, layer.emit(np.negative, features), axis=axis)
    return layer.emit(kernels.relu, both)


@function("image.resize")
def resize(
    layer: Layer,
    images: Value,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Value:
    """Images, resized as in TensorFlow 2."""
    if preserve_aspect_ratio:
        raise UnsupportedModelError("preserve_aspect_ratio is not supported")
    numbers = integers(size, "the new size")
    return keras(layer, "Resize", images, size=numbers, interpolation=method, antialias=antialias)


@function("image.resize_images")
def resize_images(
    layer: Layer,
    images: Value,
    size: Any,
    method: Any = 0,
    align_corners: bool = False,
    preserve_aspect_ratio: bool = False,
) -> Value:
    """Images, resized as in TensorFlow 1."""
    method = METHODS.get(method, method)
    if preserve_aspect_ratio or method not in ("bilinear", "nearest"):
        raise UnsupportedModelError(f"the method {method!a} of TensorFlow 1 is not supported")
    return _resize(layer, images, size, align_corners, False, method)


@function("image.resize_bilinear")
def resize_bilinear(
    layer: Layer, images: Value, size: Any, align_corners: bool = False, half_pixel_centers: bool = False
) -> Value:
    """Images, resized by bilinear interpolation."""
    return _resize(layer, images, size, align_corners, half_pixel_centers, "bilinear")


@function("image.resize_nearest_neighbor")
def resize_nearest_neighbor(
    layer: Layer, images: Value, size: Any, align_corners: bool = False, half_pixel_centers: bool = False
) -> Value:
    """Images, resized to the nearest pixels."""
    return _resize(layer, images, size, align_corners, half_pixel_centers, "nearest")


def _resize(layer: Layer, x: Value, size: Any, align_corners: bool, half_pixel_centers: bool, method: str) -> Value:
    numbers = tuple(integers(size, "the new size"))
    if half_pixel_centers:
        return keras(layer, "Resize", x, size=numbers, interpolation=method)
    if x.shape[1:-1] == numbers:
        return layer.emit(kernels.identity, x)
    return layer.emit(kernels.resize_corners, x, size=numbers, interpolation=method, align_corners=align_corners)


@function("image.flip_up_down")
def flip_up_down(layer: Layer, image: Value) -> Value:
    """Rows in reverse order."""
    return layer.emit(np.flip, image, axis=-3)


@function("image.flip_left_right")
def flip_left_right(layer: Layer, image: Value) -> Value:
    """Columns in reverse order."""
    return layer.emit(np.flip, image, axis=-2)


@function("image.grayscale_to_rgb")
def grayscale_to_rgb(layer: Layer, images: Value) -> Value:
    """Three equal channels."""
    return layer.emit(np.repeat, images, repeats=3, axis=-1)


@function("image.per_image_standardization")
def per_image_standardization(layer: Layer, image: Value) -> Value:
    """Each image with mean 0 and standard deviation 1; the deviation has a lower bound, for uniform images."""
    axis = (-3, -2, -1)
    if None in image.shape[-3:]:
        raise UnsupportedModelError("the size of the image must be known")
    cells = math.prod(size or 0 for size in image.shape[-3:])
    mean = layer.emit(np.mean, image, axis=axis, keepdims=True)
    deviation = layer.emit(np.maximum, layer.emit(np.std, image, axis=axis, keepdims=True), 1 / math.sqrt(cells))
    return layer.emit(np.divide, layer.emit(np.subtract, image, mean), deviation)


@function("image.crop_to_bounding_box")
def crop_to_bounding_box(
    layer: Layer, image: Value, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Value:
    """A rectangle cut out."""
    rows = slice(offset_height, offset_height + target_height)
    columns = slice(offset_width, offset_width + target_width)
    return layer.emit(kernels.get_item, image, index=(..., rows, columns, slice(None)))


@function("image.pad_to_bounding_box")
def pad_to_bounding_box(
    layer: Layer, image: Value, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Value:
    """Padded with zeros to a size."""
    height, width = image.shape[-3:-1]
    if height is None or width is None:
        raise UnsupportedModelError("the size of the image must be known")
    below, right = target_height - offset_height - height, target_width - offset_width - width
    return layer.emit(kernels.pad, image, pads=((offset_height, below), (offset_width, right)))


@function("image.extract_patches")
def extract_patches(
    layer: Layer, images: Value, sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int], padding: str
) -> Value:
    """Windows of the image, each flattened."""
    return keras(
        layer,
        "ExtractPatches",
        images,
        size=tuple(sizes[1:3]),
        strides=tuple(strides[1:3]),
        dilation_rate=rates[1],
        padding=padding.lower(),
    )


@function("nn.dropout")
def dropout(layer: Layer, x: Value, *args: Any, **kwargs: Any) -> Value:
    """Random elements set to 0, even at inference: this is not the layer."""
    raise UnsupportedModelError("it is random at inference, too; use the layer Dropout")


@function("nn.moments")
def moments(layer: Layer, x: Value, axes: Any, keepdims: bool = False, shift: Any = None) -> list[Value]:
    """Mean and variance."""
    settings = {"axis": tuple(axes), "keepdims": keepdims}
    return [layer.emit(np.mean, tensor(layer, x), **settings), layer.emit(np.var, x, **settings)]
