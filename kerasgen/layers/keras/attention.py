"""Attention: over one sequence or several, with one head or many, and the projections that it is made of."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.keras.activation import softmax_where
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

LETTERS = string.ascii_lowercase  # names of axes in equations


@rule("Attention")
def attention(
    layer: Layer,
    inputs: Sequence[Value],
    mask: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> list[Value]:
    """Each query gets the mean of the values, weighted by the softmax of its products with their keys."""
    query, _, key = _inputs(inputs)
    scale = layer.weight("scale", ()) if layer.config.flag("use_scale", False) else None
    if layer.config.choice("score_mode", ("dot", "concat"), "dot") == "concat":
        weight = layer.weight("concat_score_weight", ())
        scores = layer.emit(kernels.additive_scores, query, key, weight, scale)
    else:
        scores = layer.emit(kernels.dot_scores, query, key)
        scores = scores if scale is None else layer.emit(np.multiply, scores, scale)
    return _attend(layer, inputs[1], scores, mask, return_attention_scores, use_causal_mask)


@rule("AdditiveAttention")
def additive_attention(
    layer: Layer,
    inputs: Sequence[Value],
    mask: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> list[Value]:
    """Attention whose scores are learned sums of tanh(query + key), after Bahdanau."""
    query, _, key = _inputs(inputs)
    weight = layer.weight("scale", query.shape[-1:]) if layer.config.flag("use_scale", True) else None
    scores = layer.emit(kernels.additive_scores, query, key, weight)
    return _attend(layer, inputs[1], scores, mask, return_attention_scores, use_causal_mask)


def _inputs(inputs: Any) -> tuple[Value, Value, Value]:
    """Query, value and key; the key defaults to the value."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
        raise InvalidModelError("is not called on a query, a value and perhaps a key")
    return inputs[0], inputs[1], inputs[-1]


def _attend(layer: Layer, value: Value, scores: Value, mask: Any, return_scores: bool, causal: bool) -> list[Value]:
    if mask is not None and (not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3)):
        raise InvalidModelError("is not given a mask of the query and one of the value")
    query_mask, value_mask = (None, None) if mask is None else mask[:2]
    allowed = None if value_mask is None else layer.cast(value_mask, "bool")
    if allowed is not None and len(allowed.shape) == 2:
        allowed = _as_mask(layer, allowed, (..., None, slice(None)))
    if causal:
        allowed = _both(layer, allowed, layer.emit(kernels.band_mask, scores, causal=True))
    if allowed is not None:
        scores = layer.emit(kernels.mask_scores, scores, allowed)
    weights = layer.emit(kernels.softmax, scores)
    result = layer.emit(np.matmul, weights, value)
    if query_mask is not None:
        result = layer.emit(np.where, _as_mask(layer, query_mask, (..., None)), result, 0.0)
    layer.output_mask = query_mask
    return [result, weights] if return_scores else [result]


