"""Activations: as layers, as a layer's `activation` setting, and as operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import PACKAGE_ACTIVATIONS, rule

# The meaning in Keras 1 and 2 of names that Keras 3 redefined.
BEFORE_KERAS_3: Mapping[str, Callable[..., Any]] = {"hard_sigmoid": kernels.hard_sigmoid_keras2}


def activate(layer: Layer, x: Value) -> Value:
    """`x` through the activation in the layer's config, if any."""
    name = layer.config.get("activation", None)
    if name is None or name == "linear":
        return x
    if isinstance(name, Mapping):  # a layer used as an activation
        result: Value = layer.wrapped("activation", name, x)
        return result
    if name in PACKAGE_ACTIVATIONS:
        packaged: Value = PACKAGE_ACTIVATIONS[name](layer, x)
        return packaged
    return layer.emit(activation_kernel(layer, name), x)


def activation_kernel(layer: Layer, name: Any) -> Callable[..., Any]:
    """The kernel of an activation in the layer's config, as defined by the Keras that wrote the file."""
    if isinstance(name, Mapping):
        raise UnsupportedModelError("an activation inside a recurrent layer must be a function, not a layer")
    kernel = kernels.ACTIVATIONS.get("linear" if name is None else name)
    if layer.keras_major < 3:
        kernel = BEFORE_KERAS_3.get(name, kernel)
    if kernel is None:
        raise UnsupportedModelError(f"no activation {name!a}")
    return kernel


@rule("Activation")
def activation(layer: Layer, x: Value) -> Value:
    """Any activation by name."""
    value = activate(layer, x)
    return layer.emit(kernels.identity, x) if value is x else value


@rule("ReLU", "ops.ReLU")
def relu(layer: Layer, x: Value) -> Value:
    """`max(x, 0)`, with a ceiling, a threshold and a slope below it as options."""
    ceiling = layer.config.get("max_value", None)
    settings = {
        "negative_slope": layer.config.number("negative_slope", 0.0),
        "max_value": None if ceiling is None else layer.config.number("max_value"),
        "threshold": layer.config.number("threshold", 0.0),
    }
    if settings == {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}:
        return layer.emit(kernels.relu, x)
    if settings == {"negative_slope": 0.0, "max_value": 6.0, "threshold": 0.0}:
        return layer.emit(kernels.relu6, x)
    return layer.emit(kernels.general_relu, x, **settings)


@rule("LeakyReLU")
def leaky_relu(layer: Layer, x: Value) -> Value:
    """`x` where positive, `negative_slope * x` below."""
    return layer.emit(kernels.leaky_relu, x, negative_slope=layer.config.number("negative_slope", 0.3))


@rule("ops.LeakyRelu")
def leaky_relu_operation(layer: Layer, x: Value) -> Value:
    """`leaky_relu` with the operation's default."""
    return layer.emit(kernels.leaky_relu, x, negative_slope=layer.config.number("negative_slope", 0.2))


@rule("PReLU")
def prelu(layer: Layer, x: Value) -> Value:
    """`leaky_relu` with a learned slope for each position, or one along the shared axes."""
    shared = (
        [axis - 1 for axis in layer.config.axes("shared_axes", None) or ()]
        if layer.config.get("shared_axes", None)
        else []
    )
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape[1:]))
    return layer.emit(kernels.prelu, x, layer.weight("alpha", shape))


@rule("ELU", "ops.Elu")
def elu(layer: Layer, x: Value) -> Value:
    """`x` where positive, `alpha * (exp(x) - 1)` below."""
    return layer.emit(kernels.elu, x, alpha=layer.config.number("alpha", 1.0))


@rule("Softmax", "ops.Softmax")
def softmax(layer: Layer, x: Value, mask: Value | None = None) -> Value:
    """Softmax over one axis or several, under the mask."""
    if mask is not None and mask.dtype != "bool":
        mask = layer.emit(np.greater, mask, 0.5)
    robust = layer.config.flag("robust_masking", False)
    return softmax_where(layer, x, mask, _axis(layer, x), robust=robust, zeroed=True)


