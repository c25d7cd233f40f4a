"""`keras.backend` of Keras 1 to 3, by rules of TensorFlow's functions and Keras's operations.

Its images have their channels last unless a call says otherwise: the file does not say what Keras was configured for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import result_type
from kerasgen.layers.functions import constants, python
from kerasgen.layers.functions.python import binary, dtype_name, tf
from kerasgen.layers.functions.values import Function, static_shape
from kerasgen.layers.layer import Layer
from kerasgen.layers.sizes import concrete
from kerasgen.layers.tf.ops import keras

EPSILON = 1e-7
LAST, FIRST = "channels_last", "channels_first"

# Functions of TensorFlow under another name: its arguments in the order of Keras, with TensorFlow's name after a colon
# and Keras's default after `=`.
_ROWS = """
    abs math.abs x
    argmax math.argmax x:input axis=-1
    argmin math.argmin x:input axis=-1
    batch_flatten keras.backend.batch_flatten x
    cos math.cos x
    cumprod math.cumprod x axis=0
    cumsum math.cumsum x axis=0
    elu nn.elu x
    equal math.equal x y
    exp math.exp x
    expand_dims expand_dims x:input axis=-1
    gather gather reference:params indices
    greater math.greater x y
    greater_equal math.greater_equal x y
    identity identity x
    l2_normalize math.l2_normalize x axis=None
    less math.less x y
    less_equal math.less_equal x y
    lesser math.less x y
    lesser_equal math.less_equal x y
    log math.log x
    logsumexp math.reduce_logsumexp x:input_tensor axis=None keepdims=False
    max math.reduce_max x:input_tensor axis=None keepdims=False
    maximum math.maximum x y
    min math.reduce_min x:input_tensor axis=None keepdims=False
    minimum math.minimum x y
    not_equal math.not_equal x y
    one_hot one_hot indices num_classes:depth
    permute_dimensions transpose x:a pattern:perm
    pow math.pow x a:y
    prod math.reduce_prod x:input_tensor axis=None keepdims=False
    reshape reshape x:tensor shape
    round math.round x
    sigmoid math.sigmoid x
    sign math.sign x
    sin math.sin x
    size size x:input
    slice slice x:input_ start:begin size
    softmax nn.softmax x:logits axis=-1
    softplus math.softplus x
    softsign nn.softsign x
    square math.square x
    squeeze squeeze x:input axis
    stack stack x:values axis=0
    stop_gradient stop_gradient variables
    sum math.reduce_sum x:input_tensor axis=None keepdims=False
    tanh math.tanh x
    tile tile x:input n:multiples
    transpose transpose x:a
