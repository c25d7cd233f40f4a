"""Parity cases, one row each: a name, the inputs' shapes without the batch, and what Keras makes of them.

Every test of the road from file to module runs over all of them. A row's tolerance, where it has one, has its reason
beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras import ops

Shape = tuple[int | None, ...]
STEPS = (11, 3)
IMAGE = (9, 10, 3)
FIRST_STEPS = (3, 11)
FIRST_IMAGE = (3, 9, 10)
VECTOR = (7,)


@dataclass(frozen=True)
class Case:
    """One row. `make` is given a Keras input for each shape and returns the outputs; or it returns a whole model."""

    name: str
    shapes: tuple[Shape, ...]
    make: Callable[..., Any]
    dtype: str = "float32"
    tolerance: float = 1e-5  # of the largest number in the output
    sizes: tuple[int, ...] = (6, 8)  # that stand for unknown ones, in turn
    answer: Callable[..., Any] | None = None  # instead of the model's, where Keras cannot run its own model

    def model(self) -> Any:
        """The Keras model, its weights as Keras made them."""
        inputs = [keras.Input(shape, name=f"in_{i}", dtype=self.dtype) for i, shape in enumerate(self.shapes)]
        made = self.make(*inputs)
        return made if isinstance(made, keras.Model) else keras.Model(inputs if len(inputs) > 1 else inputs[0], made)


CASES: dict[str, Case] = {}


def row(name: str, shapes: Any, make: Callable[..., Any], **settings: Any) -> None:
    """Enter a case; `shapes` is one shape or a list of them."""
    assert name not in CASES, name
    CASES[name] = Case(name, tuple(shapes) if isinstance(shapes, list) else (shapes,), make, **settings)


# ---------------------------------------------------------------- convolution
row("conv1d", STEPS, L.Conv1D(4, 3))
row("conv1d same", STEPS, L.Conv1D(4, 3, padding="same"))
row("conv1d causal", STEPS, L.Conv1D(4, 3, padding="causal"))
row("conv1d causal dilated", STEPS, L.Conv1D(4, 3, padding="causal", dilation_rate=2))
row("conv1d causal strided", STEPS, L.Conv1D(4, 3, padding="causal", strides=2))
row("conv1d strided", STEPS, L.Conv1D(4, 3, strides=2))
row("conv1d strided same", STEPS, L.Conv1D(4, 4, strides=3, padding="same"))
row("conv1d stride above kernel", STEPS, L.Conv1D(4, 2, strides=4, padding="same"))
row("conv1d dilated", STEPS, L.Conv1D(4, 3, dilation_rate=3))
row("conv1d dilated same", STEPS, L.Conv1D(4, 3, dilation_rate=3, padding="same"))
row("conv1d no bias", STEPS, L.Conv1D(4, 3, use_bias=False))
row("conv1d relu", STEPS, L.Conv1D(4, 3, activation="relu"))
row("conv1d groups", STEPS, L.Conv1D(6, 3, groups=3))
row("conv1d groups same strided", STEPS, L.Conv1D(6, 3, groups=3, padding="same", strides=2))
row("conv1d depthwise by groups", STEPS, L.Conv1D(3, 3, groups=3))
row("conv1d pointwise", STEPS, L.Conv1D(4, 1))
row("conv1d kernel as long as input", STEPS, L.Conv1D(4, 11))
row("conv1d even kernel same", STEPS, L.Conv1D(4, 4, padding="same"))
row("conv1d first", FIRST_STEPS, L.Conv1D(4, 3, data_format="channels_first"))
row("conv1d first same strided", FIRST_STEPS, L.Conv1D(4, 3, strides=2, padding="same", data_format="channels_first"))
row("conv1d any length", (None, 3), L.Conv1D(4, 3))
row("conv1d any length same", (None, 3), L.Conv1D(4, 3, padding="same"))
row("conv1d any length same strided", (None, 3), L.Conv1D(4, 3, padding="same", strides=2))
row("conv1d any length causal", (None, 3), L.Conv1D(4, 3, padding="causal", strides=2))

row("conv2d", IMAGE, L.Conv2D(4, 3))
row("conv2d same", IMAGE, L.Conv2D(4, 3, padding="same"))
row("conv2d strided", IMAGE, L.Conv2D(4, 3, strides=2))
row("conv2d strided same", IMAGE, L.Conv2D(4, 3, strides=2, padding="same"))
row("conv2d uneven strides", IMAGE, L.Conv2D(4, (3, 2), strides=(3, 2), padding="same"))
row("conv2d uneven kernel", IMAGE, L.Conv2D(4, (1, 5), padding="same"))
row("conv2d even kernel same", IMAGE, L.Conv2D(4, (2, 4), padding="same"))
row("conv2d stride above kernel", IMAGE, L.Conv2D(4, 1, strides=3, padding="same"))
row("conv2d dilated", IMAGE, L.Conv2D(4, 3, dilation_rate=2))
row("conv2d dilated same", IMAGE, L.Conv2D(4, 3, dilation_rate=(2, 3), padding="same"))
row("conv2d no bias", IMAGE, L.Conv2D(4, 3, use_bias=False))
row("conv2d pointwise", IMAGE, L.Conv2D(5, 1))
row("conv2d pointwise strided", IMAGE, L.Conv2D(5, 1, strides=2))
row("conv2d whole image", IMAGE, L.Conv2D(5, (9, 10)))
row("conv2d groups", IMAGE, L.Conv2D(6, 3, groups=3))
row("conv2d groups same strided", IMAGE, L.Conv2D(6, 3, groups=3, padding="same", strides=2, activation="relu"))
row("conv2d two groups", (9, 10, 4), L.Conv2D(6, 3, groups=2, dilation_rate=2))
row("conv2d depthwise by groups", IMAGE, L.Conv2D(3, 5, groups=3, padding="same"))
row("conv2d relu", IMAGE, L.Conv2D(4, 3, activation="relu"))
row("conv2d relu6", IMAGE, L.Conv2D(4, 3, activation="relu6"))
row("conv2d swish", IMAGE, L.Conv2D(4, 3, activation="swish"))
row("conv2d softmax", IMAGE, L.Conv2D(4, 3, activation="softmax"))
row("conv2d activation layer", IMAGE, L.Conv2D(4, 3, activation=L.LeakyReLU(negative_slope=0.1)))
row("conv2d first", FIRST_IMAGE, L.Conv2D(4, 3, data_format="channels_first"))
row("conv2d first same strided", FIRST_IMAGE, L.Conv2D(4, 3, strides=2, padding="same", data_format="channels_first"))
row("conv2d first dilated", FIRST_IMAGE, L.Conv2D(4, 3, dilation_rate=2, data_format="channels_first"))
row("conv2d first groups", FIRST_IMAGE, L.Conv2D(6, 3, groups=3, data_format="channels_first"))
row("conv2d first softmax", FIRST_IMAGE, L.Conv2D(4, 3, activation="softmax", data_format="channels_first"))
row("conv2d any size", (None, None, 3), L.Conv2D(4, 3))
row("conv2d any size same", (None, None, 3), L.Conv2D(4, 3, padding="same"))
row("conv2d any size same strided", (None, None, 3), L.Conv2D(4, 3, padding="same", strides=2), sizes=(7, 10))
row("conv2d any width same strided", (9, None, 3), L.Conv2D(4, 3, padding="same", strides=2))
row("conv2d many channels", (5, 5, 70), L.Conv2D(33, 3, padding="same"))

row("depthwise_conv1d", STEPS, L.DepthwiseConv1D(3))
row("depthwise_conv1d same strided", STEPS, L.DepthwiseConv1D(3, strides=2, padding="same"))
row("depthwise_conv1d multiplier", STEPS, L.DepthwiseConv1D(3, depth_multiplier=3, activation="relu"))
row("depthwise_conv1d first", FIRST_STEPS, L.DepthwiseConv1D(3, data_format="channels_first", depth_multiplier=2))
row("depthwise_conv2d", IMAGE, L.DepthwiseConv2D(3))
row("depthwise_conv2d same", IMAGE, L.DepthwiseConv2D(3, padding="same"))
row("depthwise_conv2d strided same", IMAGE, L.DepthwiseConv2D(3, strides=2, padding="same"))
row("depthwise_conv2d multiplier", IMAGE, L.DepthwiseConv2D(3, depth_multiplier=2))
row("depthwise_conv2d dilated", IMAGE, L.DepthwiseConv2D(3, dilation_rate=2, padding="same"))
row("depthwise_conv2d no bias", IMAGE, L.DepthwiseConv2D((2, 3), use_bias=False, activation="elu"))
row("depthwise_conv2d first", FIRST_IMAGE, L.DepthwiseConv2D(3, data_format="channels_first", depth_multiplier=2))
row("depthwise_conv2d any size", (None, None, 3), L.DepthwiseConv2D(3, strides=2, padding="same"))
row("separable_conv1d", STEPS, L.SeparableConv1D(4, 3))
row("separable_conv1d same strided", STEPS, L.SeparableConv1D(4, 3, strides=2, padding="same"))
row("separable_conv1d multiplier", STEPS, L.SeparableConv1D(4, 3, depth_multiplier=2))
row("separable_conv2d", IMAGE, L.SeparableConv2D(4, 3))
row("separable_conv2d same strided", IMAGE, L.SeparableConv2D(4, 3, strides=2, padding="same", activation="relu"))
row("separable_conv2d multiplier", IMAGE, L.SeparableConv2D(4, 3, depth_multiplier=3, use_bias=False))
row("separable_conv2d dilated", IMAGE, L.SeparableConv2D(4, 3, dilation_rate=2))
row("separable_conv2d first", FIRST_IMAGE, L.SeparableConv2D(4, 3, data_format="channels_first"))

row("conv1d_transpose", STEPS, L.Conv1DTranspose(4, 3))
row("conv1d_transpose same", STEPS, L.Conv1DTranspose(4, 3, padding="same"))
row("conv1d_transpose strided", STEPS, L.Conv1DTranspose(4, 3, strides=2))
row("conv1d_transpose strided same", STEPS, L.Conv1DTranspose(4, 4, strides=2, padding="same", activation="relu"))
row("conv1d_transpose stride above kernel", STEPS, L.Conv1DTranspose(4, 2, strides=3, padding="same"))
row("conv1d_transpose dilated", STEPS, L.Conv1DTranspose(4, 3, dilation_rate=2))
row("conv1d_transpose output padding", STEPS, L.Conv1DTranspose(4, 3, strides=2, output_padding=1))
row("conv1d_transpose first", FIRST_STEPS, L.Conv1DTranspose(4, 3, strides=2, data_format="channels_first"))
row("conv2d_transpose", IMAGE, L.Conv2DTranspose(4, 3))
row("conv2d_transpose same", IMAGE, L.Conv2DTranspose(4, 3, padding="same"))
row("conv2d_transpose strided", IMAGE, L.Conv2DTranspose(4, 3, strides=2))
row("conv2d_transpose strided same", IMAGE, L.Conv2DTranspose(4, 3, strides=2, padding="same", use_bias=False))
row("conv2d_transpose uneven", IMAGE, L.Conv2DTranspose(4, (2, 5), strides=(3, 2), padding="same"))
row("conv2d_transpose stride above kernel", IMAGE, L.Conv2DTranspose(4, 2, strides=3))
row("conv2d_transpose dilated", IMAGE, L.Conv2DTranspose(4, 3, dilation_rate=2))
row("conv2d_transpose output padding", IMAGE, L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1))
row("conv2d_transpose output padding 0", IMAGE, L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=0))
row("conv2d_transpose output padding valid", IMAGE, L.Conv2DTranspose(4, 3, strides=(3, 2), output_padding=(2, 1)))
row("conv2d_transpose first", FIRST_IMAGE, L.Conv2DTranspose(4, 3, strides=2, data_format="channels_first"))
row("conv2d_transpose any size", (None, None, 3), L.Conv2DTranspose(4, 3, strides=2, padding="same"))

row("dense", VECTOR, L.Dense(5))
row("dense no bias", VECTOR, L.Dense(5, use_bias=False))
row("dense softmax", VECTOR, L.Dense(5, activation="softmax"))
row("dense of steps", STEPS, L.Dense(5, activation="tanh"))
row("dense of image", IMAGE, L.Dense(5, activation="gelu"))
row("dense of any length", (None, 3), L.Dense(5))

# ---------------------------------------------------------------- pooling
for _kind, _Pool1D, _Pool2D in (
    ("max", L.MaxPooling1D, L.MaxPooling2D),
    ("average", L.AveragePooling1D, L.AveragePooling2D),
):
    row(f"{_kind}_pool1d", STEPS, _Pool1D(2))
    row(f"{_kind}_pool1d overlapping same", STEPS, _Pool1D(3, strides=2, padding="same"))
    row(f"{_kind}_pool1d first", FIRST_STEPS, _Pool1D(3, data_format="channels_first"))
    row(f"{_kind}_pool1d any length", (None, 3), _Pool1D(3, strides=2, padding="same"))
    row(f"{_kind}_pool2d", IMAGE, _Pool2D(2))
    row(f"{_kind}_pool2d same", IMAGE, _Pool2D(2, padding="same"))
    row(f"{_kind}_pool2d overlapping", IMAGE, _Pool2D(3, strides=1))
    row(f"{_kind}_pool2d overlapping same", IMAGE, _Pool2D(3, strides=2, padding="same"))
    row(f"{_kind}_pool2d uneven", IMAGE, _Pool2D((2, 3), strides=(3, 1), padding="same"))
    row(f"{_kind}_pool2d stride above size", IMAGE, _Pool2D(2, strides=3))
    row(f"{_kind}_pool2d first", FIRST_IMAGE, _Pool2D(3, strides=2, padding="same", data_format="channels_first"))
    row(f"{_kind}_pool2d any size", (None, None, 3), _Pool2D(3, strides=2, padding="same"), sizes=(7, 8))
for _kind, _Pool1D, _Pool2D in (
    ("max", L.GlobalMaxPooling1D, L.GlobalMaxPooling2D),
    ("average", L.GlobalAveragePooling1D, L.GlobalAveragePooling2D),
):
    row(f"global_{_kind}_pool1d", STEPS, _Pool1D())
    row(f"global_{_kind}_pool1d keepdims", STEPS, _Pool1D(keepdims=True))
    row(f"global_{_kind}_pool1d first", FIRST_STEPS, _Pool1D(data_format="channels_first"))
    row(f"global_{_kind}_pool2d", IMAGE, _Pool2D())
    row(f"global_{_kind}_pool2d keepdims", IMAGE, _Pool2D(keepdims=True))
    row(f"global_{_kind}_pool2d first", FIRST_IMAGE, _Pool2D(data_format="channels_first"))
    row(f"global_{_kind}_pool2d first keepdims", FIRST_IMAGE, _Pool2D(data_format="channels_first", keepdims=True))
    row(f"global_{_kind}_pool2d any size", (None, None, 3), _Pool2D())

# ---------------------------------------------------------------- normalisation
row("batch_norm", IMAGE, L.BatchNormalization())
row("batch_norm no scale", IMAGE, L.BatchNormalization(scale=False))
row("batch_norm no center", IMAGE, L.BatchNormalization(center=False, epsilon=0.1))
row("batch_norm bare", IMAGE, L.BatchNormalization(center=False, scale=False))
row("batch_norm first", FIRST_IMAGE, L.BatchNormalization(axis=1))
row("batch_norm of vector", VECTOR, L.BatchNormalization())
row("batch_norm of steps", STEPS, L.BatchNormalization())
row("batch_norm positive axis", IMAGE, L.BatchNormalization(axis=3))
row("batch_norm any size", (None, None, 3), L.BatchNormalization())
for _name, _layer, _shape in (
    ("conv1d", L.Conv1D(4, 3, padding="same"), STEPS),
    ("conv2d", L.Conv2D(4, 3, strides=2), IMAGE),
    ("conv2d no bias", L.Conv2D(4, 3, use_bias=False), IMAGE),
    ("conv2d groups", L.Conv2D(6, 3, groups=3), IMAGE),
    ("conv1d groups", L.Conv1D(6, 3, groups=3, use_bias=False), STEPS),
    ("depthwise_conv1d", L.DepthwiseConv1D(3, depth_multiplier=2), STEPS),
    ("depthwise_conv2d", L.DepthwiseConv2D(3, use_bias=False), IMAGE),
    ("depthwise_conv2d multiplier", L.DepthwiseConv2D(3, depth_multiplier=2), IMAGE),
    ("separable_conv2d", L.SeparableConv2D(4, 3, use_bias=False), IMAGE),
    ("conv1d_transpose", L.Conv1DTranspose(4, 3, strides=2), STEPS),
    ("conv2d_transpose", L.Conv2DTranspose(4, 3, strides=2, use_bias=False), IMAGE),
    ("dense", L.Dense(5), VECTOR),
):
    row(f"batch_norm after {_name}", _shape, lambda x, layer=_layer: L.ReLU()(L.BatchNormalization()(layer(x))))
row("batch_norm after activation", IMAGE, lambda x: L.BatchNormalization()(L.Conv2D(4, 3, activation="relu")(x)))
row("batch_norm before conv2d", IMAGE, lambda x: L.Conv2D(4, 3)(L.ReLU()(L.BatchNormalization()(x))))
row("batch_norm twice", IMAGE, lambda x: L.BatchNormalization()(L.BatchNormalization()(L.Conv2D(4, 3)(x))))
row("layer_norm", STEPS, L.LayerNormalization())
row("layer_norm axes", IMAGE, L.LayerNormalization(axis=[1, 2, 3]))
row("layer_norm middle axis", IMAGE, L.LayerNormalization(axis=2, epsilon=1e-6))
row("layer_norm no scale", IMAGE, L.LayerNormalization(scale=False))
row("layer_norm no center", IMAGE, L.LayerNormalization(center=False))
row("layer_norm any length", (None, 3), L.LayerNormalization())
row("normalization", IMAGE, L.Normalization())
row("normalization axis none", IMAGE, L.Normalization(axis=None))
row("normalization axes", IMAGE, L.Normalization(axis=(1, 3)))
row("normalization first", FIRST_IMAGE, L.Normalization(axis=1))
row("normalization given", IMAGE, L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 0.0]))
row("normalization given numbers", VECTOR, L.Normalization(axis=None, mean=3.0, variance=4.0))
row("normalization inverted", IMAGE, L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], invert=True))
row("rescaling", IMAGE, L.Rescaling(1 / 127.5, offset=-1))
row("rescaling scale only", IMAGE, L.Rescaling(1 / 255))
row("rescaling lists", IMAGE, L.Rescaling([0.5, 2.0, 3.0], offset=[-1.0, 0.0, 1.0]))

# ---------------------------------------------------------------- activations
ACTIVATIONS = """
    linear relu relu6 leaky_relu elu selu sigmoid tanh softmax softplus softsign silu swish hard_sigmoid hard_silu
    hard_swish gelu exponential log_softmax mish
