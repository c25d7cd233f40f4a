"""Normalisation: by statistics of the training data, or of the sample itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import from_end
from kerasgen.layers.registry import rule


@rule("BatchNormalization")
def batch_norm(layer: Layer, x: Value, mask: Any = None) -> Value:
    """By the moving statistics from training."""
    rank = len(x.shape)
    axes = sorted(axis % rank for axis in layer.config.axes("axis", -1))
    axis = from_end(axes[0], rank) if len(axes) == 1 else None  # Keras 2 allows several: then parameters have all axes
    shape = (x.shape[axes[0]],) if axis is not None else tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    gamma = layer.weight("gamma", shape) if layer.config.flag("scale", True) else None
    beta = layer.weight("beta", shape) if layer.config.flag("center", True) else None
    mean = layer.weight("moving_mean", shape, trainable=False)
    variance = layer.weight("moving_variance", shape, trainable=False)
    if layer.config.flag("renorm", False):  # used only in training
        for name in ("moving_stddev", "renorm_mean", "renorm_stddev"):
            layer.weight(name, shape, trainable=False)
    epsilon = layer.config.number("epsilon", 1e-3)
    return layer.emit(kernels.batch_norm, x, gamma, beta, mean, variance, axis=axis, epsilon=epsilon)


@rule("LayerNormalization")
def layer_norm(layer: Layer, x: Value, mask: Any = None) -> Value:
    """By the mean and variance of each sample over the given axes."""
    rank = len(x.shape)
    axes = tuple(sorted(from_end(axis, rank) % rank for axis in layer.config.axes("axis", -1)))
    shape = tuple(x.shape[axis] for axis in axes)
    settings = {"axis": tuple(axis - rank for axis in axes), "epsilon": layer.config.number("epsilon", 1e-3)}
    if layer.config.flag("rms_scaling", False):
        return layer.emit(kernels.variance_norm, x, layer.weight("gamma", shape), **settings)
    gamma = layer.weight("gamma", shape) if layer.config.flag("scale", True) else None
    beta = layer.weight("beta", shape) if layer.config.flag("center", True) else None
    return layer.emit(kernels.layer_norm, x, gamma, beta, **settings)


@rule("GroupNormalization")
def group_norm(layer: Layer, x: Value, mask: Any = None) -> Value:
    """By the mean and variance of each sample over a group of channels; -1 means a group per channel."""
    if mask is not None and layer.keras_major < 3:
        raise UnsupportedModelError("Keras 2 excludes masked steps from the statistics, Keras 3 does not")
    axis = from_end(layer.config.one_axis("axis", -1), len(x.shape))
    channels = x.shape[axis]
    gamma = layer.weight("gamma", (channels,)) if layer.config.flag("scale", True) else None
    beta = layer.weight("beta", (channels,)) if layer.config.flag("center", True) else None
    groups = layer.config.integer("groups", 32, least=-1)
    groups = groups if groups > 0 else channels or 0
    if not groups or (channels or 0) % groups:
        raise InvalidModelError(f"{groups} groups do not divide {channels} channels")
    epsilon = layer.config.number("epsilon", 1e-3)
    return layer.emit(kernels.group_norm, x, gamma, beta, groups=groups, axis=axis, epsilon=epsilon)


@rule("RMSNormalization")
def rms_norm(layer: Layer, x: Value) -> Value:
    """By the root of the mean square of each sample over the given axes."""
    axes = tuple(sorted(layer.config.axes("axis", -1)))
    if not all(-len(x.shape) <= axis < len(x.shape) for axis in axes):
        raise InvalidModelError(f"there is no axis {axes} in {len(x.shape)} axes")
    scale = layer.weight("scale", tuple(x.shape[axis] for axis in axes))
    return layer.emit(kernels.rms_norm, x, scale, axis=axes, epsilon=layer.config.number("epsilon", 1e-6))


@rule("UnitNormalization")
def unit_norm(layer: Layer, x: Value, mask: Any = None) -> Value:
    """Each sample scaled to norm 1 along the given axes."""
    axes = layer.config.axes("axis", -1)
    # Keras 2 bounds the squared norm, Keras 3 the norm.
    epsilon = 1e-12 if layer.keras_major >= 3 else 1e-6
    return layer.emit(kernels.normalize, x, axis=axes[0] if len(axes) == 1 else axes, epsilon=epsilon)


@rule("SpectralNormalization")
def spectral_norm(layer: Layer, x: Value) -> Any:
    """The wrapped layer: its kernel was divided by its spectral norm in training."""
    result = layer.wrapped("layer", layer.config.get("layer"), x)
    names = ("/layer/kernel", "/layer/embeddings")
    kernel = next((variable for key, (variable, _) in layer.variables.items() if key.endswith(names)), None)
    if kernel is None:
        raise InvalidModelError("the layer that it wraps has no kernel")
    layer.weight("vector_u", (1, kernel.shape[-1]), trainable=False)
    return result


@rule("Normalization")
def normalization(layer: Layer, x: Value) -> Value:
    """By a mean and a variance, adapted to the training data or from the config."""
    x = layer.cast(x, layer.dtype)
    rank = len(x.shape)
    axes = [] if layer.config.get("axis", -1) is None else sorted(axis % rank for axis in layer.config.axes("axis", -1))
    if layer.config.get("mean", None) is not None:
        moments = [layer.constant(key, _statistics(layer, key, axes, rank)) for key in ("mean", "variance")]
    else:
        shape = tuple(x.shape[axis] for axis in axes)
        moments = [layer.weight(key, shape, trainable=False) for key in ("mean", "variance")]
        layer.weight("count", (), trainable=False, dtype="int64")
        if axes not in ([], [rank - 1]):
            broadcast = tuple(x.shape[axis] if axis in axes else 1 for axis in range(1, rank))
            moments = [layer.emit(kernels.reshape_all, moment, shape=broadcast) for moment in moments]
    return layer.emit(kernels.normalization, x, *moments, invert=layer.config.flag("invert", False))


def _statistics(layer: Layer, key: str, axes: list[int], rank: int) -> np.ndarray:
    """Statistics from the config, reshaped so that their axes align with the last of `axes`."""
    try:
        array = np.asarray(layer.config.get(key), layer.dtype)
    except (TypeError, ValueError) as error:
        raise InvalidModelError(f"its config has a {key} that is not an array of numbers") from error
    if array.ndim > len(axes):
        raise InvalidModelError(f"its config has a {key} of {array.ndim} axes for {len(axes)}")
    shape = [1] * rank
    for axis, size in zip(reversed(axes), reversed(array.shape), strict=False):
        shape[axis] = size
    return array.reshape(shape[min(axes[len(axes) - array.ndim :], default=rank) :])


@rule("Rescaling")
def rescaling(layer: Layer, x: Value) -> Value:
    """`x * scale + offset`, each one number or one per channel."""
    x = layer.cast(x, layer.dtype)
    for kernel, key, neutral in ((np.multiply, "scale", 1.0), (np.add, "offset", 0.0)):
        if isinstance(layer.config.get(key, neutral), (list, tuple, np.ndarray)):
            x = layer.emit(kernel, x, layer.constant(key, np.asarray(layer.config.get(key), layer.dtype)))
        elif layer.config.number(key, neutral) != neutral:
            x = layer.emit(kernel, x, layer.config.number(key))
    return layer.emit(kernels.identity, x)


@rule("LayerScale")
def layer_scale(layer: Layer, x: Value) -> Value:
    """`x * gamma`, from the blocks of ConvNeXt."""
    return layer.emit(np.multiply, x, layer.weight("gamma", (layer.config.integer("projection_dim"),)))


@rule("ops.BatchNorm")
def batch_norm_operation(
    layer: Layer, x: Value, mean: Any, variance: Any, offset: Any = None, scale: Any = None
) -> Value:
    """Batch normalisation with all its parameters as arguments."""
    axis = from_end(layer.config.one_axis("axis"), len(x.shape))
    epsilon = layer.config.number("epsilon", 1e-3)
    return layer.emit(kernels.batch_norm, x, scale, offset, mean, variance, axis=axis, epsilon=epsilon)


@rule("ops.LayerNorm")
def layer_norm_operation(layer: Layer, x: Value, gamma: Any = None, beta: Any = None) -> Value:
    """Layer normalisation with its parameters as arguments."""
    if layer.config.flag("rms_scaling", False):
        return layer.emit(kernels.variance_norm, x, gamma, **_norm_settings(layer, x))
    return layer.emit(kernels.layer_norm, x, gamma, beta, **_norm_settings(layer, x))


@rule("ops.RMSNorm")
def rms_norm_operation(layer: Layer, x: Value, scale: Any = None) -> Value:
    """Division by the root of the mean square."""
    return layer.emit(kernels.rms_norm, x, scale, **_norm_settings(layer, x))


def _norm_settings(layer: Layer, x: Value) -> dict[str, Any]:
    rank = len(x.shape)
    epsilon = layer.config.get("epsilon", None)
    # Keras's default if the operation has none (keras/src/backend/config.py: epsilon()).
    return {
        "axis": tuple(sorted(axis % rank - rank for axis in layer.config.axes("axis", -1))),
        "epsilon": 1e-7 if epsilon is None else layer.config.number("epsilon"),
    }
