"""keras-contrib: normalisation of the package `keras-contrib`."""

from __future__ import annotations

import numpy as np

from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import package_rule


@package_rule("InstanceNormalization", keys="axis epsilon center scale")
def instance_norm(layer: Layer, x: Value) -> Value:
    """By the mean and deviation of each sample over all axes but one: epsilon is added to the deviation."""
    rank, config = len(x.shape), layer.config
    axis = None if config.get("axis", None) is None else config.one_axis("axis") % rank
    axes = tuple(i for i in range(1, rank) if i != axis)
    shape = (1,) if axis is None else (x.shape[axis],)
    gamma = layer.weight("gamma", shape) if config.flag("scale", True) else None
    beta = layer.weight("beta", shape) if config.flag("center", True) else None
    centred = layer.emit(np.subtract, x, layer.emit(np.mean, x, axis=axes, keepdims=True))
    deviation = layer.emit(np.std, x, axis=axes, keepdims=True)
    y = layer.emit(np.divide, centred, layer.emit(np.add, deviation, config.number("epsilon", 1e-3)))
    for kernel, weight in ((np.multiply, gamma), (np.add, beta)):
        if weight is not None:
            for _ in range(rank - 1 - axis if axis is not None else 0):
                weight = layer.emit(np.expand_dims, weight, axis=-1)
            y = layer.emit(kernel, y, weight)
    return y
