"""Keras's dtype promotion, which differs from NumPy's.

Keras promotes as JAX does: an integer with a float takes the float's width, Python numbers are weakly typed, and
nothing widens to 64 bits unless an operand has them. A rule of this module takes the operands of an operation and
returns the name of a dtype; `convert` then casts an operand to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer

DtypeRule = Callable[..., str]
WEAK = {int: "int", float: "float"}  # Python numbers
DTYPES = """
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128
    """.split()  # NumPy's own; other packages may register more
SMALL = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}


def tensor(x: Any) -> Any:
    """An operand as it is, or a list of numbers as the array that Keras converts it to.

    Raises InvalidModelError for anything else.
    """
    if isinstance(x, (Value, np.ndarray, int, float)):
        return x
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InvalidModelError(f"an argument is a ragged list: {ascii(x)[:80]}") from error
    if array.dtype.kind not in "biuf" or not isinstance(x, (list, tuple)):
        raise InvalidModelError(f"an argument is {ascii(x)[:80]}, where a tensor is expected")
    return array.astype({"f": "float32", "i": "int32"}.get(array.dtype.kind, array.dtype))


def argument(layer: Layer, name: str, x: Any) -> Value:
    """An argument that must be an array: a tensor, or one from the config, which becomes a constant of this name."""
    x = tensor(x)
    if not isinstance(x, (Value, np.ndarray)) or not x.shape:
        raise InvalidModelError(f"its argument {name!r} is {ascii(x)[:80]}, where an array is expected")
    return layer.constant(name, x) if isinstance(x, np.ndarray) else x


def result_type(*operands: Any) -> str:
    """The result's dtype for these operands: arrays, Python numbers, dtype names, or the types `int` and `float`."""
    names = [_name(x) for x in operands]
    if any("complex" in name for name in names):
        return "complex64"
    if any("float" in name for name in names):
        return "float64" if "float64" in names else "float32"
    integers = [np.dtype(name) for name in names if name not in ("int", "bool")]
    if integers:
        wide = str(np.result_type(*integers))
        return {"float64": "float32", "uint64": "uint32"}.get(wide, wide)
    return "int32" if "int" in names else "bool"


def _name(x: Any) -> str:
    if isinstance(x, str):
        return x
    if hasattr(x, "dtype"):
        return str(x.dtype)
    return WEAK.get(x if isinstance(x, type) else type(x), "bool")


def same(*xs: Any) -> str:
    """The operands' dtype."""
    return result_type(*xs)


def floats(*xs: Any) -> str:
    """Floats, even for integers."""
    return result_type(*xs, float)


def wide_floats(*xs: Any) -> str:
    """Floats, as wide as the integers that they come from."""
    return "float64" if same(*xs) == "int64" else floats(*xs)


def numbers(*xs: Any) -> str:
    """The operands' dtype; booleans become integers, and Python numbers are not weakly typed."""
    own = result_type(*("int32" if type(x) is int else x for x in xs))
    return "int32" if own == "bool" else own


def products(*xs: Any) -> str:
    """The operands' dtype; 8-bit products are accumulated in 32 bits."""
    return "int32" if same(*xs) == "int8" else same(*xs)


def sums(*xs: Any) -> str:
    """The operands' dtype; small types are accumulated in 32 bits."""
    return SMALL.get(same(*xs), same(*xs))


def convert(layer: Layer, x: Any, dtype: str) -> Any:
    """An operand in this dtype; Python numbers need no cast."""
    if isinstance(x, Value):
        return layer.cast(x, dtype)
    return x.astype(dtype) if isinstance(x, np.ndarray) else x


def apply(layer: Layer, kernel: Callable[..., Any], *xs: Any, rule: DtypeRule = same, **settings: Any) -> Value:
    """`kernel` applied to the operands, all in the dtype that the rule chooses, which is also the result's."""
    xs = tuple(tensor(x) for x in xs)
    dtype = rule(*xs)
    return layer.cast(layer.emit(kernel, *(convert(layer, x, dtype) for x in xs), **settings), dtype)


def wanted_dtype(layer: Layer, default: str) -> str:
    """The setting `dtype`, or the default."""
    dtype = layer.config.get("dtype", None)
    if dtype is None:
        return default
    layer.half = dtype if dtype == "bfloat16" else ""
    if dtype not in DTYPES and not layer.half:
        raise UnsupportedModelError(f"no dtype {dtype!a} in NumPy")
    return "float32" if layer.half else str(dtype)


def floating(layer: Layer, x: Any) -> Any:
    """Integers as floats of Keras's default width."""
    return convert(layer, x, floats(x)) if isinstance(x, (Value, np.ndarray)) else x


def promote(layer: Layer, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands, promoted to one dtype."""
    xs = tuple(tensor(x) for x in xs)
    return tuple(convert(layer, x, same(*xs)) for x in xs)


def promote_list(layer: Layer, xs: Any) -> tuple[Any, ...]:
    """A list of tensors, promoted to one dtype. Raises InvalidModelError for anything else."""
    if not isinstance(xs, (list, tuple)) or not xs or any(isinstance(x, (int, float)) for x in xs):
        raise InvalidModelError(f"an argument is {ascii(xs)[:80]}, where a list of tensors is expected")
    return promote(layer, tuple(xs))


def narrow(layer: Layer, y: Value, *xs: Any) -> Value:
    """`y` without NumPy's widening to 64 bits: Keras keeps 32 bits if no operand is wider."""
    wide = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
    arrays = [x for x in xs if isinstance(x, (Value, np.ndarray))]
    return layer.cast(y, wide[y.dtype]) if y.dtype in wide and all("64" not in str(x.dtype) for x in arrays) else y


def saturate(layer: Layer, x: Value, dtype: str) -> Value:
    """`x` clipped to the limits of a dtype and cast to it.

    The float nearest to the limit of a wide integer is beyond it: as in Keras, the processor decides what that becomes.
    """
    (low, high), (least, most) = _limits(x.dtype), _limits(dtype)
    bounds = [max(low, least), min(high, most)]
    if "float" in x.dtype:
        bounds = [np.asarray(limit, x.dtype).item() for limit in bounds]
    y = layer.emit(kernels.clip, x, x_min=bounds[0], x_max=bounds[1])
    return layer.emit(kernels.cast, y, dtype=dtype)  # NumPy 1 widens for the largest float32


def _limits(dtype: str) -> tuple[Any, Any]:
    if dtype == "bool":
        return 0, 1
    if "int" in dtype:
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
