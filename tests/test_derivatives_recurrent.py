"""Derivatives of products, attention, recurrent layers, linear algebra and signals, against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivatives import check, gradients

from kerasgen import kernels
from kerasgen.graph.infer import infer
from kerasgen.graph.ir import Graph, Node, Value

Array = np.ndarray


def x(*shape: int, seed: int = 0, low: float = -1.5, high: float = 1.5) -> Array:
    return np.random.RandomState(seed + 7 * len(shape)).uniform(low, high, shape)


def on(*shape: int, seed: int = 0) -> Array:
    """A mask that is on in two thirds of the cells."""
    return np.random.RandomState(seed).uniform(size=shape) > 1 / 3


Row = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

PRODUCTS: list[Row] = [
    (np.matmul, (x(2, 3), x(3, 4)), {"weights": 1}),
    (np.matmul, (x(2, 3, 4), x(4, 5)), {"weights": 1}),
    (np.matmul, (x(2, 3, 4), x(2, 4, 5)), {}),
    (np.matmul, (x(2, 1, 3, 4), x(2, 5, 4, 2)), {}),
    (np.matmul, (x(2, 5, 3, 4), x(5, 4, 2)), {"weights": 1}),
    (np.matmul, (x(2, 5, 3, 4), x(1, 4, 2)), {"weights": 1}),
    (np.matmul, (x(2, 3, 4), x(2, 4, 1)), {}),
    (np.matmul, (x(2, 3, 4), x(4)), {"weights": 1}),
    (np.matmul, (x(4), x(4)), {"weights": 0}),
    (np.matmul, (x(4), x(4, 3)), {"weights": 0}),
    (np.matmul, (x(4), x(2, 4, 3)), {"weights": 0}),
    (np.matmul, (x(4), x(2, 3, 4, 2)), {"weights": 0}),
    (np.matmul, (x(2, 4), x(3, 4, 2)), {"weights": 0}),
    (np.dot, (x(2, 3), x(3, 4)), {"weights": 1}),
    (np.dot, (x(2, 5, 3), x(4, 3, 2)), {"weights": 1}),
    (np.dot, (x(2, 5, 3), x(3)), {"weights": 1}),
    (np.dot, (x(3), x(4, 3, 2)), {"weights": 0}),
    (np.dot, (x(3), x(3)), {"weights": 0}),
    (np.dot, (x(2, 3), x()), {"weights": 1}),
    (np.inner, (x(2, 3), x(4, 3)), {"weights": 1}),
    (np.inner, (x(2, 5, 3), x(4, 2, 3)), {"weights": 1}),
    (np.inner, (x(3), x(3, seed=1)), {"weights": 0}),
    (np.outer, (x(2, 3), x(4)), {"weights": 1}),
    (np.outer, (x(4), x(2, 3)), {"weights": 0}),
    (np.kron, (x(2, 3), x(4, 2)), {"weights": 1}),
    (np.kron, (x(4, 2), x(2, 3)), {"weights": 0}),
    (np.kron, (x(2, 2, 3), x(2, 4)), {"weights": 1}),
    (np.kron, (x(4), x(2, 3, 2)), {"weights": 0}),
    (np.vdot, (x(3), x(3, seed=1)), {"weights": 0}),
    (np.vdot, (x(2, 3), x(2, 3, seed=1)), {}),
    (np.tensordot, (x(2, 3, 4), x(3, 4, 5)), {"axes": 2, "weights": 1}),
    (np.tensordot, (x(2, 3, 4), x(5, 6)), {"axes": 0, "weights": 1}),
    (np.tensordot, (x(2, 3, 4), x(5, 4, 3)), {"axes": ((1, 2), (2, 1)), "weights": 1}),
    (np.tensordot, (x(2, 3, 4), x(5, 4, 3)), {"axes": ((2, 1), (1, 2)), "weights": 1}),
    (np.tensordot, (x(2, 3, 4, 2), x(4, 5, 2, 3)), {"axes": ((3, 1, -2), (2, 3, 0)), "weights": 1}),
    (np.tensordot, (x(2, 3), x(4, 3)), {"axes": (1, 1), "weights": 1}),
    (kernels.einsum, (x(2, 3, 4), x(4, 5)), {"subscripts": "abc,cd->abd", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4), x(4, 2, 5)), {"subscripts": "abc,cde->abde", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4), x(3, 5)), {"subscripts": "abc,bd->adc", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4, 5), x(2, 6, 4, 5)), {"subscripts": "aecd,abcd->acbe"}),
    (kernels.einsum, (x(2, 3, 4, 5), x(5, 6)), {"subscripts": "...x,xy->...y", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4, 5), x(3, 6)), {"subscripts": "ab...,bc->ac...", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4), x(3, 4, 5)), {"subscripts": "abc,bcd->abd", "weights": 1}),
    (kernels.einsum, (x(2, 1, 4), x(3, 4, 5)), {"subscripts": "...a,...ab->...b", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4), x(4, 5)), {"subscripts": "...a,...ab->...b", "weights": 1}),
    (kernels.einsum, (x(2, 3, 4), x(2, 5)), {"subscripts": "abc,ad->ad"}),
    (kernels.einsum, (x(2, 3, 3), x(3, 5)), {"subscripts": "abb,bd->ad", "weights": 1}),
    (kernels.einsum, (x(2, 3, 3, 4),), {"subscripts": "abbc->ba"}),
    (kernels.einsum, (x(2, 3, 4),), {"subscripts": "abc->cab"}),
    (kernels.einsum, (x(2, 3, 4),), {"subscripts": "abc->b"}),
    (kernels.einsum, (x(2, 3), x(3, 4), x(4, 2)), {"subscripts": "ab,bc,cd->ad", "weights": 1}),
    (kernels.einsum, (x(2, 3), x(2, 3, seed=1), x(2, 4)), {"subscripts": "ab,ab,ac->c"}),
    (kernels.einsum, (x(2, 3), x(3, 4)), {"subscripts": "ab,bc", "weights": 1}),
    (kernels.einsum, (x(2, 3), x(2, 4)), {"subscripts": "ab,cd->ac", "weights": 1}),
    (kernels.batch_dot, (x(2, 3), x(2, 3, seed=1)), {"axes": (1, 1)}),
    (kernels.batch_dot, (x(2, 4, 3), x(2, 5, 3)), {"axes": (2, 2)}),
    (kernels.batch_dot, (x(2, 3, 4), x(2, 3)), {"axes": (1, 1)}),
    (kernels.batch_dot, (x(2, 3, 4, 5), x(2, 4, 3)), {"axes": (2, -2)}),
]

ATTENTION: list[Row] = [
    (kernels.dot_scores, (x(2, 3, 4), x(2, 5, 4)), {}),
    (kernels.additive_scores, (x(2, 3, 4), x(2, 5, 4)), {}),
    (kernels.additive_scores, (x(2, 3, 4), x(2, 5, 4), x(4)), {"weights": 2}),
    (kernels.additive_scores, (x(2, 3, 4), x(2, 5, 4), x(), x(seed=1)), {"weights": 2}),
    (kernels.additive_scores, (x(2, 3, 4), x(2, 5, 4), None, x(4)), {"weights": 2}),
    (kernels.additive_scores, (x(2, 3, 4), x(2, 5, 4), x(4), x(4, seed=1)), {"weights": 2}),
    (kernels.head_scores, (x(2, 3, 4, 5), x(2, 6, 4, 5)), {}),
    (kernels.head_scores, (x(2, 3, 4, 5), x(2, 6, 4, 5)), {"scale": 0.5}),
    (kernels.attend, (x(2, 4, 3, 6), x(2, 6, 4, 5)), {}),
    (kernels.mask_scores, (x(2, 3, 4), on(2, 1, 4)), {"within": 1e-1}),  # a billion has few digits left
    (kernels.masked_softmax, (x(2, 3, 4), on(2, 3, 4)), {}),
    (kernels.masked_softmax, (x(2, 3, 4), on(2, 1, 4)), {"zeroed": True}),
    (kernels.masked_softmax, (x(2, 3, 4), on(2, 3, 1)), {"axis": 1}),
    (kernels.masked_softmax, (x(2, 3, 4), on(2, 3, 1)), {"zeroed": True}),
    (kernels.project, (x(2, 3, 4), x(4, 2, 5), x(2, 5)), {"weights": 1}),
    (kernels.project, (x(2, 3, 4, 5), x(4, 5, 2), x(2)), {"weights": 1, "axes": 2}),
    (kernels.project, (x(2, 3, 4), x(4, 5)), {"weights": 1}),
    (kernels.project, (x(2, 3, 4), x(4, 2, 5), x(1, 5)), {"weights": 1}),
    (np.where, (on(2, 3), x(2, 3), x(2, 3, seed=1)), {}),
    (np.where, (on(2, 3), x(2, 1), x(3)), {"weights": 2}),
    (np.where, (on(2, 1, 4), x(2, 3, 4), 0.0), {}),
    (np.where, (on(2, 1, 4), 1.0, x(2, 3, 1)), {}),
    (kernels.merge_steps, (x(2, 3, 4),), {}),
    (kernels.split_steps, (x(6, 4), x(2, 3, 5)), {}),
    (kernels.masked, (x(2, 3, 4), on(2, 3)), {"value": -1}),
    (kernels.masked, (x(2, 3, 4), on(2, 3, 4)), {}),
    (kernels.masked_average, (x(2, 3, 4), on(2, 3)), {}),
    (kernels.masked_average, (x(2, 3, 4), on(2, 3)), {"keepdims": True}),
]


def positive(*shape: int) -> Array:
    """Matrices far from singular, which are not symmetric."""
    return x(*shape) + 4 * np.eye(shape[-1])


def pairs(*shape: int) -> tuple[Array, Array]:
    return x(*shape), x(*shape, seed=1)


LINALG: list[Row] = [
    (np.linalg.inv, (positive(2, 3, 3),), {}),
    (np.linalg.det, (positive(2, 3, 3),), {}),
    (kernels.slogdet, (positive(2, 3, 3),), {}),
    (kernels.cholesky_inverse, (positive(2, 3, 3),), {}),
    (kernels.cholesky_inverse, (positive(2, 3, 3),), {"upper": True}),
    (kernels.solve, (positive(2, 3, 3), x(2, 3, 4)), {}),
    (kernels.solve, (positive(2, 3, 3), x(2, 3)), {}),
    (kernels.solve, (positive(3, 3), x(2, 3, 4)), {"weights": {0}}),
    (kernels.solve_triangular, (positive(2, 3, 3), x(2, 3, 4)), {}),
    (kernels.solve_triangular, (positive(2, 3, 3), x(2, 3)), {"lower": True}),
    (np.linalg.eigh, (positive(2, 3, 3),), {}),
    (np.linalg.svd, (x(2, 4, 3),), {"compute_uv": False}),
    (np.linalg.svd, (x(2, 3, 3),), {}),
    (np.linalg.svd, (x(2, 4, 3),), {"full_matrices": False}),
    (np.linalg.svd, (x(2, 2, 4),), {"full_matrices": False}),
    (kernels.qr, (x(2, 4, 3),), {}),
    (kernels.qr, (x(2, 3, 3),), {"mode": "complete"}),
    (kernels.qr, (x(2, 3, 5),), {}),
    (kernels.lu_factor, (positive(2, 3, 3),), {}),
    (kernels.lu_factor, (positive(2, 3, 3)[:, [1, 2, 0]],), {}),
    (kernels.pinv, (x(2, 4, 3),), {}),
    (kernels.pinv, (x(2, 2, 4),), {}),
    (kernels.pinv, (x(2, 3, 4),), {"rcond": 0.4}),
    (kernels.lstsq, (x(4, 3), x(4, 2)), {"weights": 0}),
    (kernels.lstsq, (x(4, 3), x(4)), {"weights": 0}),
    (kernels.lstsq, (x(3, 4), x(3, 2)), {"weights": 0, "rcond": 0.4}),
]

SIGNALS: list[Row] = [
    (kernels.fft, pairs(2, 5), {}),
    (kernels.fft2, pairs(2, 3, 4), {}),
    (kernels.ifft2, pairs(2, 4, 3), {}),
    *((kernels.rfft, (x(2, size),), {"fft_length": n}) for size, n in ((6, None), (5, None), (4, 7), (7, 4), (6, 6))),
    *((kernels.irfft, pairs(2, size), {"fft_length": n}) for size, n in ((4, None), (4, 7), (4, 4), (3, 7), (4, 6))),
    (kernels.frames, (x(2, 9),), {"length": 3, "stride": 2}),
    (kernels.frames, (x(2, 9),), {"length": 2, "stride": 3}),
    (kernels.frames, (x(2, 3, 9),), {"length": 4, "stride": 1}),
    (kernels.stft, (x(2, 9),), {"fft_length": 6, "stride": 2}),
    (kernels.stft, (x(2, 9),), {"fft_length": 5, "stride": 3}),
    (kernels.stft, (x(2, 9),), {"fft_length": 4, "stride": 3, "center": False}),
    (kernels.istft, pairs(2, 4, 4), {"fft_length": 6, "stride": 2, "start": 3, "stop": -3}),
    (kernels.istft, pairs(2, 4, 4), {"fft_length": 7, "stride": 4}),
    (kernels.istft, pairs(2, 4, 4), {"fft_length": 6, "stride": 3, "start": 3, "stop": 10}),
    (kernels.decibels, (x(2, 3, 4, low=0.1),), {}),
    (kernels.decibels, (x(2, 3, 4, low=0.01),), {"top_db": 3.0, "min_power": 0.1, "ref_power": 2.0}),
    (kernels.spectrum, (x(2, 9, 3), x(4, 1, 3)), {"weights": 1, "stride": 2}),
    (kernels.spectrum, (x(2, 9, 1), x(4, 1, 3)), {"weights": 1, "stride": 3, "pad": "same"}),
    (kernels.spectrum, (x(2, 9, 2), x(4, 1, 3)), {"weights": 1, "stride": 5, "pad": ((1, 3),)}),
    (kernels.power, pairs(2, 3), {}),
    (kernels.both_sides, (x(2, 5),), {}),
]


def row_name(row: Any) -> str:
    kernel, operands, settings = row
    shapes = " ".join("x".join(map(str, np.shape(array))) for array in operands if array is not None)
    return " ".join([kernel.__name__, shapes, *(str(value) for key, value in settings.items() if key != "weights")])


@pytest.mark.parametrize("row", PRODUCTS + ATTENTION + LINALG + SIGNALS, ids=row_name)
def test_row(row: Row) -> None:
    kernel, operands, settings = row
    check(kernel, *operands, **settings)


def recurrent(name: str, seed: int) -> tuple[list[Any], int, dict[str, Any]]:
    """The operands of a layer, where its weights begin or what they are, and its settings, drawn at random."""
    random = np.random.RandomState(seed)

    def array(*shape: int) -> Array:
        return random.uniform(-1, 1, shape)

    n, t, c, u = 2, random.randint(1, 5), random.randint(1, 4), random.randint(1, 4)
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[name]
    settings: dict[str, Any] = {
        "activation": [kernels.tanh, kernels.softsign, kernels.identity, kernels.softmax][random.randint(4)],
        "return_sequences": bool(random.randint(2)),
        "return_state": bool(random.randint(2)),
        "zero_output_for_mask": bool(random.randint(2)),
    }
    if name != "simple_rnn":
        others = [kernels.sigmoid, kernels.hard_sigmoid, kernels.softmax, kernels.hard_sigmoid_keras2]
        settings["recurrent_activation"] = others[random.randint(4)]
    if name == "gru":
        settings["reset_after"] = bool(random.randint(2))
    bias = array(2, gates * u) if settings.get("reset_after") else array(gates * u)
    mask = random.uniform(size=(n, t)) > 0.4 if random.randint(2) else None
    states = [array(n, u) if random.randint(2) else None for _ in range(2 if name == "lstm" else 1)]
    weights = [array(c, gates * u), array(u, gates * u), bias if random.randint(4) else None]
    return [array(n, t, c), *weights, mask, *states], 1, settings


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_recurrent(name: str, seed: int) -> None:
    operands, _, settings = recurrent(name, seed)
    check(getattr(kernels, name), *operands, weights={1, 2, 3}, **settings)


@pytest.mark.parametrize("seed", range(8))
def test_conv_lstm(seed: int) -> None:
    random = np.random.RandomState(seed)
    rank, t, f = random.randint(1, 3), random.randint(1, 4), random.randint(1, 3)
    sizes, window = random.randint(2, 4, rank), random.randint(1, 4, rank)
    operands = [
        random.uniform(-1, 1, (2, t, *sizes, 4 * f)),
        random.uniform(-1, 1, (*window, f, 4 * f)),
        random.uniform(size=(2, t)) > 0.4 if random.randint(2) else None,
        *(random.uniform(-1, 1, (2, *sizes, f)) if random.randint(2) else None for _ in range(2)),
    ]
    settings = {
        "activation": [kernels.tanh, kernels.softmax][random.randint(2)],
        "recurrent_activation": [kernels.sigmoid, kernels.softmax][random.randint(2)],
        "return_sequences": bool(random.randint(2)),
        "return_state": bool(random.randint(2)),
    }
    check(kernels.conv_lstm, *operands, weights={1}, **settings)


INSIDE = {*kernels.ACTIVATIONS.values(), kernels.hard_sigmoid_keras2} - {kernels.glu}  # which halves the channels


@pytest.mark.parametrize(
    "activation", sorted(INSIDE, key=lambda kernel: kernel.__name__), ids=lambda kernel: kernel.__name__
)
def test_activation_inside(activation: Any) -> None:
    operands = [x(2, 3, 2), 2 * x(2, 3), 0.3 * x(3, 3), x(3)]
    check(kernels.simple_rnn, *operands, weights={1, 2, 3}, activation=activation, return_sequences=True)


def chain(x: Array, *kernels: Callable[..., Any]) -> Array:
    """The gradient of a sum of kernels one after the other, whose results may be complex between."""
    values = [Value("x0", (None, *x.shape[1:]), x.dtype.name)]
    nodes = []
    for i, kernel in enumerate(kernels, start=1):
        ((shape, dtype),) = infer(kernel, values[-1:], {})
        nodes.append(Node((f"x{i}",), kernel, (values[-1].name,)))
        values.append(Value(f"x{i}", shape, dtype))
    last = values[-1].name
    specs = {value.name: value for value in values}
    graph = Graph((values[0],), tuple(nodes), (last,), {}, (last,), specs=specs)
    (y,) = graph.run(x)
    return gradients(graph, [x], [np.arange(y.size, dtype=x.dtype).reshape(y.shape)])["x0"]


def test_complex_numbers() -> None:
    z = x(2, 3, 2).astype("float32")
    same = chain(z, kernels.view_as_complex, kernels.view_as_real)
    np.testing.assert_array_equal(same, np.arange(12).reshape(2, 3, 2))
    assert same.dtype == z.dtype
