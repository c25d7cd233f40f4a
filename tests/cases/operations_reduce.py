"""Operations that reduce, run along an axis, sort, compare and choose."""

from __future__ import annotations

import numpy as np
from keras import ops

from cases.table import IMAGE, VECTOR, named, row

NAN, INFINITY = float("nan"), float("inf")


def _holes(x):
    """Some cells made NaN, never a whole axis of them."""
    return ops.where(x > 2.5, NAN, x)


def _extremes(x):
    """NaN above, minus infinity below."""
    return ops.where(x > 2, NAN, ops.where(x < -2, -INFINITY, x))


for _name, _op in named(ops, "all amax amin any argmax argmin average count_nonzero median ptp"):
    row(f"ops.{_name}", IMAGE, lambda x, op=_op: op(ops.maximum(x, 0.0), axis=1))
for _name, _op in named(ops, "all amax amin any argmax argmin median ptp"):
    row(f"ops.{_name} keepdims", IMAGE, lambda x, op=_op: op(x, axis=-1, keepdims=True))
    row(f"ops.{_name} everything", IMAGE, _op, mixes=True)
    row(f"ops.{_name} keepdims everything", IMAGE, lambda x, op=_op: op(x, keepdims=True), mixes=True)
row("ops.average of int32", IMAGE, lambda x: ops.average(x, axis=1), dtype="int32")
for _name, _op in named(ops, "all amax amin any count_nonzero median ptp max mean min prod std sum var"):
    row(f"ops.{_name} of int32", IMAGE, lambda x, op=_op: op(x - 1, axis=(1, 2)), dtype="int32")
for _name, _op in named(ops, "amax argmax average max mean median min ptp std sum var"):
    row(f"ops.{_name} of float64", IMAGE, lambda x, op=_op: op(x, axis=1), dtype="float64")
for _name, _op in named(ops, "all any argmax argmin count_nonzero max mean min prod std sum var"):
    row(f"ops.{_name} of bool", IMAGE, lambda x, op=_op: op(x, axis=2), dtype="bool")
for _name, _op in named(ops, "prod sum cumsum cumprod"):
    row(f"ops.{_name} of uint8", IMAGE, lambda x, op=_op: op(x, axis=1), dtype="uint8")
for _name, _op in named(ops, "max mean min sum prod std var argmax argmin"):
    row(f"ops.{_name} over the batch", VECTOR, lambda x, op=_op: op(x, axis=0), mixes=True)
row("ops.argmax of zeros", VECTOR, lambda x: ops.argmax(x * np.array([-0.0, 0, 0, 0, 0, 0, 0], "f"), axis=1))
row("ops.argmin of zeros", VECTOR, lambda x: ops.argmin(x * np.array([0.0, 0, 0, 0, 0, 0, 0], "f"), axis=1))
row("ops.count_nonzero everything", IMAGE, lambda x: ops.count_nonzero(ops.maximum(x, 0.0)), mixes=True)
row("ops.max initial", VECTOR, lambda x: ops.max(x, axis=1, initial=3.5))
row("ops.min initial of int32", VECTOR, lambda x: ops.min(x, axis=1, initial=1), dtype="int32")
row("ops.average weights", (4, 5), lambda x: ops.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0, 4.0], "f")))
row("ops.average tensor of weights", [(4, 5), (4, 5)], lambda x, w: ops.average(x, axis=1, weights=ops.absolute(w)))
row("ops.average weights of int32", (4, 5), lambda x: ops.average(x, axis=2, weights=np.arange(5)), dtype="int32")

for _name, _op in named(ops, "nanargmax nanargmin nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar"):
    row(f"ops.{_name}", IMAGE, lambda x, op=_op: op(_holes(x), axis=1))
    row(f"ops.{_name} keepdims", IMAGE, lambda x, op=_op: op(_holes(x), axis=2, keepdims=True))
    row(f"ops.{_name} everything", (3, 4), lambda x, op=_op: op(_holes(x)), mixes=True)
for _name, _op in named(ops, "nanargmax nanargmin nanmax nanmean nanmin nanprod nanstd nansum nanvar"):
    row(f"ops.{_name} of int32", IMAGE, lambda x, op=_op: op(x, axis=1), dtype="int32")
row("ops.nanargmax of nothing", VECTOR, lambda x: ops.nanargmax(ops.where(x < 9.0, NAN, x), axis=1))
row("ops.nan_to_num", IMAGE, lambda x: ops.nan_to_num(_holes(x)))
row(
    "ops.nan_to_num numbers",
    IMAGE,
    lambda x: ops.nan_to_num(_extremes(x), nan=5.0, neginf=-7.0),
)
row("ops.nan_to_num of int32", VECTOR, ops.nan_to_num, dtype="int32")

