"""What `keras.backend` has for layers and losses: products, convolutions, pooling, choices, CTC."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.functions import constants
from kerasgen.layers.functions.keras_backend import EPSILON, FIRST, FUNCTIONS, LAST, axes_of_image, register
from kerasgen.layers.functions.python import binary, tf
from kerasgen.layers.layer import Layer
from kerasgen.layers.sizes import concrete, integer
from kerasgen.layers.tf.ops import keras, tensor

MOST_PATHS = 100  # of a beam search

# Products


@register("dot")
def _dot(layer: Layer, x: Any, y: Any) -> Any:
    x, y = _array(layer, x), _array(layer, y)
    if len(y.shape) == 2 and len(x.shape) > 1:
        return tf(layer, "linalg.matmul", x, y)
    return layer.emit(np.tensordot, x, y, axes=((len(x.shape) - 1,), (max(len(y.shape) - 2, 0),)))


@register("batch_dot")
def _batch_dot(layer: Layer, x: Value, y: Value, axes: Any = None) -> Any:
    """A product of each sample's arrays over one axis of each."""
    ranks = (len(x.shape), len(y.shape))
    if axes is None:
        axes = (ranks[0] - 1, ranks[1] - (1 if ranks[1] == 2 else 2))
    a, b = (axis % rank for axis, rank in zip([axes] * 2 if isinstance(axes, int) else axes, ranks, strict=True))
    if min(ranks) < 2 or 0 in (a, b):
        raise UnsupportedModelError("keras.backend.batch_dot takes axes after the batch")
    if max(ranks) <= 3:
        return _batch_product(layer, x, y, a, b)
    left = ["z", *"abcdefgh"[: ranks[0] - 1]]
    right = ["z", *"ijklmnop"[: ranks[1] - 1]]
    right[b] = left[a]
    rest = [axis for axis in (*left, *right[1:]) if axis != left[a]]
    subscripts = f"{''.join(left)},{''.join(right)}->{''.join(rest)}"
    return layer.emit(kernels.einsum, x, y, subscripts=subscripts)


def _batch_product(layer: Layer, x: Value, y: Value, a: int, b: int) -> Any:
    """Of matrices and vectors."""
    vectors = (len(x.shape) == 2, len(y.shape) == 2)
    x = tf(layer, "expand_dims", x, 1) if vectors[0] else x
    y = tf(layer, "expand_dims", y, 2) if vectors[1] else y
    x = tf(layer, "linalg.matrix_transpose", x) if not vectors[0] and a == 1 else x
    y = tf(layer, "linalg.matrix_transpose", y) if not vectors[1] and b == 2 else y
    z = tf(layer, "linalg.matmul", x, y)
    if vectors[0]:
        return tf(layer, "squeeze", z, 1)
    return tf(layer, "squeeze", z, -1) if vectors[1] else z


def _array(layer: Layer, x: Any) -> Any:
    """A tensor, of numbers if need be."""
    return constants.constant(layer, x, "float32") if isinstance(x, np.ndarray) else tensor(layer, x, "float32")


@register("bias_add")
def _bias_add(layer: Layer, x: Value, bias: Any, data_format: Any = None) -> Any:
    bias = _array(layer, bias)
    if len(bias.shape) != 1:
        raise UnsupportedModelError("keras.backend.bias_add of a bias that is no vector")
    if data_format == FIRST:
        bias = tf(layer, "reshape", bias, [1, -1, *[1] * (len(x.shape) - 2)])
    return tf(layer, "math.add", x, bias)


def _kernel(layer: Layer, x: Value, kernel: Any, data_format: Any) -> Any:
    """The kernel of a convolution: a tensor, or numbers, of the dtype of its input."""
    if layer.keras_major < 2 and data_format == FIRST:
        raise UnsupportedModelError("kernels of Keras 1 with their channels first are not supported")
    return np.asarray(kernel, x.dtype) if isinstance(kernel, (list, tuple, np.ndarray)) else kernel


