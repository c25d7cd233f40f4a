"""Translates layer configs into one dialect: names that only older or other versions of Keras use.

Values are spelled as in Keras 3; what does not affect the outputs is left out. Serialised objects (an activation, a
wrapped layer, a recurrent cell) stay dicts of `class_name` and `config`, both translated in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kerasgen.errors import InvalidModelError
from kerasgen.readers.layer_names import KERAS_LAYERS
from kerasgen.readers.model import Ref

CLASSES = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "GroupQueryAttention": "GroupedQueryAttention",  # the public name; files of weights use the other
    "UnifiedLSTM": "LSTM",
    "UnifiedGRU": "GRU",
}
_SETTINGS = {"LeakyReLU": {"alpha": "negative_slope"}}  # ELU keeps its alpha
_DEFAULTS = {"GRU": {"reset_after": False}, "GRUCell": {"reset_after": False}}  # for files older than the setting
# How a layer was built or trained, and switches between equivalent computations.
_IRRELEVANT = {"fused", "build_config", "shared_object_id", "batch_input_shape", "input_dtype"}
_IRRELEVANT_ENDINGS = ("_initializer", "_regularizer", "_constraint")
_IRRELEVANT_UNLESS_SET = {"time_major", "ragged", "quantization_config"}
_POLICIES = ["Policy", "PolicyV1", "DTypePolicy", "FloatDTypePolicy", "QuantizedDTypePolicy"]
_POLICIES += ["QuantizedFloat8DTypePolicy", "Int4DTypePolicy", "GPTQDTypePolicy", "AWQDTypePolicy"]
_KERAS_PACKAGES = {"keras", "tf_keras", "tensorflow", "builtins"}


def layer_kind(data: Mapping[str, Any]) -> str:
    """Keras's name of a serialised object's class; another package's class with a Keras name keeps its package."""
    package, _, name = data["class_name"].rpartition(">")
    name = CLASSES.get(name, name)
    if "module" in data and str(data["module"]).partition(".")[0] not in _KERAS_PACKAGES:
        package = str(data.get("registered_name")).rpartition(">")[0] or str(data["module"] or "custom")
    return f"{package}>{name}" if package and name in KERAS_LAYERS else name


def package(data: Mapping[str, Any]) -> str:
    """The package that a serialised object's class is registered for with Keras, "" if it is none or not recorded."""
    return str(data.get("registered_name") or data["class_name"]).rpartition(">")[0]


def layer_config(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a layer of this kind."""
    renamed = _SETTINGS.get(kind, {})
    settings = {
        renamed.get(key, key): value(item) for key, item in config.items() if not _is_irrelevant(kind, key, item)
    }
    if kind == "InputLayer":
        settings["batch_shape"] = batch_shape(config.get("batch_shape", config.get("batch_input_shape")))
    if kind == "BatchNormalization" and isinstance(settings.get("axis"), list) and len(settings["axis"]) == 1:
        settings["axis"] = settings["axis"][0]
    return {**_DEFAULTS.get(kind, {}), **settings}


def batch_shape(written: Any) -> tuple[int | None, ...]:
    """The shape of a model's input; its batch size is None, unless Keras takes no other than the one that it has."""
    shape = value(written)
    if not isinstance(shape, (list, tuple)) or not shape:
        raise InvalidModelError("the shape of the model's input is missing or not a list")
    for size in shape:
        if size is not None and (type(size) is not int or not 0 <= size < 1 << 31):
            raise InvalidModelError(f"the shape of the model's input has an axis {size!r} long")
    return tuple(shape)


def recorded_shape(written: Any) -> tuple[int | None, ...] | None:
    """The shape of a tensor as recorded in the file; None if it has no open batch size."""
    shape = written.get("items") if isinstance(written, dict) else written  # a tuple in Keras's JSON
    if not isinstance(shape, (list, tuple)) or not shape or shape[0] is not None:
        return None
    valid = all(size is None or (type(size) is int and 0 <= size < 1 << 31) for size in shape)
    return tuple(shape) if valid else None


def value(written: Any) -> Any:
    """A value in Python, decoded from Keras's markers for what JSON lacks."""
    if isinstance(written, list):
        return [value(item) for item in written]
    if not isinstance(written, dict):
        return written
    name = written.get("class_name")
    if not isinstance(name, str):
        return {key: value(item) for key, item in written.items()}
    decode: Callable[[dict[str, Any]], Any] = _MARKERS.get(name, _object)
    return decode(written)


def _object(written: dict[str, Any]) -> dict[str, Any]:
    kind, config = layer_kind(written), written.get("config")
    return {"class_name": kind, "config": layer_config(kind, config) if isinstance(config, dict) else value(config)}


def _is_irrelevant(kind: str, key: str, item: Any) -> bool:
    return (
        key in _IRRELEVANT
        or key.endswith(_IRRELEVANT_ENDINGS)
        or (key in _IRRELEVANT_UNLESS_SET and not item)
        or (key == "implementation" and not kind.startswith("LocallyConnected"))
        or (key == "groups" and kind.startswith("DepthwiseConv"))
        or (key == "batch_shape" and kind != "InputLayer")
    )


def _items(written: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value(item) for item in written["items"])


def _array(written: dict[str, Any]) -> np.ndarray:
    name = written["config"]["dtype"]
    dtype = np.dtype("float32" if name == "bfloat16" else name)
    if dtype.kind not in "biuf":
        raise InvalidModelError(f"a constant has the unusable type {name!r}")
    return np.array(written["config"]["value"], dtype.newbyteorder("="))


def _tensor(written: dict[str, Any]) -> Ref:
    history = written["config"]["keras_history"]
    if [type(part) for part in history] != [str, int, int]:
        raise ValueError(f"{ascii(history)[:80]} is not a tensor")
    config = written["config"]
    layer, call, index = history
    return Ref(layer, call, index, recorded_shape(config.get("shape")), str(config.get("dtype") or ""))


def _slice(written: dict[str, Any]) -> slice:
    return slice(*(value(written["config"][key]) for key in ("start", "stop", "step")))


def _bytes(written: dict[str, Any]) -> bytes:
    return str(written.get("config", written)["value"]).encode()


def _policy(written: dict[str, Any]) -> str:
    config = written["config"]
    if "name" in config:
        return str(config["name"])
    history = f"/{config['amax_history_length']}" if "amax_history_length" in config else ""
    return f"{config['mode']}{history}_from_{config['source_name']}"


_MARKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "__tuple__": _items,
    "TensorShape": _items,
    "__ellipsis__": lambda written: ...,
    "__slice__": _slice,
    "__bytes__": _bytes,
    "__numpy__": _array,
    "__tensor__": _array,
    "__keras_tensor__": _tensor,
    "function": lambda written: written["config"],
    **dict.fromkeys(_POLICIES, _policy),
    "DTypePolicyMap": lambda written: "DTypePolicyMap",  # a dtype for each part of a layer has no single name
}
