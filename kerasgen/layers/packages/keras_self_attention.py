"""keras-self-attention: attention of the package `keras-self-attention`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Value
from kerasgen.layers.keras.activation import activation_kernel
from kerasgen.layers.layer import Layer
from kerasgen.layers.packages.parts import steps
from kerasgen.layers.registry import package_rule

FAR = 10000.0  # what is subtracted from a score where a step must not look


@package_rule(
    "SeqSelfAttention",
    keys="units attention_width attention_type return_attention history_only use_additive_bias use_attention_bias "
    "attention_activation attention_regularizer_weight",
)
def seq_self_attention(layer: Layer, inputs: Value, mask: Any = None) -> list[Value]:
    """Each step gets the mean of all steps, or of those near it, weighted by learned scores."""
    config = layer.config
    width = inputs.shape[-1]
    if config.choice("attention_type", ("additive", "multiplicative"), "additive") == "additive":
        units = config.integer("units")
        target, source = (layer.weight(name, (width, units)) for name in ("Add_Wt", "Add_Wx"))
        bias = layer.weight("Add_bh", (units,)) if config.flag("use_additive_bias", True) else None
        weight = layer.emit(np.squeeze, layer.weight("Add_Wa", (units, 1)), axis=-1)
        queries, keys = layer.emit(kernels.dense, inputs, target, bias), layer.emit(kernels.dense, inputs, source, None)
        scores = layer.emit(kernels.additive_scores, queries, keys, weight)
    else:
        queries = layer.emit(kernels.dense, inputs, layer.weight("Mul_Wa", (width, width)), None)
        scores = layer.emit(kernels.dot_scores, queries, inputs)
    if config.flag("use_attention_bias", True):
        prefix = str(config.get("attention_type", "additive"))[:3].capitalize()
        scores = layer.emit(np.add, scores, layer.weight(f"{prefix}_ba", (1,)))
    scores = layer.emit(activation_kernel(layer, config.get("attention_activation", None)), scores)
    near = _near(layer, inputs)
    scores = scores if near is None else layer.emit(np.subtract, scores, near)
    if mask is not None:
        out = layer.emit(np.logical_not, mask)
        rows, columns = (layer.emit(np.expand_dims, out, axis=axis) for axis in (2, 1))
        both = layer.cast(layer.emit(np.logical_and, rows, columns), layer.dtype)
        scores = layer.emit(np.subtract, scores, layer.emit(np.multiply, both, FAR))
    return _attended(layer, scores, inputs, mask)


def _near(layer: Layer, inputs: Value) -> np.ndarray | None:
    """What to subtract from the scores of steps that are too far away, or in the future; None if none are."""
    history = layer.config.flag("history_only", False)
    if layer.config.get("attention_width", None) is None and not history:
        return None
    length = steps(inputs)
    width = layer.config.integer("attention_width") if layer.config.get("attention_width", None) is not None else 10**9
    places = np.arange(length)
    lower = (places - (width - 1 if history else width // 2))[:, np.newaxis]
    return np.where((lower <= places) & (places < lower + width), 0.0, FAR).astype(layer.dtype)


@package_rule("ScaledDotProductAttention", keys="return_attention history_only")
def scaled_dot_product_attention(layer: Layer, inputs: Any, mask: Any = None) -> list[Value]:
    """Each query gets the mean of the values, weighted by the softmax of its scaled products with the keys."""
    query, key, value = inputs if isinstance(inputs, (list, tuple)) else (inputs, inputs, inputs)
    masks = mask if isinstance(mask, (list, tuple)) else (mask, mask)
    scores = layer.emit(kernels.dot_scores, query, key)
    scores = layer.emit(np.divide, scores, math.sqrt(steps(query, -1)))
    if layer.config.flag("history_only", False):
        later = np.arange(steps(key)) > np.arange(steps(query))[:, np.newaxis]
        scores = layer.emit(np.subtract, scores, np.where(later, FAR, 0.0).astype(layer.dtype))
    if masks[1] is not None:
        out = layer.cast(layer.emit(np.expand_dims, layer.emit(np.logical_not, masks[1]), axis=-2), layer.dtype)
        scores = layer.emit(np.subtract, scores, layer.emit(np.multiply, out, FAR))
    return _attended(layer, scores, value, masks[0])


def _attended(layer: Layer, scores: Value, value: Value, mask: Value | None) -> list[Value]:
    """The weighted means, and the weights if they are wanted."""
    weights = layer.emit(kernels.softmax, scores)
    layer.output_mask = mask
    result = layer.emit(np.matmul, weights, value)
    return [result, weights] if layer.config.flag("return_attention", False) else [result]
