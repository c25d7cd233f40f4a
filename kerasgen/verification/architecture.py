"""The config for Keras to build when the model's own file won't do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasgen.builder.cut import Cut
from kerasgen.readers.legacy_h5 import LegacyWeights
from kerasgen.readers.model import ModelFile, ModelSpec, leaves


def rebuilt(file: ModelFile, cut: Cut | None) -> Any:
    """The config of the layers that a module needs from a legacy file, so that Keras doesn't build or run the rest.

    None means that Keras loads the whole file: if the weights have no layer names, or if a cut goes through a nested
    model or between the calls of a shared layer.
    """
    if cut is None or not isinstance(file.weights, LegacyWeights) or not _between_layers(file.model, cut):
        return None
    names = {name for (name, _), *_ in (*cut.layers, *cut.models)}
    config = file.config["config"]
    layers = config if isinstance(config, list) else config["layers"]
    if file.model.kind == "Sequential":
        last = max(i for i, layer in enumerate(layers) if _name(layer) in names)
        kept = layers[: last + 1]
        return {**file.config, "config": kept if isinstance(config, list) else {**config, "layers": kept}}
    inputs = [ref for i, ref in enumerate(_list(config["input_layers"])) if i in cut.inputs]
    names.update(ref[0] for ref in inputs)
    outputs = [[name, index, 0] for ((name, index),) in cut.outputs.values()]
    layers = [layer for layer in layers if _name(layer) in names]
    return {**file.config, "config": {**config, "layers": layers, "input_layers": inputs, "output_layers": outputs}}


def _between_layers(model: ModelSpec, cut: Cut) -> bool:
    """Whether each layer of the outermost model is needed in all its calls, with all that they read, or in none."""
    needed = cut.layers | cut.models
    names = {name for (name, _), *_ in needed} | {
        ref.layer for i, ref in enumerate(leaves(model.inputs)) if i in cut.inputs
    }
    called = [layer for layer in model.layers if layer.name in names]
    whole = all(((layer.name, index),) in needed for layer in called for index in range(len(layer.calls)))
    reads = {ref.layer for layer in called for call in layer.calls for ref in leaves((call.args, call.kwargs))}
    nested = {layer.name for layer in model.layers if layer.model is not None}
    ends = all(len(address) == 1 and address[0][0] not in nested for address in cut.outputs.values())
    return whole and ends and reads <= names


def _list(refs: Any) -> list[Any]:
    """The tensors in `input_layers`, which holds one tensor, a list or a dict."""
    if isinstance(refs, Mapping):
        return list(refs.values())
    return [refs] if isinstance(refs[0], str) else refs


def _name(layer: Mapping[str, Any]) -> Any:
    return layer.get("name") or layer["config"].get("name")