def _settings(strides: Any, padding: str, data_format: Any, dilation_rate: Any, rank: int) -> dict[str, Any]:
    axes_of_image(data_format, rank)
    format_ = {"data_format": data_format or LAST}
    return {"strides": strides, "padding": padding, "dilation_rate": dilation_rate, **format_}


def _convolution(name: str, operation: str, rank: int) -> None:
    @register(name)
    def convolution(
        layer: Layer,
        x: Value,
        kernel: Any,
        strides: Any = (1,) * rank,
        padding: str = "valid",
        data_format: Any = None,
        dilation_rate: Any = (1,) * rank,
    ) -> Any:
        settings = _settings(strides, padding, data_format, dilation_rate, rank)
        return keras(layer, operation, x, _kernel(layer, x, kernel, data_format), **settings)


for _rank in (1, 2, 3):
    _convolution(f"conv{_rank}d", "Conv", _rank)
_convolution("depthwise_conv2d", "DepthwiseConv", 2)


def _separable(rank: int) -> None:
    @register(f"separable_conv{rank}d")
    def separable(
        layer: Layer,
        x: Value,
        depthwise_kernel: Any,
        pointwise_kernel: Any,
        strides: Any = (1,) * rank,
        padding: str = "valid",
        data_format: Any = None,
        dilation_rate: Any = (1,) * rank,
    ) -> Any:
        settings = _settings(strides, padding, data_format, dilation_rate, rank)
        arrays = (_kernel(layer, x, kernel, data_format) for kernel in (depthwise_kernel, pointwise_kernel))
        return keras(layer, "SeparableConv", x, *arrays, **settings)


for _rank in (1, 2):
    _separable(_rank)


@register("atrous_conv2d")
def _atrous(layer: Layer, x: Value, kernel: Any, rate: Any = 1, padding: str = "valid", data_format: Any = None) -> Any:
    """The dilated convolution of Keras 1."""
    return FUNCTIONS["conv2d"](layer, x, kernel, 1, padding, data_format, rate)


def _transposed(rank: int) -> None:
    @register(f"conv{rank}d_transpose")
    def transposed(
        layer: Layer,
        x: Value,
        kernel: Any,
        output_shape: Any,
        strides: Any = (1,) * rank,
        padding: str = "valid",
        data_format: Any = None,
        dilation_rate: Any = (1,) * rank,
    ) -> Any:
        settings = _settings(strides, padding, data_format, dilation_rate, rank)
        shape = concrete(output_shape)
        axes = axes_of_image(data_format, rank)
        if not isinstance(shape, (list, tuple)) or len(shape) != rank + 2:
            raise UnsupportedModelError("the shape of its output must be known when it is exported")
        sizes: list[Any] = [None] * len(shape)
        for axis in axes:
            sizes[axis] = integer(shape[axis], "the size of its output")
        return keras(layer, "ConvTranspose", x, _kernel(layer, x, kernel, data_format), **settings, output_shape=sizes)


for _rank in (2, 3):
    _transposed(_rank)


@register("deconv2d")
def _deconvolution(
    layer: Layer,
    x: Value,
    kernel: Any,
    output_shape: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: Any = None,
) -> Any:
    """The transposed convolution of Keras 1, whose kernels have their last axes the other way round."""
    kernel = tf(layer, "transpose", _array(layer, kernel), [0, 1, 3, 2])
    return FUNCTIONS["conv2d_transpose"](layer, x, kernel, output_shape, strides, padding, data_format)


