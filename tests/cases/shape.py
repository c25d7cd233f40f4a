"""Layers that rearrange, and layers that only act in training."""

from __future__ import annotations

from keras import layers as L

from cases.table import FIRST_IMAGE, IMAGE, STEPS, VECTOR, row

# shapes
row("flatten", IMAGE, L.Flatten())
row("flatten first", FIRST_IMAGE, L.Flatten(data_format="channels_first"))
row("flatten vector", VECTOR, L.Flatten())
row("reshape", IMAGE, L.Reshape((10, 27)))
row("reshape rest", IMAGE, L.Reshape((-1, 3)))
row("reshape any size", (None, None, 3), L.Reshape((-1, 3)))
row("reshape twice", IMAGE, lambda x: L.Reshape((5, 54))(L.Reshape((-1, 3))(x)))
row("reshape back", IMAGE, lambda x: L.Dense(4)(L.Reshape(IMAGE)(L.Flatten()(x))))
row("reshape to its shape", (None, 3), lambda x: L.Dense(4)(L.Reshape((-1, 3))(x)))
row("flatten twice", IMAGE, lambda x: L.Dense(4)(L.Flatten()(L.Flatten()(x))))
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

# layers that only act in training
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
row("repeat_vector", VECTOR, L.RepeatVector(4))
row("repeat_vector of any size", (None, None, 3), lambda x: L.RepeatVector(3)(L.GlobalMaxPooling2D()(x)))
