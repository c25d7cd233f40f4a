"""Normalisation."""

from __future__ import annotations

from typing import Any

from keras import layers as L

from cases.table import FIRST_IMAGE, IMAGE, STEPS, VECTOR, row


def _again(layer: Any) -> Any:
    """The same layer in another model."""
    return type(layer).from_config(layer.get_config())


def _preprocessed(x: Any) -> Any:
    return x / 127.5 - 1.0


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
    row(f"batch_norm right before {_name}", _shape, lambda x, layer=_layer: _again(layer)(L.BatchNormalization()(x)))
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
row("rescaling before conv2d", IMAGE, lambda x: L.Conv2D(4, 3)(L.Rescaling(1 / 127.5, offset=-1)(x)))
row("rescaling before conv2d same", IMAGE, lambda x: L.Conv2D(4, 3, padding="same")(L.Rescaling(0.1, offset=-1)(x)))
row("rescaling before flatten", IMAGE, lambda x: L.Dense(4)(L.Flatten()(L.Rescaling(0.1, offset=[1.0])(x))))
row("normalization before dense", VECTOR, lambda x: L.Dense(4, activation="tanh")(L.Normalization()(x)))
row("normalization before conv2d", IMAGE, lambda x: L.Conv2D(4, 3)(L.Normalization()(L.Rescaling(0.1)(x))))
row("preprocessing before conv2d", IMAGE, lambda x: L.Conv2D(4, 3)(_preprocessed(x)), values=(0, 255))
row("preprocessing before relu", IMAGE, lambda x: L.ReLU()(_preprocessed(x)), values=(0, 255))
row("preprocessing any size", (None, None, 3), lambda x: L.Conv2D(4, 3, padding="same")(_preprocessed(x)))
row("rescaling lists", IMAGE, L.Rescaling([0.5, 2.0, 3.0], offset=[-1.0, 0.0, 1.0]))
row("batch_norm renorm", IMAGE, L.BatchNormalization(renorm=True))
row("layer_norm rms_scaling", STEPS, lambda x: L.LayerNormalization(rms_scaling=True)(x))
row("layer_norm rms_scaling axes", IMAGE, lambda x: L.LayerNormalization([1, 3], 0.1, rms_scaling=True)(x))
row("group_norm", (9, 10, 6), L.GroupNormalization(3))
row("group_norm first", (6, 9, 10), L.GroupNormalization(2, axis=1, epsilon=0.1))
row("group_norm middle", (5, 6, 3), L.GroupNormalization(2, axis=-2))
row("group_norm positive axis", (9, 10, 6), L.GroupNormalization(2, axis=3))
row("group_norm by channel", IMAGE, L.GroupNormalization(-1))
row("group_norm one group", STEPS, L.GroupNormalization(1, scale=False))
row("group_norm no center", (11, 4), L.GroupNormalization(2, center=False))
row("group_norm of vector", (8,), L.GroupNormalization(2))
row("group_norm any size", (None, None, 6), L.GroupNormalization(3))
row("rms_norm", STEPS, L.RMSNormalization())
row("rms_norm axes", IMAGE, L.RMSNormalization(axis=[1, 2, 3], epsilon=0.01))
row("rms_norm two axes", IMAGE, L.RMSNormalization(axis=(-1, -2)))
row("rms_norm middle axis", (5, 4, 4), L.RMSNormalization(axis=2))
row("unit_norm", STEPS, L.UnitNormalization())
row("unit_norm axes", IMAGE, L.UnitNormalization(axis=(1, 3)))
row("unit_norm first axis", IMAGE, L.UnitNormalization(axis=1))
row("spectral_norm dense", STEPS, L.SpectralNormalization(L.Dense(4, activation="relu")))
row("spectral_norm conv2d", IMAGE, L.SpectralNormalization(L.Conv2D(4, 3, strides=2), power_iterations=3))
row("spectral_norm no bias", IMAGE, L.SpectralNormalization(L.Conv2D(4, 3, padding="same", use_bias=False)))
row("spectral_norm einsum_dense", STEPS, L.SpectralNormalization(L.EinsumDense("abc,cd->abd", (11, 4), bias_axes="d")))
