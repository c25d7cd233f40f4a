"""Arithmetic: a table of NumPy functions, and the few operations whose arguments need a translation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

FLOATING: dict[str, Callable[..., Any]] = {  # of one tensor; whole numbers become floats first
    "Sqrt": np.sqrt,
    "Rsqrt": kernels.rsqrt,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Log": np.log,
}
UNARY: dict[str, Callable[..., Any]] = {
    "Negative": np.negative,
    "Square": np.square,
    "Absolute": np.abs,
}
BINARY: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Power": np.power,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Matmul": np.matmul,
    "Dot": np.dot,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
}
MEANS: dict[str, Callable[..., Any]] = {"Mean": np.mean, "Var": np.var, "Std": np.std}  # floats, whatever goes in
REDUCTIONS: dict[str, Callable[..., Any]] = {"Sum": np.sum, "Max": np.max, "Min": np.min, "Prod": np.prod}


def is_float(x: Any) -> bool:
    """Whether an operand is or holds floats."""
    return isinstance(x, float) or "float" in getattr(x, "dtype", np.dtype("bool")).__str__()


def floating(layer: Layer, x: Any) -> Any:
    """Whole numbers as floats of Keras's default width."""
    return layer.cast(x, "float32") if isinstance(x, Value) and not is_float(x) else x


def promote(layer: Layer, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operands as Keras promotes them: whole numbers beside floats take the floats' width (NumPy would widen both)."""
    return tuple(floating(layer, x) for x in xs) if any(map(is_float, xs)) else xs


def narrow(layer: Layer, y: Value, *xs: Any) -> Value:
    """`y` without the widening to 64 bits that NumPy does by itself: Keras keeps 32 where no operand is wider."""
    wide = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
    arrays = [x for x in xs if isinstance(x, (Value, np.ndarray))]
    return layer.cast(y, wide[y.dtype]) if y.dtype in wide and all("64" not in str(x.dtype) for x in arrays) else y


def _enter(kind: str, kernel: Callable[..., Any]) -> None:
    if kind in BINARY:

        @rule(f"ops.{kind}")
        def binary(layer: Layer, x1: Any, x2: Any) -> Value:
            return narrow(layer, layer.emit(kernel, *promote(layer, (x1, x2))), x1, x2)

    elif kind in FLOATING or kind in UNARY:

        @rule(f"ops.{kind}")
        def unary(layer: Layer, x: Value) -> Value:
            return layer.emit(kernel, floating(layer, x) if kind in FLOATING else x)

    else:

        @rule(f"ops.{kind}")
        def reduction(layer: Layer, x: Value) -> Value:
            if layer.config.get("initial", None) is not None or layer.config.get("dtype", None) is not None:
                raise UnsupportedModelError("`initial` and `dtype` of a reduction are not supported")
            axis = layer.config.get("axis", None)
            axis = axis if axis is None or isinstance(axis, int) else layer.config.axes("axis")
            keepdims = layer.config.flag("keepdims", False)
            x = floating(layer, x) if kind in MEANS else x
            return narrow(layer, layer.emit(kernel, x, axis=axis, keepdims=keepdims), x)


for _kind, _kernel in {**FLOATING, **UNARY, **BINARY, **MEANS, **REDUCTIONS}.items():
    _enter(_kind, _kernel)


@rule("ops.Divide", "ops.TrueDivide")
def divide(layer: Layer, x1: Any, x2: Any) -> Value:
    """A quotient, a float even of whole numbers."""
    return layer.emit(np.divide, floating(layer, x1), floating(layer, x2))


@rule("ops.Clip")
def clip(layer: Layer, x: Value) -> Value:
    """`x` between two bounds."""
    x, low, high = promote(layer, (x, layer.config.get("x_min"), layer.config.get("x_max")))
    return layer.emit(kernels.clip, x, x_min=low, x_max=high)


@rule("ops.Einsum")
def einsum(layer: Layer, *operands: Any) -> Value:
    """Sums of products by subscripts."""
    subscripts = layer.config.get("subscripts")
    return layer.emit(kernels.einsum, *promote(layer, operands), subscripts=str(subscripts))


@rule("ops.Tensordot")
def tensordot(layer: Layer, x1: Any, x2: Any) -> Value:
    """A sum of products over several axes."""
    axes = layer.config.get("axes", 2)
    axes = axes if isinstance(axes, int) else tuple(a if isinstance(a, int) else tuple(a) for a in axes)
    return layer.emit(np.tensordot, *promote(layer, (x1, x2)), axes=axes)


@rule("ops.Where")
def where(layer: Layer, condition: Value, x1: Any = None, x2: Any = None) -> Value:
    """`x1` where the condition holds, `x2` elsewhere."""
    if x1 is None or x2 is None:
        raise UnsupportedModelError("the shape of its result depends on the data")
    return narrow(layer, layer.emit(np.where, condition, *promote(layer, (x1, x2))), x1, x2)


@rule("ops.Cast", "ops.ConvertToTensor")
def cast(layer: Layer, x: Value) -> Value:
    """Another dtype."""
    dtype = layer.config.get("dtype", None) or x.dtype
    if dtype == "bfloat16" or dtype not in np.sctypeDict:
        raise UnsupportedModelError(f"no dtype {dtype!a} in NumPy")
    return layer.emit(kernels.cast, x, dtype=str(dtype))
