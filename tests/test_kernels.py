"""Each kernel against Keras, and the promises that all of them make."""

import ast
import inspect
import math
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from kerasgen import kernels

SOURCES = sorted(Path(inspect.getfile(kernels)).parent.rglob("*.py"))


def random(*shape, seed=0):
    """Reproducible float32 noise."""
    return np.random.RandomState(seed).standard_normal(shape).astype("float32")


def positive(*shape, seed=0):
    return np.abs(random(*shape, seed=seed)) + np.float32(0.1)


def close(got, want, tolerance=1e-5):
    """Equal, up to this part of the largest value."""
    want = np.asarray(want)
    assert got.shape == want.shape
    if want.size:
        assert np.abs(got - want).max() <= tolerance * max(np.abs(want).max(), 1e-30)


def check(want, kernel, *arrays, tolerance=1e-5, **settings):
    """The kernel's answer is right; float32 and float64 stay what they are; no input is written to; N may be 0."""
    want = ops.convert_to_numpy(want)
    for dtype in ("float32", "float64"):
        inputs = [None if a is None else a.astype(dtype) for a in arrays]
        for a in inputs:
            if a is not None:
                a.flags.writeable = False
        got = kernel(*inputs, **settings)
        assert got.dtype == dtype
        close(got, want, tolerance)
        nothing = kernel(inputs[0][:0], *inputs[1:], **settings)
        assert (nothing.shape, nothing.dtype) == ((0, *got.shape[1:]), got.dtype)


# --- Convolution -----------------------------------------------------------------------------------------------------

WINDOWS_1D = [  # cells, window, stride, dilation
    (7, 3, 1, 1),
    (8, 3, 2, 1),
    (9, 4, 3, 1),
    (9, 1, 1, 1),
    (9, 1, 2, 1),
    (11, 3, 1, 2),
    (12, 2, 1, 4),
    (3, 5, 1, 1),
]
WINDOWS_2D = [
    ((7, 8), (3, 3), (1, 1), (1, 1)),
    ((7, 8), (3, 3), (2, 2), (1, 1)),
    ((8, 8), (3, 3), (2, 2), (1, 1)),
    ((9, 6), (5, 2), (2, 3), (1, 1)),
    ((6, 5), (1, 1), (1, 1), (1, 1)),
    ((6, 5), (1, 1), (2, 2), (1, 1)),
    ((9, 10), (3, 3), (1, 1), (2, 2)),
    ((9, 10), (2, 3), (1, 1), (3, 1)),
    ((4, 3), (4, 3), (4, 3), (1, 1)),
    ((2, 3), (3, 5), (1, 1), (1, 1)),
]


def one(rows):
    """Rows of numbers as rows of tuples of one."""
    return [tuple((value,) for value in row) for row in rows]


def paddings(rows):
    """Each row with both paddings, unless the window is larger than the image."""
    return [
        (*row, padding)
        for row in rows
        for padding in ("valid", "same")
        if padding == "same" or all(n >= (k - 1) * d + 1 for n, k, _, d in zip(*row, strict=True))
    ]


ALL_WINDOWS = paddings(one(WINDOWS_1D) + WINDOWS_2D)
each_window = pytest.mark.parametrize(("sizes", "window", "strides", "dilation", "padding"), ALL_WINDOWS, ids=str)


def pads(padding, sizes, window, strides, dilation):
    """The forms of `pad` that a rule may choose."""
    return [None] if padding == "valid" else ["same", kernels.same_pads(sizes, window, strides, dilation)]


def of_rank(name, sizes):
    return getattr(kernels, name.replace("_conv", f"_conv{len(sizes)}d").replace("pool", f"pool{len(sizes)}d"))


@each_window
def test_conv(sizes, window, strides, dilation, padding):
    kernel = {1: kernels.conv1d, 2: kernels.conv2d}[len(sizes)]
    x, w, b = random(3, *sizes, 4), random(*window, 4, 6, seed=1), random(6, seed=2)
    want = ops.conv(x, w, strides, padding, dilation_rate=dilation) + b
    for pad in pads(padding, sizes, window, strides, dilation):
        check(want, kernel, x, w, b, strides=strides, dilation=dilation, pad=pad)
    check(ops.relu(want - b), kernel, x, w, strides=strides, dilation=dilation, pad=pad, activation=kernels.relu)


