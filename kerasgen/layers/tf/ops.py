"""TensorFlow functions: those that functional models of tf.keras call in addition to layers.

Most are Keras operations under another name, listed in tables; those without a counterpart follow, with TensorFlow's
arguments. TensorFlow never mixes dtypes: a constant takes the dtype of the tensor that it is combined with.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import Config
from kerasgen.layers.dtypes import narrow
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import RULES, rule
from kerasgen.layers.sizes import propagate
from kerasgen.readers.model import leaves

Function = TypeVar("Function", bound=Callable[..., Any])

# Elementwise, by the last part of the function's name: of one tensor, and of two.
UNARY: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": kernels.erf,
    "erfc": kernels.erfc,
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": np.floor,
    "is_finite": np.isfinite,
    "is_inf": np.isinf,
    "is_nan": np.isnan,
    "log": np.log,
    "log1p": np.log1p,
    "logical_not": np.logical_not,
    "negative": np.negative,
    "reciprocal": np.reciprocal,
    "rint": np.rint,
    "round": np.rint,
    "rsqrt": kernels.rsqrt,
    "sigmoid": kernels.sigmoid,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": kernels.softplus,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": kernels.tanh,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "atan2": np.arctan2,
    "divide_no_nan": kernels.divide_no_nan,
    "equal": np.equal,
    "floormod": np.mod,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "not_equal": np.not_equal,
    "pow": np.power,
    "scalar_mul": np.multiply,
    "subtract": np.subtract,
}
ELSEWHERE: dict[str, Callable[..., Any]] = {
    "__operators__.add": np.add,
    "__operators__.eq": np.equal,
    "__operators__.ne": np.not_equal,
    "bitwise.bitwise_and": np.bitwise_and,
    "bitwise.bitwise_or": np.bitwise_or,
    "bitwise.bitwise_xor": np.bitwise_xor,
    "bitwise.invert": np.invert,
    "identity": kernels.identity,
    "nn.elu": kernels.elu,
    "nn.relu": kernels.relu,
    "nn.relu6": kernels.relu6,
    "nn.selu": kernels.selu,
    "nn.softsign": kernels.softsign,
    "ones_like": np.ones_like,
    "stop_gradient": kernels.stop_gradient,
    "zeros_like": np.zeros_like,
}
# TensorFlow's function, Keras's operation, then the tensors and the settings by TensorFlow's names; Keras's name for a
# setting, if different, follows the colon.
KERAS: tuple[tuple[str, str, str, str], ...] = (
    ("image.rgb_to_grayscale", "RGBToGrayscale", "images", ""),
    ("image.rgb_to_hsv", "RGBToHSV", "images", ""),
    ("image.hsv_to_rgb", "HSVToRGB", "images", ""),
    ("math.log_sigmoid", "LogSigmoid", "x", ""),
    ("math.reduce_all", "All", "input_tensor", "axis keepdims"),
    ("math.reduce_any", "Any", "input_tensor", "axis keepdims"),
    ("math.reduce_logsumexp", "Logsumexp", "input_tensor", "axis keepdims"),
    ("math.reduce_max", "Max", "input_tensor", "axis keepdims"),
    ("math.reduce_mean", "Mean", "input_tensor", "axis keepdims"),
    ("math.reduce_min", "Min", "input_tensor", "axis keepdims"),
    ("math.reduce_prod", "Prod", "input_tensor", "axis keepdims"),
    ("math.reduce_std", "Std", "input_tensor", "axis keepdims"),
    ("math.reduce_sum", "Sum", "input_tensor", "axis keepdims"),
    ("math.reduce_variance", "Var", "input_tensor", "axis keepdims"),
    ("nn.depth_to_space", "DepthToSpace", "input", "block_size data_format"),
    ("nn.leaky_relu", "LeakyRelu", "features", "alpha:negative_slope"),
    ("nn.log_softmax", "LogSoftmax", "logits", "axis"),
    ("nn.silu", "Silu", "features", ""),
    ("nn.softmax", "Softmax", "logits", "axis"),
    ("nn.space_to_depth", "SpaceToDepth", "input", "block_size data_format"),
    ("repeat", "Repeat", "input", "repeats axis"),
    ("reverse", "Flip", "tensor", "axis"),
    ("roll", "Roll", "input", "shift axis"),
    ("sort", "Sort", "values", "axis"),
    ("tensordot", "Tensordot", "a b", "axes"),
)
# Operations that mix samples, unless `axis` excludes the batch.
MIXING = {"All", "Any", "Logsumexp", "Max", "Mean", "Min", "Prod", "Std", "Sum", "Var", "Repeat", "Tensordot", "Diag"}
FORMATS = {"NWC": "channels_last", "NHWC": "channels_last", "NDHWC": "channels_last", "NCHW": "channels_first"}


def function(*names: str) -> Callable[[Function], Function]:
    """Register a rule for the TensorFlow functions of these names. It propagates known sizes."""

    def register(function_rule: Function) -> Function:
        signature = inspect.signature(function_rule)

        @functools.wraps(function_rule)
        def run(layer: Layer, *args: Any, **kwargs: Any) -> Any:
            start = len(layer.nodes)
            try:
                signature.bind(layer, *args, **kwargs)
            except TypeError as error:
                raise UnsupportedModelError(f"its call is not supported: {error}") from error
            try:
                result = function_rule(layer, *args, **kwargs)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
                raise InvalidModelError(f"malformed arguments: {error}") from error
            return propagate(layer, (args, kwargs), layer.nodes[start:], result)

        rule(*(f"ops.tf.{name}" for name in names))(run)
        return function_rule

    return register


def tensors(layer: Layer, *items: Any) -> list[Any]:
    """Operands; lists of numbers become constants of the tensors' dtype."""
    dtype = next((value.dtype for value in leaves(items, Value)), "")
    return [tensor(layer, item, dtype) for item in items]


