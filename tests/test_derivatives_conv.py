"""Derivatives of dense layers, convolutions, pooling, borders and images, against central differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check, gradients, one_node

from kerasgen import kernels
from kerasgen.kernels.backward.image import scale_and_translate_backward, ssim_backward
from kerasgen.kernels.backward.pool import global_max_pool_backward, max_pool_backward
from kerasgen.kernels.conv import transpose_crop

CONV = {1: kernels.conv1d, 2: kernels.conv2d, 3: kernels.conv3d}
GROUPED = {1: kernels.grouped_conv1d, 2: kernels.grouped_conv2d, 3: kernels.grouped_conv3d}
DEPTHWISE = {1: kernels.depthwise_conv1d, 2: kernels.depthwise_conv2d}
TRANSPOSED = {1: kernels.conv1d_transpose, 2: kernels.conv2d_transpose, 3: kernels.conv3d_transpose}


def cells(random: Any, *shape: int) -> np.ndarray:
    """Numbers of which no two are close to each other, so that no maximum changes hands."""
    count = int(np.prod(shape))
    return (random.permutation(count).reshape(shape) - count / 2 + random.uniform(0.1, 0.4, shape)) / (count / 4)


def window_row(random: Any, rank: int) -> tuple[list[int], tuple[int, ...], dict[str, Any]]:
    """Sizes of an image, a window and settings that fit them."""
    window = tuple(random.randint(1, 4, rank).tolist())
    strides = tuple(random.randint(1, 4, rank).tolist()) if random.rand() < 0.5 else (1,) * rank
    dilation = tuple(random.randint(1, 3, rank).tolist()) if random.rand() < 0.5 else (1,) * rank
    pads = tuple(tuple(pair) for pair in random.randint(0, 4, (rank, 2)).tolist())
    sizes = [(k - 1) * d + 1 + extra for k, d, extra in zip(window, dilation, random.randint(0, 3, rank), strict=True)]
    pad = [None, "same", pads][random.randint(3)]
    return sizes, window, {"strides": strides, "dilation": dilation, "pad": pad}


@pytest.mark.parametrize("seed", range(30))
def test_convolutions(seed: int) -> None:
    random = np.random.RandomState(seed)
    rank = 1 + seed % 3
    sizes, window, settings = window_row(random, rank)
    c, f = random.randint(1, 4, 2)
    bias = [cells(random, f)] if seed % 2 else []
    check(CONV[rank], cells(random, 2, *sizes, c), cells(random, *window, c, f), *bias, weights=1, **settings)


@pytest.mark.parametrize("seed", range(12))
def test_grouped_convolutions(seed: int) -> None:
    random = np.random.RandomState(seed)
    rank, groups = 1 + seed % 3, 2 + seed % 2
    sizes, window, settings = window_row(random, rank)
    x, kernel = cells(random, 2, *sizes, groups * (1 + seed % 2)), cells(random, *window, 1 + seed % 2, 2 * groups)
    check(GROUPED[rank], x, kernel, cells(random, 2 * groups), weights=1, groups=groups, **settings)


@pytest.mark.parametrize("seed", range(16))
def test_depthwise_convolutions(seed: int) -> None:
    random = np.random.RandomState(seed)
    rank, m = 1 + seed % 2, 1 + seed // 2 % 2
    sizes, window, settings = window_row(random, rank)
    c = random.randint(1, 4)
    check(
        DEPTHWISE[rank],
        cells(random, 2, *sizes, c),
        cells(random, *window, c, m),
        cells(random, c * m),
        weights=1,
        **settings,
    )


@pytest.mark.parametrize("seed", range(18))
def test_transposed_convolutions(seed: int) -> None:
    random = np.random.RandomState(seed)
    rank = 1 + seed % 3
    sizes, window, settings = window_row(random, rank)
    sizes, strides, dilation = [min(size, 4) for size in sizes], settings["strides"], settings["dilation"]
    extra = tuple(random.randint(s) for s in strides) if seed % 4 else None
    crop = transpose_crop(window, strides, dilation, ["same", "valid"][seed % 2], extra)
    x, kernel = cells(random, 2, *sizes, 2), cells(random, *window, 3, 2)
    check(TRANSPOSED[rank], x, kernel, cells(random, 3), weights=1, strides=strides, dilation=dilation, crop=crop)


def test_plain_transposed_convolution() -> None:
    random = np.random.RandomState(0)
    check(kernels.conv2d_transpose, cells(random, 2, 3, 3, 2), cells(random, 2, 2, 3, 2), weights=1, strides=(2, 1))


@pytest.mark.parametrize("axes", [(), (3,), (2, 3)])
def test_dense(axes: tuple[int, ...]) -> None:
    random = np.random.RandomState(0)
    check(kernels.dense, cells(random, 2, *axes, 4), cells(random, 4, 3), cells(random, 3), weights=1)
    check(kernels.dense, cells(random, 2, *axes, 4), cells(random, 4, 3), weights=1)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("rank", [1, 2])
def test_locally_connected(rank: int, channels_first: bool) -> None:
    random = np.random.RandomState(0)
    size, strides = (2, 3)[:rank], (2, 1)[:rank]
    places, depth = (2, 3)[:rank], int(np.prod(size)) * 2
    kernel, bias = cells(random, int(np.prod(places)), depth, 3), cells(random, *places, 3)
    settings: dict[str, Any] = {"size": size, "strides": strides, "channels_first": channels_first}
    check(kernels.locally_connected, cells(random, 2, *(5, 5)[:rank], 2), kernel, bias, weights=1, **settings)
    check(kernels.locally_connected, cells(random, 2, *(5, 5)[:rank], 2), kernel, None, weights=1, **settings)


@pytest.mark.parametrize("kernel", [kernels.max_pool, kernels.average_pool])
@pytest.mark.parametrize("seed", range(12))
def test_pools(kernel: Any, seed: int) -> None:
    random = np.random.RandomState(seed)
    rank = 1 + seed % 3
    size, strides = (tuple(random.randint(1, 4, rank).tolist()) for _ in range(2))
    sizes = [max(k, 2) + extra for k, extra in zip(size, random.randint(0, 4 - rank, rank), strict=True)]
    pads = tuple(tuple(random.randint(0, k, 2).tolist()) for k in size)
    check(kernel, cells(random, 2, *sizes, 2), size=size, strides=strides, pad=[None, "same", pads][random.randint(3)])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_other_pools(rank: int) -> None:
    random = np.random.RandomState(rank)
    x = cells(random, 2, *(5, 4, 2)[:rank], 2)
    for keepdims in (False, True):
        check(kernels.global_max_pool, x, keepdims=keepdims)
        check(kernels.global_average_pool, x, keepdims=keepdims)
    check(kernels.adaptive_max_pool, x, size=(3, 3, 1)[:rank])
    check(kernels.adaptive_average_pool, x, size=(3, 3, 1)[:rank])


def test_ties() -> None:
    """The first of several maxima gets all that there is for a window, each the same of what there is for an image."""
    x = np.zeros((1, 4, 4, 1))
    d = np.arange(1.0, 5).reshape(1, 2, 2, 1)
    y = max_pool_backward(d, x, kernels.max_pool(x, size=(2, 2), strides=(2, 2)), size=(2, 2), strides=(2, 2))
    np.testing.assert_array_equal(y[0, ..., 0], [[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4])
    y = global_max_pool_backward(np.ones((1, 1)), x, np.zeros((1, 1)))
    np.testing.assert_array_equal(y, np.full((1, 4, 4, 1), 1 / 16))


X = cells(np.random.RandomState(1), 2, 5, 4, 3)
WINDOWS: dict[str, Any] = {"size": (3, 2), "strides": (2, 1), "dilation": (1, 2)}
PADS = ((1, 0), (2, 1))
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "gaussian", "mitchellcubic", "lanczos3", "lanczos5")
SMOOTH = INTERPOLATIONS[1:]
COLUMNS = cells(np.random.RandomState(0), 2, 18, 15)
IMAGES: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (kernels.pad, (X,), {"pads": PADS}),
    (kernels.pad, (X,), {"pads": ((0, 0), (0, 0)), "value": 2.0}),
    (kernels.pad, (X[:, :, 0],), {"pads": ((1, 3),), "value": (1.0, 2.0, 3.0)}),
    (kernels.crop, (X,), {"crops": ((1, 2), (0, 1))}),
    (kernels.upsample_nearest, (X,), {"size": (2, 3)}),
    (kernels.upsample_nearest, (X[:, :, 0],), {"size": (3,)}),
    *((kernels.resize, (X,), {"size": (3, 7), "interpolation": name}) for name in INTERPOLATIONS),
    *(
        (kernels.resize, (X,), {"size": (3, 2), "interpolation": name, "antialias": True})
        for name in INTERPOLATIONS[1:]
    ),
    *(
        (kernels.resize_corners, (X,), {"size": (3, 7), "interpolation": name, "align_corners": align})
        for name in ("nearest", "bilinear")
        for align in (False, True)
    ),
    (kernels.upsample, (X,), {"size": (2, 3), "interpolation": "bilinear"}),
    (kernels.upsample, (X,), {"size": (2, 1), "interpolation": "bicubic"}),
    (kernels.upsample, (X,), {"size": (2, 3), "interpolation": "bilinear", "half_pixel_centers": False}),
    (kernels.crop_to_aspect_ratio, (X,), {"size": (2, 4)}),
    (kernels.crop_to_aspect_ratio, (X,), {"size": (4, 2)}),
    (kernels.pad_to_aspect_ratio, (X,), {"size": (2, 4), "value": 1.0}),
    (kernels.center_crop, (X,), {"size": (2, 3)}),
    (kernels.center_crop, (X,), {"size": (6, 3)}),
    (kernels.rgb_to_grayscale, (X,), {}),
    (kernels.rgb_to_hsv, (np.abs(X) + 0.1,), {}),
    (kernels.auto_contrast, (X,), {"value_range": (0, 3)}),
    (kernels.sobel_edges, (X,), {}),
    (kernels.sobel_edges, (X[:, :2, :3],), {}),
    (kernels.extract_patches, (X,), {**WINDOWS, "pad": PADS}),
    (kernels.extract_patches, (X,), {**WINDOWS, "pad": "same"}),
    (kernels.extract_patches, (X,), {"size": (2, 2), "strides": (3, 2)}),
    (kernels.unfold, (X,), {**WINDOWS, "dilation": (1, 1), "pads": PADS}),
    (
        kernels.fold,
        (COLUMNS,),
        {**WINDOWS, "sizes": (6, 6), "pads": ((0, 1), (1, 0))},
    ),
    (kernels.depth_to_space, (cells(np.random.RandomState(0), 2, 2, 3, 8),), {"block_size": 2}),
    (kernels.space_to_depth, (cells(np.random.RandomState(0), 2, 4, 6, 2),), {"block_size": 2}),
]


@pytest.mark.parametrize(("kernel", "operands", "settings"), IMAGES, ids=lambda part: getattr(part, "__name__", ""))
def test_images(kernel: Any, operands: tuple[Any, ...], settings: dict[str, Any]) -> None:
    check(kernel, *operands, **settings)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_map_coordinates(fill_mode: str, order: int) -> None:
    random = np.random.RandomState(0)
    places = random.randint(-2, 4, (2, 7)) + random.choice([0.2, 0.3, 0.7, 0.8], (2, 7))
    x = cells(random, 9, 9)
    check(kernels.map_coordinates, x, places, weights=0, order=order, fill_mode=fill_mode, fill_value=0.5)


@pytest.mark.parametrize("axes", [(1, 2), (0, 1)])
@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos3"])
def test_scale_and_translate(method: str, axes: tuple[int, int]) -> None:
    scale, shift = np.array([1.5, 0.6], "float32"), np.array([-0.7, 0.4], "float32")
    graph = {"sizes": (3, 4), "axes": axes, "method": method}
    y = kernels.scale_and_translate(X, scale, shift, **graph)
    d = np.random.RandomState(0).uniform(size=y.shape)
    back = scale_and_translate_backward(d, scale, shift, X, **graph)
    np.testing.assert_allclose(np.sum(y * d), np.sum(back * X))
    if 0 not in axes:
        sized = scale_and_translate_backward(d, scale, shift, shape=X.shape[1:], **graph)
        np.testing.assert_array_equal(sized, back)


def test_ssim() -> None:
    random = np.random.RandomState(0)
    a, b, change = random.uniform(size=(3, 2, 5, 4, 2))
    window, d, settings = random.uniform(size=(2, 3)), np.array([1.0, 2.0]), {"max_val": 2.0, "k1": 0.1, "k2": 0.2}
    above, below = (kernels.ssim(a + step * change, b, window, **settings) for step in (1e-5, -1e-5))
    expected = np.sum(d * (above - below)) / 2e-5
    np.testing.assert_allclose(np.sum(change * ssim_backward(d, a, b, window, **settings)), expected, rtol=1e-6)


WIDE = cells(np.random.RandomState(2), 2, 6, 6, 4)
STRIDED: dict[str, Any] = {"strides": (2, 1), "pad": "same"}
POOL: dict[str, Any] = {"size": (2, 3), "strides": (2, 3)}
WEIGHTED: list[tuple[Any, tuple[int, ...], dict[str, Any]]] = [
    (kernels.dense, (4, 2), {}),
    (kernels.conv2d, (3, 2, 4, 2), {}),
    (kernels.conv2d, (3, 2, 4, 2), STRIDED),
    (kernels.conv2d, (1, 1, 4, 2), {}),
    (kernels.conv2d, (2, 1, 4, 9), {}),
    (kernels.conv2d_transpose, (3, 2, 2, 4), {"strides": (2, 1)}),
    (kernels.grouped_conv2d, (3, 2, 2, 6), {"groups": 2}),
    (kernels.depthwise_conv2d, (3, 2, 4, 2), {}),
    (kernels.depthwise_conv2d, (3, 2, 4, 1), STRIDED),
    (kernels.locally_connected, (12, 24, 2), {"size": (2, 3), "strides": (2, 1)}),
]
UNWEIGHTED: list[tuple[Any, dict[str, Any]]] = [
    *((kernel, {**POOL, "pad": pad}) for kernel in (kernels.max_pool, kernels.average_pool) for pad in (None, "same")),
    *((kernel, {}) for kernel in (kernels.global_max_pool, kernels.global_average_pool)),
    *((kernel, {"size": (4, 2)}) for kernel in (kernels.adaptive_max_pool, kernels.adaptive_average_pool)),
]
CALLS = [
    *((kernel, (WIDE, cells(np.random.RandomState(0), *shape)), settings) for kernel, shape, settings in WEIGHTED),
    *((kernel, (WIDE,), settings) for kernel, settings in UNWEIGHTED),
    *IMAGES,
]


@pytest.mark.parametrize(("kernel", "operands", "settings"), CALLS, ids=lambda part: getattr(part, "__name__", ""))
def test_single_precision_and_no_samples(kernel: Any, operands: tuple[Any, ...], settings: dict[str, Any]) -> None:
    """Gradients in single precision are those in double precision, and those of no samples are zeros."""
    operands = (*operands, None) if kernel is kernels.locally_connected else operands
    arrays = [array for array in operands if array is not None]
    found = []
    for dtype, count in (("float64", 2), ("float32", 2), ("float32", 0)):
        values = [None if array is None else array.astype(dtype) for array in operands]
        graph = one_node(kernel, values, settings, 1)
        x = values[0][:count]
        d = np.random.RandomState(0).uniform(size=graph.run(x)[0].shape).astype(dtype)
        found.append(gradients(graph, [x], [d]))
    for i, array in enumerate(arrays):
        double, single, none = (results[f"x{i}"] for results in found)
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)
        assert single.dtype == none.dtype == np.float32
        np.testing.assert_array_equal(none, np.zeros(array.shape if i else (0, *array.shape[1:])))