@each_window
@pytest.mark.parametrize("groups", [2, 4])
def test_grouped_conv(sizes, window, strides, dilation, padding, groups):
    x, w, b = random(3, *sizes, 8), random(*window, 8 // groups, 12, seed=1), random(12, seed=2)
    parts = zip(np.split(x, groups, axis=-1), np.split(w, groups, axis=-1), strict=True)
    want = np.concatenate([ops.conv(x, w, strides, padding, dilation_rate=dilation) for x, w in parts], axis=-1) + b
    settings = {"strides": strides, "dilation": dilation, "groups": groups}
    for pad in pads(padding, sizes, window, strides, dilation):
        check(want, of_rank("grouped_conv", sizes), x, w, b, pad=pad, **settings)


def test_grouped_conv_orders_its_groups_as_keras_does():
    layer = keras.layers.Conv2D(6, 3, groups=3)
    x = random(2, 5, 5, 9)
    layer.build(x.shape)
    check(layer(x), kernels.grouped_conv2d, x, *layer.get_weights(), groups=3)


@each_window
@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_conv(sizes, window, strides, dilation, padding, multiplier):
    x, w, b = random(3, *sizes, 4), random(*window, 4, multiplier, seed=1), random(4 * multiplier, seed=2)
    parts = zip(np.split(x, 4, axis=-1), np.split(w, 4, axis=-2), strict=True)
    want = np.concatenate([ops.conv(x, w, strides, padding, dilation_rate=dilation) for x, w in parts], axis=-1) + b
    for pad in pads(padding, sizes, window, strides, dilation):
        kernel = of_rank("depthwise_conv", sizes)
        check(want, kernel, x, w, b, strides=strides, dilation=dilation, pad=pad)


def test_depthwise_conv_orders_its_channels_as_keras_does():
    layer = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)
    x = random(2, 5, 5, 3)
    layer.build(x.shape)
    check(layer(x), kernels.depthwise_conv2d, x, *layer.get_weights())


def test_causal_conv():
    layer = keras.layers.Conv1D(5, 3, padding="causal", dilation_rate=2)
    x = random(2, 9, 4)
    layer.build(x.shape)
    check(layer(x), kernels.conv1d, x, *layer.get_weights(), dilation=(2,), pad=((4, 0),))


TRANSPOSED_1D = [  # cells, window, stride, dilation, output padding
    (5, 3, 1, 1, None),
    (5, 3, 2, 1, None),
    (5, 2, 2, 1, None),
    (5, 4, 3, 1, None),
    (5, 2, 3, 1, None),
    (5, 1, 2, 1, None),
    (6, 3, 2, 1, 0),
    (6, 3, 2, 1, 1),
    (6, 4, 3, 1, 1),
    (6, 4, 3, 1, 2),
    (6, 2, 5, 1, 3),
    (6, 3, 1, 2, None),
    (6, 3, 2, 2, None),
    (1, 5, 3, 1, None),
]
TRANSPOSED_2D = [
    ((4, 5), (3, 3), (2, 2), (1, 1), None),
    ((4, 5), (3, 2), (2, 3), (1, 1), None),
    ((4, 5), (4, 4), (2, 2), (1, 1), None),
    ((4, 5), (5, 3), (3, 2), (1, 1), (2, 1)),
    ((4, 5), (3, 3), (1, 1), (2, 2), None),
    ((4, 5), (2, 1), (3, 2), (1, 1), None),
]
ALL_TRANSPOSED = [tuple(None if v is None else (v,) for v in row) for row in TRANSPOSED_1D] + TRANSPOSED_2D


@pytest.mark.parametrize("filters", [6, 40])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("sizes", "window", "strides", "dilation", "output_padding"), ALL_TRANSPOSED, ids=str)
def test_conv_transpose(sizes, window, strides, dilation, output_padding, padding, filters):
    kernel = {1: kernels.conv1d_transpose, 2: kernels.conv2d_transpose}[len(sizes)]
    x, w, b = random(3, *sizes, 4), random(*window, filters, 4, seed=1), random(filters, seed=2)
    want = ops.conv_transpose(x, w, strides, padding, output_padding, dilation_rate=dilation) + b
    crop = kernels.transpose_crop(window, strides, dilation, padding, output_padding)
    check(want, kernel, x, w, b, strides=strides, dilation=dilation, crop=crop)


@pytest.mark.parametrize("shape", [(3, 5), (3, 4, 5), (3, 2, 4, 5)], ids=str)
def test_dense(shape):
    x, w, b = random(*shape), random(5, 7, seed=1), random(7, seed=2)
    check(ops.tanh(x @ w + b), kernels.dense, x, w, b, activation=kernels.tanh)
    check(x @ w, kernels.dense, x, w)


