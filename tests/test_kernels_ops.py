"""The kernels of operations: what they promise beside being right, which the parity cases show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from kerasgen import kernels as k

CORNERS = np.array([[[0, 0], [9, 0], [0, 8], [9, 8]]], "float32")


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).uniform(0.1, 1, shape)


def whole(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 3, shape)


def regular(*shape: int) -> np.ndarray:
    return random(*shape) + 4 * np.eye(shape[-1])


IMAGE = random(2, 6, 5, 3)
TABLE: list[tuple[Any, list[np.ndarray], dict[str, Any]]] = [  # kernel, arrays with the batch first, settings
    (k.adaptive_average_pool, [IMAGE], {"size": (4, 2)}),
    (k.adaptive_max_pool, [IMAGE], {"size": (4, 7)}),
    (k.auto_contrast, [IMAGE], {"value_range": (0, 2)}),
    (k.binary_crossentropy, [random(2, 3), random(2, 3)], {}),
    (k.both_sides, [random(2, 4, 3, 5)], {}),
    (k.categorical_crossentropy, [random(2, 3), random(2, 3)], {}),
    (k.cdist, [random(2, 4, 3), random(2, 5, 3)], {}),
    (k.celu, [random(2, 3) - 0.5], {"alpha": 0.7}),
    (k.center_crop, [IMAGE], {"size": (3, 2)}),
    (k.center_crop, [IMAGE], {"size": (7, 2)}),
    (k.cholesky_inverse, [regular(2, 3, 3)], {}),
    (k.ctc_loss, [whole(2, 3), random(2, 7, 4), whole(2), whole(2) + 5], {"mask_index": -1}),
    (k.decibels, [random(2, 3, 4)], {}),
    (k.equalize_adaptively, [IMAGE], {"value_range": (0, 1), "tile_grid_size": (2, 4)}),
    (k.erf, [random(2, 3)], {}),
    (k.erfc, [random(2, 3)], {}),
    (k.erfinv, [random(2, 3) * 0.9], {}),
    (k.extract_patches, [IMAGE], {"size": (2, 2), "strides": (2, 1)}),
    (k.fake_quant, [random(2, 3), random(3) - 1, random(3)], {"axis": -1}),
    (k.fft, [random(2, 8), random(2, 8)], {}),
    (k.fft2, [random(2, 4, 8), random(2, 4, 8)], {}),
    (
        k.fold,
        [random(2, 12, 20)],
        {"sizes": (5, 6), "size": (2, 2), "strides": (1, 1), "dilation": (1, 1), "pads": ((0, 0), (0, 0))},
    ),
    (k.frames, [random(2, 9)], {"length": 3, "stride": 2}),
    (k.glu, [random(2, 4, 3)], {"axis": 1}),
    (k.hard_shrink, [random(2, 3)], {"threshold": 0.7}),
    (k.homography, [CORNERS.repeat(2, 0), CORNERS.repeat(2, 0)], {}),
    (k.hsv_to_rgb, [IMAGE], {}),
    (k.ifft2, [random(2, 4, 8), random(2, 4, 8)], {}),
    (k.irfft, [random(2, 5), random(2, 5)], {}),
    (k.istft, [random(2, 6, 5), random(2, 6, 5)], {"fft_length": 8, "stride": 3}),
    (k.logdet, [regular(2, 3, 3)], {}),
    (k.logsumexp, [random(2, 3)], {"axis": -1}),
    (k.lu_factor, [regular(2, 3, 3)], {}),
    (k.mel_spectrum, [random(2, 6, 5), random(2, 6, 5), random(5, 3)], {"exponent": 1.5}),
    (k.pinv, [random(2, 3, 4)], {}),
    (k.power, [random(2, 3), random(2, 3)], {}),
    (k.projective_transform, [IMAGE, random(2, 8)], {}),
    (k.qr, [random(2, 4, 3)], {}),
    (k.rfft, [random(2, 9)], {}),
    (k.rgb_to_grayscale, [IMAGE], {}),
    (k.rgb_to_hsv, [IMAGE], {}),
    (k.scale_and_translate, [IMAGE, random(2), random(2)], {"sizes": (4, 7), "axes": (1, 2), "method": "cubic"}),
    (k.sobel_edges, [IMAGE], {}),
    (k.solve, [regular(2, 3, 3), random(2, 3)], {}),
    (k.solve_triangular, [regular(2, 3, 3), random(2, 3, 4)], {}),
    (k.sparse_categorical_crossentropy, [whole(2), random(2, 3)], {}),
    (k.soft_shrink, [random(2, 3)], {"threshold": 0.3}),
    (k.sparsemax, [random(2, 3, 4)], {"axis": 1}),
    (k.spectrum, [random(2, 30, 3), random(8, 1, 5)], {"stride": 3, "pad": "same"}),
    (k.squareplus, [random(2, 3)], {"b": 0.5}),
    (k.ssim, [IMAGE, IMAGE * 0.9, random(3, 3)], {}),
    (k.stft, [random(2, 30), random(8)], {"fft_length": 8, "stride": 3}),
    (k.threshold, [random(2, 3)], {"threshold": 0.5, "default_value": -1.0}),
    (k.top_k, [random(2, 6)], {"k": 2}),
    (
        k.unfold,
        [random(2, 3, 5, 6)],
        {"size": (2, 2), "strides": (1, 1), "dilation": (1, 1), "pads": ((0, 0), (0, 0))},
    ),
]
SHARED = {(k.ssim, 2), (k.stft, 1), (k.fake_quant, 1), (k.fake_quant, 2), (k.scale_and_translate, 1)}
SHARED |= {(k.scale_and_translate, 2), (k.mel_spectrum, 2), (k.spectrum, 1)}  # arguments that have no batch


@pytest.mark.parametrize(("kernel", "arrays", "settings"), TABLE, ids=lambda item: getattr(item, "__name__", ""))
def test_promises(kernel: Any, arrays: list[np.ndarray], settings: dict[str, Any]) -> None:
    """Floats keep their width; no argument is written to; N may be 0; float64 is more exact than float32."""
    answers = []
    for dtype in ("float32", "float64"):
        inputs = [a.astype(dtype) if a.dtype.kind == "f" else a.copy() for a in arrays]
        for a in inputs:
            a.flags.writeable = False
        made = kernel(*inputs, **settings)
        made = made if isinstance(made, (list, tuple)) else [made]
        assert all(y.dtype == dtype for y in made if y.dtype.kind == "f")
        empty = [a if (kernel, i) in SHARED else a[:0] for i, a in enumerate(inputs)]
        nothing = kernel(*empty, **settings)
        nothing = nothing if isinstance(nothing, (list, tuple)) else [nothing]
        assert [(y.shape, y.dtype) for y in nothing] == [((0, *y.shape[1:]), y.dtype) for y in made]
        answers.append(made)
    for single, double in zip(*answers, strict=True):
        assert np.abs(single - double).max() <= 1e-4 * np.abs(double).max()


def test_special_functions() -> None:
    x = np.linspace(-6, 26, 400)
    np.testing.assert_allclose(k.erfc(x), [math.erfc(value) for value in x], rtol=1e-14)
    y = np.concatenate((np.linspace(-5, 5, 101), [0.0, 1e-9]))
    np.testing.assert_allclose(k.erfinv(np.vectorize(math.erf)(y)), y, atol=1e-4)
    y = np.linspace(-2, 2, 101)
    np.testing.assert_allclose(k.erfinv(np.vectorize(math.erf)(y)), y, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(k.erfinv(np.array([-1.0, 0.0, 1.0, 1.5])), [-np.inf, 0.0, np.inf, np.nan])


def test_large_numbers() -> None:
    """Nothing overflows on the way to an answer that fits."""
    x = np.array([[1000.0, -1000.0, 999.0]], "float32")
    assert k.logsumexp(x, axis=1)[0] == pytest.approx(1000.3133, rel=1e-6)
    assert k.logsumexp(-np.inf * np.ones((1, 2)), axis=1)[0] == -np.inf
    assert k.binary_crossentropy(np.zeros_like(x), x, from_logits=True)[0, 0] == 1000
    assert k.in_top_k(np.array([2]), np.array([[np.inf, 0.0, 1.0]]), k=2).tolist() == [False]


@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_factors(mode: str) -> None:
    """The factors of a matrix give it again."""
    x = random(2, 4, 3)
    q, r = k.qr(x, mode=mode)
    np.testing.assert_allclose(q @ r, x, atol=1e-12)
    square = random(2, 4, 4)
    lu, rows = k.lu_factor(square)
    product = (np.tril(lu, -1) + np.eye(4)) @ np.triu(lu)
    np.testing.assert_allclose(np.take_along_axis(product, rows[..., np.newaxis], axis=1), square, atol=1e-12)


def test_beam_of_one_class() -> None:
    """Where nothing but blanks is likely, the best sequence is the empty one."""
    logits = np.full((1, 4, 3), -20.0, "float32")
    logits[..., 2] = 20
    labels, scores = k.ctc_beam(k.log_softmax(logits), np.array([4]), top_paths=2)
    assert labels.shape == (2, 1, 4)
    assert scores.shape == (1, 2)
    assert labels[0].tolist() == [[-1] * 4]
    assert scores[0, 0] == pytest.approx(0, abs=1e-5)
