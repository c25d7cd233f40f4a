"""Convolution: plain, grouped, depthwise, separable and transposed, as layers and as operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.keras.activation import activate
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import channels_last, is_channels_first, window_pads
from kerasgen.layers.registry import rule

# By the number of window axes.
CONV = {1: kernels.conv1d, 2: kernels.conv2d, 3: kernels.conv3d}
GROUPED_CONV = {1: kernels.grouped_conv1d, 2: kernels.grouped_conv2d, 3: kernels.grouped_conv3d}
DEPTHWISE_CONV = {1: kernels.depthwise_conv1d, 2: kernels.depthwise_conv2d}
CONV_TRANSPOSE = {1: kernels.conv1d_transpose, 2: kernels.conv2d_transpose, 3: kernels.conv3d_transpose}


def _of_rank(table: Mapping[int, Callable[..., Value]], rank: int) -> Callable[..., Value]:
    """The kernel for a window of this rank."""
    if rank not in table:
        raise InvalidModelError(f"no such convolution has a window of {rank} axes")
    return table[rank]


class _Window:
    """The settings that all convolutions share."""

    def __init__(self, layer: Layer, size: tuple[int, ...]) -> None:
        rank = len(size)
        self.size = size
        self.strides = layer.config.integers("strides", rank, 1)
        self.dilation = layer.config.integers("dilation_rate", rank, 1)
        self.padding = layer.config.choice("padding", ("valid", "same", "causal"), "valid")

    def attrs(self, x: Value) -> dict[str, Any]:
        pad = window_pads(x, self.padding, self.size, self.strides, self.dilation)
        return {"strides": self.strides, "dilation": self.dilation, "pad": pad}


def _bias(layer: Layer, filters: int) -> Value | None:
    return layer.weight("bias", (filters,)) if layer.config.flag("use_bias", True) else None


@rule("Conv1D", "Conv2D", "Conv3D")
def conv(layer: Layer, x: Value) -> Value:
    """Convolution over steps, an image or a volume."""
    rank = len(x.shape) - 2
    filters = layer.config.integer("filters")
    groups = layer.config.integer("groups", 1)
    window = _Window(layer, layer.config.integers("kernel_size", rank))

    def apply(x: Value) -> Value:
        channels = x.shape[-1]
        if channels is not None and (channels % groups or filters % groups):
            raise InvalidModelError(f"{groups} groups do not divide {channels} channels and {filters} filters")
        kernel = layer.weight("kernel", (*window.size, channels and channels // groups, filters))
        if groups == 1:
            return layer.emit(_of_rank(CONV, rank), x, kernel, _bias(layer, filters), **window.attrs(x))
        grouped = _of_rank(GROUPED_CONV, rank)
        return layer.emit(grouped, x, kernel, _bias(layer, filters), groups=groups, **window.attrs(x))

    return activate(layer, channels_last(layer, x, apply))


def _depthwise(layer: Layer, x: Value, kernel: Value, bias: Value | None, window: _Window) -> Value:
    return layer.emit(_of_rank(DEPTHWISE_CONV, len(window.size)), x, kernel, bias, **window.attrs(x))


@rule("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_conv(layer: Layer, x: Value) -> Value:
    """Convolution of each channel separately."""
    window = _Window(layer, layer.config.integers("kernel_size", len(x.shape) - 2))
    multiplier = layer.config.integer("depth_multiplier", 1)

    def apply(x: Value) -> Value:
        channels = x.shape[-1]
        kernel = layer.weight("kernel", (*window.size, channels, multiplier))
        return _depthwise(layer, x, kernel, _bias(layer, (channels or 0) * multiplier), window)

    return activate(layer, channels_last(layer, x, apply))


@rule("SeparableConv1D", "SeparableConv2D")
def separable_conv(layer: Layer, x: Value) -> Value:
    """Depthwise convolution, then a pointwise one."""
    rank = len(x.shape) - 2
    filters = layer.config.integer("filters")
    multiplier = layer.config.integer("depth_multiplier", 1)
    window = _Window(layer, layer.config.integers("kernel_size", rank))

    def apply(x: Value) -> Value:
        channels = x.shape[-1]
        depthwise = layer.weight("depthwise_kernel", (*window.size, channels, multiplier))
        pointwise = layer.weight("pointwise_kernel", (*(1,) * rank, channels and channels * multiplier, filters))
        x = _depthwise(layer, x, depthwise, None, window)
        return layer.emit(CONV[rank], x, pointwise, _bias(layer, filters))

    return activate(layer, channels_last(layer, x, apply))


@rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(layer: Layer, x: Value) -> Value:
    """Transposed convolution over steps, an image or a volume."""
    filters = layer.config.integer("filters")
    window = _Window(layer, layer.config.integers("kernel_size", len(x.shape) - 2))

    def apply(x: Value) -> Value:
        kernel = layer.weight("kernel", (*window.size, filters, x.shape[-1]))
        return _transpose(layer, x, kernel, _bias(layer, filters), window)

    return activate(layer, channels_last(layer, x, apply))


def _output_padding(layer: Layer, x: Value, window: _Window) -> tuple[int, ...] | None:
    """The setting, or the value that follows from the output's size, which Keras 1 and its backend have instead."""
    rank, shape = len(window.size), layer.config.get("output_shape", None)
    if not isinstance(shape, (list, tuple)):
        is_set = layer.config.get("output_padding", None) is not None
        return layer.config.integers("output_padding", rank, least=0) if is_set else None
    sizes = shape[2:] if is_channels_first(layer) else shape[1:-1]
    if len(sizes) != rank or not all(type(size) is int and size > 0 for size in sizes):
        raise InvalidModelError(f"its config has output_shape = {ascii(shape)[:80]}, not the sizes of {rank} axes")
    if None in x.shape[1:-1]:
        raise UnsupportedModelError("the size of its input must be known")
    spans = [(k - 1) * d + 1 for k, d in zip(window.size, window.dilation, strict=True)]
    least = [
        ((n or 1) - 1) * s + (span if window.padding == "valid" else span % 2)
        for n, s, span in zip(x.shape[1:-1], window.strides, spans, strict=True)
    ]
    return tuple(size - low for size, low in zip(sizes, least, strict=True))