"""
_OLD_NAMES = {
    "dim_ordering": "data_format",
    "border_mode": "padding",
    "subsample": "strides",
    "nb_classes": "num_classes",
}
_OLD_VALUES = {"tf": LAST, "th": FIRST, "default": None}


# Functions without a value at inference, or whose value is not in the file; and why.
REFUSED = {
    **dict.fromkeys(
        "batch_set_value moving_average_update set_value update update_add update_sub".split(), "changes a variable"
    ),
    **dict.fromkeys(
        """
        clear_session get_session get_uid learning_phase_scope legacy_weight_ordering manual_variable_initialization
        reset_uids set_epsilon set_floatx set_image_data_format set_image_dim_ordering set_learning_phase
        set_legacy_weight_ordering set_session v1_variable_initialization
        """.split(),
        "belongs to a session of Keras",
    ),
    **dict.fromkeys(
        "control_dependencies eager function name_scope symbolic".split(), "steers how TensorFlow computes"
    ),
    **dict.fromkeys("foldl foldr map_fn rnn".split(), "calls a function for every element"),
    **dict.fromkeys("is_keras_tensor is_placeholder is_symbolic is_tensor is_variable".split(), "asks how Keras runs"),
    "ctc_label_dense_to_sparse": "makes a sparse tensor",
    "gradients": "differentiates",
    "normalize_batch_in_training": "computes as in training",
    "placeholder": "makes an input",
}


def function(name: str) -> Function | None:
    """A function of `keras.backend`, by its name there; arguments may have the names of Keras 1."""
    if name in REFUSED:
        return lambda layer, *args, **kwargs: _refuse(name)
    known = FUNCTIONS.get(name)
    return None if known is None else lambda layer, *args, **kwargs: known(layer, *args, **_modern(kwargs))


def _refuse(name: str) -> Any:
    raise UnsupportedModelError(f"keras.backend.{name} {REFUSED[name]}, which is not supported")


def _modern(kwargs: dict[str, Any]) -> dict[str, Any]:
    renamed = {_OLD_NAMES.get(key, key): item for key, item in kwargs.items() if key != "name"}
    if "data_format" in renamed:
        renamed["data_format"] = _OLD_VALUES.get(renamed["data_format"], renamed["data_format"])
    return renamed


def _row(line: str) -> tuple[str, Function]:
    """A row of the table as a function."""
    name, target, *words = line.split()
    parts = [word.partition("=") for word in words]
    names = [part.partition(":")[0] for part, _, _ in parts]
    targets = [part.partition(":")[2] or part for part, _, _ in parts]
    defaults = {target: default for target, (_, given, default) in zip(targets, parts, strict=True) if given}
    values: dict[str, Any] = {"None": None, "False": False}

    def call(layer: Layer, *args: Any, **kwargs: Any) -> Any:
        if len(args) > len(names) or not kwargs.keys() <= set(names):
            raise UnsupportedModelError(f"keras.backend.{name} does not take these arguments")
        bound = {key: values.get(text, text) if text in values else int(text) for key, text in defaults.items()}
        bound.update(zip(targets, args, strict=False))
        bound.update((targets[names.index(key)], item) for key, item in kwargs.items())
        if set(targets) <= {"x", "y", "variables"}:
            return tf(layer, target, *python.operands(*(bound[key] for key in targets if key in bound)))
        return tf(layer, target, **bound)

    return name, call


FUNCTIONS: dict[str, Function] = dict(map(_row, _ROWS.strip().splitlines()))


def register(*names: str) -> Callable[[Function], Function]:
    """Let a function be `keras.backend`'s of these names."""

    def add(known: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(names, known))
        return known

    return add


def _floats(layer: Layer, x: Any) -> Any:
    """A tensor; one of booleans as floats."""
    return layer.cast(x, "float32") if isinstance(x, Value) and x.dtype == "bool" else x


def _statistic(name: str, target: str) -> None:
    @register(name)
    def statistic(layer: Layer, x: Value, axis: Any = None, keepdims: Any = False) -> Any:
        return tf(layer, target, _floats(layer, x), axis=axis, keepdims=keepdims)


def _logical(name: str, target: str) -> None:
    @register(name)
    def logical(layer: Layer, x: Value, axis: Any = None, keepdims: Any = False) -> Any:
        return tf(layer, target, tf(layer, "cast", x, "bool"), axis=axis, keepdims=keepdims)


for _name in ("mean", "std"):
    _statistic(_name, f"math.reduce_{_name}")
_statistic("var", "math.reduce_variance")
_logical("any", "math.reduce_any")
_logical("all", "math.reduce_all")


@register("sqrt")
def _sqrt(layer: Layer, x: Any) -> Any:
    """Of what is not negative; of others 0."""
    if not isinstance(x, Value):
        number = concrete(x)
        negative = isinstance(number, (int, float)) and number < 0
        return constants.math_call("sqrt", 0 if negative else number)
    return tf(layer, "math.sqrt", tf(layer, "math.maximum", x, 0.0))


@register("clip")
def _clip(layer: Layer, x: Value, min_value: Any = None, max_value: Any = None) -> Any:
    low = -float("inf") if min_value is None else min_value
    high = float("inf") if max_value is None else max_value
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        high = max(low, high)
    return tf(layer, "clip_by_value", x, low, high)


@register("relu")
def _relu(layer: Layer, x: Value, alpha: Any = 0.0, max_value: Any = None, threshold: Any = 0.0) -> Any:
    if alpha and max_value is None and not threshold:
        return tf(layer, "nn.leaky_relu", x, alpha=alpha)
    y = tf(layer, "nn.relu", x)
    if threshold:
        above = layer.cast(tf(layer, "math.greater", x, threshold), x.dtype)
        y = tf(layer, "math.multiply", x, above)
    if max_value is not None:
        y = tf(layer, "clip_by_value", y, 0.0, max_value)
    if alpha:
        below = tf(layer, "nn.relu", binary(layer, "-", threshold, x))
        y = binary(layer, "-", y, binary(layer, "*", alpha, below))
    return y