def tensor(layer: Layer, item: Any, dtype: str = "") -> Any:
    """An operand; a list of numbers becomes a constant, a list of tensors is stacked."""
    if not isinstance(item, (list, tuple)):
        return item
    if any(True for _ in leaves(item, Value)):
        return layer.emit(kernels.stack, *tensors(layer, *item))
    return layer.constant("constant", array(item, dtype))


def array(item: Any, dtype: str = "") -> np.ndarray:
    """A list of numbers as an array of TensorFlow's default dtype, or of this dtype."""
    numbers = np.asarray(item)
    if numbers.dtype.kind not in "bif":
        raise InvalidModelError("a constant is neither numeric nor boolean")
    return numbers.astype(dtype or {"f": "float32", "i": "int32"}.get(numbers.dtype.kind, "bool"))


def keras(layer: Layer, operation: str, *args: Any, given: Mapping[str, Any] | None = None, **settings: Any) -> Value:
    """Apply the rule of a Keras operation; settings that are None take its defaults, unless they are `given`."""
    if f"ops.{operation}" not in RULES:
        raise UnsupportedModelError(f"no rule for {operation}, Keras's name for it")
    part = copy.copy(layer)
    part.kind = f"ops.{operation}"
    part.config = Config({**{key: item for key, item in settings.items() if item is not None}, **(given or {})})
    result: Value = RULES[part.kind](part, *args)
    return result


def batched(value: Value, whether: bool) -> Value:
    """The value, marked as to whether its first axis is still the batch."""
    return replace(value, batched=value.batched and whether)


def keeps_batch(axis: Any, rank: int) -> bool:
    """Whether an operation along these axes does not touch the batch axis."""
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    return all(isinstance(item, int) and item % max(rank, 1) for item in axes)


def _cellwise(name: str, kernel: Callable[..., Any], count: int) -> None:
    @function(name)
    def cellwise(layer: Layer, *args: Any, x: Any = None, y: Any = None) -> Value:
        items = [item for item in (*args, x, y) if item is not None]
        if len(items) != count:
            raise UnsupportedModelError(f"the file has {len(items)} of its {count} operands: tf.keras lost the other")
        operands = tensors(layer, *items)
        return narrow(layer, layer.emit(kernel, *operands), *operands)


def _as_keras(name: str, operation: str, inputs: str, settings: str) -> None:
    renamed = {old: new or old for old, _, new in (setting.partition(":") for setting in settings.split())}
    names = (*inputs.split(), *renamed)

    @function(name)
    def as_keras(layer: Layer, *args: Any, **kwargs: Any) -> Any:
        arguments = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(args) > len(names) or not arguments.keys() <= set(names):
            raise UnsupportedModelError(
                f"an argument is not supported: {', '.join(sorted(arguments.keys() - set(names)))}"
            )
        operands = tensors(layer, *(arguments.pop(key, None) for key in inputs.split()))
        if arguments.get("data_format") is not None:
            arguments["data_format"] = FORMATS.get(arguments["data_format"], "")
        result = keras(layer, operation, *operands, **{renamed[key]: item for key, item in arguments.items()})
        rank = len(operands[0].shape) if isinstance(operands[0], Value) else 0
        if operation in MIXING:
            return batched(result, operation != "Tensordot" and keeps_batch(arguments.get("axis"), rank))
        return result