# --- Windows and pooling ---------------------------------------------------------------------------------------------


def test_same_pads_puts_the_odd_cell_at_the_end():
    assert kernels.same_pads((8, 7), (3, 3), (2, 2), (1, 1)) == ((0, 1), (1, 1))
    assert kernels.same_pads((8, 4), (4, 2), (1, 5), (1, 2)) == ((1, 2), (0, 0))


def test_pad_returns_its_argument_when_there_is_nothing_to_add():
    x = random(2, 3, 4, 5)
    assert kernels.pad(x, pads=((0, 0), (0, 0))) is x
    want = np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=7)
    check(want, kernels.pad, x, pads=((1, 2), (0, 3)), value=7.0)


def test_taps_are_the_cells_of_windows():
    x = random(2, 7, 8, 3)
    settings = ((3, 2), (2, 3), (2, 1))
    want = kernels.windows(x, *settings)
    for cell, tap in zip(np.ndindex(3, 2), kernels.taps(x, *settings), strict=True):
        np.testing.assert_array_equal(tap, want[(slice(None),) * 3 + cell])


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"a window of \(3, 3\), dilated by \(1, 1\), does not fit into \(2, 5\)"):
        kernels.conv2d(random(1, 2, 5, 1), random(3, 3, 1, 1))


POOLS = paddings(
    [
        *one([(7, 2, 2, 1), (8, 3, 2, 1), (8, 3, 1, 1), (9, 2, 3, 1), (6, 1, 2, 1), (2, 3, 1, 1)]),
        ((7, 8), (2, 2), (2, 2), (1, 1)),
        ((8, 8), (3, 3), (2, 2), (1, 1)),
        ((7, 9), (3, 2), (1, 3), (1, 1)),
        ((2, 2), (3, 3), (1, 1), (1, 1)),
    ]
)


@pytest.mark.parametrize(("sizes", "window", "strides", "dilation", "padding"), POOLS, ids=str)
@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_pool(name, sizes, window, strides, dilation, padding):
    x = random(3, *sizes, 4) - 5  # all negative: a border of zeros would win
    want = getattr(ops, name)(x, window, strides, padding)
    for pad in pads(padding, sizes, window, strides, dilation):
        check(want, getattr(kernels, name), x, size=window, strides=strides, pad=pad)


def test_max_pool_of_integers():
    x = np.arange(-20, -4, dtype="int32").reshape(1, 4, 4, 1)
    y = kernels.max_pool(x, size=(3, 3), strides=(2, 2), pad="same")
    assert y.dtype == "int32"
    np.testing.assert_array_equal(y[0, :, :, 0], [[-10, -9], [-6, -5]])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("sizes", [(7,), (5, 6), (3, 4, 5)], ids=str)
def test_global_pool(sizes, keepdims):
    x = random(3, *sizes, 4)
    axes = tuple(range(1, len(sizes) + 1))
    check(x.max(axis=axes, keepdims=keepdims), kernels.global_max_pool, x, keepdims=keepdims)
    check(x.mean(axis=axes, keepdims=keepdims), kernels.global_average_pool, x, keepdims=keepdims)


def test_global_average_pool_is_exact_on_large_images():
    x = np.random.RandomState(0).rand(1, 224, 224, 8).astype("float32")
    close(kernels.global_average_pool(x), x.astype("float64").mean(axis=(1, 2)), 1e-6)


# --- Normalisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 1, 2])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_batch_norm(axis, scale, center):
    x = random(3, 4, 5, 6)
    n = x.shape[axis]
    gamma = random(n, seed=1) if scale else None
    beta = random(n, seed=2) if center else None
    mean, variance = random(n, seed=3), positive(n, seed=4)
    want = ops.batch_normalization(x, mean, variance, axis, beta, gamma, epsilon=0.01)
    check(want, kernels.batch_norm, x, gamma, beta, mean, variance, axis=axis, epsilon=0.01)


