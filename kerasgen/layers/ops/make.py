"""Making: operations that create arrays, or compute with whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import apply, convert, floats, same, tensor, wanted_dtype, wide_floats
from kerasgen.layers.layer import Layer
from kerasgen.layers.ops.reduce import MOST_CELLS
from kerasgen.layers.registry import rule


def _dtype(layer: Layer, x: Value) -> dict[str, str]:
    """The setting `dtype`, if it changes anything."""
    dtype = wanted_dtype(layer, x.dtype)
    return {} if dtype == x.dtype else {"dtype": dtype}


@rule("ops.OnesLike")
def ones_like(layer: Layer, x: Value) -> Value:
    """Ones in the same shape."""
    return layer.emit(np.ones_like, x, **_dtype(layer, x))


@rule("ops.ZerosLike", "ops.EmptyLike")
def zeros_like(layer: Layer, x: Value) -> Value:
    """Zeros in the same shape."""
    return layer.emit(np.zeros_like, x, **_dtype(layer, x))


@rule("ops.FullLike")
def full_like(layer: Layer, x: Any, fill_value: Any) -> Value:
    """A value in the same shape."""
    x = tensor(x)
    return layer.emit(np.full_like, x, tensor(fill_value), **_dtype(layer, x))


@rule("ops.Full")
def full(layer: Layer, fill_value: Value) -> Value:
    """A value broadcast to a shape."""
    x = layer.cast(fill_value, wanted_dtype(layer, "float32"))
    return layer.emit(np.broadcast_to, x, shape=layer.config.axes("shape"))


def _steps(layer: Layer) -> dict[str, Any]:
    endpoint = {} if layer.config.flag("endpoint", True) else {"endpoint": False}
    return {
        "num": layer.config.integer("num", 50, least=0, below=MOST_CELLS),
        **endpoint,
        "axis": layer.config.one_axis("axis", 0),
    }


@rule("ops.Linspace")
def linspace(layer: Layer, start: Any, stop: Any) -> Value:
    """Evenly spaced numbers, along a new axis."""
    if layer.config.get("retstep", False):
        raise UnsupportedModelError("`retstep` is not supported; Keras cannot run it either")
    start, stop = tensor(start), tensor(stop)
    dtype = wanted_dtype(layer, floats(start, stop))
    start, stop = convert(layer, start, dtype), convert(layer, stop, dtype)
    if "float" in dtype:
        return layer.emit(np.linspace, start, stop, **_steps(layer), dtype=dtype)
    return layer.cast(layer.emit(np.floor, layer.emit(np.linspace, start, stop, **_steps(layer))), dtype)


@rule("ops.Logspace")
def logspace(layer: Layer, start: Any, stop: Any) -> Value:
    """Powers of a base, with evenly spaced exponents."""
    return layer.emit(np.power, layer.config.get("base", 10), linspace(layer, start, stop))


@rule("ops.Geomspace")
def geomspace(layer: Layer, start: Any, stop: Any) -> Value:
    """Numbers with a constant ratio, along a new axis."""
    dtype = wanted_dtype(layer, "float32")
    return layer.emit(kernels.geomspace, tensor(start), tensor(stop), **_steps(layer), dtype=dtype)


@rule("ops.Meshgrid")
def meshgrid(layer: Layer, *x: Any) -> list[Value]:
    """The coordinates of a grid."""
    xs = [tensor(item) for item in x]
    if len(xs) == 1:
        return [layer.emit(np.ravel, xs[0])]
    return layer.emit_many(kernels.meshgrid, *xs, indexing=layer.config.choice("indexing", ("xy", "ij"), "xy"))


@rule("ops.Vander")
def vander(layer: Layer, x: Value) -> Value:
    """The powers of each number, the highest first."""
    columns = layer.config.get("N", None)
    settings: dict[str, Any] = {} if columns is None else {"N": layer.config.integer("N", least=0)}
    return apply(layer, np.vander, x, **settings, increasing=layer.config.flag("increasing", False))


@rule("ops.Trapezoid")
def trapezoid(layer: Layer, y: Value) -> Value:
    """The integral by the trapezoidal rule."""
    positions = None if layer.config.get("x", None) is None else layer.config.numbers("x")
    axis = layer.config.one_axis("axis", -1)
    return apply(layer, kernels.trapezoid, y, rule=floats, x=positions, dx=layer.config.number("dx", 1.0), axis=axis)


@rule("ops.Corrcoef")
def corrcoef(layer: Layer, x: Value) -> Value:
    """The correlation of each pair of rows."""
    return apply(layer, np.corrcoef, x, rule=floats)


@rule("ops.Correlate")
def correlate(layer: Layer, x1: Any, x2: Any) -> Value:
    """The cross-correlation of two sequences."""
    mode = layer.config.choice("mode", ("valid", "same", "full"), "valid")
    return apply(layer, np.correlate, x1, x2, rule=wide_floats, mode=mode)


@rule("ops.Slogdet")
def slogdet(layer: Layer, x: Value) -> list[Value]:
    """Sign and logarithm of the determinant."""
    return layer.emit_many(kernels.slogdet, layer.cast(x, same(x)))