@register("elu")
def _elu(layer: Layer, x: Value, alpha: Any = 1.0) -> Any:
    return keras(layer, "Elu", x, alpha=alpha)


@register("hard_sigmoid")
def _hard_sigmoid(layer: Layer, x: Value) -> Any:
    y = binary(layer, "+", binary(layer, "*", x, 0.2), 0.5)
    return tf(layer, "clip_by_value", y, 0.0, 1.0)


# Numbers and shapes, known at export.


_SETTINGS = {
    "backend": "tensorflow",
    "epsilon": EPSILON,
    "floatx": "float32",
    "image_data_format": LAST,
    "image_dim_ordering": "tf",
    "learning_phase": 0,
}
for _name, _value in _SETTINGS.items():
    FUNCTIONS[_name] = lambda layer, value=_value: value


@register("int_shape", "get_variable_shape")
def _int_shape(layer: Layer, x: Value) -> Any:
    return static_shape(x)


@register("ndim")
def _ndim(layer: Layer, x: Any) -> int:
    return len(x.shape)


@register("dtype")
def _dtype(layer: Layer, x: Value) -> str:
    return str(x.dtype)


@register("standardize_dtype")
def _standardize_dtype(layer: Layer, dtype: Any) -> str:
    return dtype_name(dtype)


@register("result_type")
def _result_type(layer: Layer, *dtypes: Any) -> str:
    return result_type(*map(dtype_name, dtypes))


@register("is_float_dtype")
def _is_float_dtype(layer: Layer, dtype: Any) -> bool:
    return "float" in dtype_name(dtype)


@register("is_int_dtype")
def _is_int_dtype(layer: Layer, dtype: Any) -> bool:
    return "int" in dtype_name(dtype)


@register("is_sparse")
def _is_sparse(layer: Layer, x: Value) -> bool:
    return False


@register("normalize_data_format")
def _normalize_data_format(layer: Layer, value: Any) -> str:
    axes_of_image(value, 2)
    return value or LAST


@register("shape")
def _shape(layer: Layer, x: Value) -> Any:
    return tf(layer, "shape", x)


@register("count_params")
def _count_params(layer: Layer, x: Value) -> Any:
    return int(np.prod([size or 0 for size in x.shape]))


@register("batch_get_value", "get_value", "eval", "to_dense", "print_tensor")
def _same(layer: Layer, x: Any, message: str = "", summarize: int = 3) -> Any:
    return x


# Constants


def _shaped(name: str, value: float) -> None:
    @register(name)
    def shaped(layer: Layer, shape: Any, dtype: Any = None) -> Any:
        return tf(layer, name, [shape] if isinstance(shape, int) else shape, dtype_name(dtype or "float32"))

    @register(f"{name}_like")
    def like(layer: Layer, x: Value, dtype: Any = None) -> Any:
        y = tf(layer, f"{name}_like", x)
        return y if dtype is None else tf(layer, "cast", y, dtype_name(dtype))


for _name, _value in (("ones", 1), ("zeros", 0)):
    _shaped(_name, _value)


@register("constant")
def _constant(layer: Layer, value: Any, dtype: Any = None, shape: Any = None) -> Any:
    return constants.constant(layer, value, dtype or "float32", shape)


@register("variable")
def _variable(layer: Layer, value: Any, dtype: Any = None, constraint: Any = None) -> Any:
    return constants.constant(layer, value, dtype or "float32")


@register("eye")
def _eye(layer: Layer, size: Any, dtype: Any = None) -> Any:
    rows, columns = size if isinstance(size, (list, tuple)) else (size, None)
    return constants.TENSORFLOW["eye"](layer, rows, columns, dtype or "float32")