"""
for _name in ACTIVATIONS.split():
    row(f"activation {_name}", IMAGE, L.Activation(_name))
    row(f"activation {_name} large", VECTOR, lambda x, name=_name: L.Activation(name)(L.Rescaling(20.0)(x)))
row("relu layer", IMAGE, L.ReLU())
row("relu layer ceiling", IMAGE, L.ReLU(max_value=6.0))
row("relu layer ceiling 1", IMAGE, L.ReLU(max_value=1.0))
row("relu layer slope", IMAGE, L.ReLU(negative_slope=0.2))
row("relu layer all", IMAGE, L.ReLU(max_value=1.5, negative_slope=0.3, threshold=0.5))
row("leaky_relu layer", IMAGE, L.LeakyReLU())
row("leaky_relu layer slope", IMAGE, L.LeakyReLU(negative_slope=0.05))
row("prelu", IMAGE, L.PReLU())
row("prelu shared", IMAGE, L.PReLU(shared_axes=[1, 2]))
row("prelu shared any size", (None, None, 3), L.PReLU(shared_axes=[1, 2]))
row("elu layer", IMAGE, L.ELU(alpha=0.7))
row("softmax layer", IMAGE, L.Softmax())
row("softmax layer axis", IMAGE, L.Softmax(axis=1))
row("softmax layer axes", IMAGE, L.Softmax(axis=(1, 2)))

# ---------------------------------------------------------------- merging
for _name, _Merge in (
    ("add", L.Add),
    ("subtract", L.Subtract),
    ("multiply", L.Multiply),
    ("average", L.Average),
    ("maximum", L.Maximum),
    ("minimum", L.Minimum),
):
    row(_name, [IMAGE, IMAGE], lambda a, b, merge=_Merge: merge()([a, b]))
    row(f"{_name} broadcast", [IMAGE, (1, 1, 3)], lambda a, b, merge=_Merge: merge()([a, b]))
    if _Merge is not L.Subtract:
        row(f"{_name} of three", [IMAGE] * 3, lambda a, b, c, merge=_Merge: merge()([a, b, c]))
row("add of ranks", [IMAGE, (3,)], lambda a, b: L.Add()([a, b]))
row("concatenate", [IMAGE, (9, 10, 2)], lambda a, b: L.Concatenate()([a, b]))
row("concatenate axis", [IMAGE, (4, 10, 3)], lambda a, b: L.Concatenate(axis=1)([a, b]))
row("concatenate of three", [VECTOR, (2,), (3,)], lambda a, b, c: L.Concatenate()([a, b, c]))

# ---------------------------------------------------------------- shapes
row("flatten", IMAGE, L.Flatten())
row("flatten first", FIRST_IMAGE, L.Flatten(data_format="channels_first"))
row("flatten vector", VECTOR, L.Flatten())
row("reshape", IMAGE, L.Reshape((10, 27)))
row("reshape rest", IMAGE, L.Reshape((-1, 3)))
row("reshape any size", (None, None, 3), L.Reshape((-1, 3)))
row("permute", IMAGE, L.Permute((3, 1, 2)))
row("zero_padding1d", STEPS, L.ZeroPadding1D(2))
row("zero_padding1d uneven", STEPS, L.ZeroPadding1D((0, 3)))
row("zero_padding2d", IMAGE, L.ZeroPadding2D())
row("zero_padding2d uneven", IMAGE, L.ZeroPadding2D(((1, 2), (0, 3))))
row("zero_padding2d pair", IMAGE, L.ZeroPadding2D((1, 2)))
row("zero_padding2d first", FIRST_IMAGE, L.ZeroPadding2D((1, 2), data_format="channels_first"))
row("zero_padding2d none", IMAGE, L.ZeroPadding2D(0))
row("cropping1d", STEPS, L.Cropping1D((1, 3)))
row("cropping1d number", STEPS, L.Cropping1D(2))
row("cropping2d", IMAGE, L.Cropping2D(((1, 2), (0, 3))))
row("cropping2d pair", IMAGE, L.Cropping2D((1, 2)))
row("cropping2d first", FIRST_IMAGE, L.Cropping2D((1, 2), data_format="channels_first"))
row("cropping2d any size", (None, None, 3), L.Cropping2D(((1, 0), (0, 2))))
row("upsampling1d", STEPS, L.UpSampling1D(3))
row("upsampling2d", IMAGE, L.UpSampling2D())
row("upsampling2d uneven", IMAGE, L.UpSampling2D((1, 3)))
row("upsampling2d bilinear", IMAGE, L.UpSampling2D((2, 3), interpolation="bilinear"))
row("upsampling2d bicubic", IMAGE, L.UpSampling2D(2, interpolation="bicubic"))
row("upsampling2d lanczos3", IMAGE, L.UpSampling2D(2, interpolation="lanczos3"))
row("upsampling2d first", FIRST_IMAGE, L.UpSampling2D((2, 1), data_format="channels_first"))
row(
    "upsampling2d first bilinear",
    FIRST_IMAGE,
    L.UpSampling2D(2, data_format="channels_first", interpolation="bilinear"),
)
row("upsampling2d any size", (None, None, 3), L.UpSampling2D(2))
row("upsampling2d any size bilinear", (None, None, 3), L.UpSampling2D(2, interpolation="bilinear"))

# ---------------------------------------------------------------- layers that only act in training
for _layer in (
    L.Identity(),
    L.Dropout(0.5),
    L.AlphaDropout(0.5),
    L.GaussianDropout(0.5),
    L.GaussianNoise(0.5),
    L.ActivityRegularization(0.1),
    L.SpatialDropout2D(0.5),
):
    row(f"{_layer.name} does nothing", IMAGE, lambda x, layer=_layer: L.Conv2D(2, 1)(layer(x)))
row("spatial_dropout1d does nothing", STEPS, lambda x: L.Dense(2)(L.SpatialDropout1D(0.5)(x)))
row("nothing at all", VECTOR, L.Dropout(0.5))

# ---------------------------------------------------------------- operations
OPERATIONS = """
    negative square absolute exp tanh relu relu6 elu selu gelu silu sigmoid hard_sigmoid hard_silu softplus softsign
    leaky_relu softmax log_softmax reciprocal
