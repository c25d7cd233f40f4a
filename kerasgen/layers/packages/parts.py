"""Layers that are made of other layers: their parts, and the order of their weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer


def apply(layer: Layer, attribute: str, kind: str, x: Any, config: dict[str, Any], **kwargs: Any) -> Any:
    """A layer of Keras's that is a part of this one, at `attribute`, with the dtype of the whole."""
    settings = {"dtype": layer.config.get("dtype", "float32"), **config}
    result = layer.wrapped(attribute, {"class_name": kind, "config": settings}, x, **kwargs)
    return result[0] if isinstance(result, list) and len(result) == 1 else result


def sort_weights(layer: Layer, attributes: Sequence[str]) -> None:
    """Put the weights of the layer's parts in the order in which it creates the parts, which legacy files have."""
    places = {f"{layer.ident}/{part}/": place for place, part in enumerate(layer.prefixed(name) for name in attributes)}

    def place(key: str) -> int:
        return next((place for prefix, place in places.items() if key.startswith(prefix)), -1)

    ordered = sorted(layer.variables.items(), key=lambda item: place(item[0]))
    layer.variables.clear()
    layer.variables.update(ordered)


def with_masks(layer: Layer, **masks: Value | None) -> Layer:
    """The layer, its arguments having these implicit masks."""
    masked = copy.copy(layer)
    masked.masks = masks
    return masked


def steps(x: Value, axis: int = 1) -> int:
    """The length of a sequence. Raises UnsupportedModelError where it is open."""
    size = x.shape[axis]
    if size is None:
        raise UnsupportedModelError("the length of the sequence must be known")
    return size
