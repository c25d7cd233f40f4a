"""A Sequential model that was saved before it was built, or by a tf.keras that did not record its input shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasgen.errors import UsageError


def with_input_shape(config: Any, shape: Sequence[int | None], name: str) -> Any:
    """The config of a Sequential model with the shape of a sample in its first layer, as Keras 2 writes it.

    None in `shape` is an open size. Raises UsageError for another model, and where the file records a shape.
    """
    inner = config.get("config") if isinstance(config, dict) and config.get("class_name") == "Sequential" else None
    layers = inner.get("layers") if isinstance(inner, dict) else inner  # a list until Keras 2.2.3
    if not isinstance(layers, list) or not layers or not isinstance(layers[0], dict):
        raise UsageError(f"{name}: `input_shape` is for a Sequential model that does not record its own")
    first = layers[0]
    if _records(first) or (isinstance(inner, dict) and inner.get("build_input_shape") is not None):
        raise UsageError(f"{name}: the model records its input shape: leave the option out")
    changed = [{**first, "config": {**first["config"], "batch_input_shape": [None, *shape]}}, *layers[1:]]
    return {**config, "config": {**inner, "layers": changed} if isinstance(inner, dict) else changed}


def _records(first: dict[str, Any]) -> bool:
    """Whether the first layer of a Sequential model records the shape of the input."""
    config = first.get("config")
    if first.get("class_name") == "InputLayer" or not isinstance(config, dict):
        return True  # a nested list of layers has a shape of its own
    return any(config.get(key) is not None for key in ("batch_input_shape", "batch_shape"))