def softmax_where(layer: Layer, x: Value, mask: Value | None, axis: Any, *, robust: bool, zeroed: bool) -> Value:
    """Softmax under the mask; in Keras 3 and if `zeroed`, as by its Softmax, masked entries are 0, even if all are.

    Softmax takes -10⁹ for masked scores, a `dot_product_attention` of Keras 3 nearly the lowest number that there is.
    Before Keras 3 a mask, unless `robust`, was added to the scores as a large negative number.
    """
    if mask is None:
        return _softmax(layer, x, axis)
    if layer.keras_major < 3 and not robust:
        return _softmax(layer, layer.emit(kernels.mask_scores, x, mask), axis)
    lowest = -3e4 if x.dtype == "float16" else -1e9
    by_softmax = zeroed or layer.keras_major < 3
    zeroed = zeroed and layer.keras_major >= 3
    if not _several(axis):
        settings = {"lowest": lowest} if by_softmax else {}
        return layer.emit(kernels.masked_softmax, x, mask, axis=axis, zeroed=zeroed, **settings)
    y = _softmax(layer, layer.emit(np.where, mask, x, lowest), axis)
    return layer.emit(np.where, mask, y, 0.0) if zeroed else y


def _softmax(layer: Layer, x: Value, axis: Any) -> Value:
    """Softmax; over several axes exp(x - logsumexp(x)) as Keras has it, where very large numbers have other errors."""
    if not _several(axis):
        return layer.emit(kernels.softmax, x, axis=axis)
    return layer.emit(np.exp, layer.emit(np.subtract, x, layer.emit(kernels.logsumexp, x, axis=axis, keepdims=True)))


def _several(axis: Any) -> bool:
    return isinstance(axis, (list, tuple)) and len(axis) > 1


@rule("ops.LogSoftmax")
def log_softmax(layer: Layer, x: Value) -> Value:
    """Logarithm of softmax."""
    return layer.emit(kernels.log_softmax, x, axis=_axis(layer, x))


@rule("ops.Sparsemax")
def sparsemax(layer: Layer, x: Value) -> Value:
    """Softmax that gives most classes 0."""
    return layer.emit(kernels.sparsemax, x, axis=layer.config.one_axis("axis", -1))


@rule("ops.Glu")
def glu(layer: Layer, x: Value) -> Value:
    """One half of an axis, gated by the other."""
    return layer.emit(kernels.glu, x, axis=layer.config.one_axis("axis", -1))


@rule("ThresholdedReLU")
def thresholded_relu(layer: Layer, x: Value) -> Value:
    """`x` above the threshold, 0 elsewhere; a layer of Keras 1 and 2."""
    return layer.emit(kernels.threshold, x, threshold=layer.config.number("theta", 1.0), default_value=0)


@rule("ops.Threshold")
def threshold(layer: Layer, x: Value) -> Value:
    """`x` above the threshold, a number elsewhere."""
    settings = {key: layer.config.number(key) for key in ("threshold", "default_value")}
    return layer.emit(kernels.threshold, x, **settings)


@rule("ops.Gelu")
def gelu(layer: Layer, x: Value) -> Value:
    """Gelu, by default in its tanh form."""
    return layer.emit(kernels.gelu, x, approximate=layer.config.flag("approximate", True))


def _axis(layer: Layer, x: Value) -> Any:
    """The axis setting: one number or a tuple, with -1 for the last axis; or None for all."""
    if layer.config.get("axis", -1) is None:
        return None
    axes = layer.config.axes("axis", -1)
    axes = tuple(-1 if axis == len(x.shape) - 1 else axis for axis in axes)
    return axes[0] if len(axes) == 1 else axes


def _plain(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(kind)
    def activation_operation(layer: Layer, x: Value) -> Value:
        return layer.emit(kernel, x)


for _kind, _kernel in {
    "ops.Relu": kernels.relu,
    "ops.Relu6": kernels.relu6,
    "ops.Selu": kernels.selu,
    "ops.Silu": kernels.silu,
    "ops.Sigmoid": kernels.sigmoid,
    "ops.HardSigmoid": kernels.hard_sigmoid,
    "ops.HardSilu": kernels.hard_silu,
    "ops.HardTanh": kernels.hard_tanh,
    "ops.LogSigmoid": kernels.log_sigmoid,
    "ops.Softplus": kernels.softplus,
    "ops.Softsign": kernels.softsign,
    "ops.SparsePlus": kernels.sparse_plus,
    "ops.SparseSigmoid": kernels.sparse_sigmoid,
    "ops.TanhShrink": kernels.tanh_shrink,
}.items():
    _plain(_kind, _kernel)


def _with_number(kind: str, kernel: Callable[..., Any], key: str, default: float) -> None:
    @rule(kind)
    def activation_operation(layer: Layer, x: Value) -> Value:
        return layer.emit(kernel, x, **{key: layer.config.number(key, default)})


_with_number("ops.Celu", kernels.celu, "alpha", 1.0)
_with_number("ops.HardShrink", kernels.hard_shrink, "threshold", 0.5)
_with_number("ops.SoftShrink", kernels.soft_shrink, "threshold", 0.5)
_with_number("ops.Squareplus", kernels.squareplus, "b", 4)
