"""What a row of the tables is, and the small sound files that are spoilt one thing at a time."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from model_files import layer

X = np.array([[1.0, -2.0, 0.5]], "float32")
KERNEL = np.arange(6, dtype="float32").reshape(3, 2)
BIAS = np.ones(2, "float32")


class Fault(NamedTuple):
    """`make` writes files into an empty folder and returns the arguments of `kerasgen export`.

    `says` is a pattern for all of the line that is printed, behind the name of the program and the first argument.
    Where `code` is 0 the export succeeds, and each of the module's outputs for X is `answer`.
    """

    number: int
    what: str
    make: Callable[[Path], list[str]]
    code: int
    says: str
    answer: np.ndarray = X @ KERNEL + BIAS


def written(name: str, data: bytes | str) -> Callable[[Path], list[str]]:
    """A file with this content."""

    def make(folder: Path) -> list[str]:
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return [name]

    return make


def dense(name: str = "dense", **config: Any) -> dict[str, Any]:
    """A Dense layer of two units."""
    return layer(name, **{"units": 2, **config})


def sequential(*layers: dict[str, Any], shape: Iterable[int | None] = (None, 3)) -> dict[str, Any]:
    """The config of a Sequential model."""
    inputs = layer("image", "InputLayer", batch_input_shape=list(shape), dtype="float32")
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [inputs, *layers]}}


def functional(*layers: dict[str, Any], output: Any = ("dense", 0, 0)) -> dict[str, Any]:
    """The config of a functional model with one input, `image`."""
    inputs = layer("image", "InputLayer", batch_input_shape=[None, 3], dtype="float32")
    config = {"name": "f", "layers": [inputs, *layers], "input_layers": [["image", 0, 0]]}
    return {"class_name": "Functional", "config": {**config, "output_layers": [list(output)]}}


def reading(*refs: tuple[Any, ...], **keywords: Any) -> list[Any]:
    """An inbound node that reads these tensors."""
    return [[*ref, keywords] for ref in refs]


MODEL = sequential(dense())


def legacy(
    config: Any = MODEL,
    spoil: Callable[[h5py.Group], Any] | None = None,
    layers: Iterable[tuple[str, np.ndarray, np.ndarray]] = (("dense", KERNEL, BIAS),),
) -> Callable[[Path], list[str]]:
    """A file of Keras 2; `spoil` gets its group of weights. A config that is a text stays as it is."""

    def make(folder: Path) -> list[str]:
        layers_ = list(layers)
        with h5py.File(folder / "model.h5", "w") as file:
            if config is not None:
                text = config if isinstance(config, (str, bytes)) else json.dumps(config)
                file.attrs["model_config"] = np.void(text) if isinstance(text, bytes) else text
            root = file.create_group("model_weights")
            root.attrs["keras_version"] = "2.15.0"
            root.attrs["layer_names"] = [name.encode() for name, _, _ in layers_]
            for name, kernel, bias in layers_:
                group = root.create_group(name.replace("/", "|"))
                group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
                group["dense/kernel:0"], group["dense/bias:0"] = kernel, bias
            if spoil:
                spoil(root)
        return ["model.h5"]

    return make


def replaced(key: str = "dense/bias:0", **how: Any) -> Callable[[h5py.Group], None]:
    """What takes the place of an array of the layer `dense`: another array, or a link."""

    def spoil(root: h5py.Group) -> None:
        del root["dense"][key]
        if "link" in how:
            root["dense"][key] = how["link"]
        else:
            root["dense"].create_dataset(key, **how)

    return spoil


def altered(make: Callable[[Path], list[str]], change: Callable[[bytes], bytes]) -> Callable[[Path], list[str]]:
    """The bytes of a file that another one makes, changed."""

    def changed(folder: Path) -> list[str]:
        arguments = make(folder)
        path = folder / arguments[0]
        path.write_bytes(change(path.read_bytes()))
        return arguments

    return changed


def weights_h5(path: Path) -> Path:
    """The weights of MODEL as Keras 3 keeps them."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = KERNEL, BIAS
    return path


def archive(
    *more: tuple[Any, bytes | str],
    config: Any = MODEL,
    spoil: Callable[[h5py.File], Any] | None = None,
    without: str = "",
    method: int = zipfile.ZIP_STORED,
) -> Callable[[Path], list[str]]:
    """A `.keras` archive of MODEL: with `more` members, without one of its own, its weights spoilt."""

    def make(folder: Path) -> list[str]:
        weights = weights_h5(folder / "weights.h5")
        if spoil:
            with h5py.File(weights, "r+") as file:
                spoil(file)
        members: list[tuple[Any, bytes | str]] = [
            ("metadata.json", json.dumps({"keras_version": "3.5.0"})),
            ("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config)),
            ("model.weights.h5", weights.read_bytes()),
        ]
        weights.unlink()
        with zipfile.ZipFile(folder / "model.keras", "w", method) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a name is there twice
            for name, data in [member for member in members if member[0] != without] + list(more):
                file.writestr(name, data)
        return ["model.keras"]

    return make