@register("local_conv")
def _local(
    layer: Layer, inputs: Value, kernel: Any, kernel_size: Any, strides: Any, output_shape: Any, data_format: Any = None
) -> Any:
    """A kernel for each position, in the order of the positions: `(positions, cells of a window, filters)`."""
    rank = len(kernel_size)
    axes = axes_of_image(data_format, rank)
    x = inputs if data_format != FIRST else tf(layer, "transpose", inputs, [0, *axes, 1])
    kernel = _array(layer, kernel)
    places = [(n or 0) - size for n, size in zip(x.shape[1:-1], kernel_size, strict=True)]
    places = [place // stride + 1 for place, stride in zip(places, strides, strict=True)]
    cells = int(np.prod(kernel_size)) * (x.shape[-1] or 0)
    if list(output_shape) != places or kernel.shape[:2] != (int(np.prod(places)), cells):
        raise UnsupportedModelError("its kernel is not one for every position")
    settings = {"size": tuple(kernel_size), "strides": tuple(strides), "channels_first": data_format == FIRST}
    y = layer.emit(kernels.locally_connected, x, kernel, None, **settings)
    return y if data_format != FIRST else tf(layer, "transpose", y, [0, rank + 1, *range(1, rank + 1)])


@register("local_conv1d")
def _local1d(layer: Layer, inputs: Value, kernel: Any, kernel_size: Any, strides: Any, data_format: Any = None) -> Any:
    places = (len(kernel) if isinstance(kernel, (list, tuple, np.ndarray)) else kernel.shape[0],)
    return _local(layer, inputs, kernel, kernel_size, strides, places, data_format)


register("local_conv2d")(_local)


def _pooling(rank: int) -> None:
    @register(f"pool{rank}d")
    def pooling(
        layer: Layer,
        x: Value,
        pool_size: Any,
        strides: Any = (1,) * rank,
        padding: str = "valid",
        data_format: Any = None,
        pool_mode: str = "max",
    ) -> Any:
        operation = {"max": "MaxPool", "avg": "AveragePool"}[pool_mode]
        axes_of_image(data_format, rank)
        settings = {"pool_size": pool_size, "strides": strides, "padding": padding}
        return keras(layer, operation, x, **settings, data_format=data_format or LAST)


for _rank in (2, 3):
    _pooling(_rank)


@register("batch_normalization")
def _batch_normalization(
    layer: Layer, x: Value, mean: Any, var: Any, beta: Any, gamma: Any, axis: Any = -1, epsilon: float = 1e-3
) -> Any:
    parts = [None if part is None else _array(layer, part) for part in (mean, var, beta, gamma)]
    if len(x.shape) == 4 and axis in (1, -3):
        parts = [part and tf(layer, "reshape", part, [1, -1, 1, 1]) for part in parts]
    mean, var, beta, gamma = parts
    return tf(layer, "nn.batch_normalization", x, mean, var, beta, gamma, variance_epsilon=epsilon)


# Choices and losses


@register("switch")
def _switch(layer: Layer, condition: Value, then_expression: Any, else_expression: Any) -> Any:
    condition = tf(layer, "cast", condition, "bool")
    rank = next((len(x.shape) for x in (then_expression, else_expression) if isinstance(x, Value)), 0)
    if not condition.shape or len(condition.shape) > rank:
        raise UnsupportedModelError("keras.backend.switch of a single condition is a branch")
    for _ in range(rank - len(condition.shape)):
        condition = tf(layer, "expand_dims", condition, -1)
    return tf(layer, "where", condition, then_expression, else_expression)


@register("in_top_k")
def _in_top_k(layer: Layer, predictions: Value, targets: Value, k: Any) -> Any:
    return keras(layer, "InTopK", targets, predictions, k=k)


def _loss(name: str, operation: str) -> None:
    @register(name)
    def loss(layer: Layer, target: Any, output: Any, from_logits: bool = False, axis: Any = -1) -> Any:
        if layer.keras_major < 2:
            target, output = output, target  # as they were called in Keras 1
        settings = {} if operation == "BinaryCrossentropy" else {"axis": axis}
        return keras(layer, operation, target, output, from_logits=from_logits, **settings)


_loss("binary_crossentropy", "BinaryCrossentropy")
_loss("categorical_crossentropy", "CategoricalCrossentropy")
_loss("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")


@register("binary_focal_crossentropy")
def _binary_focal(
    layer: Layer,
    target: Any,
    output: Any,
    apply_class_balancing: bool = False,
    alpha: Any = 0.25,
    gamma: Any = 2.0,
    from_logits: bool = False,
) -> Any:
    """`(1 - p) ^ gamma * crossentropy`, p being the probability of the right class (Lin et al. 2018)."""

    def chosen(one: Any, zero: Any) -> Any:
        """`one` where the target is 1, `zero` where it is 0."""
        rest = binary(layer, "*", binary(layer, "-", 1, target), zero)
        return binary(layer, "+", binary(layer, "*", target, one), rest)

    probability = tf(layer, "math.sigmoid", output) if from_logits else output
    right = chosen(probability, binary(layer, "-", 1, probability))
    factor = binary(layer, "**", binary(layer, "-", 1.0, right), gamma)
    loss = FUNCTIONS["binary_crossentropy"](layer, target, output, from_logits=from_logits)
    loss = binary(layer, "*", factor, loss)
    return binary(layer, "*", chosen(alpha, 1 - alpha), loss) if apply_class_balancing else loss


@register("categorical_focal_crossentropy")
def _categorical_focal(
    layer: Layer,
    target: Any,
    output: Any,
    alpha: Any = 0.25,
    gamma: Any = 2.0,
    from_logits: bool = False,
    axis: Any = -1,
) -> Any:
    """The sum of `-alpha * (1 - p) ^ gamma * target * log p` over the classes."""
    p = tf(layer, "nn.softmax", output, axis=axis) if from_logits else output
    p = binary(layer, "/", p, tf(layer, "math.reduce_sum", p, axis=axis, keepdims=True))
    p = tf(layer, "clip_by_value", p, EPSILON, 1 - EPSILON)
    factor = binary(layer, "*", binary(layer, "**", binary(layer, "-", 1.0, p), gamma), alpha)
    loss = binary(layer, "*", tf(layer, "math.negative", target), tf(layer, "math.log", p))
    return tf(layer, "math.reduce_sum", binary(layer, "*", factor, loss), axis=axis)


# Connectionist temporal classification; the last class is the blank.


def _logs(layer: Layer, probabilities: Value) -> Value:
    epsilon = 1e-8 if layer.keras_major < 2 else EPSILON
    return layer.emit(np.log, binary(layer, "+", probabilities, epsilon))


def _lengths(layer: Layer, lengths: Any) -> Value:
    """A number for each sample, given as a vector or as a column."""
    vector = layer.cast(_array(layer, lengths), "int32")
    return vector if len(vector.shape) < 2 else layer.emit(np.squeeze, vector, axis=-1)


@register("ctc_decode")
def _ctc_decode(
    layer: Layer, y_pred: Value, input_length: Any, greedy: bool = True, beam_width: Any = 100, top_paths: Any = 1
) -> Any:
    """The labels of the best paths, a tensor for each, with -1 after their end; and their scores."""
    operands = _logs(layer, y_pred), _lengths(layer, input_length)
    if type(top_paths) is not int or not 0 < top_paths <= MOST_PATHS:
        raise UnsupportedModelError(f"it wants something else than 1 to {MOST_PATHS} paths")
    if greedy:
        labels, scores = layer.emit_many(kernels.ctc_greedy, *operands, mask_index=-1)
    else:
        settings = {"beam_width": beam_width, "top_paths": top_paths, "merge_repeated": True}
        logs = layer.emit(kernels.log_softmax, operands[0])
        labels, scores = layer.emit_many(kernels.ctc_beam, logs, operands[1], **settings)
    labels = layer.cast(labels, "int64")
    paths = range(1 if greedy else top_paths)
    return [layer.emit(kernels.get_item, labels, index=(path,)) for path in paths], scores


@register("ctc_batch_cost")
def _ctc_batch_cost(layer: Layer, y_true: Value, y_pred: Value, input_length: Any, label_length: Any) -> Any:
    """-log of the probability of the labels, as a column."""
    lengths = (_lengths(layer, label_length), _lengths(layer, input_length))
    labels = tf(layer, "cast", y_true, "int32")
    loss = layer.emit(kernels.ctc_loss, labels, _logs(layer, y_pred), *lengths, mask_index=-1)
    return tf(layer, "expand_dims", loss, 1)
