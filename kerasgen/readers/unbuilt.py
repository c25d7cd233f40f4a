"""A Sequential model that was saved before it was built, or by a tf.keras that did not record its input shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerasgen.errors import UsageError


def with_input_shape(config: Any, shape: Sequence[int | None], name: str) -> Any:
    """The config of a Sequential model with the shape of a sample in its first layer, as Keras 2 writes it.

    None in `shape` is an open size. Raises UsageError for another model, and where the file records a shape.
    """
    is_sequential = isinstance(config, Mapping) and config.get("class_name") == "Sequential"
    inner = config["config"] if is_sequential else None
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner  # a list until Keras 2.2.3
    first = layers[0] if isinstance(layers, list) and layers else None
    if not isinstance(first, Mapping) or not isinstance(first.get("config"), Mapping):
        raise UsageError(f"{name}: `input_shape` is for a Sequential model that does not record its own")
    recorded = {key for key in ("batch_input_shape", "batch_shape") if first["config"].get(key) is not None}
    if isinstance(inner, Mapping) and inner.get("build_input_shape") is not None:
        recorded.add("build_input_shape")
    if recorded or first.get("class_name") == "InputLayer":
        raise UsageError(f"{name}: the model records its input shape: leave the option out")
    changed = [{**first, "config": {**first["config"], "batch_input_shape": [None, *shape]}}, *layers[1:]]
    return {**config, "config": {**inner, "layers": changed} if isinstance(inner, Mapping) else changed}