@rule("MultiHeadAttention")
def multi_head_attention(
    layer: Layer,
    query: Value,
    value: Value,
    key: Any = None,
    query_mask: Any = None,
    value_mask: Any = None,
    key_mask: Any = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> list[Value]:
    """Attention of several heads, each on its own projection of the features; the results are projected back."""
    rank = len(value.shape)
    heads, size = layer.config.integer("num_heads"), layer.config.integer("key_dim")
    value_size = layer.config.integer("value_dim") if layer.config.get("value_dim", None) else size
    width = layer.config.axes("output_shape") if layer.config.get("output_shape", None) else query.shape[-1:]
    axes = tuple(range(1, rank - 1))
    if layer.config.get("attention_axes", None) is not None:
        axes = tuple(axis % rank for axis in layer.config.axes("attention_axes"))
    # Keras 3 uses the implicit mask of the query even if another is passed, and removes the masks of its inputs.
    layer.output_mask = query_mask = layer.masks.get("query")
    layer.strips_masks = layer.keras_major >= 3
    mask = _all_masks(layer, query_mask, value_mask, key_mask, attention_mask)

    projected_query = _project(layer, "query_dense", query, (heads, size))
    projected_key = _project(layer, "key_dense", value if key is None else key, (heads, size))
    gate = _gate(layer, query, (heads, value_size))
    projected_value = _project(layer, "value_dense", value, (heads, value_size))
    if axes == (1,) and len(query.shape) == 3:
        scores = layer.emit(kernels.head_scores, projected_query, projected_key, scale=1 / math.sqrt(size))
        combine = None
    else:
        products, combine = _equations(rank + 1, axes)
        scaled = layer.emit(np.multiply, projected_query, 1 / math.sqrt(size))
        scores = layer.emit(kernels.einsum, projected_key, scaled, subscripts=products)
    zeroed = return_attention_scores or layer.config.number("dropout", 0.0) > 0 or len(query.shape) != 3
    weights = _weights(layer, scores, mask, len(axes), causal=use_causal_mask, zeroed=zeroed)
    if combine is None:
        result = layer.emit(kernels.attend, weights, projected_value)
    else:
        result = layer.emit(kernels.einsum, weights, projected_value, subscripts=combine)
    result = result if gate is None else layer.emit(np.multiply, result, gate)
    result = _project(layer, "output_dense", result, width, contracted=2)
    return [result, weights] if return_attention_scores else [result]


@rule("GroupedQueryAttention")
def grouped_query_attention(
    layer: Layer,
    query: Value,
    value: Value,
    key: Any = None,
    query_mask: Any = None,
    value_mask: Any = None,
    key_mask: Any = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> list[Value]:
    """Multi-head attention where groups of query heads share the projections of keys and values."""
    size, heads = layer.config.integer("head_dim"), layer.config.integer("num_query_heads")
    groups = layer.config.integer("num_key_value_heads")
    if heads % groups:
        raise InvalidModelError(f"its {heads} query heads are not a multiple of its {groups} heads of keys and values")
    layer.output_mask = layer.masks.get("query")
    mask = _all_masks(layer, query_mask or layer.masks.get("query"), value_mask, key_mask, attention_mask)

    projected_query = _project(layer, "query_dense", query, (heads, size))
    projected_key = _project(layer, "key_dense", value if key is None else key, (groups, size))
    gate = _gate(layer, query, (heads, size))
    projected_value = _project(layer, "value_dense", value, (groups, size))
    if groups < heads:
        projected_key = layer.emit(np.repeat, projected_key, repeats=heads // groups, axis=2)
        projected_value = layer.emit(np.repeat, projected_value, repeats=heads // groups, axis=2)
    scores = layer.emit(kernels.head_scores, projected_query, projected_key, scale=1 / math.sqrt(size))
    zeroed = return_attention_scores or layer.config.number("dropout", 0.0) > 0
    weights = _weights(layer, scores, mask, 1, causal=use_causal_mask, zeroed=zeroed)
    result = layer.emit(kernels.attend, weights, projected_value)
    result = result if gate is None else layer.emit(np.multiply, result, gate)
    result = _project(layer, "output_dense", result, query.shape[-1:], contracted=2)
    return [result, weights] if return_attention_scores else [result]


@rule("ops.DotProductAttention")
def dot_product_attention(
    layer: Layer, query: Value, key: Value, value: Value, bias: Any = None, mask: Any = None, scale: Any = None
) -> Value:
    """Multi-head attention on inputs that are already projected."""
    if not len(query.shape) == len(key.shape) == 4:
        raise InvalidModelError(f"queries and keys have 4 axes, not {len(query.shape)} and {len(key.shape)}")
    heads, groups = query.shape[2], key.shape[2]
    if heads is not None and groups is not None and heads > groups > 1:
        key, value = (layer.emit(np.repeat, x, repeats=heads // groups, axis=2) for x in (key, value))
    if scale is None:
        if key.shape[-1] is None:
            raise UnsupportedModelError("the number of features must be known")
        scale = 1 / math.sqrt(key.shape[-1])
    if isinstance(scale, Value):
        scores = layer.emit(np.multiply, layer.emit(kernels.head_scores, query, key), scale)
    else:
        scores = layer.emit(kernels.head_scores, query, key, scale=float(scale))
    scores = scores if bias is None else layer.emit(np.add, scores, bias)
    mask = None if mask is None else layer.cast(mask, "bool")
    causal = layer.config.flag("is_causal", False)
    return layer.emit(kernels.attend, _weights(layer, scores, mask, 1, causal=causal), value)


def _project(layer: Layer, attribute: str, x: Value, shape: Sequence[int | None], contracted: int = 1) -> Value:
    """`x` through the dense layer at `attribute`, which replaces its last axes by axes of this shape."""
    free = len(x.shape) - contracted
    outer, summed = LETTERS[:free], LETTERS[free : free + contracted]
    new = LETTERS[free + contracted :][: len(shape)]
    config = {
        "equation": f"{outer}{summed},{summed}{new}->{outer}{new}",
        "output_shape": (*(None,) * (free - 1), *shape),
        "bias_axes": new if layer.config.flag("use_bias", True) else None,
        "dtype": layer.config.get("dtype", "float32"),
    }
    if attribute == "gate_dense":
        config["activation"] = "sigmoid"
    result: Value = layer.wrapped(attribute, {"class_name": "EinsumDense", "config": config}, x)
    return result


def _gate(layer: Layer, query: Value, shape: tuple[int, int]) -> Value | None:
    return _project(layer, "gate_dense", query, shape) if layer.config.flag("use_gate", False) else None


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """Keras's equations for attention over these axes of (batch, …, heads, features): for the scores and the result."""
    if rank > len(LETTERS) // 2:
        raise UnsupportedModelError(f"attention on tensors of {rank - 1} axes")
    target = LETTERS[:rank]
    fresh = iter(LETTERS[rank:])
    source = "".join(next(fresh) if axis in axes else letter for axis, letter in enumerate(target))
    batch = "".join(letter for axis, letter in enumerate(target[:-1]) if axis not in axes)
    product = batch + "".join(target[axis] for axis in axes) + "".join(source[axis] for axis in axes)
    return f"{source},{target}->{product}", f"{product},{source}->{target}"


def _all_masks(layer: Layer, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any) -> Value | None:
    """The intersection of all masks, explicit or implicit: (N, T, S), with 1 for sizes that do not matter."""
    mask = None if attention_mask is None else layer.cast(attention_mask, "bool")
    if query_mask is not None:
        mask = _both(layer, _as_mask(layer, query_mask, (..., None)), mask)
    for name, item in (("value", value_mask), ("key", key_mask)):
        item = item or layer.masks.get(name)
        if item is not None:
            mask = _both(layer, _as_mask(layer, item, (..., None, slice(None))), mask)
    return mask


def _weights(
    layer: Layer, scores: Value, mask: Value | None, axes: int, *, causal: bool, zeroed: bool = False
) -> Value:
    """Softmax of the scores over the last `axes` axes, under the mask, the causal mask and the sliding window."""
    window = layer.config.integer("sliding_window") if layer.config.get("sliding_window", None) else None
    if mask is not None and 2 * axes < len(mask.shape) < len(scores.shape):  # without an axis for the heads
        missing = (None,) * (len(scores.shape) - len(mask.shape))
        mask = layer.emit(kernels.get_item, mask, index=(..., *missing, *(slice(None),) * 2 * axes))
    if causal or window:
        if axes > 1:
            raise UnsupportedModelError("a causal mask or a sliding window over several axes, which Keras cannot run")
        mask = _both(layer, mask, layer.emit(kernels.band_mask, scores, causal=causal, window=window))
    axis = -1 if axes == 1 else tuple(range(-axes, 0))
    robust = layer.config.flag("softmax_robust_masking", False)
    return softmax_where(layer, scores, mask, axis, robust=robust, zeroed=zeroed)


def _as_mask(layer: Layer, mask: Value, index: tuple[Any, ...]) -> Value:
    return layer.emit(kernels.get_item, layer.cast(mask, "bool"), index=index)


def _both(layer: Layer, first: Value | None, second: Value | None) -> Value | None:
    return (first or second) if first is None or second is None else layer.emit(np.logical_and, first, second)
