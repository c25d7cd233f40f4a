"""Volumes: the layers that have three axes beside the channels, and adaptive pooling of one to three."""

from __future__ import annotations

import numpy as np
from keras import layers as L
from keras import ops

from cases.table import FIRST_IMAGE, FIRST_STEPS, IMAGE, STEPS, row

VOLUME = (6, 7, 8, 3)
FIRST_VOLUME = (3, 6, 7, 8)
ANY_VOLUME = (None, None, None, 3)
FIRST = "channels_first"

row("conv3d", VOLUME, L.Conv3D(4, 3))
row("conv3d same", VOLUME, L.Conv3D(4, 3, padding="same"))
row("conv3d strided", VOLUME, L.Conv3D(4, 3, strides=2))
row("conv3d strided same", VOLUME, L.Conv3D(4, (2, 3, 4), strides=(1, 2, 3), padding="same"))
row("conv3d stride above kernel", VOLUME, L.Conv3D(4, 1, strides=3, padding="same", activation="relu"))
row("conv3d dilated", VOLUME, L.Conv3D(4, 2, dilation_rate=(1, 2, 3)))
row("conv3d dilated same", VOLUME, L.Conv3D(4, 3, dilation_rate=2, padding="same"))
row("conv3d groups", VOLUME, L.Conv3D(6, 2, groups=3))
row("conv3d groups same strided", VOLUME, L.Conv3D(6, 3, groups=3, padding="same", strides=2, activation="relu"))
row("conv3d no bias", VOLUME, L.Conv3D(4, 2, use_bias=False))
row("conv3d pointwise", VOLUME, L.Conv3D(4, 1))
row("conv3d whole volume", VOLUME, L.Conv3D(4, (6, 7, 8)))
row("conv3d any size", ANY_VOLUME, L.Conv3D(4, 3, padding="same", strides=2), sizes=(5, 6, 7))
row("conv3d first", FIRST_VOLUME, L.Conv3D(4, 3, data_format=FIRST))
# Keras 3.15 adds the bias along the width instead where the width equals the number of filters (TensorFlow backend).
row("conv3d first same strided", FIRST_VOLUME, L.Conv3D(5, 3, strides=2, padding="same", data_format=FIRST))
row("conv3d first groups", FIRST_VOLUME, L.Conv3D(6, 2, groups=3, data_format=FIRST))
_KERNEL3 = np.random.RandomState(3).standard_normal((2, 3, 2, 3, 4)).astype("float32")
row("ops.conv 3d", VOLUME, lambda x: ops.conv(x, _KERNEL3, strides=2, padding="same"))
row(
    "ops.conv_transpose 3d",
    (3, 4, 5, 4),
    lambda x: ops.conv_transpose(x, _KERNEL3, 2, "same"),
    # The operation's node swaps two of its settings (keras/src/ops/nn.py, 3.15); called on arrays it is right.
    answer=lambda x: ops.conv_transpose(x, _KERNEL3, 2, "same"),
)

row("conv3d_transpose", VOLUME, L.Conv3DTranspose(4, 3))
row("conv3d_transpose same", VOLUME, L.Conv3DTranspose(4, 3, padding="same", activation="relu"))
row("conv3d_transpose strided", VOLUME, L.Conv3DTranspose(4, 3, strides=2))
row("conv3d_transpose uneven", VOLUME, L.Conv3DTranspose(4, (2, 5, 3), strides=(3, 2, 1), padding="same"))
row("conv3d_transpose stride above kernel", VOLUME, L.Conv3DTranspose(4, 2, strides=3, use_bias=False))
row("conv3d_transpose output padding", VOLUME, L.Conv3DTranspose(4, 3, strides=2, padding="same", output_padding=1))
row(
    "conv3d_transpose output padding valid",
    VOLUME,
    L.Conv3DTranspose(4, 3, strides=(3, 2, 2), output_padding=(2, 1, 0)),
)
row("conv3d_transpose first", FIRST_VOLUME, L.Conv3DTranspose(4, 3, strides=2, data_format=FIRST))
row("conv3d_transpose any size", ANY_VOLUME, L.Conv3DTranspose(4, 3, strides=2, padding="same"), sizes=(3, 4, 5))

row("batch_norm after conv3d", VOLUME, lambda x: L.BatchNormalization()(L.Conv3D(4, 3, padding="same")(x)))
row("batch_norm after conv3d groups", VOLUME, lambda x: L.BatchNormalization()(L.Conv3D(6, 3, groups=3)(x)))
row("batch_norm after conv3d_transpose", VOLUME, lambda x: L.BatchNormalization()(L.Conv3DTranspose(4, 3)(x)))
row(
    "batch_norm after conv3d no bias",
    VOLUME,
    lambda x: L.ReLU()(L.BatchNormalization()(L.Conv3D(4, 3, use_bias=False)(x))),
)
row(
    "batch_norm after conv3d first",
    FIRST_VOLUME,
    lambda x: L.BatchNormalization(axis=1)(L.Conv3D(4, 3, data_format=FIRST)(x)),
)

