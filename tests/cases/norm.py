"""Normalisation."""

from __future__ import annotations

from keras import layers as L

from cases.table import FIRST_IMAGE, IMAGE, STEPS, VECTOR, row

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