@pytest.mark.parametrize("axis", [(-1,), (-2,), (-2, -1), (1, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("weights", [True, False])
def test_layer_norm(axis, weights):
    x = random(3, 4, 5, 6) + 3
    shape = tuple(x.shape[a] for a in axis)
    gamma, beta = (random(*shape, seed=1), random(*shape, seed=2)) if weights else (None, None)
    want = ops.layer_normalization(x, gamma, beta, axis=[a % 4 for a in axis], epsilon=0.01)
    check(want, kernels.layer_norm, x, gamma, beta, axis=axis, epsilon=0.01)


@pytest.mark.parametrize("axis", [(-1,), (-2, -1)], ids=str)
@pytest.mark.parametrize("weights", [True, False])
def test_rms_norm(axis, weights):
    x = random(3, 4, 5)
    gamma = random(*(x.shape[a] for a in axis), seed=1) if weights else None
    check(ops.rms_normalization(x, gamma, axis, 0.01), kernels.rms_norm, x, gamma, axis=axis, epsilon=0.01)


@pytest.mark.parametrize("invert", [False, True])
def test_normalization(invert):
    x, mean, variance = random(3, 4, 5), random(5, seed=1), positive(5, seed=2)
    variance[0] = 0  # the layer divides by at least ε
    layer = keras.layers.Normalization(mean=mean, variance=variance, invert=invert)
    check(layer(x), kernels.normalization, x, mean, variance, invert=invert)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("axis", [-1, 1])
def test_normalize(order, axis):
    x = random(3, 4, 5)
    x[1] = 0
    want = ops.normalize(x, axis=axis, order=order, epsilon=1e-12)
    check(want, kernels.normalize, x, axis=axis, order=order)


# --- Activations -----------------------------------------------------------------------------------------------------

SMALL = np.linspace(-9, 9, 1000, dtype="float32").reshape(20, 50)
LARGE = np.array([[1e4, -1e4, 1e3, -1e3, 100, -100, 20, -20, 0, 1, -1, 0.5]], "float32")


@pytest.mark.parametrize("name", sorted(kernels.ACTIVATIONS))
def test_activation(name):
    reference = keras.activations.get(name)
    inputs = [SMALL, LARGE, np.float32([[-1e4, -100]])]
    # The first overflows, the second has no digit left below -1e4 in Keras's float32.
    for x in inputs[: {"exponential": 1, "squareplus": 2}.get(name)]:
        check(reference(x), kernels.ACTIVATIONS[name], x)


@pytest.mark.parametrize("slope", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("ceiling", [None, 0.0, 4.0, 6.0])
@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_general_relu(slope, ceiling, threshold):
    settings = {"negative_slope": slope, "max_value": ceiling, "threshold": threshold}
    for x in (SMALL, LARGE):
        check(keras.layers.ReLU(**settings)(x), kernels.general_relu, x, **settings)


@pytest.mark.parametrize("slope", [0.0, 0.3, 2.0])
def test_slopes_below_zero(slope):
    for x in (SMALL, LARGE):
        check(ops.leaky_relu(x, slope), kernels.leaky_relu, x, negative_slope=slope)
        check(ops.elu(x, slope), kernels.elu, x, alpha=slope)


def test_prelu():
    layer = keras.layers.PReLU(shared_axes=[1], alpha_initializer="random_normal")
    x = random(3, 4, 5)
    layer.build(x.shape)
    check(layer(x), kernels.prelu, x, *layer.get_weights())


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), (2, 3)], ids=str)
def test_softmax_along(axis):
    x = 10 * random(3, 4, 5, 6)
    check(keras.layers.Softmax(axis=axis)(x), kernels.softmax, x, axis=axis)
    check(np.log(kernels.softmax(x.astype("float64"), axis=axis)), kernels.log_softmax, x, axis=axis)


def test_gelu_by_tanh():
    for x in (SMALL, LARGE):
        check(ops.gelu(x, approximate=True), kernels.gelu, x, approximate=True)


def test_hard_sigmoid_of_keras_2():
    for x in (SMALL, LARGE):
        check(np.clip(0.2 * x + 0.5, 0, 1), kernels.hard_sigmoid_keras2, x)


def test_sigmoid_of_rare_classes_has_all_its_digits():
    x = np.linspace(-80, 0, 101, dtype="float32")
    want = 1 / (1 + np.exp(-x.astype("float64")))
    assert np.abs(kernels.sigmoid(x) / want - 1).max() < 1e-6


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
def test_erf(dtype, tolerance):
    x = np.concatenate([np.linspace(1e-6, 7, 100_001), np.logspace(-30, 4, 1001)]).astype(dtype)
    want = np.array([math.erf(float(v)) for v in x])
    got = kernels.erf(x)
    assert got.dtype == dtype
    assert np.abs(got / want - 1).max() < tolerance
    np.testing.assert_array_equal(kernels.erf(-x), -got)
    assert np.all(got[x > 6] == 1)
    assert np.isnan(kernels.erf(x[:1] * np.nan))


# --- Shapes ----------------------------------------------------------------------------------------------------------


def test_shapes():
    x = random(3, 4, 6, 8)
    check(x.reshape(3, -1), kernels.flatten, x)
    check(x[:, 0, 0, :1], kernels.flatten, x[:, 0, 0, 0])
    check(x.reshape(3, 2, 12, 8), kernels.reshape, x, shape=(2, 12, 8))
    check(x.reshape(3, 2, 12, 8), kernels.reshape, x, shape=(2, -1, 8))
    check(x.reshape(3, 192), kernels.reshape, x, shape=(-1,))
    check(x.transpose(0, 3, 1, 2), kernels.channels_first, x)
    check(x.transpose(0, 2, 3, 1), kernels.channels_last, x)
    check(x[0, :, :, 0].T, kernels.channels_last, x[0, :, :, 0].T)
    check(x[:, 1:2, :-3], kernels.crop, x, crops=((1, 2), (0, 3)))
    check(x[:, 1, ..., ::2], kernels.get_item, x, index=(slice(None), 1, Ellipsis, slice(None, None, 2)))
    check(ops.depth_to_space(x, 2), kernels.depth_to_space, x, block_size=2)
    check(ops.space_to_depth(x, 2), kernels.space_to_depth, x, block_size=2)
    assert kernels.reshape_all(x, shape=(-1, 8)).shape == (72, 8)
    assert kernels.cast(x, dtype="int32").dtype == "int32"


def test_joining_and_splitting():
    x, y = random(3, 4, 5), random(3, 4, 5, seed=1)
    np.testing.assert_array_equal(kernels.concatenate(x, y), np.concatenate([x, y], axis=-1))
    np.testing.assert_array_equal(kernels.stack(x, y, axis=1), np.stack([x, y], axis=1))
    for where in (2, (1, 3)):
        for got, want in zip(
            kernels.split(x, indices_or_sections=where, axis=1), ops.split(x, where, axis=1), strict=True
        ):
            np.testing.assert_array_equal(got, want)


def test_arithmetic():
    x, y = positive(3, 4), random(4, 5, seed=1)
    check(ops.rsqrt(x), kernels.rsqrt, x)
    check(ops.clip(x, 0.5, 1.0), kernels.clip, x, x_min=0.5, x_max=1.0)
    check(ops.einsum("ij,jk->ik", x, y), kernels.einsum, x, y, subscripts="ij,jk->ik")


# --- Resizing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(2,), (2, 3), (1, 2, 3)], ids=str)
def test_upsample_nearest(size):
    layer = {1: keras.layers.UpSampling1D, 2: keras.layers.UpSampling2D, 3: keras.layers.UpSampling3D}[len(size)]
    x = random(3, *(3, 4, 5)[: len(size)], 2)
    check(layer(size if len(size) > 1 else size[0])(x), kernels.upsample_nearest, x, size=size)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(7, 9), (14, 18), (21, 36), (3, 4), (5, 11), (1, 1), (2, 40), (64, 48)], ids=str)
