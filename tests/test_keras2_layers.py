"""Layers of Keras 2, in its files and as it computes them; attention, norms and loops have tests of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from support import randomize, relative_error
from tf_keras import layers as K

from kerasgen.builder import build
from kerasgen.passes import optimize
from kerasgen.readers import read

STEPS, IMAGE, VOLUME, VECTOR = (11, 3), (9, 10, 3), (5, 6, 7, 3), (7,)
PIXELS, CLASSES, NUMBERS = ("uint8", 0, 256), ("int32", 0, 5), ("int64", -3, 12)
FLOATS = ("float32", -4, 4)
VOCABULARY = [7, 2, 9, 4, -2]

CASES: dict[str, tuple[Any, Any, tuple[str, float, float]]] = {}
for _name in tf_keras.activations.__dict__:
    if _name not in ("serialize", "deserialize", "get") and not _name.startswith("_"):
        CASES[f"activation {_name}"] = (VECTOR, lambda name=_name: K.Activation(name), FLOATS)
for _name in ("leaky_relu", "log_softmax", "relu6", "silu"):  # not exported, but deserialised
    CASES[f"activation {_name}"] = (VECTOR, lambda name=_name: K.Activation(name), FLOATS)
CASES["thresholded_relu"] = (VECTOR, lambda: K.ThresholdedReLU(theta=0.7), FLOATS)
CASES["softmax axis"] = (IMAGE, lambda: K.Softmax(axis=1), FLOATS)
CASES["softmax axes"] = (IMAGE, lambda: K.Softmax(axis=[1, 2]), FLOATS)
CASES["relu settings"] = (VECTOR, lambda: K.ReLU(max_value=1.5, negative_slope=0.3, threshold=0.5), FLOATS)
CASES["dense layer as activation"] = (VECTOR, lambda: K.Dense(4, activation="LeakyReLU"), FLOATS)
for _name in ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"):
    CASES[f"resizing {_name}"] = (IMAGE, lambda name=_name: K.Resizing(6, 14, interpolation=name), FLOATS)
    CASES[f"resizing {_name} of pixels"] = (IMAGE, lambda name=_name: K.Resizing(4, 7, interpolation=name), PIXELS)
    CASES[f"upsampling2d {_name}"] = (IMAGE, lambda name=_name: K.UpSampling2D((2, 3), interpolation=name), FLOATS)
CASES |= {
    "resizing crop": (IMAGE, lambda: K.Resizing(4, 9, crop_to_aspect_ratio=True), FLOATS),
    "resizing crop tall": (IMAGE, lambda: K.Resizing(14, 5, crop_to_aspect_ratio=True), FLOATS),
    "center_crop": (IMAGE, lambda: K.CenterCrop(4, 7), PIXELS),
    "center_crop too small": (IMAGE, lambda: K.CenterCrop(12, 7), FLOATS),
    "random_crop": (IMAGE, lambda: K.RandomCrop(4, 7), FLOATS),
    "random_crop too small": (IMAGE, lambda: K.RandomCrop(12, 7), PIXELS),
    "random_flip": (IMAGE, lambda: K.RandomFlip(), PIXELS),
    "random_rotation": (IMAGE, lambda: K.RandomRotation(0.3), FLOATS),
    "random_translation": (IMAGE, lambda: K.RandomTranslation(0.3, 0.3), FLOATS),
    "random_zoom": (IMAGE, lambda: K.RandomZoom(0.3), FLOATS),
    "random_contrast": (IMAGE, lambda: K.RandomContrast(0.3), PIXELS),
    "random_brightness": (IMAGE, lambda: K.RandomBrightness(0.3), PIXELS),
    "random_height": (IMAGE, lambda: K.RandomHeight(0.3), FLOATS),
    "random_width": (IMAGE, lambda: K.RandomWidth(0.3), FLOATS),
    "rescaling": (IMAGE, lambda: K.Rescaling(1 / 255, offset=-0.5), PIXELS),
    "category_encoding": (VECTOR, lambda: K.CategoryEncoding(5), CLASSES),
    "category_encoding one_hot": ((1,), lambda: K.CategoryEncoding(5, output_mode="one_hot"), CLASSES),
    "category_encoding count": (VECTOR, lambda: K.CategoryEncoding(5, output_mode="count"), CLASSES),
    "discretization": (VECTOR, lambda: K.Discretization([-1.5, 0.0, 2.0]), FLOATS),
    "discretization multi_hot": (VECTOR, lambda: K.Discretization([-1.5, 0.0, 2.0], output_mode="multi_hot"), FLOATS),
    "hashing": (VECTOR, lambda: K.Hashing(9, mask_value=2), NUMBERS),
    "hashed_crossing": ((1,), lambda: lambda x: K.HashedCrossing(9)([x, x]), NUMBERS),
    "hashing salted": (VECTOR, lambda: K.Hashing(9, salt=[133, 137]), NUMBERS),
    "integer_lookup": (VECTOR, lambda: K.IntegerLookup(vocabulary=VOCABULARY, mask_token=0), NUMBERS),
    "integer_lookup count": (VECTOR, lambda: K.IntegerLookup(vocabulary=VOCABULARY, output_mode="count"), NUMBERS),
    "integer_lookup invert": (VECTOR, lambda: K.IntegerLookup(vocabulary=VOCABULARY, invert=True), NUMBERS),
    "conv3d": (VOLUME, lambda: K.Conv3D(4, 3, strides=2, padding="same", activation="hard_sigmoid"), FLOATS),
    "conv3d_transpose": (VOLUME, lambda: K.Conv3DTranspose(4, 3, strides=2, output_padding=1), FLOATS),
    "max_pool3d": (VOLUME, lambda: K.MaxPooling3D(3, strides=2, padding="same"), FLOATS),
    "average_pool3d": (VOLUME, lambda: K.AveragePooling3D(3, strides=2, padding="same"), FLOATS),
    "global_average_pool3d": (VOLUME, lambda: K.GlobalAveragePooling3D(), FLOATS),
    "zero_padding3d": (VOLUME, lambda: K.ZeroPadding3D((1, 2, 3)), FLOATS),
    "cropping3d": (VOLUME, lambda: K.Cropping3D((1, 2, 1)), FLOATS),
    "upsampling3d": (VOLUME, lambda: K.UpSampling3D((1, 2, 3)), FLOATS),
}
# What Keras 2 and 3 compute alike: the names and defaults in the files are those of Keras 2.
ALIKE: dict[Any, dict[str, Callable[[], Any]]] = {
    VECTOR: {
        "activity_regularization": lambda: K.ActivityRegularization(0.1),
        "alpha_dropout": lambda: K.AlphaDropout(0.3),
        "elu": lambda: K.ELU(0.3),
        "gaussian_dropout": lambda: K.GaussianDropout(0.3),
        "gaussian_noise": lambda: K.GaussianNoise(0.3),
        "identity": lambda: K.Identity(),
        "normalization": lambda: K.Normalization(),
        "normalization given": lambda: K.Normalization(mean=1.5, variance=2.0, invert=True),
        "reshape": lambda: K.Reshape((7, 1)),
    },
    STEPS: {
        "average_pool1d": lambda: K.AveragePooling1D(3, strides=2, padding="same"),
        "conv1d_transpose": lambda: K.Conv1DTranspose(4, 3, strides=2, output_padding=1, dilation_rate=1),
        "cropping1d": lambda: K.Cropping1D((1, 2)),
        "depthwise_conv1d": lambda: K.DepthwiseConv1D(3, strides=2, depth_multiplier=2, padding="same"),
        "global_max_pool1d": lambda: K.GlobalMaxPooling1D(keepdims=True),
        "locally_connected1d": lambda: K.LocallyConnected1D(4, 3, strides=2),
        "max_pool1d": lambda: K.MaxPooling1D(3, strides=2, padding="same"),
        "permute": lambda: K.Permute((2, 1)),
        "prelu": lambda: K.PReLU(),
        "spatial_dropout1d": lambda: K.SpatialDropout1D(0.3),
        "upsampling1d": lambda: K.UpSampling1D(3),
        "zero_padding1d": lambda: K.ZeroPadding1D((1, 2)),
    },
    IMAGE: {
        "average_pool2d": lambda: K.AveragePooling2D((2, 3), padding="same"),
        "conv2d_transpose": lambda: K.Conv2DTranspose(4, (3, 2), strides=2, padding="same"),
        "conv_lstm1d": lambda: K.ConvLSTM1D(4, 3, padding="same", return_sequences=True),
        "cropping2d": lambda: K.Cropping2D(((1, 0), (2, 1))),
        "depthwise_conv2d": lambda: K.DepthwiseConv2D((3, 2), depth_multiplier=2, dilation_rate=2),
        "global_average_pool2d": lambda: K.GlobalAveragePooling2D(),
        "global_max_pool2d": lambda: K.GlobalMaxPooling2D(),
        "locally_connected2d": lambda: K.LocallyConnected2D(4, (3, 2)),
        "max_pool2d": lambda: K.MaxPooling2D((2, 3), strides=(1, 2)),
        "prelu shared": lambda: K.PReLU(shared_axes=[1, 2]),
        "separable_conv2d": lambda: K.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu"),
        "spatial_dropout2d": lambda: K.SpatialDropout2D(0.3),
        "zero_padding2d": lambda: K.ZeroPadding2D(((1, 0), (2, 1))),
    },
    VOLUME: {
        "global_max_pool3d": lambda: K.GlobalMaxPooling3D(),
        "spatial_dropout3d": lambda: K.SpatialDropout3D(0.3),
    },
    (2, *VOLUME): {"conv_lstm3d": lambda: K.ConvLSTM3D(2, 2, padding="same")},
}
CASES |= {name: (shape, make, FLOATS) for shape, makers in ALIKE.items() for name, make in makers.items()}


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize("name", CASES)
def test_layer(name: str, ending: str, tmp_path: Path) -> None:
    shape, make, (dtype, low, high) = CASES[name]
    inputs = tf_keras.Input(shape, dtype=dtype)
    model = randomize(tf_keras.Model(inputs, make()(inputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the file format
        model.save(tmp_path / f"model.{ending}")
    random = np.random.RandomState(7)
    draw: Callable[..., Any] = random.uniform if dtype == "float32" else random.randint
    x = draw(low, high, (3, *shape)).astype(dtype)
    expected = np.asarray(model(x, training=False))
    graph = build(read(tmp_path / f"model.{ending}")).bind()
    for each in (graph, optimize(graph)):
        (result,) = each.run(x)
        assert result.dtype == expected.dtype
        assert relative_error(result, expected) <= 1e-5