@register("arange")
def _arange(layer: Layer, start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Any:
    return constants.TENSORFLOW["range"](layer, start, stop, step, dtype)


@register("cast")
def _cast(layer: Layer, x: Any, dtype: Any) -> Any:
    return tf(layer, "cast", x, dtype_name(dtype)) if isinstance(x, Value) else constants.constant(layer, x, dtype)


@register("cast_to_floatx")
def _cast_to_floatx(layer: Layer, x: Any) -> Any:
    return _cast(layer, x, "float32")


# Phases: only inference is left.


@register("in_train_phase")
def _in_train_phase(layer: Layer, x: Any, alt: Any, training: Any = None) -> Any:
    if training not in (None, 0):
        raise UnsupportedModelError("it computes as in training")
    return alt


@register("in_test_phase")
def _in_test_phase(layer: Layer, x: Any, alt: Any, training: Any = None) -> Any:
    return _in_train_phase(layer, alt, x, training)


# Shapes


@register("concatenate")
def _concatenate(layer: Layer, tensors: Any, axis: Any = -1) -> Any:
    return tf(layer, "concat", tensors, axis)


@register("flatten")
def _flatten(layer: Layer, x: Value) -> Any:
    return tf(layer, "reshape", x, [-1])


@register("reverse")
def _reverse(layer: Layer, x: Value, axes: Any) -> Any:
    return tf(layer, "reverse", x, [axes] if isinstance(axes, int) else axes)


@register("repeat")
def _repeat(layer: Layer, x: Value, n: Any) -> Any:
    if len(x.shape) != 2:
        raise UnsupportedModelError("keras.backend.repeat of something else than vectors")
    return tf(layer, "tile", tf(layer, "expand_dims", x, 1), [1, n, 1])


@register("repeat_elements")
def _repeat_elements(layer: Layer, x: Value, rep: Any, axis: Any) -> Any:
    return tf(layer, "repeat", x, rep, axis)


def axes_of_image(data_format: Any, rank: int) -> list[int]:
    """The spatial axes of images or volumes."""
    if data_format not in (None, LAST, FIRST):
        raise UnsupportedModelError(f"no data format {ascii(data_format)[:40]}")
    return [*range(2, rank + 2)] if data_format == FIRST else [*range(1, rank + 1)]


@register("resize_images")
def _resize_images(
    layer: Layer,
    x: Value,
    height_factor: Any,
    width_factor: Any,
    data_format: Any = None,
    interpolation: str = "nearest",
) -> Any:
    axes = axes_of_image(data_format, 2)
    if interpolation == "nearest":
        for axis, factor in zip(axes, (height_factor, width_factor), strict=True):
            x = x if factor == 1 else tf(layer, "repeat", x, factor, axis)
        return x
    sizes = [binary(layer, "*", x.shape[axis], n) for axis, n in zip(axes, (height_factor, width_factor), strict=True)]
    if data_format != FIRST:
        return tf(layer, "image.resize", x, sizes, interpolation)
    y = tf(layer, "image.resize", tf(layer, "transpose", x, [0, 2, 3, 1]), sizes, interpolation)
    return tf(layer, "transpose", y, [0, 3, 1, 2])


@register("resize_volumes")
def _resize_volumes(
    layer: Layer, x: Value, depth_factor: Any, height_factor: Any, width_factor: Any, data_format: Any = None
) -> Any:
    factors = (depth_factor, height_factor, width_factor)
    for axis, factor in zip(axes_of_image(data_format, 3), factors, strict=True):
        x = tf(layer, "repeat", x, factor, axis)
    return x


def _padded(layer: Layer, x: Value, pairs: Sequence[Any], data_format: Any) -> Any:
    widths: list[Any] = [[0, 0]] * len(x.shape)
    for axis, pair in zip(axes_of_image(data_format, len(pairs)), pairs, strict=True):
        widths[axis] = [pair, pair] if isinstance(pair, int) else list(pair)
    return tf(layer, "pad", x, widths)


@register("temporal_padding", "asymmetric_temporal_padding")
def _temporal_padding(layer: Layer, x: Value, padding: Any = (1, 1), right_pad: Any = None) -> Any:
    return _padded(layer, x, [padding if right_pad is None else (padding, right_pad)], LAST)


@register("spatial_2d_padding")
def _spatial_2d_padding(layer: Layer, x: Value, padding: Any = ((1, 1), (1, 1)), data_format: Any = None) -> Any:
    return _padded(layer, x, padding, data_format)


@register("asymmetric_spatial_2d_padding")
def _asymmetric_padding(
    layer: Layer,
    x: Value,
    top_pad: Any = 1,
    bottom_pad: Any = 1,
    left_pad: Any = 1,
    right_pad: Any = 1,
    data_format: Any = None,
) -> Any:
    return _padded(layer, x, [(top_pad, bottom_pad), (left_pad, right_pad)], data_format)


@register("spatial_3d_padding")
def _spatial_3d_padding(layer: Layer, x: Value, padding: Any = ((1, 1),) * 3, data_format: Any = None) -> Any:
    return _padded(layer, x, padding, data_format)
