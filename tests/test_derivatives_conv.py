"""Derivatives of dense layers, convolutions, pooling, borders and images, against central differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check

from kerasgen import kernels
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