for _kind, _Pool, _Global in (
    ("max", L.MaxPooling3D, L.GlobalMaxPooling3D),
    ("average", L.AveragePooling3D, L.GlobalAveragePooling3D),
):
    row(f"{_kind}_pool3d", VOLUME, _Pool(2))
    row(f"{_kind}_pool3d overlapping same", VOLUME, _Pool(3, strides=2, padding="same"))
    row(f"{_kind}_pool3d uneven", VOLUME, _Pool((2, 3, 1), strides=(3, 1, 2), padding="same"))
    row(f"{_kind}_pool3d first", FIRST_VOLUME, _Pool(3, strides=2, padding="same", data_format=FIRST))
    row(f"{_kind}_pool3d any size", ANY_VOLUME, _Pool(3, strides=2, padding="same"), sizes=(7, 8, 9))
    row(f"global_{_kind}_pool3d", VOLUME, _Global())
    row(f"global_{_kind}_pool3d keepdims", VOLUME, _Global(keepdims=True))
    row(f"global_{_kind}_pool3d first", FIRST_VOLUME, _Global(data_format=FIRST))
    row(f"global_{_kind}_pool3d any size", ANY_VOLUME, _Global(data_format="channels_last"), sizes=(3, 4, 5))
row("ops.max_pool 3d", VOLUME, lambda x: ops.max_pool(x, 2))
row("ops.average_pool 3d", VOLUME, lambda x: ops.average_pool(x, (2, 3, 2), strides=2, padding="same"))

row("zero_padding3d", VOLUME, L.ZeroPadding3D())
row("zero_padding3d uneven", VOLUME, L.ZeroPadding3D(((1, 2), (0, 3), (2, 0))))
row("zero_padding3d triple", VOLUME, L.ZeroPadding3D((1, 2, 0)))
row("zero_padding3d first", FIRST_VOLUME, L.ZeroPadding3D((1, 2, 3), data_format=FIRST))
row("zero_padding3d before conv3d", VOLUME, lambda x: L.Conv3D(2, 3, strides=2)(L.ZeroPadding3D(1)(x)))
row("cropping3d", VOLUME, L.Cropping3D())
row("cropping3d uneven", VOLUME, L.Cropping3D(((1, 2), (0, 3), (2, 0))))
row("cropping3d first", FIRST_VOLUME, L.Cropping3D((1, 2, 3), data_format=FIRST))
row("cropping3d any size", ANY_VOLUME, L.Cropping3D(((1, 0), (0, 2), (1, 1))), sizes=(4, 5, 6))
row("upsampling3d", VOLUME, L.UpSampling3D())
row("upsampling3d uneven", VOLUME, L.UpSampling3D((1, 3, 2)))
row("upsampling3d first", FIRST_VOLUME, L.UpSampling3D((2, 1, 3), data_format=FIRST))
row("upsampling3d any size", ANY_VOLUME, L.UpSampling3D(2), sizes=(3, 4, 5))
row("spatial_dropout3d", VOLUME, L.SpatialDropout3D(0.5))
row("spatial_dropout3d first", FIRST_VOLUME, L.SpatialDropout3D(0.5, data_format=FIRST))

for _kind, _Pool1D, _Pool2D, _Pool3D in (
    ("max", L.AdaptiveMaxPooling1D, L.AdaptiveMaxPooling2D, L.AdaptiveMaxPooling3D),
    ("average", L.AdaptiveAveragePooling1D, L.AdaptiveAveragePooling2D, L.AdaptiveAveragePooling3D),
):
    row(f"adaptive_{_kind}_pool1d", STEPS, _Pool1D(4))
    row(f"adaptive_{_kind}_pool1d larger", STEPS, _Pool1D(13))
    row(f"adaptive_{_kind}_pool1d first", FIRST_STEPS, _Pool1D(5, data_format=FIRST))
    row(f"adaptive_{_kind}_pool2d", IMAGE, _Pool2D((4, 3)))
    row(f"adaptive_{_kind}_pool2d dividing", (8, 6, 3), _Pool2D((4, 2)))
    row(f"adaptive_{_kind}_pool2d same size", IMAGE, _Pool2D((9, 10)))
    row(f"adaptive_{_kind}_pool2d number", IMAGE, _Pool2D(4))
    row(f"adaptive_{_kind}_pool2d larger", IMAGE, _Pool2D((13, 7)))
    row(f"adaptive_{_kind}_pool2d first", FIRST_IMAGE, _Pool2D((7, 4), data_format=FIRST))
    row(f"adaptive_{_kind}_pool3d", VOLUME, _Pool3D((4, 3, 5)))
    row(f"adaptive_{_kind}_pool3d first", FIRST_VOLUME, _Pool3D(4, data_format=FIRST))
    # With the channels last, Keras 3.15 gives these operations a symbolic shape with an axis too many.
    row(
        f"ops.adaptive_{_kind}_pool",
        FIRST_IMAGE,
        lambda x, name=_kind: getattr(ops, f"adaptive_{name}_pool")(x, (4, 3), FIRST),
    )
