"""Converts configs of multi-backend Keras (1, and 2 before it became part of TensorFlow) to those of tf.keras.

Apart from names, two things exist only in Keras 1: layers that use the data format of the installation, and Sequential
models that begin by merging others. Configs of other versions pass unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.readers.model import ModelSpec

THEANO = "Theano trained it, and current Keras would apply its kernels mirrored"
CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
_SETTINGS = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "input_dtype": "dtype",
    "length": "size",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
_SIZES = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_IRRELEVANT = {"init", "inner_init", "forget_bias_init", "input_dim", "input_length", "dropout_W", "dropout_U"}
_IRRELEVANT |= {f"{weight}_{what}" for weight in "WUb" for what in ("regularizer", "constraint")}
_FORMATS = {"th": "channels_first", "tf": "channels_last"}
# The layers with these settings; a custom class may use the same words.
_LAYERS = frozenset("""
    AtrousConvolution1D AtrousConvolution2D AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization
    Conv1D Conv2D Conv3D ConvLSTM2D Convolution1D Convolution2D Convolution3D Cropping2D Cropping3D Deconvolution2D
    Dense Dropout GRU GaussianDropout GaussianNoise GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling2D
    GlobalMaxPooling3D Highway InputLayer LSTM LocallyConnected1D LocallyConnected2D MaxPooling1D MaxPooling2D
    MaxPooling3D MaxoutDense SeparableConvolution2D SimpleRNN SpatialDropout1D SpatialDropout2D SpatialDropout3D
    TimeDistributedDense UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """.split())
# They use the data format of the installation and do not record it.
_FORMATLESS = {f"{kind}{rank}D" for kind in ("UpSampling", "ZeroPadding", "Cropping") for rank in (2, 3)}
_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "dot": "Dot",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}


def modern(data: Any, version: str) -> Any:
    """The outermost model of a file of this version as tf.keras would have written it."""
    if version.startswith("1.") or _written_by_keras1(data):
        data = _Modern(_format(data)).model(data)
    return _mark_bilinear(data) if is_multi_backend(version) else data


def is_multi_backend(version: str) -> bool:
    """Whether this Keras ran on TensorFlow, Theano or CNTK: Keras 1, or 2 up to 2.3."""
    return re.match(r"(1|2\.[0-3])(\.|$)", version) is not None and not version.endswith("-tf")


def unlike_today(model: ModelSpec) -> str:
    """Why tf_keras would answer differently from the Keras that wrote the model, or ""."""
    for layer in model.layers:
        inner = layer.model and unlike_today(layer.model)
        if inner:
            return inner
        if layer.config.get("interpolation") == "bilinear" and layer.config.get("half_pixel_centers") is False:
            return f"its Keras interpolated differently from current Keras (layer {layer.name!r})"
    return ""


def _mark_bilinear(data: Any) -> Any:
    """The config with a mark on bilinear upsampling: these versions did not use half-pixel centres."""
    if isinstance(data, list):
        return [_mark_bilinear(item) for item in data]
    if not isinstance(data, dict):
        return data
    if _kind(data) == "UpSampling2D" and isinstance(data.get("config"), dict):
        return {**data, "config": {**data["config"], "half_pixel_centers": False}}
    return {key: _mark_bilinear(item) for key, item in data.items()}


def _written_by_keras1(data: Any) -> bool:
    """Whether a config has a word that only Keras 1 used, although Keras 2.0 could still read it."""
    if isinstance(data, list):
        return any(_written_by_keras1(item) for item in data)
    if not isinstance(data, dict):
        return False
    config = data.get("config")
    if isinstance(config, dict) and isinstance(data.get("class_name"), str):
        old = config.keys() & (_SETTINGS.keys() | _IRRELEVANT | {"nb_row", "kernel_dim1"})
        if data["class_name"] in (*CLASSES, "Merge") or (data["class_name"] in _LAYERS and old):
            return True
    return any(_written_by_keras1(item) for item in data.values() if isinstance(item, (dict, list)))


def _format(data: Any) -> str:
    """The data format of the installation: that of most layers that record it."""
    formats: list[str] = []

    def look(item: Any) -> None:
        if isinstance(item, dict):
            formats.extend(item[key] for key in ("dim_ordering", "data_format") if isinstance(item.get(key), str))
        for part in item.values() if isinstance(item, dict) else item:
            if isinstance(part, (dict, list)):
                look(part)

    look(data)
    first = sum(name in ("th", "channels_first") for name in formats)
    return "channels_first" if 2 * first > len(formats) else "channels_last"


class _Modern:
    """Translates one file, written by an installation with this data format."""

    def __init__(self, data_format: str) -> None:
        self.data_format = data_format

    def model(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A model, outermost or nested."""
        config = data["config"]
        if isinstance(config, list):
            if config and _kind(config[0]) == "Merge":
                return self.model({**data, "class_name": "Model", "config": _Branches().functional(config)})
            return {**data, "config": _with_input([self.layer(item) for item in config])}
        if not isinstance(config.get("layers"), list):
            return dict(data)
        return {**data, "config": {**config, "layers": [self.layer(item) for item in config["layers"]]}}

    def layer(self, data: Any) -> Any:
        """One layer; the reader reports a malformed one."""
        if not isinstance(data, dict) or not isinstance(data.get("class_name"), str):
            return data
        config = data.get("config")
        if isinstance(config, list) or (isinstance(config, dict) and "layers" in config and "input_layers" in config):
            return self.model(data)
        if not isinstance(config, dict):
            return data
        config = dict(config)
        if isinstance(config.get("layer"), dict):
            config["layer"] = self.layer(config["layer"])
        kind = data["class_name"]
        if kind == "Merge":
            return {**data, **_merge(config)}
        if kind in _LAYERS:
            config = self._settings(kind, config)
        if kind == "BatchNormalization" and config.get("mode"):
            kind = "BatchNormalizationKeras1"
        return {**data, "class_name": CLASSES.get(kind, kind), "config": config}

    def _settings(self, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
        settings = {_SETTINGS.get(key, key): item for key, item in config.items() if key not in _IRRELEVANT}
        for parts in _SIZES:
            if all(part in settings for part in parts):
                settings["kernel_size"] = [settings.pop(part) for part in parts]
        if "dtype" in settings and "input_dtype" in config and kind != "InputLayer":
            settings["input_dtype"] = settings.pop("dtype")  # of the input, not of the layer
        if kind in _FORMATLESS:
            settings.setdefault("data_format", self.data_format)
        if "data_format" in settings:
            settings["data_format"] = _FORMATS.get(settings["data_format"], settings["data_format"])
        if kind.startswith("ZeroPadding"):
            settings["padding"] = _sides(settings.get("padding"))
        return settings


def _kind(data: Any) -> Any:
    return data.get("class_name") if isinstance(data, dict) else None


def _sides(written: Any) -> Any:
    """Padding as a pair for each axis; Keras 1 also wrote four numbers, or named the sides."""
    if isinstance(written, dict):
        sides = [("top_pad", "bottom_pad"), ("left_pad", "right_pad")]
        pairs = [[written.get(a, 0), written.get(b, 0)] for a, b in sides]
        return pairs if {"top_pad", "bottom_pad"} & written.keys() else pairs[1:]
    if isinstance(written, list) and len(written) == 4:
        return [written[:2], written[2:]]
    return written


def _merge(config: Mapping[str, Any]) -> dict[str, Any]:
    """The layer that replaces a Merge."""
    kind = _MERGES.get(str(config.get("mode")), "Merge")
    settings = {"name": config.get("name"), "trainable": True}
    if kind == "Concatenate":
        settings["axis"] = config.get("concat_axis", -1)
    elif kind in ("Dot", "Merge"):
        settings |= {"axes": config.get("dot_axes", -1), "mode": config.get("mode")}
    return {"class_name": kind, "config": settings}


def _with_input(layers: list[Any]) -> list[Any]:
    """The layers after an InputLayer, if the first one gives its shape and dtype."""
    first = layers[0] if layers else None
    config = first.get("config") if isinstance(first, dict) else None
    if not isinstance(config, dict) or _kind(first) == "InputLayer" or config.get("batch_input_shape") is None:
        return layers
    return [_input(config), *layers]


def _input(config: Mapping[str, Any]) -> dict[str, Any]:
    name, dtype = f"{config.get('name')}_input", config.get("input_dtype") or "float32"
    settings = {"name": name, "batch_input_shape": config["batch_input_shape"], "dtype": dtype}
    return {"class_name": "InputLayer", "name": name, "config": settings, "inbound_nodes": []}


class _Branches:
    """A Sequential model that begins with a Merge, as a functional model, which Keras 1 also made of it."""

    def __init__(self) -> None:
        self.layers: dict[str, Any] = {}  # by name: a branch may occur twice
        self.inputs: list[str] = []

    def functional(self, layers: list[Any]) -> dict[str, Any]:
        """The config of the model."""
        end = self._chain(layers)
        return {
            "name": "model",
            "layers": list(self.layers.values()),
            "input_layers": [[name, 0, 0] for name in self.inputs],
            "output_layers": [[end, 0, 0]],
        }

    def _chain(self, layers: list[Any]) -> str:
        """Add a chain of layers; returns the last one's name."""
        if not layers or not isinstance(layers[0], dict) or not isinstance(layers[0].get("config"), dict):
            raise InvalidModelError("malformed config: a Merge of models that do not begin with a layer")
        config: Any = layers[0]["config"]
        before: list[str] = []
        if _kind(layers[0]) == "Merge":
            before = [self._branch(item) for item in config.get("layers") or []]
        elif config.get("batch_input_shape") is not None and _kind(layers[0]) != "InputLayer":
            before = [self._enter(_input(config), [])]
        for item in layers:
            before = [self._enter(item, before)]
        return before[0]

    def _branch(self, item: Any) -> str:
        if _kind(item) == "Sequential" and isinstance(item["config"], list):
            return self._chain(item["config"])
        if _kind(item) == "Model":
            raise UnsupportedModelError("a Sequential model that begins by merging functional models is not supported")
        return self._chain([item])

    def _enter(self, item: Any, before: list[str]) -> str:
        name = item["config"]["name"] if isinstance(item["config"], dict) else f"nested_{len(self.layers)}"
        if name not in self.layers:
            nodes = [[[source, 0, 0] for source in before]] if before else []
            self.layers[name] = {**item, "name": name, "inbound_nodes": nodes}
            if not before:
                self.inputs.append(name)
        return str(name)
