"""Sequences: masks, and layers that are applied to every step."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import KEEP, Layer
from kerasgen.layers.registry import RULES, rule
from kerasgen.readers.model import ModelSpec, leaves, map_leaves


@rule("Masking")
def masking(layer: Layer, inputs: Value) -> Value:
    """Masks the steps whose channels all have one value, and zeroes them."""
    value = layer.config.get("mask_value", 0.0)
    value = value if isinstance(value, np.ndarray) else layer.config.number("mask_value", 0.0)
    layer.output_mask = layer.emit(np.any, layer.emit(np.not_equal, inputs, value), axis=-1)
    return layer.emit(kernels.masked, inputs, layer.output_mask)


def _stateful(written: Any) -> bool:
    """Whether a layer, or one inside it, keeps states between calls."""
    if isinstance(written, ModelSpec):
        return any(_stateful(layer.config) or _stateful(layer.model) for layer in written.layers)
    if isinstance(written, dict):
        return written.get("stateful") is True or any(map(_stateful, written.values()))
    return isinstance(written, (list, tuple)) and any(map(_stateful, written))


@rule("TimeDistributed")
def time_distributed(layer: Layer, inputs: Any, mask: Any = None) -> list[Value]:
    """A layer or a model applied to each step separately: steps are merged into the batch axis."""
    written = layer.config.get("layer")
    if not isinstance(written, Mapping):
        raise InvalidModelError("its config has no layer to apply")
    if _stateful(written):
        raise UnsupportedModelError("the inner layer is stateful: its states would be passed from step to step")
    first = next(leaves(inputs, Value))
    merged = map_leaves(inputs, lambda x: layer.emit(kernels.merge_steps, x), Value)
    mask = next(leaves(mask, Value), None)
    settings = {}
    if mask is not None and len(mask.shape) > 2 and _takes_mask(written):
        settings["mask"] = layer.emit(kernels.merge_steps, mask)
    outputs = layer.wrapped("layer", written, merged, **settings)
    if layer.keras_major < 3 and layer.inner_mask is not KEEP:  # Keras 3 passes on its own mask
        layer.output_mask = (
            mask if layer.inner_mask is None else layer.emit(kernels.split_steps, layer.inner_mask, first)
        )
        if layer.inner_mask is None and mask is not None and len(mask.shape) > 2:
            layer.output_mask = layer.emit(np.any, mask, axis=tuple(range(2, len(mask.shape))))
    return [layer.emit(kernels.split_steps, y, first) for y in (outputs if isinstance(outputs, list) else [outputs])]


def _takes_mask(written: Any) -> bool:
    inner_rule = RULES.get(written.get("class_name"))
    return "model" in written or (inner_rule is not None and "mask" in inspect.signature(inner_rule).parameters)
