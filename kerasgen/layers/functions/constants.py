"""Constants: what NumPy, `math` and TensorFlow make of plain numbers, at export and within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.functions.python import MOST_CELLS, bounded, check_cells, dtype_name, has_tensors, tf
from kerasgen.layers.functions.values import DTYPES, Function, Reference
from kerasgen.layers.layer import Layer
from kerasgen.layers.sizes import LARGEST, concrete, integers, size_array

# Functions of NumPy whose result is as large as their arguments, broadcast.
_CELLWISE = """
    abs absolute add ceil clip cos divide equal exp expm1 fabs floor floor_divide greater less log log10 log1p log2
    maximum minimum mod multiply negative power prod reciprocal round sign sin sqrt square subtract sum mean std var
    max min tan tanh true_divide transpose reshape ravel squeeze expand_dims flip array asarray cumsum diff sort
    """.split()
_MATH = """
    acos asin atan atan2 ceil cos cosh degrees erf exp expm1 fabs floor hypot log log10 log1p log2 pow radians sin sinh
    sqrt tan tanh trunc
    """.split()


def _refuse_tensors(name: str, *items: Any) -> None:
    if has_tensors(items):
        raise UnsupportedModelError(f"{name} of a tensor, which it does not take")


def _array(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What NumPy makes of plain values: a number, or an array."""
    try:
        with np.errstate(all="ignore"):
            result = function(*args, **kwargs)
    except (TypeError, ValueError, ArithmeticError, LookupError, MemoryError) as error:
        raise UnsupportedModelError(f"{name}: NumPy says: {' '.join(str(error).split())[:160]}") from error
    array = np.asarray(result)
    if array.dtype.kind not in "biuf" or array.size > MOST_CELLS:
        raise UnsupportedModelError(f"{name} makes something else than an array of numbers, or a large one")
    return array if array.ndim else array.item()


