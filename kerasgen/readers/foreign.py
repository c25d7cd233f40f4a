"""Recognises files of other tools by their first bytes or contents, else by their name, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple

ORIGINAL = "export the Keras model that it was made from"
UNPACK = "unpack it first"
REBUILD = "build the same network in Keras, give it these weights, and save that"
TF_KERAS = "load its folder with tf_keras.models.load_model and save the model as .keras or .h5"


class Format(NamedTuple):
    """What a file is, and how to export it nevertheless. `begins` matches its first bytes, `ends` its name."""

    what: str
    step: str
    begins: bytes = b"(?!)"
    ends: str = "(?!)"

    def __str__(self) -> str:
        """For messages."""
        return f"not a Keras model but {self.what}: {self.step}"


PYTORCH = Format("a PyTorch file", REBUILD, rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", r"\.(pt|pth)")
ARRAYS = Format("arrays of NumPy", "give the model that they are the weights of", rb"\x93NUMPY", r"\.(npy|npz)")
TENSORFLOW_JS = Format(
    "a TensorFlow.js model",
    "convert it with tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras",
)
# The first row that fits the bytes, else the first that fits the name.
FORMATS = (
    PYTORCH,
    ARRAYS,
    Format("a TensorFlow Lite model", ORIGINAL, rb".{4}TFL3", r"\.(tflite|lite)"),
    Format("a part of a SavedModel", TF_KERAS, rb"\x08\x01\x12", r"(saved_model|keras_metadata)\.pb"),
    Format("a graph of TensorFlow", ORIGINAL, ends=r"\.pb"),
    Format("an ONNX model", ORIGINAL, rb"\x08[\x03-\x20][\x12\x1a\x22\x28\x32\x3a\x42]", r"\.onnx"),
    Format("a Core ML model", ORIGINAL, ends=r"\.(mlmodel|mlpackage)"),
    Format("a safetensors file", REBUILD, rb'.{6}\x00\x00\{"', r"\.safetensors"),
    Format(
        "a checkpoint of TensorFlow",
        "load it into its model with Keras, and save that as .keras or .h5",
        ends=r"\.(ckpt|index|data-\d+-of-\d+)",
    ),
    Format(
        "a pickle",
        "load it where you trust it, and save the Keras model in it as .keras or .h5",
        rb"\x80[\x02-\x05]",
        r"\.(pkl|pickle|joblib)",
    ),
    Format("a web page", "download the file that the page is about", rb"(?i)\s*<(!doctype html|html)"),
    Format("packed", UNPACK, rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|.{257}ustar", r"\.(gz|tgz|tar|bz2|xz|7z|rar)"),
    Format("Python code", "run it, and save the model that it builds as .keras or .h5", ends=r"\.py"),
)


def of_file(head: bytes, name: str) -> Format | None:
    """The format of a file with these first bytes and this name, if known."""
    by_content = (each for each in FORMATS if re.match(each.begins, head, re.DOTALL))
    by_name = (each for each in FORMATS if re.search(rf"(?:{each.ends})\Z", PurePath(name).name.lower()))
    return next(by_content, None) or next(by_name, None)


def of_archive(names: Iterable[str]) -> Format | None:
    """The format of a zip file with these members, if known."""
    files = [name for name in names if not name.endswith("/")]
    if any(PurePath(name).name == "data.pkl" for name in files):
        return PYTORCH
    if files and all(name.endswith(".npy") for name in files):
        return ARRAYS
    models = (name for name in files if not name.endswith(".weights.h5"))  # those may be of a damaged .keras file
    if any(PurePath(n).name in ("saved_model.pb", "config.json") or n.endswith((".h5", ".keras")) for n in models):
        return Format("a zip file with a model inside", UNPACK)
    return None


def of_json(config: object) -> Format | None:
    """The format of a JSON file with this content, if known."""
    return TENSORFLOW_JS if isinstance(config, dict) and "modelTopology" in config else None
