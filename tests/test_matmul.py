"""On a NumPy without a BLAS: matrix products by `einsum` alone, relu by bits; and how that is found out."""

import itertools

import numpy as np
import pytest
from support import pretend_blas

from kerasgen import kernels
from kerasgen.kernels import matmul

SHAPES = [  # of x and y: more columns than depth, or the reverse; few rows; stacks of matrices; nothing at all
    ((40, 5), (5, 9)),
    ((40, 9), (9, 5)),
    ((40, 7), (7, 7)),
    ((2, 50), (50, 3)),
    ((3, 20, 8), (3, 8, 4)),
    ((6, 5), (2, 4, 5, 30)),
    ((2, 3, 20, 9), (9, 4)),
    ((0, 6), (6, 4)),
    ((20, 6), (6, 0)),
]


def random(*shape, seed=0, dtype=np.float32):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(dtype)


@pytest.fixture
def no_blas(monkeypatch):
    """A NumPy without a BLAS; the plain loop of its `matmul` must not be used."""
    pretend_blas(monkeypatch, False)
    monkeypatch.setattr(np, "matmul", None)


@pytest.mark.usefixtures("no_blas")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("x", "y"), SHAPES, ids=str)
def test_matmul(x, y, dtype):
    """In any memory order, and into memory that is there already."""
    x, y = random(*x, dtype=dtype), random(*y, seed=1, dtype=dtype)
    want = x.astype(np.float64) @ y.astype(np.float64)
    for order_x, order_y in itertools.product("CF", repeat=2):
        left, right = np.asarray(x, order=order_x), np.asarray(y, order=order_y)
        got, place = matmul.matmul(left, right), np.full(want.shape, np.nan, dtype)
        assert matmul.matmul(left, right, out=place) is place
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, atol=1e-5)
        np.testing.assert_array_equal(place, got)


ONES = (1, 1)
RNN = {"activation": kernels.tanh}
GATES = {**RNN, "recurrent_activation": kernels.sigmoid}
CALLS = {
    "dense": lambda: kernels.dense(random(20, 30), random(30, 8)),
    "dense over cells": lambda: kernels.dense(random(2, 9, 30), random(30, 8)),
    "conv1d": lambda: kernels.conv1d(random(2, 20, 6), random(3, 6, 5), pad="same"),
    "conv2d": lambda: kernels.conv2d(random(2, 8, 9, 6), random(3, 3, 6, 5)),
    "conv3d": lambda: kernels.conv3d(random(2, 5, 6, 7, 3), random(2, 3, 2, 3, 5)),
    "conv_by_taps": lambda: kernels.conv_by_taps(random(2, 8, 9, 1), random(3, 3, 1, 5), strides=ONES, dilation=ONES),
    "half_unfolded_conv": lambda: kernels.half_unfolded_conv(random(2, 8, 9, 6), random(3, 3, 6, 5), dilation=ONES),
    "kn2row_conv": lambda: kernels.kn2row_conv(random(2, 8, 9, 20), random(3, 3, 20, 5), dilation=ONES),
    "grouped_conv2d": lambda: kernels.grouped_conv2d(random(2, 8, 9, 6), random(3, 3, 3, 4), groups=2),
    "conv2d_transpose": lambda: kernels.conv2d_transpose(random(2, 5, 6, 7), random(3, 3, 4, 7), strides=(2, 2)),
    "simple_rnn": lambda: kernels.simple_rnn(random(20, 4, 6), random(6, 5), random(5, 5), **RNN),
    "lstm": lambda: kernels.lstm(random(20, 4, 30), random(30, 20), random(5, 20), **GATES),
    "gru": lambda: kernels.gru(random(2, 4, 6), random(6, 15), random(5, 15), reset_after=False, **GATES),
    "conv_lstm": lambda: kernels.conv_lstm(random(2, 3, 5, 5, 16), random(3, 3, 4, 16), **GATES),
    "dot_scores": lambda: kernels.dot_scores(random(2, 20, 6), random(2, 9, 6)),
    "head_scores": lambda: kernels.head_scores(random(2, 20, 3, 6), random(2, 9, 3, 6)),
    "attend": lambda: kernels.attend(random(2, 3, 20, 9), random(2, 9, 3, 6)),
    "project": lambda: kernels.project(random(2, 20, 3, 6), random(3, 6, 5), axes=2),
    "batch_dot": lambda: kernels.batch_dot(random(2, 20, 6), random(2, 9, 6), axes=(2, 2)),
    "layer_norm": lambda: kernels.layer_norm(random(2, 20, 6)),
    "resize": lambda: kernels.resize(random(2, 20, 9, 3), size=(30, 4)),
    "locally_connected": lambda: kernels.locally_connected(
        random(2, 5, 5, 2), random(9, 18, 4), None, size=(3, 3), strides=ONES
    ),
    "spectrum": lambda: kernels.spectrum(random(2, 40, 2), random(8, 1, 5), stride=3),
    "mel_spectrum": lambda: kernels.mel_spectrum(random(2, 20, 9), random(2, 20, 9, seed=1), random(9, 4)),
}


@pytest.mark.parametrize("name", CALLS)
def test_kernels_answer_the_same(name, request):
    """Other files compare each kernel with Keras where there is a BLAS."""
    want = CALLS[name]()
    request.getfixturevalue("no_blas")
    got = CALLS[name]()
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


EDGES = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 6.0, 6.5, -6.0, 1e-30, -1e-30, 3.25]


@pytest.mark.usefixtures("no_blas")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("skipped", [0, 2, 4], ids=["NaN", "infinities of both signs", "finite numbers"])
@pytest.mark.parametrize(("kernel", "high"), [(kernels.relu, np.inf), (kernels.relu6, 6)])
def test_relu(kernel, high, skipped, dtype):
    numbers = np.array([0, -3, 7, 6] if dtype == "int32" else EDGES[skipped:]).astype(dtype)
    x = np.stack([numbers, numbers[::-1]])
    want = np.minimum(np.maximum(x, 0), high).astype(dtype)
    for each, right in ((x, want), (x.T, want.T), (x[:, ::2], want[:, ::2]), (x[:0], want[:0])):
        got, out = kernel(each), np.array(each)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, right)
        assert kernel(out, out=out) is out
        np.testing.assert_array_equal(out, right)


def config(**blas):
    """NumPy's configuration, as it says what it was built with."""
    return {"Build Dependencies": {"blas": blas}}


@pytest.mark.parametrize(
    ("configuration", "faster", "found"),
    [
        (config(name="scipy-openblas", found=True), np.matmul, True),
        (config(name="blas", found=True), np.einsum, False),  # the reference BLAS is slower than einsum
        (config(name="auto"), np.matmul, False),
        (None, np.matmul, True),  # before NumPy 1.26
        (None, np.einsum, False),
    ],
)
def test_has_blas(configuration, faster, found, monkeypatch):
    monkeypatch.delattr(np.__config__, "CONFIG", raising=False)
    if configuration is not None:
        monkeypatch.setattr(np.__config__, "CONFIG", configuration, raising=False)
    monkeypatch.setattr(matmul, "best_time", lambda function, *arrays: 1.0 if function is faster else 2.0)
    assert matmul.has_blas() is found


def test_fastest_of_three():
    calls = []
    assert 0 <= matmul.best_time(lambda *arrays: calls.append(arrays), 1, 2) < 1
    assert calls == [(1, 2)] * 3