def _transpose(layer: Layer, x: Value, kernel: Value, bias: Value | None, window: _Window) -> Value:
    rank = len(window.size)
    output_padding = _output_padding(layer, x, window)
    crop = kernels.transpose_crop(window.size, window.strides, window.dilation, window.padding, output_padding)
    settings = {"strides": window.strides, "dilation": window.dilation, "crop": crop if any(map(any, crop)) else None}
    return layer.emit(_of_rank(CONV_TRANSPOSE, rank), x, kernel, bias, **settings)


def _operands(layer: Layer, *kernels_: Any) -> list[Value]:
    """Kernels that are arguments: tensors, or arrays from the config."""
    return [k if isinstance(k, Value) else layer.constant("kernel", k) for k in kernels_]


def _sizes(kernel: Value) -> tuple[int, ...]:
    if None in kernel.shape:
        raise UnsupportedModelError("the size of a kernel must be known")
    return tuple(size for size in kernel.shape[:-2] if size is not None)


@rule("ops.Conv")
def conv_operation(layer: Layer, x: Value, kernel: Any) -> Value:
    """Convolution with a kernel that is an argument; fewer channels in the kernel mean groups."""
    (kernel,) = _operands(layer, kernel)
    window = _Window(layer, _sizes(kernel))

    def apply(x: Value) -> Value:
        groups = (x.shape[-1] or 0) // kernel.shape[-2]
        if groups <= 1:
            return layer.emit(_of_rank(CONV, len(window.size)), x, kernel, **window.attrs(x))
        return layer.emit(_of_rank(GROUPED_CONV, len(window.size)), x, kernel, groups=groups, **window.attrs(x))

    return channels_last(layer, x, apply)


@rule("ops.DepthwiseConv")
def depthwise_conv_operation(layer: Layer, x: Value, kernel: Any) -> Value:
    """Depthwise convolution with a kernel that is an argument."""
    (kernel,) = _operands(layer, kernel)
    window = _Window(layer, _sizes(kernel))
    return channels_last(layer, x, lambda x: _depthwise(layer, x, kernel, None, window))


@rule("ops.SeparableConv")
def separable_conv_operation(layer: Layer, x: Value, depthwise_kernel: Any, pointwise_kernel: Any) -> Value:
    """Separable convolution with kernels that are arguments."""
    depthwise, pointwise = _operands(layer, depthwise_kernel, pointwise_kernel)
    window = _Window(layer, _sizes(depthwise))

    def apply(x: Value) -> Value:
        return layer.emit(_of_rank(CONV, len(window.size)), _depthwise(layer, x, depthwise, None, window), pointwise)

    return channels_last(layer, x, apply)


@rule("ops.ConvTranspose")
def conv_transpose_operation(layer: Layer, x: Value, kernel: Any) -> Value:
    """Transposed convolution with a kernel that is an argument."""
    (kernel,) = _operands(layer, kernel)
    window = _Window(layer, _sizes(kernel))
    return channels_last(layer, x, lambda x: _transpose(layer, x, kernel, None, window))