def test_resize(size, interpolation, antialias):
    x = random(3, 7, 9, 4)
    want = ops.image.resize(x, size, interpolation, antialias)
    check(want, kernels.resize, x, size=size, interpolation=interpolation, antialias=antialias)


@pytest.mark.parametrize("size", [(224, 160), (33, 57)], ids=str)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_resize_of_photographs(size, interpolation):
    x = random(1, 150, 201, 3)
    check(ops.image.resize(x, size, interpolation), kernels.resize, x, size=size, interpolation=interpolation)


def test_resize_of_integers():
    x = np.arange(12, dtype="uint8").reshape(1, 3, 4, 1)
    mean = kernels.resize(x, size=(5, 2))
    assert mean.dtype == "float32"
    np.testing.assert_array_equal(np.rint(mean), ops.image.resize(x, (5, 2)))  # Keras rounds, its layers do not
    got = kernels.resize(x, size=(5, 2), interpolation="nearest")
    assert got.dtype == "uint8"
    np.testing.assert_array_equal(got, ops.image.resize(x, (5, 2), "nearest"))


@pytest.mark.parametrize("sizes", [(7, 12), (12, 7), (8, 8), (1, 9)], ids=str)
@pytest.mark.parametrize("size", [(4, 4), (6, 3), (3, 10)], ids=str)
def test_aspect_ratio(sizes, size):
    x = random(3, *sizes, 2)
    for how, kernel, settings in (
        ("crop_to_aspect_ratio", kernels.crop_to_aspect_ratio, {}),
        ("pad_to_aspect_ratio", kernels.pad_to_aspect_ratio, {"value": 0.5}),
    ):
        want = ops.image.resize(x, size, **{how: True}, fill_value=0.5)
        check(want, lambda x, k=kernel, s=settings: kernels.resize(k(x, size=size, **s), size=size), x)