for _name, _kernel in UNARY.items():
    _cellwise(f"math.{_name}", _kernel, 1)
for _name, _kernel in BINARY.items():
    _cellwise(f"math.{_name}", _kernel, 2)
for _name, _kernel in ELSEWHERE.items():
    _cellwise(_name, _kernel, 2 if isinstance(_kernel, np.ufunc) and _kernel.nin == 2 else 1)
for _row in KERAS:
    _as_keras(*_row)


@function("math.truediv", "math.divide", "realdiv")
def divide(layer: Layer, x: Any, y: Any) -> Value:
    """A quotient; float32 for small integer types, float64 for large ones."""
    x, y = (
        layer.cast(v, "float32") if isinstance(v, Value) and v.dtype in ("int8", "uint8", "int16", "uint16") else v
        for v in tensors(layer, x, y)
    )
    return layer.emit(np.divide, x, y)


@function("math.floordiv", "floor_div")
def floor_divide(layer: Layer, x: Any, y: Any) -> Value:
    """A quotient rounded down."""
    x, y = tensors(layer, x, y)
    integral = not any("float" in value.dtype for value in leaves((x, y), Value))
    return layer.emit(np.floor_divide if integral else kernels.floor_divide, x, y)


@function("math.squared_difference")
def squared_difference(layer: Layer, x: Any, y: Any) -> Value:
    """`(x - y) ** 2`."""
    return layer.emit(np.square, layer.emit(np.subtract, *tensors(layer, x, y)))


@function("math.add_n", "math.accumulate_n")
def add_n(layer: Layer, inputs: Any) -> Value:
    """The sum of several tensors."""
    total, *rest = tensors(layer, *(inputs if isinstance(inputs, (list, tuple)) else [inputs]))
    for item in rest:
        total = layer.emit(np.add, total, item)
    return total if rest else layer.emit(kernels.identity, total)


@function("clip_by_value")
def clip_by_value(layer: Layer, t: Value, clip_value_min: Any, clip_value_max: Any) -> Value:
    """Clipped to two bounds."""
    low, high = clip_value_min, clip_value_max
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        return layer.emit(kernels.clip, t, x_min=low, x_max=high)
    t, low, high = tensors(layer, t, low, high)
    return layer.emit(np.minimum, layer.emit(np.maximum, t, low), high)


@function("nn.gelu")
def gelu(layer: Layer, features: Value, approximate: bool = False) -> Value:
    """Gelu, by default in its exact form."""
    return layer.emit(kernels.gelu, features, approximate=approximate)


@function("math.l2_normalize")
def l2_normalize(layer: Layer, x: Value, axis: Any = None, epsilon: float = 1e-12) -> Value:
    """`x / √max(sum(x²), ε)`."""
    axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    square = layer.emit(np.sum, layer.emit(np.square, x), axis=axis, keepdims=True)
    return layer.emit(np.multiply, x, layer.emit(kernels.rsqrt, layer.emit(np.maximum, square, epsilon)))


@function("norm", "math.reduce_euclidean_norm")
def norm(layer: Layer, tensor: Value, ord: Any = "euclidean", axis: Any = None, keepdims: Any = False) -> Value:
    """The norm of vectors; for pairs of axes the Frobenius norm."""
    settings = {"axis": tuple(axis) if isinstance(axis, (list, tuple)) else axis, "keepdims": bool(keepdims)}
    if ord in ("euclidean", "fro", 2) and (ord != 2 or isinstance(axis, int)):
        y = layer.emit(np.sqrt, layer.emit(np.sum, layer.emit(np.square, tensor), **settings))
    elif ord == 1 and isinstance(axis, int):
        y = layer.emit(np.sum, layer.emit(np.abs, tensor), **settings)
    else:
        raise UnsupportedModelError(f"no norm of order {ord!a} along {axis!a}")
    return batched(y, keeps_batch(axis, len(tensor.shape)))


def _extreme(layer: Layer, x: Value, axis: Any, dtype: Any, kernel: Callable[..., Any]) -> Value:
    axis = 0 if axis is None else axis
    y = layer.emit(kernel, x, axis=axis)
    return batched(layer.cast(y, dtype), keeps_batch(axis, len(x.shape)))


