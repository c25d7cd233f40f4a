"""Keras itself, asked for the right answer. The only module that imports TensorFlow, and only when it is called."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.errors import ParityError, UsageError
from kerasgen.parity import Answer, flat


def available() -> bool:
    """Whether TensorFlow is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def oracle(source: Any, weights: Any, keras_version: str) -> Answer:
    """A function that answers as the original model does.

    A file of Keras 1 or 2 is loaded by tf_keras where that is installed, for Keras 3 changed what some settings mean.
    Raises UsageError where TensorFlow is missing, ParityError where Keras cannot load the model.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _answer(source)
    if not available():
        raise UsageError("verification needs TensorFlow: pip install 'kerasgen-numpy[verify]'")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keras = _keras(keras_version)
    try:
        if weights is None:
            model = keras.models.load_model(os.fspath(source), compile=False)
        else:
            model = keras.models.model_from_json(Path(source).read_text(encoding="utf-8"))
            model.load_weights(os.fspath(weights))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ParityError(f"{source}: Keras {keras.__version__} cannot load the model: {reason}") from error
    return _answer(model)


def _keras(keras_version: str) -> Any:
    if keras_version and keras_version.split(".")[0] in ("1", "2") and importlib.util.find_spec("tf_keras") is not None:
        return importlib.import_module("tf_keras")
    return importlib.import_module("keras")


def _answer(model: Any) -> Answer:
    def answer(arrays: Any) -> list[np.ndarray]:
        names = [tensor.name.split(":")[0] for tensor in model.inputs]
        struct = getattr(model, "_inputs_struct", None)
        if isinstance(struct, dict):
            batch: Any = dict(zip(struct, arrays, strict=True))
        else:
            batch = list(arrays) if len(names) > 1 else arrays[0]
        return [np.asarray(array) for array in flat(model(batch, training=False))]

    return answer
