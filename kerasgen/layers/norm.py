"""Normalisation: by statistics of the training data, or of the sample itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule


def from_end(axis: int, rank: int) -> int:
    """The axis as Keras writes it, counted from the end where it is the last."""
    return -1 if axis in (-1, rank - 1) else axis % rank


@rule("BatchNormalization")
def batch_norm(layer: Layer, x: Value, mask: Any = None) -> Value:
    """By the statistics that training gathered."""
    axis = from_end(layer.config.axes("axis", -1)[0], len(x.shape))
    shape = (x.shape[axis],)
    gamma = layer.weight("gamma", shape) if layer.config.flag("scale", True) else None
    beta = layer.weight("beta", shape) if layer.config.flag("center", True) else None
    mean = layer.weight("moving_mean", shape, trainable=False)
    variance = layer.weight("moving_variance", shape, trainable=False)
    epsilon = layer.config.number("epsilon", 1e-3)
    return layer.emit(kernels.batch_norm, x, gamma, beta, mean, variance, axis=axis, epsilon=epsilon)


@rule("LayerNormalization")
def layer_norm(layer: Layer, x: Value, mask: Any = None) -> Value:
    """By the mean and variance of each sample over the given axes."""
    rank = len(x.shape)
    axes = tuple(sorted(from_end(axis, rank) % rank for axis in layer.config.axes("axis", -1)))
    shape = tuple(x.shape[axis] for axis in axes)
    gamma = layer.weight("gamma", shape) if layer.config.flag("scale", True) else None
    beta = layer.weight("beta", shape) if layer.config.flag("center", True) else None
    settings = {"axis": tuple(axis - rank for axis in axes), "epsilon": layer.config.number("epsilon", 1e-3)}
    if layer.config.flag("rms_scaling", False):
        return layer.emit(kernels.variance_norm, x, gamma, **settings)
    return layer.emit(kernels.layer_norm, x, gamma, beta, **settings)


@rule("Normalization")
def normalization(layer: Layer, x: Value) -> Value:
    """By a mean and a variance that were adapted to the training data, or given."""
    x = layer.cast(x, layer.dtype)
    rank = len(x.shape)
    axes = [] if layer.config.get("axis", -1) is None else sorted(axis % rank for axis in layer.config.axes("axis", -1))
    if layer.config.get("mean", None) is not None:
        moments = [layer.constant(key, np.asarray(layer.config.get(key), layer.dtype)) for key in ("mean", "variance")]
    else:
        shape = tuple(x.shape[axis] for axis in axes)
        moments = [layer.weight(key, shape, trainable=False) for key in ("mean", "variance")]
        layer.weight("count", (), trainable=False, dtype="int64")
        if axes not in ([], [rank - 1]):
            broadcast = tuple(x.shape[axis] if axis in axes else 1 for axis in range(1, rank))
            moments = [layer.emit(kernels.reshape_all, moment, shape=broadcast) for moment in moments]
    return layer.emit(kernels.normalization, x, *moments, invert=layer.config.flag("invert", False))


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
    """`x * gamma`, as ConvNeXt's blocks have it."""
    return layer.emit(np.multiply, x, layer.weight("gamma", (layer.config.integer("projection_dim"),)))


@rule("ops.BatchNorm")
def batch_norm_operation(
    layer: Layer, x: Value, mean: Any, variance: Any, offset: Any = None, scale: Any = None
) -> Value:
    """Batch normalisation with all its parameters as arguments."""
    axis = from_end(layer.config.axes("axis")[0], len(x.shape))
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
    # Keras's own default where an operation leaves it open (keras/src/backend/config.py: epsilon()).
    return {
        "axis": tuple(sorted(axis % rank - rank for axis in layer.config.axes("axis", -1))),
        "epsilon": 1e-7 if epsilon is None else layer.config.number("epsilon"),
    }
