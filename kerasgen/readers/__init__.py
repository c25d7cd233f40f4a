"""Reads model files of any Keras into one form, without TensorFlow or Keras; no code of the model is run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasgen.errors import FileError, InvalidModelError, UsageError
from kerasgen.readers import (
    backslashes,
    beside,
    content,
    foreign,
    graph_config,
    hdf5,
    jsonfile,
    keras_files,
    keras_folder,
    keras_zip,
    legacy_h5,
    live,
    multi_backend,
    sharded,
    unbuilt,
    weights_h5,
)
from kerasgen.readers.layer_groups import holds_layers
from kerasgen.readers.model import ModelFile, WeightStore

__all__ = ["architecture", "read"]


def read(
    source: Any,
    weights: str | os.PathLike[str] | None = None,
    *,
    theano_kernels: bool = False,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
) -> ModelFile:
    """The model in `source`, a file or a live Keras model; `weights` is a second file that holds its weights.

    The architecture is read now, the weights when they are bound. `theano_kernels` says that Theano trained the model,
    for files that do not record the backend, such as those of Keras 1. `outputs` names the layers at which the module
    ends. `input_shape` is the shape of a sample, None for open sizes, for a Sequential that does not record it.
    """
    if isinstance(source, (str, os.PathLike)):
        main = _parts(_on_disk(source), theano_kernels)
    elif callable(getattr(source, "save", None)):
        main = _parts(live.saved(source))
    else:
        raise InvalidModelError(f"{type(source).__name__} is neither a path nor a Keras model")
    other = _parts(_on_disk(weights), theano_kernels) if weights is not None else main
    if main.config is None:
        raise InvalidModelError(f"{main.name}: {_no_architecture(main, source)}")
    given = None if input_shape is None else tuple(input_shape)
    config = main.config if given is None else unbuilt.with_input_shape(main.config, given, main.name)
    model = graph_config.parse(config, main.name, main.version)
    if other.weights is None:
        raise InvalidModelError(f"{other.name}: holds no weights; give a file that does: `weights='FILE'`")
    version = main.version or other.version
    unlike = other.unlike or multi_backend.unlike_today(model)
    return ModelFile(
        main.name, version, model, other.weights, unlike, _distinct(outputs or (), main.name), given, config
    )


def _on_disk(source: str | os.PathLike[str]) -> content.Content:
    """The file, or an error that names a similar one."""
    try:
        return content.on_disk(Path(source))
    except FileError as error:
        like = "" if os.path.lexists(source) else beside.similar(Path(source))
        raise FileError(f"{error}; did you mean {like}?" if like else str(error)) from error


def _no_architecture(main: _Parts, source: Any) -> str:
    """The advice for a file of weights."""
    found = beside.architecture(Path(source), main.weights) if main.weights is not None else ""
    fits = f" ({found} beside it fits)" if found else ""
    return (
        f"holds weights but no architecture: give the JSON that `model.to_json()` returns as the model{fits}, and "
        f"`weights={main.name!r}`; or build the model in Python, call load_weights and kerasgen.export(model)"
    )


def _distinct(outputs: Sequence[str], name: str) -> tuple[str, ...]:
    if isinstance(outputs, str) or len(set(outputs)) < len(outputs):
        raise UsageError(f"{name}: `outputs` is a list of the names of layers, each once")
    return tuple(outputs)


def architecture(path: str | os.PathLike[str]) -> tuple[Any, str]:
    """The config in a file as the file spells it, None if it has none, and the version of Keras, "" if unknown."""
    parts = _parts(content.on_disk(Path(path)))
    return parts.config, parts.version


@dataclass(frozen=True)
class _Parts:
    """The contents of one file: an architecture, weights, or both."""

    name: str
    version: str
    config: Any = None
    weights: WeightStore | None = None
    unlike: str = ""


def _parts(file: content.Content, theano_kernels: bool = False) -> _Parts:
    kind = content.kind(file)
    if kind == "zip":
        return _saved_parts(keras_zip.Archive(file))
    if kind == "folder":
        return _saved_parts(keras_folder.Folder(file))
    if kind == "hdf5":
        return _hdf5_parts(file, theano_kernels)
    config = jsonfile.document(file.read(content.MAX_TEXT), file.name)
    other = foreign.of_json(config)
    if other is not None:
        raise InvalidModelError(f"{file.name}: {other}")
    if sharded.is_map(config):
        return _Parts(file.name, "", None, weights_h5.ObjectWeights(sharded.Shards(file, config)))
    return _Parts(file.name, _json_version(config), config)


def _saved_parts(container: keras_files.Container) -> _Parts:
    source = backslashes.Spelled(hdf5.Single(keras_files.StoredWeights(container)))
    config, version = keras_files.config(container), keras_files.version(container)
    return _Parts(container.name, version, config, weights_h5.ObjectWeights(source, container.text))


def _json_version(config: Any) -> str:
    """Only Keras 1 and 2 record the version in `to_json`; a file without it but with modules is from Keras 3."""
    if not isinstance(config, dict):
        return ""
    return str(config.get("keras_version", "3" if "module" in config else ""))


def _hdf5_parts(file: content.Content, theano_kernels: bool) -> _Parts:
    source = hdf5.Single(file)
    with hdf5.opened(source) as opened:
        root = opened.root
        if "model_config" in root.attrs or "model_weights" in root.links or hdf5.names(root, "layer_names"):
            theano = theano_kernels if legacy_h5.backend(root) == "" else legacy_h5.backend(root) == "theano"
            store = legacy_h5.LegacyWeights(source, theano)
            config = legacy_h5.config(root, file.name)
            if holds_layers(root) and not hdf5.names(root, "layer_names"):
                raise InvalidModelError(f"{file.name}: holds weights twice, as Keras 2 writes them and as Keras 3 does")
            return _Parts(file.name, legacy_h5.version(root), config, store, multi_backend.THEANO if theano else "")
        if holds_layers(root):
            return _Parts(file.name, "", None, weights_h5.ObjectWeights(backslashes.Spelled(source)))
        raise InvalidModelError(f"{file.name}: not a Keras model: an HDF5 file with neither architecture nor layers")
