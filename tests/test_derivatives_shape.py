"""Derivatives of normalisation, of what moves cells, and of reductions, against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from derivatives import check, gradients, one_node

from kerasgen import kernels as k


def x(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed + 10 * len(shape)).uniform(low, high, shape)


def whole(*shape: int, below: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, below, shape).astype("int32")


def holes(*shape: int) -> np.ndarray:
    """Numbers with NaN between them."""
    y = x(*shape)
    y[::2, 1, ...] = np.where(np.arange(shape[-1]) % 3, y[::2, 1, ...], np.nan) if y.ndim > 2 else np.nan
    return y


class Row(NamedTuple):
    """A call: operands from `weights` on have no batch axis."""

    kernel: Callable[..., Any]
    operands: tuple[Any, ...]
    settings: dict[str, Any]
    weights: int = 99


def row(kernel: Callable[..., Any], *operands: Any, weights: int = 99, **settings: Any) -> Row:
    return Row(kernel, operands, settings, weights)


IMAGE, STEPS, VECTOR = x(2, 3, 4, 6), x(2, 5, 4), x(3, 7)
POSITIVE = x(6, low=0.5)


def channels(count: int, axis: int | None = -1) -> list[np.ndarray]:
    """Four parameters of batch normalisation; the last is positive."""
    shape: tuple[int, ...] = (count,) if axis is not None else (1, 1, 1, count)
    return [*(x(*shape, seed=i) for i in range(3)), x(*shape, low=0.3)]


ALL, SOME = slice(None), slice(1, -1)
WEIGHTS = [None, None]
RANDOM = np.random.RandomState(0)

NORM = [
    row(k.batch_norm, IMAGE, *channels(6), weights=1),
    row(k.batch_norm, IMAGE, *channels(6), weights=1, axis=-1, epsilon=0.1),
    row(k.batch_norm, IMAGE, *channels(4), weights=1, axis=-2),
    row(k.batch_norm, IMAGE, *channels(3), weights=1, axis=1),
    row(k.batch_norm, IMAGE, None, *channels(6)[1:], weights=1),
    row(k.batch_norm, IMAGE, channels(6)[0], None, *channels(6)[2:], weights=1),
    row(k.batch_norm, IMAGE, *WEIGHTS, *channels(6)[2:], weights=1),
    row(k.batch_norm, IMAGE, *channels(6, None), weights=1, axis=None),
    *(
        row(k.layer_norm, IMAGE, *scales, weights=1, axis=axis, epsilon=0.01)
        for axis, shape in (((-1,), (6,)), ((-3, -1), (3, 6)), ((-2,), (4,)), ((1, 2, 3), (3, 4, 6)))
        for scales in (WEIGHTS, (x(*shape), None), (None, x(*shape)), (x(*shape), x(*shape, seed=1)))
    ),
    *(
        row(k.group_norm, IMAGE, *scales, weights=1, groups=groups, axis=axis, epsilon=0.01)
        for groups, axis, count in ((3, -1, 6), (2, -2, 4), (1, 1, 3), (6, 3, 6))
        for scales in (WEIGHTS, (x(count), None), (x(count), x(count, seed=1)))
    ),
    *(
        row(k.rms_norm, IMAGE, scale, weights=1, axis=axis, epsilon=0.01)
        for axis, scale in (((-1,), x(6)), ((-2, -1), x(4, 6)), ((1, 2, 3), x(3, 4, 6)), ((-1,), None))
    ),
    row(k.rms_norm, x(2, 5, 4, 4), x(4), weights=1, axis=(2,)),
    *(
        row(k.variance_norm, IMAGE, scale, weights=1, axis=axis, epsilon=0.1)
        for axis, scale in (((-1,), x(6)), ((-3, -1), x(3, 6)), ((-2,), None))
    ),
    *(
        row(k.normalization, IMAGE, x(*shape), x(*shape, low=0.3), weights=1, invert=invert)
        for shape in ((6,), (), (3, 1, 6))
        for invert in (False, True)
    ),
    row(k.normalization, IMAGE, x(6), x(6, low=0.3), weights=1, epsilon=9.0),
    *(row(k.normalize, IMAGE, axis=axis, order=order) for axis in (-1, 1, (1, 3)) for order in (1, 2, 3)),
    row(k.normalize, IMAGE, axis=-1, epsilon=100.0),
    row(k.local_response_norm, IMAGE, depth_radius=1, alpha=0.3, beta=0.7, bias=1.5),
    row(k.local_response_norm, IMAGE),
]

SHAPE = [
    row(k.flatten, IMAGE),
    row(k.reshape, IMAGE, shape=(6, -1)),
    row(k.reshape, IMAGE, shape=(72,)),
    row(k.reshape_all, IMAGE, shape=(-1, 8)),
    row(k.reshape_all, x(4, 6), shape=(3, 8), weights=0),
    row(k.channels_first, IMAGE),
    row(k.channels_last, IMAGE),
    *(row(k.concatenate, STEPS, x(2, 5, 4, seed=1), x(2, 5, 4, seed=2), axis=axis) for axis in (-1, 1, 0, 2)),
    row(k.concatenate, VECTOR, x(2, 7), axis=0, weights=1),
    row(k.concatenate, x(2, 7), VECTOR, axis=0),
    *(row(k.stack, STEPS, x(2, 5, 4, seed=1), axis=axis) for axis in (0, 1, -1, -2)),
    *(row(k.split, IMAGE, indices_or_sections=parts, axis=axis) for parts, axis in ((3, -1), ((1, 3), 2), ((1,), 0))),
    *(row(k.array_split, IMAGE, indices_or_sections=4, axis=axis) for axis in (-1, 3)),
    *(row(k.unstack, IMAGE, num=num, axis=axis) for num, axis in ((3, 1), (6, -1))),
    *(
        row(k.get_item, IMAGE, index=index)
        for index in (
            (ALL, 1),
            (..., -1),
            (ALL, SOME, None, ..., slice(None, None, -2)),
            (ALL, None, SOME),
            (None, ALL, 2),
            (-1,),
            (slice(1, None), ALL, 0),
            (0, ..., None),
            (ALL, ALL, slice(None, None, 2), 1, ...),
            (..., 0, 1, 2, 3),
            (...,),
        )
    ),
    row(k.dstack, STEPS, x(2, 5, 3)),
    row(k.dstack, x(2, 5), x(2, 5, seed=1)),
    row(k.dstack, x(4), x(4, seed=1)),
    *(row(k.meshgrid, x(3), x(4, seed=1), x(2, seed=2), indexing=how) for how in ("xy", "ij")),
    row(k.rearrange, x(6, 8), split=((2, -1), (-1, 4)), order=(0, 3, 1, 2), merge=(1, 2, 1), weights=0),
    row(np.transpose, IMAGE),
    row(np.transpose, IMAGE, axes=None),
    row(np.transpose, IMAGE, axes=(0, 3, 1, 2)),
    row(np.transpose, IMAGE, axes=(2, 0, -1, 1)),
    row(np.swapaxes, IMAGE, axis1=1, axis2=-1),
    row(np.moveaxis, IMAGE, source=1, destination=-1),
    row(np.moveaxis, IMAGE, source=(1, 2), destination=(3, 1)),
    row(np.expand_dims, IMAGE, axis=-1),
    row(np.expand_dims, IMAGE, axis=0),
    row(np.squeeze, x(2, 1, 3, 1), axis=(1, -1)),
    row(np.squeeze, x(2, 1, 3, 1), axis=3),
    row(np.squeeze, x(2, 1, 3, 1)),
    *(row(np.flip, IMAGE, axis=axis) for axis in (2, (1, 3), None)),
    row(np.fliplr, IMAGE),
    row(np.flipud, IMAGE),
    row(np.roll, IMAGE, shift=2, axis=1),
    row(np.roll, IMAGE, shift=(1, -2), axis=(1, 2)),
    row(np.roll, IMAGE, shift=3),
    *(
        row(np.rot90, IMAGE, k=turns, axes=axes)
        for turns, axes in ((1, (1, 2)), (3, (2, 1)), (-1, (1, 3)), (2, (0, 1)))
    ),
    *(row(np.repeat, IMAGE, repeats=3, axis=axis) for axis in (0, 1, -1, None)),
    row(np.repeat, x(2, 3), repeats=(1, 0, 3), axis=1),
    row(np.repeat, x(1, 3), 4, axis=0, weights=0),
    row(np.repeat, x(2, 1, 3), repeats=4, axis=1),
    *(row(np.tile, STEPS, reps=reps) for reps in (2, (1, 2, 3), (2, 1, 1), (3, 1, 2, 1), (2, 1))),
    row(np.broadcast_to, x(4), shape=(3, 2, 4), weights=0),
    row(np.broadcast_to, x(2, 1, 4), shape=(3, 2, 5, 4), weights=0),
    row(np.full_like, IMAGE, x(2, 1, 1, 6)),
    row(np.pad, STEPS, pad_width=((0, 0), (1, 2), (0, 1)), mode="constant", constant_values=2.0),
    row(np.pad, STEPS, pad_width=((1, 0), (0, 0), (3, 1)), mode="constant"),
    row(np.pad, STEPS, pad_width=((0, 0), (1, 2), (3, 1)), mode="reflect"),
    row(np.pad, STEPS, pad_width=((0, 0), (1, 2), (3, 1)), mode="symmetric"),
    row(np.ravel, IMAGE),
    row(np.append, STEPS, x(2, 3, 4), axis=1),
    row(np.append, STEPS, x(2, 3), axis=None),
    *(row(np.diff, IMAGE, n=n, axis=axis) for n, axis in ((1, -1), (2, 1), (1, 0), (3, 2))),
    row(np.diag, x(4), k=1),
    row(np.diag, x(4, 5), k=-1),
    row(np.diagflat, x(2, 3)),
    *(
        row(np.diagonal, IMAGE, offset=n, axis1=a, axis2=b)
        for n, a, b in ((0, 1, 2), (-2, 1, 3), (1, 0, 2), (1, -1, -2))
    ),
    *(row(np.trace, IMAGE, offset=n, axis1=a, axis2=b) for n, a, b in ((0, 1, 2), (2, 1, 3), (0, 0, 1))),
    *(row(kernel, IMAGE, k=n) for kernel in (np.tril, np.triu) for n in (0, 1, -2)),
    row(np.tril, x(4)),
]

AXES: list[dict[str, Any]] = [
    {},
    {"axis": 1},
    {"axis": -1, "keepdims": True},
    {"axis": (1, 2)},
    {"axis": 0},
    {"axis": (-1, 0), "keepdims": True},
    {"keepdims": True},
]
REDUCE = [
    *(
        row(kernel, x(2, 3, 4), **settings)
        for kernel in (np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.ptp)
        for settings in AXES
    ),
    *(
        row(kernel, holes(3, 3, 4), **settings)
        for kernel in (np.nansum, np.nanmean, np.nanmax, np.nanmin, np.nanprod, np.nanvar, np.nanstd)
        for settings in AXES[:3]
    ),
    row(np.max, STEPS, axis=1, initial=1.0),
    row(np.min, STEPS, axis=(1, 2), initial=-1.0),
    row(np.prod, np.float64([[0, 2, 3], [0, 0, 1], [1, 2, 3]]), axis=1),
    *(row(np.cumsum, STEPS, **settings) for settings in ({}, {"axis": 1}, {"axis": 0}, {"axis": -1})),
    *(row(np.cumprod, STEPS, **settings) for settings in ({}, {"axis": 1}, {"axis": 0})),
    *(row(kernel, holes(3, 4), axis=1) for kernel in (np.nancumsum, np.nancumprod)),
    row(np.nancumprod, holes(3, 4)),
    row(k.weighted_average, STEPS, x(5, low=0.1), axis=1, weights=1),
    row(k.weighted_average, STEPS, x(4, low=0.1), axis=-1, weights=1),
    row(k.weighted_average, STEPS, x(2, 5, 4, low=0.1), axis=1),
    row(k.weighted_average, STEPS, x(2, 5, 4, low=0.1)),
    row(k.weighted_average, STEPS, x(1, 5, 1, low=0.1), axis=1, weights=1),
    *(
        row(k.quantile, STEPS, q, axis=axis, method=method, keepdims=keepdims)
        for q, axis, keepdims in ((0.3, 1, False), ((0.2, 0.7, 1), (1, 2), True), (0.5, None, False))
        for method in ("linear", "lower", "higher", "nearest", "midpoint")
    ),
    row(k.quantile, holes(3, 4), 0.3, axis=1, skip_nan=True),
    row(k.quantile, holes(3, 4), (0.3, 0.6), axis=0, skip_nan=True),
    row(k.keep_axis, STEPS, 4, 1),
    row(k.trapezoid, STEPS, dx=0.5, axis=1),
    row(k.trapezoid, STEPS, x=(0.0, 1.0, 1.5, 4.0)),
    row(k.trapezoid, STEPS, axis=0),
    *(
        row(np.linalg.norm, STEPS, ord=order, axis=axis, keepdims=keepdims)
        for order, axis in (
            *((order, 1) for order in (None, 1, 2, 3, np.inf, -np.inf, 0, 2.5)),
            *((order, (1, 2)) for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
            (1, (2, 1)),
            (np.inf, (-1, -2)),
        )
        for keepdims in (False, True)
    ),
]

CHOICES = (x(2, 5) > 1, x(2, 5, seed=1) > 1, x(2, 1, seed=2), x(2, 5, seed=3), x(5), 0.5)
SEGMENTS = np.array([0, 2, 2, -1, 0, 2], "int32")
ROWS = x(6, 2, 3)
ROWS[1, 0], ROWS[2, 1], ROWS[5, 1] = 0, 0, 0
PLACES = np.array([[0], [2], [5]], "int32")
INDEX = [
    row(np.take, x(9, 4), whole(2, 3, below=9), axis=0, weights=0),
    row(np.take, x(4, 3), whole(5, 6, below=4), axis=0, weights=0),
    row(np.take, x(40, 3), whole(5, 2, below=9).astype("uint8"), axis=0, weights=0),
    row(np.take, STEPS, np.array([0, 2, -1, 2]), axis=1, weights=1),
    row(np.take, STEPS, np.array([[0, 1], [2, 0]]), axis=-1, weights=1),
    row(np.take, STEPS, np.array([1, 1, 0]), axis=0, weights=1),
    row(np.take, STEPS, 1, axis=2),
    row(np.take, STEPS, np.array([0, 9, -2]), weights=1),
    row(np.take_along_axis, STEPS, whole(2, 3, 4, below=5), axis=1),
    row(np.take_along_axis, STEPS, whole(2, 5, 9, below=4), axis=-1),
    row(np.take_along_axis, STEPS, np.array([[[0], [-1], [2], [2]]]), axis=1, weights=1),
    row(np.take_along_axis, x(1, 5, 1), whole(2, 3, 4, below=5), axis=1, weights=0),
    *(row(np.sort, STEPS, **settings) for settings in ({}, {"axis": 1}, {"axis": 0}, {"axis": None})),
    row(k.select, *CHOICES[:3], x(2, 5, seed=4), x(2, 5, seed=5)),
    row(k.select, *CHOICES[:4], 0.5),
    row(k.select, *CHOICES[:3], *CHOICES[3:5], weights=4),
    row(np.linspace, x(2, 3), x(2, 3, seed=1), num=4, axis=1),
    row(np.linspace, x(2, 3), 2.0, num=5, axis=-1, endpoint=False),
    row(np.linspace, x(2, 3), x(3), num=4, axis=0, weights=1),
    row(k.geomspace, x(2, 3, low=0.1), x(2, 3, low=0.5), num=4, axis=1, dtype="float64"),
    row(k.geomspace, -2.0, x(2, 3, low=-3, high=-1), num=3, dtype="float64"),
    row(k.scatter_nd, np.array([[0, 1], [2, 0], [2, 0]]), x(3), shape=(3, 4), weights=0),
    row(k.scatter_nd, PLACES, x(3, 4), shape=(7, 4), weights=0),
    *(
        row(k.scatter_update, x(7, 4), PLACES, x(3, 4, seed=1), reduction=how, weights=0)
        for how in (None, "add", "mul", "max", "min")
    ),
    *(
        row(k.scatter_update, x(7, 4), PLACES * 0 + 1, x(3, 4, seed=1), reduction=how, weights=0)
        for how in ("add", "mul", "max", "min")
    ),
    row(k.slice_update, STEPS, np.array([0, 3, 1]), x(2, 2, 2), weights=0),
    row(k.slice_update, STEPS, np.array([0, 30, 1]), x(2, 2, 2), weights=0),
    row(k.slice_at, STEPS, np.array([0, 1, 2]), shape=(-1, 3, 2)),
    *(
        row(kernel, ROWS, SEGMENTS, count=count, weights=0)
        for kernel in (k.segment_sum, k.segment_prod)
        for count in (3, 5)
    ),
    *(row(kernel, x(6, 3), SEGMENTS, count=4, empty=0, weights=0) for kernel in (k.segment_max, k.segment_min)),
]


PARTS = [
    row(k.split, IMAGE, indices_or_sections=3, axis=-1),
    row(k.split, IMAGE, indices_or_sections=(1, 3), axis=2),
    row(k.split, VECTOR, indices_or_sections=(1,), axis=0),
    row(k.array_split, IMAGE, indices_or_sections=4, axis=-1),
    row(k.unstack, IMAGE, num=3, axis=1),
    row(k.meshgrid, x(3), x(4, seed=1), x(2, seed=2)),
]


@pytest.mark.parametrize("call", PARTS, ids=lambda call: call.kernel.__name__)
@pytest.mark.parametrize("i", [0, 1])
def test_one_of_several_outputs(call: Row, i: int) -> None:
    """The gradients are those with zeros for the other outputs."""
    graph = one_node(call.kernel, call.operands, call.settings)
    outer = [np.ones_like(y) if j == i else np.zeros_like(y) for j, y in enumerate(graph.run(*call.operands))]
    expected = gradients(graph, call.operands, outer)
    got = gradients(replace(graph, outputs=graph.outputs[i : i + 1]), call.operands, outer[i : i + 1])
    for name, gradient in got.items():
        np.testing.assert_array_equal(gradient, expected[name])


def test_ties_share_the_gradient() -> None:
    """As TensorFlow has it; of equal elements of a segment too."""
    graph = one_node(np.max, [np.float64([[1, 3, 3], [2, 0, 1]])], {"axis": 1})
    (gradient,) = gradients(graph, [np.float64([[1, 3, 3], [2, 0, 1]])], [np.float64([4, 5])]).values()
    assert gradient.tolist() == [[0, 2, 2], [5, 0, 0]]
    operands = [np.float64([[1], [3], [3]]), np.int64([0, 1, 1])]
    graph = one_node(k.segment_max, operands, {"count": 2}, weights=0)
    assert gradients(graph, [], [np.float64([[4], [6]])])["x0"].tolist() == [[4], [3], [3]]


@pytest.mark.parametrize("call", [*NORM, *SHAPE, *REDUCE, *INDEX], ids=lambda call: call.kernel.__name__)
def test_derivative(call: Row) -> None:
    check(call.kernel, *call.operands, weights=call.weights, **call.settings)