for _name, _op in named(ops, "cumsum cumprod nancumsum nancumprod"):
    row(f"ops.{_name}", IMAGE, lambda x, op=_op: op(x * 0.5, axis=1))
    row(f"ops.{_name} over the batch", VECTOR, lambda x, op=_op: op(x, axis=0))
    row(f"ops.{_name} everything", (2, 3), _op)
    row(f"ops.{_name} of int32", VECTOR, lambda x, op=_op: op(x, axis=-1), dtype="int32")
    row(f"ops.{_name} of bool", VECTOR, lambda x, op=_op: op(x, axis=-1), dtype="bool")
row("ops.nancumsum with holes", IMAGE, lambda x: ops.nancumsum(_holes(x), axis=1))
row("ops.nancumprod with holes", IMAGE, lambda x: ops.nancumprod(_holes(x) * 0.5, axis=1))
row("ops.cumsum dtype", VECTOR, lambda x: ops.cumsum(x, axis=1, dtype="float64"))

for _method in ("linear", "lower", "higher", "nearest", "midpoint"):
    row(f"ops.percentile {_method}", IMAGE, lambda x, how=_method: ops.percentile(x, 30, axis=1, method=how))
    row(
        f"ops.nanpercentile {_method}",
        IMAGE,
        lambda x, how=_method: ops.nanpercentile(_holes(x), 30, axis=1, method=how),
    )
row("ops.quantile", IMAGE, lambda x: ops.quantile(x, 0.3, axis=1))
row("ops.quantile several", IMAGE, lambda x: ops.quantile(x, [0.1, 0.5, 1.0], axis=(1, 2), keepdims=True), mixes=True)
row("ops.quantile everything", IMAGE, lambda x: ops.quantile(x, 0.7), mixes=True)
row("ops.quantile of int32", IMAGE, lambda x: ops.quantile(x, 0.3, axis=1), dtype="int32")
row("ops.quantile of float64", IMAGE, lambda x: ops.quantile(x, 0.5, axis=1), dtype="float64")
row("ops.quantile with holes", IMAGE, lambda x: ops.nan_to_num(ops.quantile(_holes(x), 0.3, axis=1)))
row("ops.nanquantile", IMAGE, lambda x: ops.nanquantile(_holes(x), 0.3, axis=1))
row("ops.nanquantile several", (3, 4), lambda x: ops.nanquantile(_holes(x), [0.2, 0.9], axis=1), mixes=True)
row("ops.percentile several", (3, 4), lambda x: ops.percentile(x, [20, 90], axis=-1), mixes=True)
row("ops.percentile lower at a cell", (11,), lambda x: ops.percentile(x, 30, axis=1, method="lower"))
row("ops.percentile higher at a cell", (11,), lambda x: ops.percentile(x, 30, axis=1, method="higher"))
row("ops.median several axes", IMAGE, lambda x: ops.median(x, axis=(1, 3)))

row("ops.sort", IMAGE, ops.sort)
row("ops.sort axis", IMAGE, lambda x: ops.sort(x, axis=1))
row("ops.sort over the batch", VECTOR, lambda x: ops.sort(x, axis=0), mixes=True)
row("ops.sort everything", VECTOR, lambda x: ops.sort(x, axis=None), mixes=True)
row("ops.sort of bool", VECTOR, ops.sort, dtype="bool")
row("ops.argsort", IMAGE, ops.argsort)
row("ops.argsort axis", IMAGE, lambda x: ops.argsort(x, axis=1))
row("ops.argsort of equals", VECTOR, ops.argsort, dtype="int32")
row("ops.argsort of bool", VECTOR, ops.argsort, dtype="bool")
row("ops.argsort everything", VECTOR, lambda x: ops.argsort(x, axis=None), mixes=True)
row("ops.unique", (5,), lambda x: ops.unique(x, size=12, fill_value=-1), dtype="int32", mixes=True)
row("ops.unique fewer", (5,), lambda x: ops.unique(x, size=2), dtype="int32", mixes=True)
row(
    "ops.unique everything",
    (5,),
    lambda x: ops.unique(x, size=6, return_index=True, return_inverse=True, return_counts=True),
    dtype="int32",
    mixes=True,
)
row(
    "ops.unique axis",
    (2,),
    lambda x: ops.unique(ops.mod(x, 2), size=4, axis=1, return_counts=True),
    dtype="int32",
    mixes=True,
)
# Histogram's node calls a function that the backend does not have (keras/src/ops/numpy.py, 3.15).
row(
    "ops.histogram", (), lambda x: ops.histogram(x, bins=4)[1], answer=lambda x: ops.histogram(x, bins=4)[1], mixes=True
)
row(
    "ops.histogram counts",
    (),
    lambda x: ops.histogram(x, bins=4)[0],
    answer=lambda x: ops.histogram(x, bins=4)[0],
    mixes=True,
)
row(
    "ops.histogram range",
    (),
    lambda x: ops.histogram(x, bins=3, range=(-1.0, 2.0))[0],
    answer=lambda x: ops.histogram(x, bins=3, range=(-1.0, 2.0))[0],
    mixes=True,
)

