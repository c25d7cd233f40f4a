"""Arithmetic: tables of elementwise functions, and operations whose arguments need translation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import LARGEST
from kerasgen.layers.dtypes import (
    DtypeRule,
    apply,
    convert,
    floating,
    floats,
    numbers,
    products,
    promote,
    same,
    tensor,
    wanted_dtype,
    wide_floats,
)
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

# The dtype of operands and result, and the function for each Keras class.
ARITHMETIC: tuple[tuple[DtypeRule, dict[str, Callable[..., Any]]], ...] = (
    (
        floats,
        {
            "Arccos": np.arccos,
            "Arccosh": np.arccosh,
            "Arcsin": np.arcsin,
            "Arcsinh": np.arcsinh,
            "Arctan": np.arctan,
            "Arctan2": np.arctan2,
            "Arctanh": np.arctanh,
            "Ceil": np.ceil,
            "Cos": np.cos,
            "Cosh": np.cosh,
            "Divide": np.divide,
            "DivideNoNan": kernels.divide_no_nan,
            "Exp": np.exp,
            "Exp2": np.exp2,
            "Expm1": np.expm1,
            "Fabs": np.abs,
            "Floor": np.floor,
            "Log": np.log,
            "Log10": np.log10,
            "Log1p": np.log1p,
            "Log2": np.log2,
            "Logaddexp": np.logaddexp,
            "Logaddexp2": np.logaddexp2,
            "Nextafter": kernels.next_after,
            "Reciprocal": np.reciprocal,
            "Rsqrt": kernels.rsqrt,
            "Sin": np.sin,
            "Sinc": np.sinc,
            "Sinh": np.sinh,
            "Sqrt": np.sqrt,
            "Tan": np.tan,
            "Tanh": kernels.tanh,
            "TrueDivide": np.divide,
        },
    ),
    (
        wide_floats,
        {
            "Cbrt": np.cbrt,
            "Deg2rad": np.deg2rad,
            "Heaviside": np.heaviside,
            "Hypot": np.hypot,
            "I0": kernels.bessel_i0,
            "Rad2deg": np.rad2deg,
        },
    ),
    (
        same,
        {
            "Add": np.add,
            "BitwiseAnd": np.bitwise_and,
            "BitwiseInvert": np.invert,
            "BitwiseLeftShift": np.left_shift,
            "BitwiseNot": np.invert,
            "BitwiseOr": np.bitwise_or,
            "BitwiseRightShift": np.right_shift,
            "BitwiseXor": np.bitwise_xor,
            "Conj": np.conj,
            "Conjugate": np.conj,
            "Copy": kernels.identity,
            "Fmax": np.fmax,
            "Fmin": np.fmin,
            "Gcd": np.gcd,
            "Lcm": np.lcm,
            "LeftShift": np.left_shift,
            "Maximum": np.maximum,
            "Minimum": np.minimum,
            "Multiply": np.multiply,
            "Negative": np.negative,
            "Power": np.power,
            "RightShift": np.right_shift,
            "Sign": np.sign,
            "Subtract": np.subtract,
        },
    ),
    (numbers, {"Fmod": np.fmod, "Mod": np.mod, "Square": np.square}),
    # Products of whole arrays.
    (
        same,
        {
            "Dot": np.dot,
            "Inner": np.inner,
            "Kron": np.kron,
            "Outer": np.outer,
            "Vdot": np.vdot,
        },
    ),
)
# Functions whose result has a different dtype: booleans, or parts of complex numbers.
OTHERS: tuple[tuple[DtypeRule, dict[str, Callable[..., Any]]], ...] = (
    (floats, {"Angle": np.angle}),
    (
        same,
        {
            "Abs": np.abs,
            "Absolute": np.abs,
            "Equal": np.equal,
            "Greater": np.greater,
            "GreaterEqual": np.greater_equal,
            "Imag": np.imag,
            "Isfinite": np.isfinite,
            "Isinf": np.isinf,
            "Isnan": np.isnan,
            "Isneginf": np.isneginf,
            "Isposinf": np.isposinf,
            "Isreal": np.isreal,
            "Less": np.less,
            "LessEqual": np.less_equal,
            "LogicalAnd": np.logical_and,
            "LogicalNot": np.logical_not,
            "LogicalOr": np.logical_or,
            "LogicalXor": np.logical_xor,
            "NotEqual": np.not_equal,
            "Real": np.real,
            "Signbit": np.signbit,
        },
    ),
)


def _register(kind: str, kernel: Callable[..., Any], dtype: DtypeRule, own_dtype: bool) -> None:
    @rule(f"ops.{kind}")
    def operation(layer: Layer, *xs: Any) -> Value:
        if not own_dtype:
            return apply(layer, kernel, *xs, rule=dtype)
        operands = [tensor(x) for x in xs]
        return layer.emit(kernel, *(convert(layer, x, dtype(*operands)) for x in operands))


for _own, _table in ((False, ARITHMETIC), (True, OTHERS)):
    for _dtype, _kinds in _table:
        for _kind, _kernel in _kinds.items():
            _register(_kind, _kernel, _dtype, _own)


@rule("ops.FloorDivide")
def floor_divide(layer: Layer, x1: Any, x2: Any) -> Value:
    """A quotient rounded down; for floats without NumPy's correction of the quotient's rounding error."""
    kernel = kernels.floor_divide if "float" in same(tensor(x1), tensor(x2)) else np.floor_divide
    return apply(layer, kernel, x1, x2)


@rule("ops.Matmul")
def matmul(layer: Layer, x1: Any, x2: Any) -> Value:
    """A matrix product; 8-bit operands give 32 bits."""
    return apply(layer, np.matmul, x1, x2, rule=products)


@rule("ops.Ldexp")
def ldexp(layer: Layer, x1: Any, x2: Any) -> Value:
    """`x1 * 2 ** x2` for integer `x2`."""
    x1, x2 = tensor(x1), tensor(x2)
    return layer.emit(np.ldexp, convert(layer, x1, floats(x1, x2)), x2)


@rule("ops.Trunc")
def trunc(layer: Layer, x: Value) -> Value:
    """Rounded towards zero."""
    return layer.emit(np.trunc if "float" in x.dtype else kernels.identity, x)


@rule("ops.Round")
def round_(layer: Layer, x: Value) -> Value:
    """Rounded to a number of decimals, halves to even."""
    decimals = layer.config.integer("decimals", 0, least=-LARGEST)
    if "float" in x.dtype:
        return layer.emit(np.round, x, decimals=decimals)
    if decimals >= 0:
        return layer.emit(kernels.identity, x)
    return layer.cast(layer.emit(np.round, floating(layer, x), decimals=decimals), x.dtype)


@rule("ops.NanToNum")
def nan_to_num(layer: Layer, x: Value) -> Value:
    """NaN and infinities replaced by numbers."""
    settings = {key: layer.config.get(key, None) for key in ("nan", "posinf", "neginf")}
    return layer.emit(np.nan_to_num, x, **{key: value for key, value in settings.items() if value is not None})


@rule("ops.Isclose")
def is_close(layer: Layer, x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Value:
    """Whether two numbers differ by less than a tolerance; integers must be equal."""
    x1, x2 = promote(layer, (x1, x2))
    if "float" not in same(x1, x2):
        return layer.emit(np.equal, x1, x2)
    settings = {"equal_nan": True} if layer.config.flag("equal_nan", False) else {}
    return layer.emit(np.isclose, x1, x2, rtol=rtol, atol=atol, **settings)


@rule("ops.AllClose")
def all_close(layer: Layer, x1: Any, x2: Any) -> Value:
    """Whether all pairs of numbers are close."""
    tolerance = {"rtol": layer.config.number("rtol", 1e-5), "atol": layer.config.number("atol", 1e-8)}
    return layer.emit(np.all, is_close(layer, x1, x2, **tolerance))


@rule("ops.Clip")
def clip(layer: Layer, x: Value) -> Value:
    """`x` between two bounds."""
    x = layer.cast(x, numbers(x))
    low, high = (convert(layer, tensor(layer.config.get(key)), x.dtype) for key in ("x_min", "x_max"))
    if isinstance(low, np.ndarray) or isinstance(high, np.ndarray):
        return layer.emit(np.minimum, layer.emit(np.maximum, x, low), high)
    return layer.emit(kernels.clip, x, x_min=low, x_max=high)


@rule("ops.Einsum")
def einsum(layer: Layer, *operands: Any) -> Value:
    """Sums of products by subscripts."""
    dtype = products(*operands)
    subscripts = str(layer.config.get("subscripts"))
    return layer.emit(kernels.einsum, *(convert(layer, x, dtype) for x in operands), subscripts=subscripts)


@rule("ops.Tensordot")
def tensordot(layer: Layer, x1: Any, x2: Any) -> Value:
    """A sum of products over several axes."""
    axes = layer.config.get("axes", 2)
    axes = axes if isinstance(axes, int) else tuple(a if isinstance(a, int) else tuple(a) for a in axes)
    return apply(layer, np.tensordot, x1, x2, axes=axes)


@rule("ops.Cross")
def cross(layer: Layer, x1: Any, x2: Any) -> Value:
    """The cross product along an axis of size 3; size 2 means that the third component is 0."""
    axis = layer.config.get("axis", None)
    keys = ("axisa", "axisb", "axisc")
    axes: dict[str, Any] = {key: layer.config.one_axis("axis" if axis is not None else key, -1) for key in keys}
    return apply(layer, kernels.cross, x1, x2, **axes)


@rule("ops.Where")
def where(layer: Layer, condition: Any, x1: Any = None, x2: Any = None) -> Value:
    """`x1` where the condition holds, `x2` elsewhere."""
    if x1 is None or x2 is None:
        raise UnsupportedModelError("the shape of its result depends on the data")
    x1, x2 = promote(layer, (x1, x2))
    return layer.cast(layer.emit(np.where, tensor(condition), x1, x2), same(x1, x2))


@rule("ops.Cast", "ops.ConvertToTensor", "ops.Array")
def cast(layer: Layer, x: Value) -> Value:
    """Another dtype."""
    return layer.emit(kernels.cast, x, dtype=wanted_dtype(layer, x.dtype))
