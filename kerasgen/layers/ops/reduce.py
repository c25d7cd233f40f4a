"""Reductions: sums, extremes, averages and quantiles along axes, and cumulative operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import DtypeRule, apply, convert, floats, numbers, same, sums, tensor, wanted_dtype
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

REDUCTIONS: tuple[tuple[DtypeRule, dict[str, Callable[..., Any]]], ...] = (
    (
        floats,
        {
            "Mean": np.mean,
            "Nanmean": np.nanmean,
            "Nanstd": np.nanstd,
            "Nanvar": np.nanvar,
            "Std": np.std,
            "Var": np.var,
        },
    ),
    (sums, {"Nanprod": np.nanprod, "Nansum": np.nansum, "Prod": np.prod, "Sum": np.sum}),
    (
        same,
        {
            "Amax": np.max,
            "Amin": np.min,
            "Max": np.max,
            "Min": np.min,
            "Nanmax": np.nanmax,
            "Nanmin": np.nanmin,
            "Ptp": np.ptp,
        },
    ),
)
PLACES: dict[str, Callable[..., Any]] = {  # whose results have a different dtype
    "All": np.all,
    "Any": np.any,
    "Argmax": kernels.arg_max,
    "Argmin": kernels.arg_min,
}
NAN_PLACES = {"Nanargmax": kernels.nan_arg_max, "Nanargmin": kernels.nan_arg_min}
MOST_CELLS = 1 << 24  # from a number in the config
RUNNING: dict[str, Callable[..., Any]] = {
    "Cumprod": np.cumprod,
    "Cumsum": np.cumsum,
    "Nancumprod": np.nancumprod,
    "Nancumsum": np.nancumsum,
}


def _settings(layer: Layer) -> dict[str, Any]:
    axis, keepdims = layer.config.axis(), layer.config.flag("keepdims", False)
    return {**({} if axis is None else {"axis": axis}), **({"keepdims": True} if keepdims else {})}


def _register_reduction(kind: str, kernel: Callable[..., Any], dtype: DtypeRule) -> None:
    @rule(f"ops.{kind}")
    def reduction(layer: Layer, x: Value) -> Value:
        if layer.config.get("dtype", None) not in (None, dtype(x)):
            raise UnsupportedModelError("its `dtype` is not supported: Keras's backends do not agree about it")
        settings = _settings(layer)
        if layer.config.get("initial", None) is not None:
            settings["initial"] = layer.config.get("initial")
        return apply(layer, kernel, x, rule=dtype, **settings)


def _register_place(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def place(layer: Layer, x: Value) -> Value:
        return layer.emit(kernel, x, **_settings(layer))


def _register_nan_place(kind: str, kernel: Callable[..., Any], whole: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def nan_place(layer: Layer, x: Value) -> Value:
        return layer.emit(kernel if "float" in x.dtype else whole, x, **_settings(layer))


def _register_running(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def running(layer: Layer, x: Value) -> Value:
        x = layer.cast(x, wanted_dtype(layer, x.dtype))
        return apply(layer, kernel, x, rule=numbers, **_settings(layer))


for _dtype, _kinds in REDUCTIONS:
    for _kind, _kernel in _kinds.items():
        _register_reduction(_kind, _kernel, _dtype)
for _kind, _kernel in PLACES.items():
    _register_place(_kind, _kernel)
for _kind, _kernel in NAN_PLACES.items():
    _register_nan_place(_kind, _kernel, PLACES[_kind.replace("Nana", "A")])
for _kind, _kernel in RUNNING.items():
    _register_running(_kind, _kernel)


@rule("ops.CountNonzero")
def count_nonzero(layer: Layer, x: Value) -> Value:
    """The number of nonzero elements."""
    return layer.emit(kernels.count_nonzero, x, **_settings(layer))


@rule("ops.Average")
def average(layer: Layer, x: Value, weights: Any = None) -> Value:
    """The mean, with weights or without."""
    if weights is None:
        return apply(layer, np.mean, x, rule=floats, **_settings(layer))
    return apply(layer, kernels.weighted_average, x, weights, rule=floats, **_settings(layer))


@rule("ops.Median", "ops.Nanmedian")
def median(layer: Layer, x: Value) -> Value:
    """The median."""
    return _quantile(layer, x, 0.5)


@rule("ops.Quantile", "ops.Nanquantile")
def quantile(layer: Layer, x: Value, q: Any) -> Value:
    """Quantiles, as fractions."""
    return _quantile(layer, x, q)


@rule("ops.Percentile", "ops.Nanpercentile")
def percentile(layer: Layer, x: Value, q: Any) -> Value:
    """Quantiles, in percent."""
    if isinstance(q, Value):
        return _quantile(layer, x, layer.emit(np.divide, convert(layer, q, "float32"), 100.0))
    parts = np.asarray(tensor(q), "float32") / np.float32(100)
    return _quantile(layer, x, parts if parts.ndim else float(str(parts)))  # the shortest number that rounds to it


def _quantile(layer: Layer, x: Value, q: Any) -> Value:
    # Quantile has the setting `method`, but never uses it (keras/src/ops/numpy.py, 3.15).
    methods = ("linear", "lower", "higher", "nearest", "midpoint")
    method = "linear" if layer.kind == "ops.Quantile" else layer.config.choice("method", methods, "linear")
    settings = {"method": method, "skip_nan": layer.kind.startswith("ops.Nan")}
    x = layer.cast(x, floats(x))
    q = tensor(q)
    return layer.emit(kernels.quantile, x, q, **_settings(layer), **settings)


@rule("ops.Histogram")
def histogram(layer: Layer, x: Value) -> list[Value]:
    """The number of elements in each bin, and the edges of the bins."""
    limits = layer.config.get("range", None)
    limits = None if limits is None else layer.config.numbers("range", 2)
    return layer.emit_many(kernels.histogram, x, bins=layer.config.integer("bins", 10, below=MOST_CELLS), limits=limits)


@rule("ops.Unique")
def unique(layer: Layer, x: Value) -> list[Value]:
    """The unique elements, `size` of them."""
    if layer.config.get("size", None) is None:
        raise UnsupportedModelError("the shape of its result depends on the data; set `size`")
    if not layer.config.flag("sorted", True):
        raise UnsupportedModelError("the order of its result is not defined, unless it is sorted")
    flags = {key: layer.config.flag(f"return_{key}", False) for key in ("index", "inverse", "counts")}
    return layer.emit_many(
        kernels.unique,
        x,
        size=layer.config.integer("size", below=MOST_CELLS),
        fill_value=layer.config.get("fill_value", None) or 0,
        axis=layer.config.axis(),
        **{key: True for key, flag in flags.items() if flag},
    )