# --- Inputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        ([[1, 2, 3]], "float32"),
        ([[True, False, True]], "float32"),
        (np.float64([[1, 2, 3]]), "float32"),
        (np.float16([[1, 2, 3]]), "float32"),
        (np.array([[1, 2, 3]], ">f4"), "float32"),
        (np.asfortranarray(random(4, 6)[:, ::2]), "float32"),
        ([[1, 2, 3]], "int32"),
        (np.uint8([[1, 2, 3]]), "int64"),
        ([[True, False, True]], "bool"),
        (np.zeros((0, 3)), "float32"),
    ],
    ids=str,
)
def test_as_input(x, dtype):
    got = kernels.as_input(x, "image", (None, 3), dtype)
    assert got.dtype == np.dtype(dtype)
    assert got.dtype.isnative
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, np.asarray(x))


def test_as_input_does_not_copy_what_fits():
    x = random(2, 3)
    assert kernels.as_input(x, "image", (None, None), "float32") is x


@pytest.mark.parametrize(
    ("x", "dtype", "message"),
    [
        (random(3), "float32", r"input 'image' takes the shape \(None, 3\), the batch first, not \(3,\)"),
        (random(2, 4), "float32", r"not \(2, 4\)"),
        (random(1, 2, 3), "float32", r"not \(1, 2, 3\)"),
        (1.0, "float32", r"not \(\)"),
        ([["a", "b", "c"]], "float32", r"input 'image' takes float32, not str"),
        (np.array([[None, 1, 2]]), "float32", "takes float32, not object"),
        (np.zeros((1, 3), "complex64"), "float32", "takes float32, not complex64"),
        (random(1, 3), "int32", "takes int32, not float32"),
        ([[1, 2, 300]], "uint8", "does not fit into uint8"),
        ([[1, 2, 3]], "bool", "takes bool, not int64"),
    ],
    ids=str,
)
def test_as_input_refuses(x, dtype, message):
    with pytest.raises(ValueError, match=message):
        kernels.as_input(x, "image", (None, 3), dtype)


# --- The promises of the sources -------------------------------------------------------------------------------------


def test_everything_public_is_exported():
    assert sorted(kernels.__all__) == list(kernels.__all__)
    for source in SOURCES:
        if source.stem != "__init__":
            assert ast.get_docstring(ast.parse(source.read_text()))
    for name in kernels.__all__:
        value = getattr(kernels, name)
        assert name == "ACTIVATIONS" or (inspect.isfunction(value) and value.__doc__)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_sources_can_be_copied(source):
    """Python 3.7, only NumPy, `math` and one another; at the top only functions, imports and upper-case constants.

    But for the files that look at the machine, and the classes of the optimizers.
    """
    if source.stem in ("matmul", "team", "threads"):
        ast.parse(source.read_text(), feature_version=(3, 7))
        return
    tree = ast.parse(source.read_text(), feature_version=(3, 7))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert [(name.name, name.asname) for name in node.names] in ([("numpy", "np")], [("math", None)])
        if isinstance(node, ast.ImportFrom):
            assert node.module.startswith("kerasgen.kernels.")
    for node in tree.body if source.stem != "__init__" else ():
        if isinstance(node, ast.Assign):
            assert all(target.id.isupper() for target in node.targets)
            ast.literal_eval(node.value)
        else:
            assert (
                isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Expr)) or source.stem == "optimizers"
            )
        if isinstance(node, ast.FunctionDef):
            assert not node.decorator_list
            assert ast.get_docstring(node)


def test_sources_work_as_one_module():
    """The functions do not depend on being in several files, nor do their names collide."""
    module = types.ModuleType("copied")
    names = set()
    for source in SOURCES:
        tree = ast.parse(source.read_text())
        if source.stem != "__init__":
            tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
            made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert not made & names
            names |= made
            exec(compile(tree, source.name, "exec"), module.__dict__)
    x, w = random(2, 7, 7, 3), random(3, 3, 3, 4)
    want = kernels.conv2d(x, w, pad="same", activation=kernels.gelu)
    np.testing.assert_array_equal(module.conv2d(x, w, pad="same", activation=module.gelu), want)
    assert sys.modules.get("copied") is None