@function("math.argmax")
def argmax(layer: Layer, input: Value, axis: Any = None, output_type: str = "int64") -> Value:
    """The index of the maximum."""
    return _extreme(layer, input, axis, output_type, np.argmax)


@function("math.argmin")
def argmin(layer: Layer, input: Value, axis: Any = None, output_type: str = "int64") -> Value:
    """The index of the minimum."""
    return _extreme(layer, input, axis, output_type, np.argmin)


@function("argsort")
def argsort(layer: Layer, values: Value, axis: int = -1, direction: str = "ASCENDING", stable: bool = False) -> Value:
    """The indices that sort an axis."""
    if direction != "ASCENDING":
        values = layer.emit(np.negative, values)
    return layer.cast(layer.emit(np.argsort, values, axis=axis, kind="stable"), "int32")


@function("math.top_k")
def top_k(layer: Layer, input: Value, k: Any = 1, sorted: bool = True) -> list[Value]:
    """The largest elements of the last axis, and their indices."""
    return layer.emit_many(kernels.top_k, input, k=k)


def _cumulate(layer: Layer, x: Value, axis: int, exclusive: bool, reverse: bool, kernel: Callable[..., Any]) -> Value:
    if exclusive:
        raise UnsupportedModelError("exclusive cumulation is not supported")
    x = layer.emit(np.flip, x, axis=axis) if reverse else x
    y = narrow(layer, layer.emit(kernel, x, axis=axis), x)
    return layer.emit(np.flip, y, axis=axis) if reverse else y


@function("math.cumsum")
def cumsum(layer: Layer, x: Value, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Value:
    """Cumulative sums."""
    return _cumulate(layer, x, axis, exclusive, reverse, np.cumsum)


@function("math.cumprod")
def cumprod(layer: Layer, x: Value, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Value:
    """Cumulative products."""
    return _cumulate(layer, x, axis, exclusive, reverse, np.cumprod)


@function("cast")
def cast(layer: Layer, x: Value, dtype: str) -> Value:
    """A cast to another dtype; fractions are truncated."""
    return keras(layer, "Cast", x, dtype=dtype)


@function("convert_to_tensor", "ensure_shape", "debugging.check_numerics")
def unchanged(layer: Layer, x: Value, *args: Any, **kwargs: Any) -> Value:
    """Functions that only check."""
    return layer.emit(kernels.identity, x)


@function("where")
def where(layer: Layer, condition: Any, x: Any = None, y: Any = None) -> Value:
    """`x` where the condition holds, `y` elsewhere."""
    if x is None or y is None:
        raise UnsupportedModelError("the shape of its result depends on the data")
    dtype = next((value.dtype for value in leaves((x, y), Value)), "float32")
    result = layer.emit(np.where, tensor(layer, condition, "bool"), tensor(layer, x, dtype), tensor(layer, y, dtype))
    return layer.cast(result, dtype)


@function("one_hot")
def one_hot(
    layer: Layer,
    indices: Value,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: Any = None,
    dtype: Any = None,
) -> Value:
    """`on_value` at each index, `off_value` elsewhere, along a new axis."""
    on, off = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    axis = -1 if axis is None else axis
    y = layer.emit(kernels.one_hot, indices, num_classes=depth, axis=axis, dtype=dtype or "float32")
    if (on, off) == (1, 0):
        return y
    return layer.emit(np.add, layer.emit(np.multiply, y, on - off), off)


@function("linalg.matmul")
def matmul(
    layer: Layer,
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
) -> Value:
    """A matrix product; the operands may be transposed first."""
    a, b = tensors(layer, a, b)
    if transpose_a or adjoint_a:
        a = batched(layer.emit(np.swapaxes, a, axis1=-1, axis2=-2), len(a.shape) > 2)
    if transpose_b or adjoint_b:
        b = layer.emit(np.swapaxes, b, axis1=-1, axis2=-2)
    return layer.emit(np.matmul, a, b)


@function("einsum")
def einsum(layer: Layer, equation: str, *inputs: Any) -> Value:
    """Sums of products by subscripts."""
    if not inputs:
        raise UnsupportedModelError("the file has none of its operands: tf.keras lost them")
    y = layer.emit(kernels.einsum, *tensors(layer, *inputs), subscripts=equation.replace(" ", ""))
    return batched(y, equation.strip()[:1] == equation.partition("->")[2].strip()[:1])