"""
for _name in OPERATIONS.split():
    row(f"ops.{_name}", IMAGE, getattr(ops, _name))
for _op in (ops.sqrt, ops.rsqrt, ops.log):
    row(f"ops.{_op.__name__}", IMAGE, lambda x, op=_op: op(ops.absolute(x) + 0.1))
for _op in (ops.add, ops.subtract, ops.multiply, ops.divide, ops.true_divide, ops.maximum, ops.minimum):
    row(f"ops.{_op.__name__}", [IMAGE, IMAGE], _op)
    row(f"ops.{_op.__name__} number", IMAGE, lambda x, op=_op: op(x, 0.7))
    row(f"ops.{_op.__name__} number first", IMAGE, lambda x, op=_op: op(0.7, x))
row("ops.power", IMAGE, lambda x: ops.power(x, 2.0))
row("ops.power of number", IMAGE, lambda x: ops.power(2.0, x))
row("ops operators", IMAGE, lambda x: (1.0 - x) * 3.0 / (ops.exp(x) + 1.0) - (-2.0) * x**2)
row("ops.add array", IMAGE, lambda x: x + np.arange(3, dtype="float32"))
row("ops.multiply by slice", IMAGE, lambda x: x * x[..., :1])
row("ops.clip", IMAGE, lambda x: ops.clip(x, -0.5, 0.3))
row("ops.leaky_relu slope", IMAGE, lambda x: ops.leaky_relu(x, negative_slope=0.1))
row("ops.elu alpha", IMAGE, lambda x: ops.elu(x, alpha=0.5))
row("ops.gelu exact", IMAGE, lambda x: ops.gelu(x, approximate=False))
row("ops.softmax axis", IMAGE, lambda x: ops.softmax(x, axis=1))
row("ops activation relu", IMAGE, lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=0.9))
row("ops.get_item slices", IMAGE, lambda x: x[:, 1:-1, ::2])
row("ops.get_item number", IMAGE, lambda x: x[:, 2])
row("ops.get_item last", IMAGE, lambda x: x[..., -1])
row("ops.get_item new axis", VECTOR, lambda x: x[:, None, :, None])
row("ops.get_item backwards", IMAGE, lambda x: x[:, ::-1])
row("ops.reshape", IMAGE, lambda x: ops.reshape(x, (-1, 10, 27)))
row("ops.reshape batch first", IMAGE, lambda x: ops.reshape(x, (-1, 3)))
row("ops.transpose", IMAGE, lambda x: ops.transpose(x, (0, 3, 1, 2)))
row("ops.squeeze", (9, 1, 3), lambda x: ops.squeeze(x, axis=2))
row("ops.expand_dims", IMAGE, lambda x: ops.expand_dims(x, axis=-1))
row("ops.expand_dims two", VECTOR, lambda x: ops.expand_dims(x, axis=(1, 3)))
row("ops.concatenate", [IMAGE, IMAGE], lambda a, b: ops.concatenate([a, b], axis=2))
row("ops.stack", [IMAGE, IMAGE], lambda a, b: ops.stack([a, b], axis=1))
row("ops.split", (9, 10, 6), lambda x: ops.split(x, 3, axis=-1))
row("ops.split places", (9, 10, 6), lambda x: ops.split(x, [1, 4], axis=-1)[1])
row("ops.pad", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))))
row("ops.pad value", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=2.0))
row("ops.pad reflect", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (3, 1), (0, 0)), mode="reflect"))
row("ops.pad symmetric", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (3, 1), (0, 0)), mode="symmetric"))
row("ops.flip", IMAGE, lambda x: ops.flip(x, axis=2))
row("ops.tile", IMAGE, lambda x: ops.tile(x, (1, 2, 1, 3)))
row("ops.repeat", IMAGE, lambda x: ops.repeat(x, 2, axis=1))
for _op in (ops.mean, ops.sum, ops.max, ops.min, ops.var, ops.std, ops.prod):
    row(f"ops.{_op.__name__}", IMAGE, lambda x, op=_op: op(x, axis=(1, 2)))
    row(f"ops.{_op.__name__} keepdims", IMAGE, lambda x, op=_op: op(x, axis=-1, keepdims=True))
row("ops.matmul", [(4, 5), (5, 3)], ops.matmul)
row("ops.matmul transposed", [(4, 5), (4, 5)], lambda a, b: ops.matmul(a, ops.transpose(b, (0, 2, 1))))
row("ops.dot", (4, 5), lambda x: ops.dot(x, np.linspace(-1, 1, 15).reshape(5, 3).astype("float32")))
row("ops.einsum", [(4, 5), (5, 3)], lambda a, b: ops.einsum("bij,bjk->bki", a, b))
row("ops.tensordot", (4, 5), lambda x: ops.tensordot(x, np.linspace(-1, 1, 15).reshape(5, 3).astype("float32"), axes=1))
row("ops.cast", IMAGE, lambda x: ops.cast(x * 3.0, "int32"))
row("ops.stop_gradient", IMAGE, lambda x: ops.stop_gradient(x) + x)
for _op in (ops.equal, ops.not_equal, ops.greater, ops.greater_equal, ops.less, ops.less_equal):
    row(
        f"ops.{_op.__name__}",
        [VECTOR, VECTOR],
        lambda a, b, op=_op: op(ops.cast(a, "int32"), ops.cast(b, "int32")),
    )
row("ops.where", [VECTOR, VECTOR], lambda a, b: ops.where(a > b, a, b * 2.0))
row("ops.where numbers", VECTOR, lambda x: ops.where(x > 0.2, 1.0, -1.0))
row("ops.max_pool", IMAGE, lambda x: ops.max_pool(x, 2, strides=2, padding="same"))
row("ops.average_pool", IMAGE, lambda x: ops.average_pool(x, 3, strides=2, padding="same"))
_KERNEL = np.random.RandomState(1).standard_normal((3, 3, 3, 4)).astype("float32")
row("ops.conv", IMAGE, lambda x: ops.conv(x, _KERNEL, strides=2, padding="same"))
row("ops.depthwise_conv", IMAGE, lambda x: ops.depthwise_conv(x, _KERNEL, padding="same"))
row("ops.separable_conv", IMAGE, lambda x: ops.separable_conv(x, _KERNEL, np.ones((1, 1, 12, 2), "float32")))
row(
    "ops.conv_transpose",
    IMAGE,
    lambda x: ops.conv_transpose(x, _KERNEL.transpose(0, 1, 3, 2), 2, "same"),
    # The operation's node swaps two of its settings (keras/src/ops/nn.py, 3.15); called on arrays it is right.
    answer=lambda x: ops.conv_transpose(x, _KERNEL.transpose(0, 1, 3, 2), 2, "same"),
)
row("ops.batch_normalization", IMAGE, lambda x: ops.batch_normalization(x, np.ones(3, "f"), np.full(3, 2.0, "f"), -1))
row("ops.layer_normalization", IMAGE, lambda x: ops.layer_normalization(x, np.full(3, 2.0, "f"), np.ones(3, "f")))
row("ops.rms_normalization", IMAGE, lambda x: ops.rms_normalization(x, np.full(3, 2.0, "f")))
row("ops.depth_to_space", (4, 5, 8), lambda x: ops.depth_to_space(x, 2))
row("ops.space_to_depth", (4, 6, 3), lambda x: ops.space_to_depth(x, 2))
for _name in ("nearest", "bilinear", "bicubic", "lanczos3"):
    row(f"ops.resize {_name}", IMAGE, lambda x, how=_name: ops.image.resize(x, (13, 7), interpolation=how))
row("ops.resize antialias", IMAGE, lambda x: ops.image.resize(x, (5, 4), antialias=True))
row("ops.resize crop", IMAGE, lambda x: ops.image.resize(x, (5, 4), crop_to_aspect_ratio=True))
row("ops.resize pad", IMAGE, lambda x: ops.image.resize(x, (12, 7), pad_to_aspect_ratio=True, fill_value=0.5))
row("ops.resize any size", (None, None, 3), lambda x: ops.image.resize(x, (5, 4)))


# ---------------------------------------------------------------- whole models
def _residual(x: Any) -> Any:
    y = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    y = L.BatchNormalization()(L.Conv2D(3, 3, padding="same")(y))
    return L.Dense(4)(L.GlobalAveragePooling2D()(L.ReLU()(L.Add()([x, y]))))


def _densenet(x: Any) -> Any:
    for width in (2, 3, 2):
        y = L.Conv2D(width, 3, padding="same", use_bias=False)(L.ReLU()(L.BatchNormalization()(x)))
        x = L.Concatenate()([x, y])
    return L.Dense(3, activation="softmax")(L.Flatten()(L.AveragePooling2D(2)(x)))


def _squeeze_excite(x: Any) -> Any:
    y = L.Conv2D(6, 3, padding="same", activation="swish")(x)
    gate = L.Reshape((1, 1, 6))(L.GlobalAveragePooling2D()(y))
    gate = L.Conv2D(6, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="relu")(gate))
    return L.Conv2D(3, 1)(L.Multiply()([y, gate]))


def _shared(a: Any, b: Any) -> Any:
    dense = L.Dense(4, activation="relu", name="shared")
    return L.Subtract()([dense(a), dense(L.Dense(7)(b))])


def _twin(shape: Shape, name: str = "twin") -> Any:
    x = keras.Input(shape)
    y = L.BatchNormalization(name="bn")(L.Dense(4, name="dense")(x))
    return keras.Model(x, L.Activation("tanh")(y), name=name)


def _nested_twice(a: Any, b: Any) -> Any:
    twin = _twin(VECTOR)
    return L.Concatenate()([twin(a), twin(b)])


def _nested_deep(x: Any) -> Any:
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="dense"), L.ReLU()], name="inner")
    middle_in = keras.Input(VECTOR)
    middle = keras.Model(middle_in, inner(_twin(VECTOR)(middle_in)), name="middle")
    return L.Dense(2, name="dense")(middle(x))


def _nested_frozen(x: Any) -> Any:
    twin = _twin(VECTOR)
    twin.get_layer("dense").trainable = False
    return L.Dense(2)(twin(x))


def _nested_many(x: Any) -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = keras.Model([a, b], [L.Add()([a, b]), L.Dense(2)(b)], name="inner")
    first, second = inner([L.Dense(4)(x), L.Dense(4)(x)])
    return [second, first]


def _sequential(x: Any) -> Any:
    return keras.Sequential(
        [keras.Input(IMAGE), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(3)], name="net"
    )


def _dict_io(x: Any) -> Any:
    left, right = keras.Input(VECTOR, name="left"), keras.Input((3,), name="right")
    y = L.Dense(4)(L.Concatenate()([left, right]))
    return keras.Model({"left": left, "right": right}, {"sum": L.ReLU()(y), "gate": L.Dense(1)(y)})


row("residual", IMAGE, _residual)
row("densenet", IMAGE, _densenet)
row("squeeze and excite", IMAGE, _squeeze_excite)
row("shared layer", [VECTOR, (5,)], _shared)
row("shared conv2d and batch_norm", [IMAGE, IMAGE], lambda a, b: _shared_conv(a, b))
row("many outputs", IMAGE, lambda x: [L.Conv2D(2, 3)(x), L.Flatten()(x), L.GlobalMaxPooling2D()(x)])
row("same output twice", VECTOR, lambda x: [y := L.Dense(3)(x), y])
row("input as output", VECTOR, lambda x: [x, L.Dense(3)(x)])
row("branches", IMAGE, lambda x: L.Concatenate()([L.Conv2D(2, k, padding="same")(x) for k in (1, 3, 5)]))
row("nested model", VECTOR, lambda x: L.Dense(2)(_twin(VECTOR)(x)))
row("nested model as output", VECTOR, lambda x: _twin(VECTOR)(x))
row("nested model twice", [VECTOR, VECTOR], _nested_twice)
row("nested model as output twice", [VECTOR, VECTOR], lambda a, b: [(twin := _twin(VECTOR))(a), twin(b)])
row("nested models deep", VECTOR, _nested_deep)
row("nested model frozen", VECTOR, _nested_frozen)
row("nested model many inputs", VECTOR, _nested_many)
row("nested sequential", IMAGE, lambda x: L.Dense(2)(_sequential(x)(x)))
row("sequential", IMAGE, _sequential)
row("dict inputs and outputs", [VECTOR, (3,)], lambda a, b: _dict_io(a))
row("layer with op nodes", IMAGE, lambda x: L.Conv2D(2, 1)(ops.relu6(x + 3.0) * (1.0 / 6.0) * x))
row("layer names to sanitise", VECTOR, lambda x: L.Dense(2, name="class")(L.Dense(3, name="2nd dense-layer")(x)))
row("layer names that collide", VECTOR, lambda x: L.Dense(2, name="a_b")(L.Dense(3, name="a-b")(x)))
row("layer names of kernels", VECTOR, lambda x: L.Dense(2, name="relu")(L.Dense(3, name="dense", activation="relu")(x)))
row("first conv chain", FIRST_IMAGE, lambda x: _first_chain(x))


def _shared_conv(a: Any, b: Any) -> Any:
    conv, norm = L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="norm")
    return L.Add()([norm(conv(a)), conv(b)])


def _first_chain(x: Any) -> Any:
    x = L.Conv2D(4, 3, data_format="channels_first")(x)
    x = L.ReLU()(L.BatchNormalization(axis=1)(x))
    x = L.MaxPooling2D(data_format="channels_first")(x)
    return L.Flatten(data_format="channels_first")(L.Conv2D(2, 2, data_format="channels_first")(x))


# ---------------------------------------------------------------- other precisions
row("float64", IMAGE, L.Conv2D(4, 3, dtype="float64", activation="softmax"), dtype="float64", tolerance=1e-12)
row("float64 inside", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="float64")(x)))
# Keras rounds to half precision after every operation, kerasgen only at the end.
row("float16", VECTOR, L.Dense(3, dtype="float16"), dtype="float16", tolerance=5e-3)
row("mixed_float16", IMAGE, L.Conv2D(4, 3, dtype="mixed_float16"), tolerance=5e-3)
row("mixed_float16 then float32", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="mixed_float16")(x)), tolerance=5e-3)
row("mixed_bfloat16 then float32", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="mixed_bfloat16")(x)), tolerance=5e-2)
row("integers", VECTOR, lambda x: L.Dense(2)(L.Rescaling(0.5)(x)), dtype="uint8")
row(
    "integer operations",
    VECTOR,
    lambda x: ops.cast(x, "float32") / 2 + ops.sum(x, axis=-1, keepdims=True),
    dtype="int32",
)
