"""Python's own: operators, attributes, items and the functions that are always there, of tensors and of plain values.

Plain values are computed at once, within bounds; an operator on a tensor is TensorFlow's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.functions.values import Function, Method, Reference, StaticShape, static_shape
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import RULES
from kerasgen.layers.sizes import concrete
from kerasgen.readers.model import leaves

LARGEST = 1 << 62  # of an integer
MOST_ITEMS = 1 << 12  # of a tuple or a list
MOST_CELLS = 1 << 20  # of an array that is computed at export

# TensorFlow's functions for operators.
_TENSOR = {
    "+": "math.add",
    "-": "math.subtract",
    "*": "math.multiply",
    "/": "math.truediv",
    "//": "math.floordiv",
    "%": "math.floormod",
    "**": "math.pow",
    "@": "linalg.matmul",
    "<": "math.less",
    "<=": "math.less_equal",
    ">": "math.greater",
    ">=": "math.greater_equal",
    "==": "math.equal",
    "!=": "math.not_equal",
}
_LOGICAL = {"&": "and", "|": "or", "^": "xor"}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "is": operator.is_,
    "is not": operator.is_not,
}
UNARY: dict[str, Callable[[Any], Any]] = {
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
    "not": operator.not_,
}


def tf(layer: Layer, name: str, *args: Any, **kwargs: Any) -> Any:
    """Apply the rule of a TensorFlow function."""
    return RULES[f"ops.tf.{name}"](layer, *args, **kwargs)


def has_tensors(*items: Any) -> bool:
    """Whether there is a tensor among these, or in a list of them."""
    return any(True for _ in leaves(items, Value))


def unary(layer: Layer, symbol: str, x: Any) -> Any:
    """An operator of one operand."""
    if not isinstance(x, Value):
        return plain(symbol, x)
    if symbol == "not":
        raise UnsupportedModelError("`not` asks whether a tensor is true: that is a branch")
    if symbol == "+":
        raise UnsupportedModelError("TensorFlow has no `+` of one tensor")
    if symbol == "-":
        return tf(layer, "math.negative", x)
    return tf(layer, "math.logical_not" if x.dtype == "bool" else "bitwise.invert", x)


def binary(layer: Layer, symbol: str, left: Any, right: Any) -> Any:
    """An operator of two operands."""
    if not has_tensors(left, right):
        return plain(symbol, left, right)
    if symbol == "classic /":
        symbol = _modern(left, right)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        if symbol != "+":
            raise UnsupportedModelError(f"`{symbol}` of two lists")
        return [*left, *right] if isinstance(left, list) else (*left, *right)
    if symbol in _LOGICAL:
        kind = "math.logical_" if _dtype(left, right) == "bool" else "bitwise.bitwise_"
        return tf(layer, kind + _LOGICAL[symbol], *operands(left, right))
    if symbol not in _TENSOR:
        raise UnsupportedModelError(f"`{symbol}` of a tensor")
    return tf(layer, _TENSOR[symbol], *operands(left, right))


def _dtype(*items: Any) -> str:
    return str(next(leaves(items, Value)).dtype)


def operands(*items: Any) -> list[Any]:
    """Operands of a TensorFlow function: arrays become lists, for they take the dtype of the tensor beside them."""
    if any(item is None or isinstance(item, (str, Reference, Method)) for item in items):
        raise UnsupportedModelError("an operand is neither a tensor nor a number")
    return [item.tolist() if isinstance(item, (np.ndarray, np.generic)) else item for item in items]


def _plain(function: Callable[..., Any], *items: Any) -> Any:
    """A function of plain values, whose result is bounded."""
    try:
        return bounded(function(*items))
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise UnsupportedModelError(f"Python says: {' '.join(str(error).split())[:160]}") from error


def _modern(*operands: Any) -> str:
    """The `/` of Python 2 as Python 3 has it: integers are divided without a rest."""
    integral = all(isinstance(x, int) or "int" in str(getattr(x, "dtype", "")) for x in operands)
    return "//" if integral else "/"


def plain(symbol: str, *operands: Any) -> Any:
    """An operator of plain values, whose result is bounded."""
    if any(isinstance(item, (Reference, Method)) for item in operands):
        raise UnsupportedModelError("an operand is a function or a module")
    if len(operands) == 1:
        return _plain(UNARY[symbol], *operands)
    return _plain_binary(_modern(*operands) if symbol == "classic /" else symbol, *operands)


def _plain_binary(symbol: str, left: Any, right: Any) -> Any:
    if symbol in ("in", "not in") or symbol not in BINARY:
        raise UnsupportedModelError(f"`{symbol}` is not supported here")
    if symbol in ("**", "<<") and _bits(left, right, symbol) > 64:
        raise UnsupportedModelError("a number is too large")
    if symbol == "*":
        sizes = [len(item) for item in (left, right) if isinstance(item, (str, bytes, list, tuple))]
        counts = [item for item in (left, right) if isinstance(item, int)]
        if sizes and counts and max(sizes) * max(counts) > MOST_ITEMS:
            raise UnsupportedModelError("a list is too long")
    if symbol == "%" and isinstance(left, (str, bytes)):
        raise UnsupportedModelError("it makes a text")
    if any(isinstance(item, np.ndarray) for item in (left, right)):
        check_cells(np.shape(left), np.shape(right))
    return _plain(BINARY[symbol], left, right)


def _bits(left: Any, right: Any, symbol: str) -> float:
    """How many bits the result of `**` or `<<` has, for integers."""
    if not (isinstance(left, int) and isinstance(right, int)) or right < 0:
        return 0
    return (
        max(left.bit_length(), 1) * right
        if symbol == "**" and abs(left) > 1
        else left.bit_length() + right * (symbol == "<<")
    )


def check_cells(*shapes: Any) -> None:
    """Raise UnsupportedModelError for an array of these shapes, broadcast, that is too large or does not exist."""
    try:
        shape = np.broadcast_shapes(*shapes)
    except (TypeError, ValueError) as error:
        raise UnsupportedModelError(f"NumPy says: {' '.join(str(error).split())[:160]}") from error
    if math.prod(shape) > MOST_CELLS:
        raise UnsupportedModelError("an array is too large")


def bounded(value: Any) -> Any:
    """A plain value. Raises UnsupportedModelError for one that is too large."""
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise UnsupportedModelError("a number is too large")
    if isinstance(value, (str, bytes, list, tuple)) and len(value) > MOST_ITEMS:
        raise UnsupportedModelError("a list is too long")
    return value


def item(layer: Layer, of: Any, index: Any) -> Any:
    """`of[index]`."""
    if isinstance(of, Value):
        return tf(layer, "__operators__.getitem", of, index)
    if isinstance(of, (Reference, Method)):
        raise UnsupportedModelError("it takes an item of a function or a module")
    index = concrete(index)
    if has_tensors(index) or (isinstance(of, dict) and not isinstance(index, (str, int))):
        raise UnsupportedModelError("an index is a tensor")
    result = _plain(operator.getitem, of, index)
    return StaticShape(result) if isinstance(of, StaticShape) and isinstance(result, tuple) else result


def unpacked(layer: Layer, of: Any, number: int, count: int) -> Any:
    """One of the elements that a sequence is unpacked to."""
    length = of.shape[0] if isinstance(of, Value) and of.shape else len(of) if isinstance(of, (list, tuple)) else None
    if length != count:
        raise UnsupportedModelError(
            f"it unpacks {count} elements of something that has {length or 'an unknown number'}"
        )
    return item(layer, of, number)


def attribute(of: Any, name: str) -> Any:
    """`of.name`, of a tensor, a shape or a list. Raises UnsupportedModelError for all others."""
    if isinstance(of, Value) and name in _TENSOR_ATTRIBUTES:
        return _TENSOR_ATTRIBUTES[name](of)
    if isinstance(of, StaticShape) and name in _SHAPE_ATTRIBUTES:
        return _SHAPE_ATTRIBUTES[name](of)
    if name == "value" and (of is None or type(of) is int):  # a size of TensorFlow 1
        return of
    if isinstance(of, np.ndarray) and name in _ARRAY_ATTRIBUTES:
        return _ARRAY_ATTRIBUTES[name](of)
    raise UnsupportedModelError(f"the attribute {name!a} is not supported")


def _method(name: str, result: Callable[..., Any]) -> Method:
    return Method(name, lambda layer, *args, **kwargs: _plain(result, *args, **kwargs))


_TENSOR_ATTRIBUTES: dict[str, Callable[[Value], Any]] = {
    "_keras_shape": static_shape,
    "dtype": lambda x: x.dtype,
    "get_shape": lambda x: _method("get_shape", lambda: static_shape(x)),
    "ndim": lambda x: len(x.shape),
    "set_shape": lambda x: Method("set_shape", lambda layer, shape: None),
    "shape": static_shape,
}
_SHAPE_ATTRIBUTES: dict[str, Callable[[StaticShape], Any]] = {
    "as_list": lambda shape: _method("as_list", lambda: list(shape)),
    "dims": list,
    "ndims": len,
    "num_elements": lambda shape: _method("num_elements", lambda: None if None in shape else math.prod(shape)),
    "rank": len,
}
_ARRAY_ATTRIBUTES: dict[str, Callable[[np.ndarray], Any]] = {
    "T": lambda x: x.T,
    "astype": lambda x: Method("astype", lambda layer, dtype: x.astype(dtype_name(dtype))),
    "dtype": lambda x: x.dtype.name,
    "ndim": lambda x: x.ndim,
    "reshape": lambda x: _method("reshape", lambda *shape: x.reshape(*shape)),
    "shape": lambda x: tuple(x.shape),
    "tolist": lambda x: _method("tolist", x.tolist),
}

ATTRIBUTES = frozenset((*_TENSOR_ATTRIBUTES, *_SHAPE_ATTRIBUTES, *_ARRAY_ATTRIBUTES))


def dtype_name(dtype: Any) -> str:
    """A dtype, however it is written, as a name."""
    name = dtype.dtype if isinstance(dtype, Reference) else dtype
    if not isinstance(name, str) or not name:
        raise UnsupportedModelError(f"{ascii(dtype)[:80]} is no dtype")
    return name


def _number(kind: type) -> Function:
    def convert(layer: Layer, x: Any = 0) -> Any:
        x = concrete(x)
        if isinstance(x, Value):
            raise UnsupportedModelError(f"`{kind.__name__}` of a tensor")
        return _plain(kind, x)

    return convert


def _sequence(kind: type) -> Function:
    def convert(layer: Layer, x: Any = ()) -> Any:
        if not isinstance(x, (list, tuple)):
            raise UnsupportedModelError(f"`{kind.__name__}` of something that is neither a tuple nor a list")
        return kind(x)

    return convert


def _length(layer: Layer, x: Any) -> Any:
    if isinstance(x, Value):
        if not x.shape or x.shape[0] is None:
            raise UnsupportedModelError("`len` of a tensor")
        return x.shape[0]
    return _plain(len, x)


def _absolute(layer: Layer, x: Any) -> Any:
    return tf(layer, "math.abs", x) if isinstance(x, Value) else _plain(abs, x)


def _power(layer: Layer, x: Any, y: Any) -> Any:
    return binary(layer, "**", x, y)


def _total(layer: Layer, x: Any, start: Any = 0) -> Any:
    if not isinstance(x, (list, tuple)):
        raise UnsupportedModelError("`sum` of something that is neither a tuple nor a list")
    for each in x:
        start = binary(layer, "+", start, each)
    return start


def _extreme(function: Callable[..., Any]) -> Function:
    def extreme(layer: Layer, *x: Any) -> Any:
        if has_tensors(x):
            raise UnsupportedModelError(f"`{function.__name__}` of tensors compares them: that is a branch")
        return _plain(function, *x)

    return extreme


def _rounded(layer: Layer, x: Any, *digits: Any) -> Any:
    if isinstance(x, Value):
        raise UnsupportedModelError("`round` of a tensor")
    return _plain(round, x, *digits)


def _range(layer: Layer, *bounds: Any) -> Any:
    numbers = _plain(range, *(concrete(bound) for bound in bounds))
    if len(numbers) > MOST_ITEMS:
        raise UnsupportedModelError("a list is too long")
    return list(numbers)


FUNCTIONS: dict[str, Function] = {
    "abs": _absolute,
    "bool": _number(bool),
    "float": _number(float),
    "int": _number(int),
    "len": _length,
    "list": _sequence(list),
    "max": _extreme(max),
    "min": _extreme(min),
    "pow": _power,
    "print": lambda layer, *args, **kwargs: None,
    "range": _range,
    "round": _rounded,
    "slice": lambda layer, *parts: _plain(slice, *parts),
    "sum": _total,
    "tuple": _sequence(tuple),
}


def stacked(layer: Layer, items: Sequence[Any]) -> Value:
    """A list of tensors and numbers as one tensor."""
    return layer.emit(kernels.stack, *items, axis=0)