for _name, _op in named(ops, "isfinite isinf isnan isneginf isposinf isreal logical_not signbit"):
    row(
        f"ops.{_name}",
        VECTOR,
        lambda x, op=_op: op(_extremes(x)),
    )
    row(f"ops.{_name} of int32", VECTOR, _op, dtype="int32")
    row(f"ops.{_name} of bool", VECTOR, _op, dtype="bool")
for _name, _op in named(ops, "logical_and logical_or logical_xor"):
    row(f"ops.{_name}", [VECTOR, VECTOR], lambda a, b, op=_op: op(a > 0, b > 0))
    row(f"ops.{_name} of int32", [VECTOR, VECTOR], _op, dtype="int32")
row("ops.greater number", VECTOR, lambda x: ops.greater(x, 0.7), dtype="int32")
row("ops.equal mixed", VECTOR, lambda x: ops.equal(ops.round(x), ops.cast(ops.round(x), "int32")))
row("ops.less of uint8", VECTOR, lambda x: ops.less(x, 300), dtype="uint8")
row("ops.isclose", [VECTOR, VECTOR], lambda a, b: ops.isclose(a, a + ops.sign(b) * ops.maximum(b, 0.0)))
row("ops.isclose tolerance", [VECTOR, VECTOR], lambda a, b: ops.isclose(a, b, rtol=0.1, atol=1.0))
row("ops.isclose of nan", VECTOR, lambda x: ops.isclose(_holes(x), _holes(x), equal_nan=True))
row("ops.isclose of int32", [VECTOR, VECTOR], ops.isclose, dtype="int32")
row("ops.allclose", [VECTOR, VECTOR], ops.allclose, mixes=True)
row("ops.allclose yes", VECTOR, lambda x: ops.allclose(x, x + 1e-9), mixes=True)
row("ops.isin", VECTOR, lambda x: ops.isin(x, [1, 3]), dtype="int32")
row("ops.isin invert", VECTOR, lambda x: ops.isin(ops.round(x), np.array([1, 3]), invert=True))

row("ops.take", IMAGE, lambda x: ops.take(x, [0, 2, -1], axis=1))
row("ops.take number", IMAGE, lambda x: ops.take(x, 1, axis=2))
row("ops.take array", IMAGE, lambda x: ops.take(x, np.array([[0, 1], [2, 0]]), axis=-1))
row("ops.take everything", (3,), lambda x: ops.take(x, [0, 4, -2]), mixes=True)
row(
    "ops.take from a table",
    VECTOR,
    lambda x: ops.take(np.linspace(0, 1, 12, dtype="f").reshape(4, 3), x, axis=0),
    dtype="int32",
)
row("ops.take_along_axis", IMAGE, lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1))
row(
    "ops.take_along_axis of one",
    IMAGE,
    lambda x: ops.take_along_axis(x, ops.argmax(x, axis=-1, keepdims=True), axis=-1),
)
row("ops.take_along_axis array", VECTOR, lambda x: ops.take_along_axis(x, np.array([[0, -1, 2]]), axis=1))
row("ops.searchsorted", (), lambda x: ops.searchsorted(np.array([-1.0, 0.5, 2.0], "f"), x))
row(
    "ops.searchsorted right",
    (),
    lambda x: ops.searchsorted(np.array([0, 1, 1, 3], "int32"), x, side="right"),
    dtype="int32",
)
row("ops.digitize", IMAGE, lambda x: ops.digitize(x, np.array([-1.0, 0.5, 2.0], "f")))
row("ops.digitize of int32", VECTOR, lambda x: ops.digitize(x, np.array([1.0, 2.5])), dtype="int32")
row("ops.select", [VECTOR, VECTOR], lambda a, b: ops.select([a > 1, b > 1], [a, b * 2.0], 0.5))
row("ops.select of int32", [VECTOR, VECTOR], lambda a, b: ops.select([a > 1, b > 1], [a, b], 7), dtype="int32")
row("ops.select default", VECTOR, lambda x: ops.select([x > 1, x < -1], [x * 2.0, -x], x))
row("ops.where of int32", VECTOR, lambda x: ops.where(x > 1, x, 0), dtype="int32")
row("ops.where whole numbers", VECTOR, lambda x: ops.where(x, 1, 0), dtype="bool")
row("ops.where mixed", VECTOR, lambda x: ops.where(x > 0, x, ops.cast(x, "int32")))
row("ops.unravel_index", (), lambda x: ops.unravel_index(x, (2, 3)), dtype="int32")