def _plain_arguments(name: str, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a function of NumPy: numbers, arrays, lists of numbers, axes and dtypes."""
    args, kwargs = [concrete(item) for item in args], {key: concrete(item) for key, item in kwargs.items()}
    _refuse_tensors(name, args, kwargs)
    if set(kwargs) - {"axis", "axes", "keepdims", "dtype", "decimals", "a_min", "a_max", "ddof", "newshape", "shape"}:
        raise UnsupportedModelError(f"{name} has an argument that is not supported")
    converted = [dtype_name(item) if isinstance(item, Reference) else item for item in args]
    if any(not isinstance(item, (int, float, list, tuple, np.ndarray, str, type(None))) for item in converted):
        raise UnsupportedModelError(f"{name} has an argument that is no number")
    if "dtype" in kwargs and kwargs["dtype"] is not None:
        kwargs["dtype"] = dtype_name(kwargs["dtype"])
    return converted, kwargs


def numpy_function(name: str) -> Function | None:
    """A function of NumPy on plain values; a dtype is a function, too."""
    if name in DTYPES:
        return lambda layer, x: (
            _array(f"np.{name}", np.dtype(DTYPES[name]).type, [x], {})
            if not has_tensors(x)
            else tf(layer, "cast", x, DTYPES[name])
        )
    if name in _CELLWISE:
        return lambda layer, *args, **kwargs: _cellwise(name, args, kwargs)
    if name in _SIZED:
        return lambda layer, *args, **kwargs: _sized(name, args, kwargs)
    return None


def _cellwise(name: str, args: Any, kwargs: Any) -> Any:
    args, kwargs = _plain_arguments(f"np.{name}", args, kwargs)
    function = getattr(np, name)
    if isinstance(function, np.ufunc):
        check_cells(*map(np.shape, args))
    return _array(f"np.{name}", function, args, kwargs)


# Functions of NumPy that make arrays of a size that an argument says.
_SIZED: dict[str, Callable[..., int]] = {
    "arange": lambda start, stop=None, step=1, **_: _steps(
        0 if stop is None else start, start if stop is None else stop, step
    ),
    "eye": lambda n, m=None, **_: n * (m or n),
    "full": lambda shape, value, **_: _cells(shape),
    "linspace": lambda start, stop, num=50, **_: num,
    "ones": lambda shape, **_: _cells(shape),
    "zeros": lambda shape, **_: _cells(shape),
}


def _steps(start: float, stop: float, step: float) -> int:
    return math.ceil(abs((stop - start) / step))


def _cells(shape: Any) -> int:
    return math.prod(shape) if isinstance(shape, (list, tuple)) else int(shape)


def _sized(name: str, args: Any, kwargs: Any) -> Any:
    args, kwargs = _plain_arguments(f"np.{name}", args, kwargs)
    try:
        cells = _SIZED[name](*args, **kwargs)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UnsupportedModelError(f"np.{name} does not take these arguments") from error
    if not 0 <= cells <= MOST_CELLS:
        raise UnsupportedModelError(f"np.{name} makes an array that is too large")
    return _array(f"np.{name}", getattr(np, name), args, kwargs)


def math_function(name: str) -> Function | None:
    """A function of `math` on numbers."""
    return (lambda layer, *args: math_call(name, *args)) if name in _MATH else None


def math_call(name: str, *args: Any) -> Any:
    """What a function of `math` returns. Raises UnsupportedModelError where it raises, and for tensors."""
    args = tuple(concrete(item) for item in args)
    _refuse_tensors(f"math.{name}", args)
    try:
        return bounded(getattr(math, name)(*args))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UnsupportedModelError(f"math.{name}: Python says: {error}") from error


def constant(layer: Layer, value: Any, dtype: Any = None, shape: Any = None, name: Any = None) -> Any:
    """`tf.constant`: an array; a number without a dtype stays a number."""
    if isinstance(value, Value):
        return value if dtype is None else tf(layer, "cast", value, dtype_name(dtype))
    _refuse_tensors("tf.constant", value)
    given = None if dtype is None else dtype_name(dtype)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise UnsupportedModelError("a constant that holds no numbers")
    if given is None:
        given = {"f": "float32", "i": "int32"}.get(array.dtype.kind) if not isinstance(value, np.ndarray) else None
    array = array.astype(given or array.dtype)
    if shape is not None:
        sizes = integers(shape, "its shape")
        check_cells(tuple(sizes))
        array = np.broadcast_to(array, sizes) if array.size == 1 else array.reshape(sizes)
    if not array.ndim and dtype is None:
        return array.item()
    return tensor_of(layer, array)


def tensor_of(layer: Layer, array: np.ndarray) -> Value:
    """A tensor of known numbers."""
    x = replace(layer.emit(kernels.identity, layer.constant("constant", array)), batched=False)
    small = array.dtype.kind in "iu" and array.size <= LARGEST and array.ndim < 2
    return replace(x, sizes=size_array(array)) if small else x


def _range(layer: Layer, start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: Any = None) -> Value:
    """`tf.range`, of known bounds."""
    bounds = [concrete(item) for item in ((0, start, delta) if limit is None else (start, limit, delta))]
    if not all(isinstance(item, (int, float)) for item in bounds):
        raise UnsupportedModelError("the bounds of tf.range must be known when it is exported")
    array = np.asarray(_sized("arange", bounds, {}))
    kind = "float32" if array.dtype.kind == "f" else "int32"
    return tensor_of(layer, array.astype(kind if dtype is None else dtype_name(dtype)))


def _cast_to(dtype: str) -> Function:
    return lambda layer, x, name=None: tf(layer, "cast", x, dtype)


def _divided(layer: Layer, x: Any, y: Any, name: Any = None) -> Any:
    """`tf.div`: integers are divided without a rest."""
    integral = any("int" in item.dtype for item in (x, y) if isinstance(item, Value))
    return tf(layer, "math.floordiv" if integral else "math.truediv", x, y)


def _scalar_shape(layer: Layer, x: Any) -> Any:
    return None


def _eye(layer: Layer, num_rows: Any, num_columns: Any = None, dtype: Any = "float32", name: Any = None) -> Value:
    array = _sized("eye", [concrete(num_rows), concrete(num_columns)], {})
    return tensor_of(layer, np.asarray(array, dtype_name(dtype)))


def _linspace(layer: Layer, start: Any, stop: Any, num: Any, name: Any = None) -> Value:
    return tensor_of(layer, np.asarray(_sized("linspace", [start, stop, concrete(num)], {}), "float32"))


# TensorFlow's functions that need no rule of a layer, and names of TensorFlow 1.
TENSORFLOW: dict[str, Function] = {
    "Print": lambda layer, x, *args, **kwargs: x,
    "constant": constant,
    "div": _divided,
    "eye": _eye,
    "linspace": _linspace,
    "print": lambda layer, *args, **kwargs: None,
    "range": _range,
    "to_double": _cast_to("float64"),
    "to_float": _cast_to("float32"),
    "to_int32": _cast_to("int32"),
    "to_int64": _cast_to("int64"),
}
